//! The text of COPY, and what its options say. Pure, with golden texts.
//!
//! Redshift's own form goes out as the service writes it, options verbatim. Of the form for `LoadMethod: COPY_FROM_STDIN`
//! the options are the server's, besides those that say how objects are read, which is done here then.

use super::errors::failed;
use super::ledger::quoted;
use super::words::{Word, words};
use crate::destination::DeliveryError;
use crate::fault::Retry;
use crate::stream::definition::CopyCommand;
use crate::stream::seal::{Load, Parcel};

/// `COPY <table> [(<columns>)] FROM 's3://…' CREDENTIALS 'aws_iam_role=…' MANIFEST <options>`. Options that name credentials
/// of their own do without those of the role. `has_escapes`: backslashes escape in the server's string literals.
pub fn from_manifest(parcel: &Parcel, load: &Load, copy: &CopyCommand, role_arn: &str, has_escapes: bool) -> String {
    let literal = |text: &str| {
        let text = if has_escapes { text.replace('\\', "\\\\") } else { text.to_owned() };
        quoted(&text)
    };
    let url = literal(&format!("s3://{}/{}", parcel.bucket, load.manifest_key));
    let names = ["CREDENTIALS", "IAM_ROLE", "ACCESS_KEY_ID"];
    let has_own = words(&copy.options, has_escapes).iter().any(|word| names.iter().any(|name| word.is_option(name)));
    let credentials = match has_own {
        true => String::new(),
        false => format!(" CREDENTIALS {}", literal(&format!("aws_iam_role={role_arn}"))),
    };
    joined(&format!("{} FROM {url}{credentials} MANIFEST", target(copy)), &copy.options)
}

fn target(copy: &CopyCommand) -> String {
    let columns = copy.columns.trim();
    // Some write the parentheses too.
    let columns = columns.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(columns);
    match columns.is_empty() {
        true => format!("COPY {}", copy.table),
        false => format!("COPY {} ({columns})", copy.table),
    }
}

fn joined(text: &str, options: &str) -> String {
    format!("{text} {}", options.trim()).trim_end().to_owned()
}

/// How an object becomes rows that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As it is, decompressed.
    AsIs,
    /// JSON objects, of which the members that columns are named after are their values.
    Members {
        /// Whatever the case of a member's name.
        any_case: bool,
    },
    /// JSON objects, each the value of the one column.
    Whole,
}

/// The options of a COPY from standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StdinOptions {
    /// How rows come about.
    pub shape: Shape,
    is_csv: bool,
    /// What the server is told.
    rest: String,
}

/// `CSV` by itself, or `FORMAT csv` in a list of options.
fn is_csv(words: &[Word]) -> bool {
    let is_format = |pair: &[Word]| {
        let says = pair[1].value.as_deref().unwrap_or(&pair[1].text);
        pair[0].is_listed("FORMAT") && says.eq_ignore_ascii_case("csv")
    };
    words.iter().any(|word| word.is_option("CSV")) || words.windows(2).any(is_format)
}

