//! The manifest of a COPY. Pure.

use serde::Serialize;

#[derive(Serialize)]
struct Manifest<'a> {
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    url: &'a str,
    mandatory: bool,
}

/// The bytes of the manifest that names these objects of `bucket`, each of which must be there.
pub fn manifest(bucket: &str, keys: &[&str]) -> Vec<u8> {
    let urls: Vec<String> = keys.iter().map(|key| format!("s3://{bucket}/{key}")).collect();
    let entries = urls.iter().map(|url| Entry { url, mandatory: true }).collect();
    // Only maps with keys that are not text make this fail, and there are none.
    serde_json::to_vec(&Manifest { entries }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::manifest;

    #[test]
    fn golden() {
        let key = "p/2026/07/13/14/orders-7-2026-07-13-14-05-09-00010203-0405-8607-8809-0a0b0c0d0e0f.gz";
        let expected = format!(r#"{{"entries":[{{"url":"s3://stage/{key}","mandatory":true}}]}}"#);
        assert_eq!(String::from_utf8(manifest("stage", &[key])).unwrap(), expected);
        let two = r#"{"entries":[{"url":"s3://b/a\"b","mandatory":true},{"url":"s3://b/ü c","mandatory":true}]}"#;
        assert_eq!(String::from_utf8(manifest("b", &["a\"b", "ü c"])).unwrap(), two);
    }
}
