//! Listings against a plain model: whatever the keys, pages put together are the sorted keys, rolled up.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn keys() -> impl Strategy<Value = BTreeSet<String>> {
    let key = prop_oneof![
        "[ab/~.é!]{1,7}",
        "(a|b|ab)(/(a|b|~o)){0,4}/?",
        ("[a!/]{1,2}", 245usize..260, "[a!/é]{0,3}")
            .prop_map(|(head, length, tail)| head + &"x".repeat(length) + &tail),
    ];
    proptest::collection::btree_set(key, 1..14)
}

/// What S3 lists, all at once.
fn model(keys: &BTreeSet<String>, prefix: &str, delimiter: &str, after: &str) -> Vec<String> {
    let mut listed: Vec<String> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix) && key.as_str() > after) {
        let name = match key[prefix.len()..].find(delimiter) {
            Some(at) if !delimiter.is_empty() => key[..prefix.len() + at + delimiter.len()].to_owned(),
            _ => key.clone(),
        };
        if listed.last() != Some(&name) {
            listed.push(name);
        }
    }
    listed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_add_up_to_the_sorted_keys(keys in keys(), remove in any::<proptest::sample::Index>()) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Arc::new(crate::clock::SystemClock::new())).unwrap();
        store.create_bucket("bucket").unwrap();
        let mut keys = keys;
        for key in &keys {
            let mut staged = store.stage().unwrap();
            staged.write(&[key]).unwrap();
            store.put("bucket", key, staged, Details::default(), &Condition::Absent).unwrap();
        }
        let gone = keys.iter().nth(remove.index(keys.len())).cloned().unwrap();
        store.remove("bucket", &gone, &Condition::None).unwrap();
        keys.remove(&gone);
        for key in &keys {
            let (mut file, _) = store.open_object("bucket", key).unwrap();
            prop_assert_eq!(&io::read_to_string(&mut file).unwrap(), key);
        }
        for prefix in ["", "a", "a/", "b/a", "é"] {
            for delimiter in ["", "/", "b", "/a"] {
                for first in ["", "a", "a/b", &gone] {
                    for limit in [1, 3, 1000] {
                        let mut listed = Vec::new();
                        let mut query = ListQuery {
                            prefix: prefix.to_owned(),
                            delimiter: delimiter.to_owned(),
                            after: first.to_owned(),
                            after_is_prefix: false,
                            limit,
                        };
                        loop {
                            let page = store.list("bucket", &query).unwrap();
                            prop_assert!(page.entries.len() <= limit);
                            listed.extend(page.entries.iter().map(|entry| entry.name().to_owned()));
                            let Some(last) = page.entries.last().filter(|_| page.truncated) else { break };
                            query.after = last.name().to_owned();
                            query.after_is_prefix = matches!(last, ListEntry::Prefix(_));
                        }
                        prop_assert_eq!(listed, model(&keys, prefix, delimiter, first), "{:?} {:?} {:?}", prefix, delimiter, first);
                    }
                }
            }
        }
        for key in &keys {
            store.remove("bucket", key, &Condition::None).unwrap();
        }
        store.delete_bucket("bucket").unwrap();
    }
}
