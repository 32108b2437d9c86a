//! The store by itself: what a crash between two steps leaves, restarts, files nobody put through S3.

use super::uploads::{Completion, NamedPart};
use super::*;
use std::os::unix::fs::symlink;

const BUCKET: &str = "hydrant";

fn clock() -> Arc<dyn Clock> {
    Arc::new(crate::clock::SystemClock::new())
}

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> (Self, Store) {
        let dir = Self(tempfile::tempdir().unwrap());
        let store = dir.open();
        store.create_bucket(BUCKET).unwrap();
        (dir, store)
    }

    fn open(&self) -> Store {
        Store::open(self.0.path(), clock()).unwrap()
    }

    /// The process dies and starts again: whatever it held in memory is gone.
    fn crash(&self, store: Store) -> Store {
        drop(store);
        self.open()
    }

    fn file(&self, path: &str) -> PathBuf {
        self.0.path().join(BUCKET).join(path)
    }
}

fn details(word: &str) -> Details {
    Details { user: [("word".to_owned(), word.to_owned())].into(), ..Details::default() }
}

fn staged(store: &Store, body: &str) -> Staged {
    let mut staged = store.stage().unwrap();
    staged.write(&[body]).unwrap();
    staged
}

fn put(store: &Store, key: &str, body: &str) -> ObjectInfo {
    store.put(BUCKET, key, staged(store, body), details(body), &Condition::None).unwrap()
}

/// Body and the word of its details.
fn read(store: &Store, key: &str) -> Option<(String, Option<String>)> {
    match store.open_object(BUCKET, key) {
        Ok((mut file, info)) => {
            let mut body = String::new();
            io::Read::read_to_string(&mut file, &mut body).unwrap();
            Some((body, info.details.user.get("word").cloned()))
        }
        Err(StoreError::NoSuchKey) => None,
        Err(other) => panic!("{other}"),
    }
}

fn whole(word: &str) -> Option<(String, Option<String>)> {
    Some((word.to_owned(), Some(word.to_owned())))
}

fn keys(store: &Store) -> Vec<String> {
    let page = store.list(BUCKET, &ListQuery { limit: 1000, ..ListQuery::default() }).unwrap();
    page.entries.iter().map(|entry| entry.name().to_owned()).collect()
}

/// Runs the first `steps` of a put and leaves the rest undone, as a crash does.
fn put_partly(store: &Store, key: &str, body: &str, steps: u32) {
    let staged = staged(store, body);
    if steps >= 1 {
        let etag = staged.seal(store.stamp()).unwrap();
        let current = store.current(BUCKET, key).unwrap();
        let current_etag = current.as_ref().map(|(_, etag)| etag.as_str());
        if steps >= 2 {
            store.write_details(BUCKET, key, &etag, &details(body), current_etag).unwrap();
        }
        if steps >= 3 {
            store.places.put(staged.path(), BUCKET, key, current.is_none()).unwrap();
        }
    }
    // No clean-up runs in a crash.
    std::mem::forget(staged);
}

#[test]
fn a_put_cut_short_anywhere_leaves_the_old_object_or_the_new_one_whole() {
    for steps in 0..=3 {
        let (dir, store) = Dir::new();
        put(&store, "a/old", "old");
        put_partly(&store, "a/old", "new", steps);
        put_partly(&store, "a/fresh", "new", steps);
        let store = dir.crash(store);
        let done = steps == 3;
        assert_eq!(read(&store, "a/old"), whole(if done { "new" } else { "old" }), "step {steps}");
        assert_eq!(read(&store, "a/fresh"), if done { whole("new") } else { None }, "step {steps}");
        assert_eq!(keys(&store), if done { vec!["a/fresh", "a/old"] } else { vec!["a/old"] });
        assert_eq!(fs::read_dir(dir.0.path().join(".hydrant/tmp")).unwrap().count(), 0);

        put(&store, "a/old", "third");
        assert_eq!(read(&store, "a/old"), whole("third"));
        let fresh = store.put(BUCKET, "a/fresh", staged(&store, "x"), details("x"), &Condition::Absent);
        assert_eq!(fresh.is_err(), done, "{fresh:?}");
    }
}

#[test]
fn a_remove_cut_short_leaves_no_object() {
    let (dir, store) = Dir::new();
    put(&store, "a/b", "one");
    assert!(store.places.remove(BUCKET, "a/b").unwrap());
    let store = dir.crash(store);
    assert_eq!((read(&store, "a/b"), keys(&store)), (None, vec![]));
    assert!(!dir.file("a").exists());
    put(&store, "a/b", "two");
    assert_eq!(read(&store, "a/b"), whole("two"));
}

#[test]
fn an_object_moved_aside_for_a_folder_that_never_came_is_still_there_once() {
    let (dir, store) = Dir::new();
    put(&store, "a", "one");
    fs::rename(dir.file("a"), dir.file("~oa")).unwrap();
    let store = dir.crash(store);
    assert_eq!((read(&store, "a"), keys(&store)), (whole("one"), vec!["a".to_owned()]));
    put(&store, "a", "two");
    assert_eq!((read(&store, "a"), keys(&store)), (whole("two"), vec!["a".to_owned()]));
    put(&store, "a/b", "below");
    assert_eq!(keys(&store), ["a", "a/b"]);
    assert_eq!(fs::read_to_string(dir.file("a/b")).unwrap(), "below");
    store.remove(BUCKET, "a", &Condition::None).unwrap();
    assert_eq!(keys(&store), ["a/b"]);
}