impl StdinOptions {
    /// Reads CopyOptions; `has_escapes`: backslashes escape in the server's string literals. What stands in parentheses is
    /// the server's own, names of columns included.
    pub fn of(options: &str, has_escapes: bool) -> Result<Self, DeliveryError> {
        // `AS` says nothing, in either dialect.
        let mut words: Vec<Word> =
            words(options, has_escapes).into_iter().filter(|word| !word.is_option("AS")).collect();
        while words.pop_if(|last| last.is_option(";")).is_some() {}
        let mut rest: Vec<&str> = Vec::new();
        let (mut shape, mut at) = (Shape::AsIs, 0);
        while let Some(word) = words.get(at) {
            at += 1;
            let next = words.get(at);
            let value = next.and_then(|next| next.value.as_deref());
            match word.option().as_str() {
                "GZIP" | "MANIFEST" => {}
                "FORMAT" if next.is_some_and(|next| next.is_option("JSON")) => {}
                "JSON" => {
                    shape = shape_of(value.unwrap_or("auto"))?;
                    at += usize::from(value.is_some());
                }
                // How Redshift reads, compresses and counts, which says nothing of the rows.
                "COMPUPDATE" | "STATUPDATE" => {
                    let is_switch =
                        |next: &Word| ["ON", "OFF", "TRUE", "FALSE", "PRESET"].iter().any(|one| next.is_option(one));
                    at += usize::from(next.is_some_and(is_switch));
                }
                "REGION" | "CREDENTIALS" | "IAM_ROLE" | "ACCESS_KEY_ID" | "SECRET_ACCESS_KEY" | "SESSION_TOKEN" => {
                    at += 1
                }
                "TIMEFORMAT" | "DATEFORMAT" if value.is_some_and(|value| value.eq_ignore_ascii_case("auto")) => at += 1,
                _ => rest.push(&word.text),
            }
        }
        let rest = rest.join(" ");
        if shape != Shape::AsIs && !rest.is_empty() {
            let message = format!("CopyOptions: {rest} means nothing beside JSON with LoadMethod COPY_FROM_STDIN");
            return Err(failed("InvalidCopyOptionForJson", message, Retry::AfterOperator));
        }
        Ok(Self { shape, is_csv: is_csv(&words), rest })
    }

    /// Whether objects are CSV as they are.
    pub fn is_csv(&self) -> bool {
        self.is_csv
    }

    /// The statement.
    pub fn statement(&self, copy: &CopyCommand) -> String {
        let options = if self.shape == Shape::AsIs { &self.rest[..] } else { "WITH (FORMAT csv)" };
        joined(&format!("{} FROM STDIN", target(copy)), options)
    }
}

fn shape_of(json: &str) -> Result<Shape, DeliveryError> {
    match json.to_ascii_lowercase().as_str() {
        "auto" => Ok(Shape::Members { any_case: false }),
        "auto ignorecase" => Ok(Shape::Members { any_case: true }),
        "noshred" => Ok(Shape::Whole),
        _ => {
            let message =
                format!("CopyOptions: JSON {} is not built for LoadMethod COPY_FROM_STDIN; use 'auto'", quoted(json));
            Err(failed("InvalidCopyOptionJSONPathFormat", message, Retry::AfterOperator))
        }
    }
}

/// Why a CopyCommand would load nothing, or only some, and say that it did; `None` if it loads all or fails. The server is
/// not known here, so both readings of literals count.
pub fn skips_rows(options: &str) -> Option<&'static str> {
    let readings = [false, true].map(|has_escapes| words(options, has_escapes));
    let is_there = |name: &str| readings.iter().flatten().any(|word| word.is_option(name) || word.is_listed(name));
    ["NOLOAD", "ON_ERROR", "IGNOREALLERRORS", "WHERE"].into_iter().find(|name| is_there(name))
}

/// Why options cannot be those of a COPY from standard input, where both readings of literals agree.
pub fn refused_for_stdin(options: &str) -> Option<String> {
    match [false, true].map(|has_escapes| StdinOptions::of(options, has_escapes)) {
        [Err(error), Err(_)] => Some(error.message),
        _ => None,
    }
}

/// The names in a list of columns as the server knows them: quoted ones as they are, others in lower case.
pub fn column_names(columns: &str) -> Vec<String> {
    let columns = columns.trim();
    let columns = columns.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(columns);
    let (mut names, mut rest) = (Vec::new(), columns.trim());
    while !rest.is_empty() {
        let (name, behind) = match rest.strip_prefix('"') {
            Some(inner) => quoted_name(inner),
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim().to_lowercase(), &rest[end..])
            }
        };
        names.push(name);
        // Up to the next name, whatever stands there.
        rest = behind.find(',').map_or("", |comma| behind[comma + 1..].trim_start());
    }
    names
}

