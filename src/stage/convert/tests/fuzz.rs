//! The fuzz targets of the conversion on any toolchain: the corpora of `fuzz/corpus` and seeded mutations of them.
//!
//! How many, and how they are chosen: `crate::fuzz_tests`. The same bodies run in `fuzz/fuzz_targets`.

use super::fuzz_tables::{REST, TABLES};
use super::oracle::{Verdict, judge, matches};
use super::plain::read;
use super::{encoder, hive, openx, parse_table, round_trips, spec};
use crate::fuzz_tests::{End, ended, fuzz};
use crate::record::Chunk;
use std::sync::Arc;

/// What mutations insert, beside pieces of other inputs.
const JSON_TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "nul",
    "true",
    "false",
    "0",
    "-",
    "-0",
    "1.5",
    "e5",
    "E-3",
    "1e400",
    "9223372036854775808",
    "00",
    ".",
    "\"\"",
    "{}",
    "[]",
    "[{}]",
    " ",
    "\t",
    "\n",
    "\r",
    "\u{b}",
    "\0",
    "\u{1f}",
    "\u{7f}",
    "\\n",
    "\\u00e9",
    "\\u0000",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\\ude00",
    "\\uD800\\uD800",
    "\\ud800\\udc00",
    "\\udbfe\\udfff",
    "\\x",
    "\\u12",
    "é",
    "漢",
    "😀",
    "\u{feff}",
    "\"a\":",
    "\"C\":1,",
    "\"d\":-9223372036854775808",
    "\"NaN\"",
    "\"+1\"",
    "\"1e2\"",
    "\"2020-02-29\"",
    "\"2020-2-9 1:2:3.456789012\"",
    "\"2020-02-29T10:11:12Z\"",
    "\"YWI=\"",
    "/*",
    "//",
    "'",
];
const DDL_TOKENS: &[&str] = &[
    "(",
    ")",
    "<",
    ">",
    ",",
    ":",
    "`",
    "``",
    "'",
    "\"",
    "\\'",
    ";",
    ".",
    "--",
    "/*",
    "*/",
    "\n",
    " ",
    "int",
    "decimal(38,38)",
    "decimal",
    "numeric(5)",
    "varchar(65535)",
    "char(0)",
    "array<",
    "map<string,",
    "struct<a:",
    "struct<`x y`:int>",
    "comment 'c'",
    "not null",
    "create",
    "table",
    "external",
    "if not exists",
    "double precision",
    "uniontype<",
    "`größe`",
    "É",
    "$",
    "0",
    "-1",
    "99999999999",
    "array<array<array<array<",
    "partitioned by (d string)",
    "\u{feff}",
    "\0",
];
const GLUE_TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0041",
    "null",
    "\"Table\":",
    "\"StorageDescriptor\":",
    "\"Columns\":",
    "{\"Name\":\"n\",\"Type\":\"int\"},",
    "\"Name\":\" \"",
    "\"Name\":\"É\"",
    "\"Type\":\"array<struct<a:map<string,decimal(10,2)>>>\"",
    "\"Type\":\"\"",
    "struct<a:int,a:int>",
    "varchar(10)",
    "array<",
    ">",
    "`",
    "1",
    "true",
    " ",
    "\n",
];

#[test]
fn the_decoder_and_its_oracle_agree() {
    let tables = TABLES.map(|ddl| Arc::new(parse_table(ddl).unwrap()));
    fuzz("the JSON decoder", "decoder", JSON_TOKENS, &mut |inputs| {
        let mut ends = vec![End::Undecided; inputs.len()];
        for choice in 0..4u8 {
            let (table, lenient) = (&tables[usize::from(choice / 2)], choice % 2 == 0);
            let chosen = |input: &[u8]| input.first().copied().unwrap_or(0) % 4 == choice;
            let numbers: Vec<usize> = (0..inputs.len()).filter(|number| chosen(&inputs[*number])).collect();
            let records: Vec<&[u8]> = numbers.iter().map(|number| inputs[*number].get(1..).unwrap_or(&[])).collect();
            let mut spec = spec(if lenient { openx() } else { hive(&[]) });
            spec.unknown_fields_column = lenient.then(|| REST.to_owned());
            let mut encoder = encoder(&spec, Arc::clone(table), 1).unwrap();
            let mut object = Vec::new();
            let chunk = Chunk::from_records(records.iter().copied(), 0, 0);
            let refused = encoder.push(&chunk, &mut object).unwrap();
            encoder.finish(&mut object).unwrap();
            let mut refused = refused.iter().map(|refused| refused.origin.ordinal as usize).peekable();
            let mut found = read(object).into_iter();
            let mut all_known = true;
            for (at, (number, record)) in numbers.iter().zip(&records).enumerate() {
                let is_refused = refused.next_if_eq(&at).is_some();
                let shown = || format!("table {choice}: {:?}", String::from_utf8_lossy(record));
                ends[*number] = match judge(table, record, lenient, lenient) {
                    Verdict::Rows(rows) => {
                        assert!(!is_refused, "refused, and good by the oracle; {}", shown());
                        for row in rows {
                            let found = found.next().unwrap();
                            assert!(matches(&row, &found), "{}\nexpected {row:?}\nfound    {found}", shown());
                        }
                        End::Accepted
                    }
                    Verdict::Refused => {
                        assert!(is_refused, "taken, and refused by the oracle; {}", shown());
                        End::Refused
                    }
                    Verdict::Undecided if is_refused => End::Undecided,
                    Verdict::Undecided => {
                        // How many rows it has is not known: the comparison ends here.
                        all_known = false;
                        break;
                    }
                };
            }
            assert!(!all_known || found.next().is_none(), "rows of no record");
        }
        ends
    });
}

#[test]
fn declarations_are_refused_or_come_through() {
    fuzz("table declarations", "ddl", DDL_TOKENS, &mut |inputs| {
        inputs.iter().map(|input| ended(round_trips::declaration(&String::from_utf8_lossy(input)))).collect()
    });
}

#[test]
fn glue_tables_are_refused_or_come_through() {
    fuzz("Glue tables", "glue", GLUE_TOKENS, &mut |inputs| {
        inputs.iter().map(|input| ended(round_trips::glue(&String::from_utf8_lossy(input)))).collect()
    });
}
