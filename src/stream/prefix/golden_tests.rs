//! What Java's DateTimeFormatter printed (tests/golden/keys, which names the JDK and has the program), printed again.

use super::*;
use std::collections::BTreeSet;

const PATTERNS: &str = include_str!("../../../tests/golden/keys/java-patterns.tsv");
const ZONES: &str = include_str!("../../../tests/golden/keys/java-zones.tsv");
/// Letters that the service refuses although Java has them.
const REFUSED: [char; 2] = ['V', 'p'];

fn ms(time: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time).unwrap().timestamp_millis()
}

fn zone(id: &str) -> TimeZone {
    TimeZone::from_id(id).unwrap_or_else(|| panic!("{id}"))
}

fn printed(pattern: &TimePattern, moment: &Moment) -> String {
    let mut text = String::new();
    pattern.print(moment, &mut text);
    text
}

#[test]
fn patterns_print_what_java_prints() {
    let mut lines = PATTERNS.lines().skip(1);
    let moments: Vec<(&str, Moment)> = lines
        .next()
        .unwrap()
        .split('\t')
        .skip(1)
        .map(|text| {
            let (id, time) = text.split_once(' ').unwrap();
            (text, zone(id).at(ms(time)).unwrap())
        })
        .collect();
    let (mut wrong, mut letters, mut values) = (Vec::new(), BTreeSet::new(), 0);
    for line in lines {
        let (pattern, expected) = line.split_once('\t').unwrap();
        let parsed = TimePattern::parse(pattern);
        letters.extend(pattern.chars().next());
        if expected == "!" || pattern.starts_with(REFUSED) {
            if parsed.is_some() {
                wrong.push(format!("{pattern} is taken"));
            }
            continue;
        }
        let Some(parsed) = parsed else {
            wrong.push(format!("{pattern} is refused"));
            continue;
        };
        let expected: Vec<_> = expected.split('\t').collect();
        assert_eq!(expected.len(), moments.len(), "{pattern}");
        for ((name, moment), expected) in moments.iter().zip(expected) {
            values += 1;
            let found = printed(&parsed, moment);
            if found != expected {
                wrong.push(format!("{pattern} at {name}: {found}, Java says {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {values}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(('A'..='Z').chain('a'..='z').all(|letter| letters.contains(&letter)));
    assert!(values > 3000 && moments.len() > 30, "{values} values of {} moments", moments.len());
}

#[test]
fn zones_are_what_java_says() {
    let mut lines = ZONES.lines().skip(1);
    let instants: Vec<i64> = lines.next().unwrap().split('\t').skip(1).map(ms).collect();
    let pattern = TimePattern::parse("yyyy-MM-dd HH:mm XXX|z|zzzz|v|vvvv|O").unwrap();
    let (mut wrong, mut zones) = (Vec::new(), 0);
    for line in lines {
        let mut columns = line.split('\t');
        let id = columns.next().unwrap();
        zones += 1;
        for (instant, expected) in instants.iter().zip(columns) {
            let found = printed(&pattern, &zone(id).at(*instant).unwrap());
            if found != expected {
                wrong.push(format!("{id}: {found}, Java says {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(zones > 290, "{zones} zones");
}
