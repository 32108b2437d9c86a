//! Redshift beyond the contract: which command a load is made by, and what of a cluster's words is told.

use super::redshift::{PASSWORD, QUOTED, Redshift};
use super::{Memory, Outside, attempt, bytes_of};
use hydrant::destination::Consignment;
use hydrant::fault::Retry;
use hydrant::stream::definition::{CopyCommand, LoadMethod};
use hydrant::stream::seal::ParcelKind;
use parking_lot::Mutex;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

fn load(outside: &Redshift, length: usize) -> Consignment {
    let bytes = bytes_of(length);
    let crc32c = crc32c::crc32c(&bytes);
    outside.parcel(Arc::new(Memory(bytes)), crc32c)
}

/// A load that was cut for `sealed`, of a stream that says `newest` by now: table and options, and the method.
fn cut_for(
    outside: &Redshift,
    sealed: (&str, &str, LoadMethod),
    newest: (&str, &str, LoadMethod),
    is_ordered: bool,
) -> Consignment {
    let copy = |table: &str, options: &str| CopyCommand {
        table: table.to_owned(),
        columns: String::new(),
        options: options.to_owned(),
    };
    let mut consignment = load(outside, 1000);
    let ParcelKind::Load(load) = &mut consignment.parcel.kind else { panic!("it is no load") };
    (load.copy, load.method) = (copy(sealed.0, sealed.1), sealed.2);
    let mut definition = (*outside.definition).clone();
    let target = definition.redshift.as_mut().unwrap();
    (target.copy, target.method) = (copy(newest.0, newest.1), newest.2);
    Consignment { definition: Some(Arc::new(definition)), is_ordered, ..consignment }
}

pub async fn loads_go_another_way() {
    use LoadMethod::{Copy, CopyFromStdin as Stdin};
    let missing = ("COPY gone", "42P01", "relation \"gone\" does not exist");
    let data = ("COPY full", "22P02", "invalid input syntax for type integer");
    let disk = ("COPY full", "53100", "disk full");
    let syntax = ("s3://", "42601", "syntax error at or near \"'s3://\"");
    let option = ("NONSENSE", "42601", "syntax error at or near \"NONSENSE\"");
    for (refused, sealed, newest, is_ordered, expected) in [
        // The table is not there.
        (missing, ("gone", "", Stdin), ("t", "", Stdin), false, Some("COPY t FROM STDIN")),
        // It is, and what is wrong is something else: at the operator's order alone.
        (data, ("full", "", Stdin), ("t", "", Stdin), false, None),
        (data, ("full", "", Stdin), ("t", "", Stdin), true, Some("COPY t FROM STDIN")),
        // Into its own table by what was mended.
        (option, ("t", "NONSENSE", Stdin), ("t", "CSV", Stdin), false, Some("COPY t FROM STDIN CSV")),
        (syntax, ("t", "", Copy), ("t", "", Stdin), false, Some("COPY t FROM STDIN")),
        // It passes: nothing else is tried, whatever was ordered.
        (disk, ("full", "", Stdin), ("t", "", Stdin), true, None),
        // Nothing was mended.
        (option, ("t", "NONSENSE", Stdin), ("t", "NONSENSE", Stdin), true, None),
    ] {
        let outside = Redshift::start().await;
        outside.cluster.refused.lock().push(refused);
        let destination = outside.meeting(&[]).await;
        let consignment = cut_for(&outside, sealed, newest, is_ordered);
        let ended = attempt(&*destination, &consignment).await;
        let copies = outside.cluster.copies.lock().clone();
        match expected {
            Some(statement) => {
                ended.unwrap_or_else(|error| panic!("{sealed:?} {newest:?}: {error}"));
                assert_eq!((copies.len(), copies[1].as_str()), (2, statement), "{sealed:?} {newest:?}");
                assert_eq!(outside.held(&consignment).await.unwrap().times, 1);
            }
            None => {
                let error = ended.unwrap_err();
                assert_eq!(copies.len(), 1, "{sealed:?} {newest:?}: {copies:?}");
                let tells_how = error.message.contains("POST /streams/s/resume");
                assert_eq!(tells_how, refused == data, "{error}");
                assert_eq!(outside.held(&consignment).await, None);
            }
        }
    }
}

pub async fn last_words_are_told() {
    let outside = Redshift::start().await;
    let destination = outside.meeting(&[]).await;
    // More than the connection takes at once: rows are still to be sent when it ends.
    let consignment = load(&outside, 8 << 20);
    outside.cluster.dies.store(true, SeqCst);
    let error = attempt(&*destination, &consignment).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retry), ("Redshift.ConnectionFailed", Retry::Backoff));
    assert!(error.message.contains("terminating connection due to administrator command (SQLSTATE 57P01)"), "{error}");
    attempt(&*destination, &consignment).await.unwrap();
    assert_eq!(outside.held(&consignment).await.unwrap().times, 1);
}

pub async fn what_ended_a_connection_is_told() {
    let outside = Redshift::start().await;
    let destination = outside.meeting(&[]).await;
    outside.cluster.resets.store(true, SeqCst);
    let error = attempt(&*destination, &load(&outside, 8 << 20)).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retry), ("Redshift.ConnectionFailed", Retry::Backoff));
    assert!(error.message.contains("os error"), "{error}");
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub async fn notices_show_nothing() {
    let outside = Redshift::start().await;
    outside.cluster.is_talkative.store(true, SeqCst);
    let destination = outside.meeting(&[]).await;
    let (log, level) = (Log::default(), tracing::Level::TRACE);
    let writer = log.clone();
    let to_log = tracing_subscriber::fmt().with_max_level(level).with_writer(move || writer.clone()).finish();
    let logging = tracing::subscriber::set_default(to_log);
    attempt(&*destination, &load(&outside, 300_000)).await.unwrap();
    drop(logging);
    let text = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(text.contains("welcome, (password)"), "{text}");
    assert!(text.contains("a server's notice, of which the text may quote records"), "{text}");
    assert!(!text.contains(PASSWORD) && !text.contains(QUOTED), "{text}");
}
