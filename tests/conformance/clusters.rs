//! Redshift beyond the contract: what of a cluster's words is told.

use super::redshift::{PASSWORD, QUOTED, Redshift};
use super::{Memory, Outside, attempt, bytes_of};
use hydrant::destination::Consignment;
use hydrant::fault::Retry;
use parking_lot::Mutex;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

fn load(outside: &Redshift, length: usize) -> Consignment {
    let bytes = bytes_of(length);
    let crc32c = crc32c::crc32c(&bytes);
    outside.parcel(Arc::new(Memory(bytes)), crc32c)
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