/// A name up to its closing quote, and what stands behind.
fn quoted_name(inner: &str) -> (String, &str) {
    let mut from = 0;
    while let Some(quote) = inner[from..].find('"').map(|at| from + at) {
        if !inner[quote + 1..].starts_with('"') {
            return (inner[..quote].replace("\"\"", "\""), &inner[quote + 1..]);
        }
        from = quote + 2;
    }
    (inner.to_owned(), "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::definition::LoadMethod;
    use crate::stream::seal::{ParcelKind, Place};

    fn copy(columns: &str, options: &str) -> CopyCommand {
        CopyCommand { table: "public.t".to_owned(), columns: columns.to_owned(), options: options.to_owned() }
    }

    fn load() -> Load {
        Load {
            lane: "07/put".to_owned(),
            sequence: 7,
            manifest_key: "o'c/manifests/2026/07/13/14/s-2026-07-13-14-05-09-u".to_owned(),
            object_key: "o".to_owned(),
            copy: copy("", ""),
            method: LoadMethod::Copy,
            ledger: "hydrant_loads".to_owned(),
            source_bytes: 1,
            oldest_arrival_ms: 1,
        }
    }

    fn parcel(load: &Load) -> Parcel {
        Parcel {
            number: 3,
            kind: ParcelKind::Load(load.clone()),
            bucket: "stage".to_owned(),
            key: "id".to_owned(),
            content_type: String::new(),
            content_encoding: None,
            kms_key: None,
            length_bytes: 1,
            crc32c: 0,
            records: 1,
            place: Place::Log,
        }
    }

    #[test]
    fn options_that_leave_rows_out_are_known() {
        for (options, expected) in [
            ("json 'auto' noload", Some("NOLOAD")),
            ("json 'auto' NOLOAD;", Some("NOLOAD")),
            ("json 'auto' IGNOREALLERRORS", Some("IGNOREALLERRORS")),
            ("WITH (FORMAT csv) WHERE id > 5", Some("WHERE")),
            ("WITH (FORMAT csv, FORCE_NULL (\"where\"))", None),
            ("WITH (FORMAT csv, ON_ERROR ignore)", Some("ON_ERROR")),
            ("WITH (on_error ignore)", Some("ON_ERROR")),
            ("WITH (FORMAT csv, FORCE_NULL (on_error, noload))", None),
            ("CSV QUOTE '\\' NOLOAD QUOTE ''", Some("NOLOAD")),
            (r"CSV QUOTE '\'' NOLOAD", Some("NOLOAD")),
            ("CSV QUOTE 'NOLOAD'", None),
            ("", None),
        ] {
            assert_eq!(skips_rows(options), expected, "{options}");
        }
    }

    #[test]
    fn csv_is_known_in_any_form() {
        for (options, is_csv) in [
            ("CSV", true),
            ("WITH (FORMAT csv, NULL '-')", true),
            ("WITH (NULL '-', format 'CSV')", true),
            ("(FORMAT csv)", true),
            ("DELIMITER '|'", false),
            ("NULL 'csv'", false),
            ("WITH (FORMAT text, NULL 'csv')", false),
            ("WITH (FORMAT text, FORCE_NULL (csv))", false),
            ("WITH (DELIMITER csv)", false),
        ] {
            assert_eq!(StdinOptions::of(options, false).unwrap().is_csv(), is_csv, "{options}");
        }
    }

    #[test]
    fn golden_texts_of_the_manifest_form() {
        let load = load();
        let role = "arn:aws:iam::000000000000:role/r";
        let from = "FROM 's3://stage/o''c/manifests/2026/07/13/14/s-2026-07-13-14-05-09-u'";
        let by_role = format!("CREDENTIALS 'aws_iam_role={role}' MANIFEST");
        for (columns, options, expected) in [
            ("", "", format!("COPY public.t {from} {by_role}")),
            ("a, \"B\"", " json 'auto' GZIP ", format!("COPY public.t (a, \"B\") {from} {by_role} json 'auto' GZIP")),
            ("(a)", "csv;", format!("COPY public.t (a) {from} {by_role} csv;")),
            ("", "iam_role 'arn:x' CSV", format!("COPY public.t {from} MANIFEST iam_role 'arn:x' CSV")),
            ("", "null 'IAM_ROLE'", format!("COPY public.t {from} {by_role} null 'IAM_ROLE'")),
        ] {
            assert_eq!(from_manifest(&parcel(&load), &load, &copy(columns, options), role, false), expected);
            // Nothing of these has a backslash.
            assert_eq!(from_manifest(&parcel(&load), &load, &copy(columns, options), role, true), expected);
        }
    }

    #[test]
    fn backslashes_of_keys_are_themselves_in_either_dialect() {
        let load = Load { manifest_key: r"a\b\'c/manifests/m".to_owned(), ..load() };
        for (has_escapes, url) in
            [(false, r"'s3://stage/a\b\''c/manifests/m'"), (true, r"'s3://stage/a\\b\\''c/manifests/m'")]
        {
            let statement = from_manifest(&parcel(&load), &load, &copy("", ""), "r", has_escapes);
            assert_eq!(statement, format!("COPY public.t FROM {url} CREDENTIALS 'aws_iam_role=r' MANIFEST"));
        }
        // A quote that is escaped ends nothing.
        let options = copy("", r"CSV QUOTE '\' IAM_ROLE '");
        let has_role =
            |has_escapes| from_manifest(&parcel(&load), &load, &options, "r", has_escapes).contains("aws_iam");
        assert_eq!((has_role(true), has_role(false)), (true, false));
    }

    #[test]
    fn options_of_the_other_form_are_the_servers_but_for_those_about_objects() {
        let members = Shape::Members { any_case: false };
        for (options, shape, statement) in [
            ("", Shape::AsIs, "COPY public.t FROM STDIN"),
            ("GZIP", Shape::AsIs, "COPY public.t FROM STDIN"),
            ("CSV DELIMITER ';' gzip", Shape::AsIs, "COPY public.t FROM STDIN CSV DELIMITER ';'"),
            (
                "WITH (FORMAT csv, NULL 'it''s')",
                Shape::AsIs,
                "COPY public.t FROM STDIN WITH ( FORMAT csv , NULL 'it''s' )",
            ),
            (
                "CSV QUOTE E'\\x01' DELIMITER e'\\''",
                Shape::AsIs,
                "COPY public.t FROM STDIN CSV QUOTE E'\\x01' DELIMITER e'\\''",
            ),
            (
                "WITH (FORMAT csv, FORCE_NULL (gzip, json, \"re \"\"gion\", as), HEADER) gzip",
                Shape::AsIs,
                "COPY public.t FROM STDIN WITH ( FORMAT csv , FORCE_NULL ( gzip , json , \"re \"\"gion\" , as ) , HEADER )",
            ),
            (
                "(DELIMITER ';', ENCODING 'gzip') MANIFEST",
                Shape::AsIs,
                "COPY public.t FROM STDIN ( DELIMITER ';' , ENCODING 'gzip' )",
            ),
            (r"CSV NULL '\N' gzip", Shape::AsIs, r"COPY public.t FROM STDIN CSV NULL '\N'"),
            ("json 'auto'", members, "COPY public.t FROM STDIN WITH (FORMAT csv)"),
            (
                "FORMAT AS JSON 'auto' REGION AS 'x' COMPUPDATE OFF TIMEFORMAT 'auto'",
                members,
                "COPY public.t FROM STDIN WITH (FORMAT csv)",
            ),
            (
                "JSON AS 'auto ignorecase' gzip",
                Shape::Members { any_case: true },
                "COPY public.t FROM STDIN WITH (FORMAT csv)",
            ),
            ("json 'noshred'", Shape::Whole, "COPY public.t FROM STDIN WITH (FORMAT csv)"),
        ] {
            let read = StdinOptions::of(options, false).unwrap();
            assert_eq!((read.shape, read.statement(&copy("", options)).as_str()), (shape, statement), "{options}");
        }
        for (options, code) in [
            ("json 's3://b/paths.json'", "Redshift.InvalidCopyOptionJSONPathFormat"),
            ("json 'auto' MAXERROR 10", "Redshift.InvalidCopyOptionForJson"),
        ] {
            assert_eq!(StdinOptions::of(options, false).unwrap_err().code, code, "{options}");
        }
    }

    #[test]
    fn names_of_columns() {
        assert_eq!(column_names(" (a, B ,\"C, d\" , \"E\"\"\")"), ["a", "b", "C, d", "E\""]);
        assert_eq!(column_names(""), [""; 0]);
    }
}
