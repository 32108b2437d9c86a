//! Random records: the order of learning does not matter, what is frozen only widens, all that was observed fits.

use super::*;

fn seed() -> u64 {
    let given = std::env::var("HYDRANT_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("HYDRANT_TEST_SEED={seed}");
    seed
}

/// A value; `bias` makes values of one key mostly of one kind.
fn value(random: &mut Rng, bias: u8, depth: usize, text: &mut String) {
    let kind = if random.u8(0..12) == 0 { random.u8(0..12) } else { bias % 12 };
    match kind {
        0 => text.push_str("null"),
        1 => text.push_str(["true", "false"][random.usize(0..2)]),
        2 | 3 => text.push_str(&random.i64(-5000..5000).to_string()),
        4 => text.push_str(&random.i64(..).to_string()),
        5 => text.push_str(&format!("{}.{}e{}", random.i32(-99..99), random.u8(..), random.i8(-9..9))),
        6 => text
            .push_str(["9007199254740992", "-9007199254740993", "18446744073709551615", "1e300"][random.usize(0..4)]),
        7 => text.push_str([r#""""#, r#""20""#, r#""\ud83d\ude00\n""#, r#""é x""#, r#""{}""#][random.usize(0..5)]),
        8 | 9 if depth > 0 => {
            text.push('[');
            for i in 0..random.usize(0..4) {
                text.push_str(if i == 0 { "" } else { ", " });
                value(random, bias / 2, depth - 1, text);
            }
            text.push(']');
        }
        _ if depth > 0 => object(random, depth - 1, text),
        _ => text.push_str("{ }"),
    }
}

fn object(random: &mut Rng, depth: usize, text: &mut String) {
    let keys = ["a", "b", "C", "d.e", "f g", "\\u0068", "ı", "ΑΣ", "`"];
    let mut left: Vec<usize> = (0..keys.len()).collect();
    text.push('{');
    for i in 0..random.usize(0..keys.len()) {
        let key = left.swap_remove(random.usize(0..left.len()));
        let name = if random.u8(0..6) == 0 && key < 5 { keys[key].to_uppercase() } else { keys[key].to_owned() };
        text.push_str(&format!("{}\"{name}\": ", if i == 0 { "" } else { " ,\n" }));
        value(random, (key * 5 + depth * 3) as u8, depth, text);
    }
    text.push('}');
}

fn records(random: &mut Rng) -> Vec<String> {
    let count = random.usize(1..30);
    let record = |random: &mut Rng| {
        let mut text = String::new();
        object(random, 3, &mut text);
        if random.u8(0..8) == 0 {
            // Not JSON any more, or less of it.
            let mut at = random.usize(0..text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            text.truncate(at);
        }
        text
    };
    (0..count).map(|_| record(random)).collect()
}

/// Columns and fields by name, since their order depends on who is asked first.
fn sorted(fields: &[(String, Shape)]) -> Vec<(String, Shape)> {
    fn inner(shape: &Shape) -> Shape {
        match shape {
            Shape::Array(item) => Shape::Array(Box::new(inner(item))),
            Shape::Struct(fields) => Shape::Struct(sorted(fields)),
            other => other.clone(),
        }
    }
    // The first spelling of a field counts.
    let mut fields: Vec<_> = fields.iter().map(|(name, shape)| (name.to_lowercase(), inner(shape))).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

#[test]
fn neither_order_nor_grouping_matters() {
    let mut random = Rng::with_seed(seed());
    for _ in 0..400 {
        let mut records = records(&mut random);
        let whole = learn(records.iter().map(String::as_str));
        let expected = sorted(&whole.shapes().columns);
        random.shuffle(&mut records);
        let mut groups: Vec<Learner> =
            records.chunks(random.usize(1..8)).map(|group| learn(group.iter().map(String::as_str))).collect();
        while groups.len() > 1 {
            let other = groups.swap_remove(random.usize(0..groups.len()));
            let at = random.usize(0..groups.len());
            groups[at].join(other);
        }
        assert_eq!(sorted(&groups[0].shapes().columns), expected, "{records:#?}");
    }
}

#[test]
fn all_that_was_observed_fits_and_is_equal() {
    let mut random = Rng::with_seed(seed());
    for case in 0..300 {
        let records = records(&mut random);
        let mut learner = Learner::new(&spec(openx())).unwrap();
        let mut valid = Vec::new();
        for record in &records {
            let parsed = serde_json::from_str::<Value>(record).ok().filter(Value::is_object);
            assert_eq!(learner.observe(record.as_bytes()), parsed.is_some(), "{record}");
            valid.extend(parsed);
        }
        let Some(table) = learner.shapes().table() else { continue };
        assert_eq!(parse_table(&declaration(&table.schema, "t", "s3://b/")).unwrap(), *table.schema);
        let bytes: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
        let (object, refused, fits) = convert(&table, false, &bytes);
        assert!(fits, "case {case}: {records:#?}");
        assert_eq!(refused.len(), records.len() - valid.len());
        let rows = read(object);
        assert_eq!(rows.len(), valid.len());
        for (row, record) in rows.iter().zip(&valid) {
            assert!(is_same_object(&table.schema.columns, row, record), "{}\n{row}\n{record}", columns(&learner));
        }
    }
}

/// Whether a column of the second shape may follow one of the first.
fn widens(before: &Shape, after: &Shape) -> bool {
    match (before, after) {
        (_, Shape::Text { .. }) => true,
        (Shape::Integer { .. }, Shape::Double) => true,
        (Shape::Integer { large }, Shape::Integer { large: now }) => now >= large,
        (Shape::Array(before), Shape::Array(after)) => widens(before, after),
        (Shape::Struct(before), Shape::Struct(after)) => all_widen(before, after),
        (before, after) => before == after,
    }
}

fn all_widen(before: &[(String, Shape)], after: &[(String, Shape)]) -> bool {
    let pairs = before.iter().zip(after);
    before.len() <= after.len() && pairs.into_iter().all(|(b, a)| b.0 == a.0 && widens(&b.1, &a.1))
}

#[test]
fn frozen_tables_widen_through_restarts_and_take_what_came_before() {
    let mut random = Rng::with_seed(seed());
    for _ in 0..200 {
        let mut learner = Learner::new(&spec(openx())).unwrap();
        let mut frozen = learner.freeze();
        let mut seen: Vec<String> = Vec::new();
        for _ in 0..4 {
            let more = records(&mut random);
            for record in &more {
                learner.observe(record.as_bytes());
            }
            seen.extend(more);
            let next = learner.freeze();
            assert!(all_widen(&frozen.columns, &next.columns), "{frozen:?}\n{next:?}");
            if !next.columns.is_empty() {
                assert_eq!(kept_and_read(&next), next);
                if random.bool() {
                    learner = Learner::resume(&spec(openx()), &next).unwrap();
                    assert_eq!(learner.shapes(), next);
                }
                let bytes: Vec<&[u8]> = seen.iter().map(|record| record.as_bytes()).collect();
                assert!(convert(&next.table().unwrap(), false, &bytes).2);
            }
            frozen = next;
        }
    }
}

#[test]
fn a_chunk_teaches_the_same_on_any_number_of_processors() {
    let mut random = Rng::with_seed(seed());
    let records: Vec<String> = (0..3000).flat_map(|_| records(&mut random)).collect();
    let chunk = Chunk::from_records(records.iter().map(|record| record.as_bytes()), 0, 0);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut learner = Learner::new(&spec(openx())).unwrap();
        pool.install(|| learner.observe_chunk(&chunk));
        learner.shapes()
    };
    let one = with(1);
    assert!(!one.columns.is_empty());
    assert_eq!(with(2), one);
    assert_eq!(with(5), one);
}
