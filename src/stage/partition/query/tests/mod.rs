//! Queries: what is refused, and what the fast way of reading must not change.

mod expressions;
mod fuzz;
mod oracle;
mod random;
mod records;

use super::{Failure, Query};

fn keys(query: &str, record: &str) -> Result<Vec<String>, Failure> {
    Query::parse(query).unwrap_or_else(|error| panic!("{query}: {error}")).evaluate(record.as_bytes())
}

#[test]
fn the_keys_of_the_documented_query() {
    let query = r#"{customer_id:.customer_id,device:.type.device,year:.event_timestamp|strftime("%Y")}"#;
    let record = r#"{"type":{"device":"mobile","event":"user_clicked_submit_button"},"customer_id":"1234567890",
        "event_timestamp":1565382027,"region":"sample_region"}"#;
    assert_eq!(keys(query, record).unwrap(), ["1234567890", "mobile", "2019"]);
    assert_eq!(Query::parse(query).unwrap().keys(), ["customer_id", "device", "year"]);
}

#[test]
fn null_missing_and_empty_values_fail_with_the_services_text() {
    for record in [r#"{"a":null}"#, "{}", r#"{"a":""}"#, "no json", "", r#"{"a":1}{"a":2}"#] {
        let failure = keys("{a:.a}", record).unwrap_err().to_string();
        assert!(failure.contains("partitionKeys values must not be null or empty"), "{record}: {failure}");
    }
}

#[test]
fn what_differs_between_machines_and_times_is_refused() {
    for (query, part) in [
        ("{a:now}", "the time"),
        ("{a:input}", "other records"),
        ("{a:$ENV.HOME}", "machines"),
        ("{a:env.HOME}", "the machine"),
        ("{a:.t|localtime}", "time zone"),
        (r#"{a:.t|strftime("%Z")}"#, "time zone"),
        ("{a:.t|strftime(.f)}", "without interpolation"),
        ("{a:.t|test(.f)}", "without interpolation"),
        (r#"{a:.t|test("(?<=a)b")}"#, "name"),
        (r#"import "a" as a; {a:.a}"#, "modules"),
        ("{(.a):.b}", "computed"),
        ("{a:.a,a:.b}", "twice"),
        ("{a:.a // 1}", "brackets"),
        ("{a:(if .a then 1 end)}", "else"),
        ("{a:.a|ltrim}", "not a function of jq 1.6"),
        ("{a:.a|pow(.;2)}", "mathematics"),
        (".a", "object construction"),
        ("{}", "no key"),
        ("{a:.a", "the end"),
        ("{a:(1/0)}", "zero"),
        ("{a:$x}", "not defined"),
        ("{a:.e64}", r#"write ."e64" for the field"#),
    ] {
        let error = Query::parse(query).expect_err(query).to_string();
        assert!(error.contains(part), "{query}: {error}");
    }
    let many: Vec<String> = (0..51).map(|i| format!("k{i}:.a")).collect();
    assert!(Query::parse(&format!("{{{}}}", many.join(","))).unwrap_err().to_string().contains("50 keys"));
}

#[test]
fn what_never_ends_is_stopped() {
    for query in [
        "{a:(def f: f; f)}",
        "{a:(def f: ., f; last(f))}",
        "{a:(1|until(false; . + 1))}",
        "{a:([range(1e9)]|length|tostring)}",
        "{a:(\"x\" * 1e9)}",
        "{a:(reduce range(1e9) as $i (null; [.]))}",
        "{a:(reduce range(100) as $i (\"x\"; . + .)|length)}",
        "{a:(\"\"|[recurse(. + \"xxxxxxxxxxxxxxxxxxxxxxxx\")]|length)}",
        "{a:(last(range(infinite)))}",
        "{a:(null|setpath([1e9]; 1)|length)}",
        r#"{a:("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"|test("(a+)+(a+)+(a+)+$"))}"#,
        r#"{a:("abc"|gsub("";"x"))}"#,
    ] {
        let failure = keys(query, "{}").expect_err(query);
        assert!(matches!(failure, Failure::Limit(_)), "{query}: {failure}");
    }
}
