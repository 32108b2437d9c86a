//! Every rule with every namespace and every ASCII letter, against a table that another program wrote
//! (tests/golden/keys/PrefixRules.java): the message, or the folders of delivered and of refused records.

use super::*;
use crate::destination::s3::key::{ObjectName, data_key, error_key};
use crate::stream::StreamName;
use crate::stream::definition::{Compression, S3Target};
use crate::stream::prefix::PartitionKeys;

const TABLE: &str = include_str!("../../../tests/golden/keys/prefix-rules.tsv");

/// The folder of an object: its key without the name.
fn folder(key: String, name: &ObjectName) -> String {
    let uuid = name.seal.parcel_uuid(name.parcel);
    let rest = format!("s-1-2026-07-13-19-35-09-{uuid}");
    key.strip_suffix(&rest).unwrap_or_else(|| panic!("{key} does not end in {rest}")).to_owned()
}

fn outcome(prefix: &str, error_prefix: &str, namespaces: Namespaces, keys: &PartitionKeys) -> String {
    let zone = TimeZone::from_id("Asia/Calcutta").unwrap();
    let pair = Pair { prefix, error_prefix };
    let each = || MEMBERS.into_iter().try_for_each(|member| pair.check_one(member, zone, namespaces));
    if let Err(error) = pair.check_use().and_then(|()| each()) {
        return error.message;
    }
    let target = S3Target {
        bucket: "b".to_owned(),
        prefix: prefix.to_owned(),
        error_prefix: Some(error_prefix.to_owned()),
        time_zone: zone,
        file_extension: String::new(),
        compression: Compression::Uncompressed,
        kms_key: None,
    };
    let stream: StreamName = "s".parse().unwrap();
    let mut name = ObjectName {
        stream: &stream,
        revision: 1,
        oldest_arrival_ms: 1_783_951_509_364, // 2026-07-13T14:05:09.364Z
        seal: "000102030405060708090a0b0c0d0e0f".parse().unwrap(),
        parcel: 0,
        extension: "",
    };
    let data = match data_key(&target, &name, keys) {
        Ok(key) => folder(key, &name),
        Err(error) => return format!("when evaluated: {error}"),
    };
    name.parcel = 1;
    let errors = folder(error_key(&target, &name, "processing-failed").unwrap(), &name);
    format!("{data} > {errors}")
}

#[test]
fn every_rule_with_every_namespace_and_letter() {
    let many = |text: &str| text.replace("a{504}", &"a".repeat(504)).replace("a{480}", &"a".repeat(480));
    let (mut cases, mut wrong) = (0, Vec::new());
    for line in TABLE.lines().skip(1) {
        let columns: Vec<_> = line.split('\t').collect();
        let [allowed, namespace, prefix, error_prefix, values, expected] = columns[..] else { panic!("{line}") };
        let namespaces = if allowed == "allowed" { Namespaces::Allowed } else { Namespaces::Refused };
        for value in values.split(' ') {
            cases += 1;
            let of = |template: &str| many(&template.replace('#', namespace).replace('@', value));
            let (prefix, error_prefix) = (of(prefix), of(error_prefix));
            let mut keys = PartitionKeys::default();
            for key in [value.to_owned(), format!("'{value}'")] {
                keys.query.insert(key.clone(), format!("Q<{key}>"));
                keys.lambda.insert(key.clone(), format!("L<{key}>"));
            }
            let expected = many(expected)
                .replace("<@>", &format!("<{value}>"))
                .replace("usage: {Prefix}", &format!("usage: {prefix}"))
                .replace("usage: {ErrorOutputPrefix}", &format!("usage: {error_prefix}"));
            let found = outcome(&prefix, &error_prefix, namespaces, &keys);
            if found != expected {
                wrong.push(format!("{allowed} {prefix:?} {error_prefix:?}:\n    {found}\n  not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    // Seven namespaces, twelve rules, 55 values; those of partitions once more.
    assert_eq!(cases, (7 + 2) * 12 * 55);
}