#[test]
fn a_completion_cut_short_before_the_upload_is_forgotten_can_be_repeated() {
    let (dir, store) = Dir::new();
    let upload = store.create_upload(BUCKET, "k", details("whole"), None, false).unwrap();
    let part = store.put_part(BUCKET, "k", &upload.id, 1, staged(&store, "whole"), None).unwrap();
    let named = [NamedPart { number: 1, etag: Some(part.etag), checksum: None }];
    let completion =
        |condition| Completion { parts: &named, condition, length_bytes: None, checksum: None, summing: &|_| None };
    // What Complete does but for its last step.
    let (assembled, _) = store.assemble(BUCKET, &upload, &completion(&Condition::None)).unwrap();
    store.put(BUCKET, "k", assembled, details("whole"), &Condition::Absent).unwrap();
    let store = dir.crash(store);
    assert_eq!(read(&store, "k"), whole("whole"));
    let again = store.complete_upload(BUCKET, "k", &upload.id, completion(&Condition::Absent));
    assert!(matches!(again, Err(StoreError::PreconditionFailed)), "{again:?}");
    store.complete_upload(BUCKET, "k", &upload.id, completion(&Condition::None)).unwrap();
    assert_eq!(read(&store, "k"), whole("whole"));

    // Begun and ended in halves: gone at the next start.
    let half = store.create_upload(BUCKET, "k", Details::default(), None, false).unwrap();
    fs::remove_file(dir.0.path().join(".hydrant/uploads").join(BUCKET).join(&half.id).join("upload.json")).unwrap();
    let store = dir.crash(store);
    assert_eq!(fs::read_dir(dir.0.path().join(".hydrant/uploads").join(BUCKET)).unwrap().count(), 0);
    assert!(store.uploads(BUCKET).unwrap().is_empty());
}

#[test]
fn files_put_and_touched_by_hand_show_with_defaults() {
    let (dir, store) = Dir::new();
    fs::create_dir_all(dir.file("in")).unwrap();
    fs::write(dir.file("in/hand.parquet"), "by hand").unwrap();
    fs::write(dir.file("~no-key"), "hidden").unwrap();
    symlink(dir.file("in/hand.parquet"), dir.file("link")).unwrap();
    put(&store, "k", "one");
    fs::write(dir.file("k"), "edited").unwrap();
    assert_eq!(read(&store, "in/hand.parquet"), Some(("by hand".to_owned(), None)));
    assert_eq!(read(&store, "k"), Some(("edited".to_owned(), None)));
    assert_eq!(keys(&store), ["in/hand.parquet", "k"]);
    store.remove(BUCKET, "k", &Condition::None).unwrap();
    store.remove(BUCKET, "in/hand.parquet", &Condition::None).unwrap();
    assert!(matches!(store.delete_bucket(BUCKET), Err(StoreError::BucketNotEmpty)), "nothing of the user's is removed");
}

#[test]
fn versions_of_one_length_differ() {
    let (_dir, store) = Dir::new();
    let etags: std::collections::HashSet<String> = (0..50).map(|_| put(&store, "k", "same").etag).collect();
    assert_eq!(etags.len(), 50);
    let stamps: Vec<_> = (0..1000).map(|_| store.stamp()).collect();
    assert!(stamps.is_sorted_by(|a, b| a < b));
}

#[test]
fn a_root_is_one_process_s_and_of_a_known_format() {
    let (dir, store) = Dir::new();
    let second = Store::open(dir.0.path(), clock()).unwrap_err().to_string();
    assert!(second.contains("in use"), "{second}");
    drop(store);
    fs::write(dir.0.path().join(".hydrant/FORMAT"), "2\n").unwrap();
    let newer = Store::open(dir.0.path(), clock()).unwrap_err().to_string();
    assert!(newer.contains("format"), "{newer}");
}

#[test]
fn what_a_dead_process_left_is_made_durable_before_it_is_shown() {
    let (dir, store) = Dir::new();
    put(&store, "a/b/c", "one");
    let store = dir.crash(store);
    assert!(!store.places.is_settled(&dir.file("a/b")));
    let refused = store.put(BUCKET, "a/b/c", staged(&store, "x"), details("x"), &Condition::Absent);
    assert!(matches!(refused, Err(StoreError::PreconditionFailed)));
    assert!(store.places.is_settled(&dir.file("a/b")));
    store.remove(BUCKET, "a/b/c", &Condition::None).unwrap();
    assert!(!store.places.is_settled(&dir.file("a/b")), "a folder made again is settled again");
}

/// A bucket whose name is in the way of nothing of ours.
#[test]
fn buckets_are_the_folders_with_a_bucket_s_name() {
    let (dir, store) = Dir::new();
    fs::create_dir(dir.0.path().join("made-by-hand")).unwrap();
    fs::create_dir(dir.0.path().join("Not_A_Bucket")).unwrap();
    let names: Vec<_> = store.buckets().unwrap().into_iter().map(|bucket| bucket.name).collect();
    assert_eq!(names, [BUCKET, "made-by-hand"]);
    store.delete_bucket("made-by-hand").unwrap();
    assert!(matches!(store.check_bucket("made-by-hand"), Err(StoreError::NoSuchBucket)));
}
