//! Random numbers, dates and patterns beside jq 1.6.

use super::super::Query;
use super::oracle::{jq_is_there, judge};
use std::fmt::Write;

fn random(name: &str) -> fastrand::Rng {
    let seed = std::env::var("HYDRANT_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("{name}: HYDRANT_TEST_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

fn agrees(text: &str, records: &[Vec<u8>]) -> usize {
    let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let judged = judge(text, records).unwrap_or_else(|| panic!("jq does not compile {text}"));
    for (record, judged) in records.iter().zip(&judged) {
        let ours = query.evaluate(record);
        assert_eq!(ours.as_ref().ok(), judged.as_ref(), "{text} on {}: {ours:?}", String::from_utf8_lossy(record));
    }
    judged.iter().flatten().count()
}

#[test]
fn numbers_are_read_and_printed_as_jq_does() {
    if !jq_is_there() {
        return;
    }
    let mut random = random("numbers");
    let records: Vec<Vec<u8>> = (0..20_000)
        .map(|i| {
            let number = match i % 6 {
                0 => format!("{:e}", f64::from_bits(random.u64(..) & !(1 << 62) | (random.u64(..) & (1 << 62)))),
                1 => format!("{}", random.i64(..)),
                2 => format!("{}.{}", random.i32(..), random.u32(..)),
                3 => format!("{}e{}", random.u64(..), random.i32(-340..330)),
                4 => format!("{:.*}", random.usize(0..20), random.f64() * 10f64.powi(random.i32(-8..20))),
                _ => format!("{}{}", random.u64(..), random.u64(..)),
            };
            let number = if number.contains("NaN") || number.contains("inf") { "0".to_owned() } else { number };
            format!("{{\"a\":{number},\"b\":\"{number}\"}}").into_bytes()
        })
        .collect();
    let query =
        "{a:.a,b:(.b|tonumber),c:(.a|tojson),d:(.a|tostring),e:([.a,.b]|tojson),f:(.a * 3|floor),g:(.a % 1000)}";
    assert_eq!(agrees(query, &records), records.len());
    assert_eq!(agrees("{a:.a}", &records), records.len());
}

#[test]
fn dates_are_written_and_read_as_jq_does() {
    if !jq_is_there() {
        return;
    }
    let mut random = random("dates");
    let records: Vec<Vec<u8>> = (0..10_000)
        .map(|_| {
            let seconds = match random.u8(..3) {
                0 => random.i64(-2_000_000_000..5_000_000_000),
                1 => random.i64(-60_000_000_000..250_000_000_000),
                _ => random.i64(-5..5) * 86_400 * 365 + random.i64(-3..3),
            };
            let (year, month, day) = (random.u32(1900..2100), random.u32(0..14), random.u32(0..33));
            let (hour, minute, second) = (random.u32(0..25), random.u32(0..61), random.u32(0..63));
            format!(
                "{{\"s\":{seconds},\"t\":\"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z\",\"u\":\"{day}/{month}/{year} {hour}\"}}"
            )
            .into_bytes()
        })
        .collect();
    let all = "%a %A %b %B %c %C %d %D %e %F %g %G %h %H %I %j %k %l %m %M %n %p %P %r %R %S %t %T %u %U %V %w %W %x %X %y %Y %%";
    let text = format!("{{a:(.s|strftime(\"{all}\")),b:(.s|gmtime|tojson),c:(.s + 1|gmtime|mktime)}}");
    assert!(agrees(&text, &records) > 9_000);
    assert!(agrees("{a:(.t|strptime(\"%Y-%m-%dT%H:%M:%SZ\")|tojson),b:(.t|fromdate|todate)}", &records) > 5_000);
    assert!(
        agrees(
            "{a:(.u|strptime(\"%d/%m/%Y %H\")|tojson),b:(.u|strptime(\"%d/%m/%Y %H\")|strftime(\"%F %T\"))}",
            &records
        ) > 5_000
    );
}

/// A random pattern over a few letters; what is not supported is not made.
fn pattern(random: &mut fastrand::Rng, depth: usize, out: &mut String) {
    for _ in 0..random.usize(1..4) {
        let before = out.len();
        match random.u8(..14) {
            0..4 => out.push(['a', 'b', 'c', '1', ' ', 'é'][random.usize(..6)]),
            4 => out.push('.'),
            5 => out.push_str(["[ab]", "[^a]", "[a-c1-9]", "[^\\\\d ]", "[\\\\w-]", "[é-ü]"][random.usize(..6)]),
            6 => out.push_str(["\\\\d", "\\\\w", "\\\\s", "\\\\D", "\\\\W", "\\\\S"][random.usize(..6)]),
            7 if depth > 0 => {
                out.push_str(["(", "(?:", "(?="][random.usize(..3)]);
                pattern(random, depth - 1, out);
                out.push(')');
            }
            8 if depth > 0 => {
                let _ = write!(out, "(?<n{}>", out.len());
                pattern(random, depth - 1, out);
                out.push(')');
            }
            9 => {
                out.push_str(["^", "$", "\\\\b", "\\\\A", "\\\\z", "\\\\Z"][random.usize(..6)]);
                continue;
            }
            10 if depth > 0 => {
                out.push_str("(?:");
                pattern(random, depth - 1, out);
                out.push('|');
                pattern(random, depth - 1, out);
                out.push(')');
            }
            _ => out.push('b'),
        }
        if out.len() > before && !out[before..].starts_with("(?=") {
            out.push_str(
                ["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,1}", "{1,}"][random.usize(..13)],
            );
        }
    }
}

#[test]
fn patterns_match_as_they_do_in_jq() {
    if !jq_is_there() {
        return;
    }
    let mut random = random("patterns");
    let letters = ["a", "b", "c", "1", " ", "é", "A", "x", "\\n", "٣"];
    let records: Vec<Vec<u8>> = (0..150)
        .map(|_| {
            let text: String = (0..random.usize(..9)).map(|_| letters[random.usize(..letters.len())]).collect();
            format!("\"{text}\"").into_bytes()
        })
        .collect();
    let (mut tried, mut keys) = (0, 0);
    while tried < 60 {
        // Several patterns in one query, as long as each is taken.
        let mut fields = Vec::new();
        while fields.len() < 12 {
            let mut text = String::new();
            pattern(&mut random, 2, &mut text);
            let flags = if text.is_ascii() { ["", "i"][random.usize(..2)] } else { "" };
            let field = format!(
                "k{}:[match(\"{text}\";\"{flags}\")|.offset,.length,[.captures[]|.offset,.length,.string,.name]]|tojson",
                fields.len()
            );
            if Query::parse(&format!("{{{field}}}")).is_ok() {
                fields.push(field);
            }
        }
        keys += agrees(&format!("{{{}}}", fields.join(",")), &records);
        tried += 1;
    }
    println!("patterns: {} of {} results with keys", keys, tried * records.len());
}
