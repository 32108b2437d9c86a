//! Records to evaluate queries on.

use std::io::Read;
use std::path::Path;

const SETS: [&str; 6] = ["cloudtrail", "github_events", "gps_telemetry", "web_access", "wiki_edits", "dirty"];
/// Longest record that is taken, so that messages stay readable.
const MAX_BYTES: usize = 20_000;

/// About `count` records of each data set there is, evenly spread, and how many sets there are.
pub fn data_sets(count: usize) -> (Vec<Vec<u8>>, usize) {
    let Some(folder) = std::env::var_os("HYDRANT_TEST_DATA") else {
        return (Vec::new(), 0);
    };
    let (mut records, mut sets) = (Vec::new(), 0);
    for set in SETS {
        let Ok(file) = std::fs::File::open(Path::new(&folder).join(format!("{set}.ndjson.gz"))) else { continue };
        let mut bytes = Vec::new();
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let step = (lines.len() / count).max(1);
        records.extend(lines.iter().step_by(step).filter(|line| is_line(line)).map(|line| line.to_vec()));
        sets += 1;
    }
    (records, sets)
}

/// Whether jq reads the line as text in one piece.
fn is_line(line: &[u8]) -> bool {
    line.len() < MAX_BYTES && !line.iter().any(|byte| matches!(byte, 0 | 0x1e | b'\r'))
}

/// Records made for the edges of JSON and of jq.
pub fn made() -> Vec<Vec<u8>> {
    const TEXTS: &[&str] = &[
        r#"{"a":1,"b":"x","c":[1,2,3],"d":{"e":"f"},"s":"Hello World","t":1425599621,"n":null,"y":true,"z":false}"#,
        r#"{"a":1.0,"b":1e3,"c":[3,1,2],"s":"a,b, c","t":1425599621.678,"d":{"e":1.5}}"#,
        r#"{"a":9007199254740993,"b":123456789012345678901234567890,"c":[],"s":"","t":"2015-03-05T23:51:47Z"}"#,
        r#"{"a":1e1000,"b":-1e1000,"c":[[1,[2]],[3]],"s":"ünïcödé ✓ 日本","t":-1.5,"d":{}}"#,
        r#"{"a":0.1,"b":1e-5,"c":[null,1,"a",[],{}],"s":"tab\tquote\"back\\slash","t":0}"#,
        r#"{"a":-0,"b":5e-324,"c":[1,1,2],"s":"a1b22c333","t":"2015-03-05 23:51:47","d":{"e":null}}"#,
        r#"{"a":"1","b":"1.50","c":"not an array","s":42,"t":1e12,"d":[{"e":"x"}]}"#,
        r#"{"a":" 7 ","b":"0x10","c":{"x":3,"y":1},"s":["p","q"],"t":null}"#,
        r#"{"a":{"b":{"c":"deep"}},"b":[{"k":"x","v":1},{"k":"y","v":2},{"k":"x","v":3}],"c":[2,-1,0.5]}"#,
        r#"{"a":1,"a":2,"b":{"a":1,"a":3},"c":[{"name":"n","value":"v"}],"s":"<a href='x'>&amp;</a>"}"#,
        r#"{"s":"\u00e9\ud83d\ude00\u0041","a":"\u0000x","b":"/slash\/","c":["é","e","z","É"]}"#,
        r#"{"a":NaN,"b":Infinity,"c":[-Infinity,NaN,1],"s":"nan"}"#,
        r#"{"a":01,"b":+1,"c":[.5,5.],"s":"x"}"#,
        r#"{"a":-5.9,"b":3,"c":[10,2,33,4],"s":"2020-02-29","t":951782400,"d":{"e":{"f":{"g":1}}}}"#,
        r#"{"a":1e17,"b":1e16,"c":[1e15,123456789.125,0.00001,0.0001],"s":"AbC","t":4102444800}"#,
        r#"{"a":true,"b":false,"c":[true,false,null],"s":"true","d":{"z":1,"y":2,"x":3}}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\udc00","b":"x"}"#,
        r#"{"x":"\ud800","a":1}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a" 1}"#,
        r#"{'a':1}"#,
        r#"{"a":tru}"#,
        r#"{"a":1}{"a":2}"#,
        r#"{"a":1} x"#,
        r#" {"a" : "spaced" , "b" : [ 1 , 2 ] } "#,
        r#"{"a":"unfinished"#,
        r#"[1,2,3]"#,
        r#""just a string""#,
        "12.50",
        "null",
        "true",
        "",
        "   ",
        "{}",
        "[]",
        "\u{feff}{\"a\":\"bom\"}",
        "{\"a\":\"\u{1f}\",\"b\":1}",
        "{\"a\":\"tab\there\",\"b\":1}",
        r#"{"\u0061":"escaped key","b":1}"#,
        r#"{"a":"Mon, 02 Jan 2006 15:04:05 GMT","s":"10/Oct/2000:13:55:36","t":"20060102"}"#,
        r#"{"a":{"$ref":"x","b c":1},"b":{"a":[{"b":[{"c":1}]}]},"s":"k1=v1;k2=v2"}"#,
    ];
    let mut records: Vec<Vec<u8>> = TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect();
    for depth in [100, 127, 128, 129, 200, 255, 256, 257, 400] {
        records.push(format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes());
        records.push(format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)).into_bytes());
    }
    records
}
