//! Named crash points: the places in the order of durable writes where a crash must do no harm.
//!
//! Compiled out unless the feature `failpoints` is on. A test arms one with the environment variable
//! `HYDRANT_FAILPOINT=name[:n]`: the process kills itself (SIGKILL to self, no clean-up) the n-th time (from 1) the
//! point is reached. The names are those of the design's crash windows and stand in ARCHITECTURE.md's table.

/// A learnt table is durable, no seal has used it yet.
pub const AFTER_LEARN: &str = "after_learn";
/// Before the seal of a run is stored: nothing happened, the run is cut anew.
pub const BEFORE_SEAL: &str = "before_seal";
/// The seal is durable, nothing sent yet.
pub const AFTER_SEAL: &str = "after_seal";
/// A parcel was handed to the destination and its reply is not known.
pub const DURING_DELIVER: &str = "during_deliver";
/// The destination has written the parcel; its reply was lost.
pub const WRITTEN_REPLY_LOST: &str = "written_reply_lost";
/// All of a load but its commit is done.
pub const BEFORE_COMMIT: &str = "before_commit";
/// A parcel that is given up can no longer come out late; its turn is not stored.
pub const AFTER_SETTLE: &str = "after_settle";
/// A turn (giving up on a destination) is stored.
pub const AFTER_TURN: &str = "after_turn";
/// All parcels of a seal are delivered, the close is not stored.
pub const AFTER_DELIVER: &str = "after_deliver";
/// The close is durable, outbox and log are not freed.
pub const AFTER_CLOSE: &str = "after_close";
/// The log has dropped closed segments.
pub const AFTER_TRIM: &str = "after_trim";
/// Frames are written to the segment, not synced.
pub const BEFORE_FSYNC: &str = "before_fsync";
/// Frames are durable, the producer was not told.
pub const AFTER_FSYNC_BEFORE_ACK: &str = "after_fsync_before_ack";
/// Half of a frame is in the file.
pub const TORN_TAIL: &str = "torn_tail";
/// A sync of the log fails once (the process lives on; the segment is abandoned).
pub const FSYNC_FAILED: &str = "fsync_failed";
/// A new segment's header and folder entry are durable, no frame in it.
pub const AFTER_ROLL: &str = "after_roll";

/// All names, in the order of a record's path.
pub const ALL: &[&str] = &[
    BEFORE_FSYNC,
    TORN_TAIL,
    FSYNC_FAILED,
    AFTER_FSYNC_BEFORE_ACK,
    AFTER_ROLL,
    AFTER_LEARN,
    BEFORE_SEAL,
    AFTER_SEAL,
    DURING_DELIVER,
    BEFORE_COMMIT,
    WRITTEN_REPLY_LOST,
    AFTER_SETTLE,
    AFTER_TURN,
    AFTER_DELIVER,
    AFTER_CLOSE,
    AFTER_TRIM,
];

/// Dies here when `name` is armed and its count is reached; otherwise nothing.
#[inline]
pub fn crash_at(name: &str) {
    if fires(name) {
        armed::die(name);
    }
}

/// Dies at once, as an armed point does. Nothing without the feature.
pub fn die(name: &str) {
    armed::die(name);
}

/// Whether `name` is armed and its count is reached now. For points that fail instead of crash.
#[inline]
pub fn fires(name: &str) -> bool {
    armed::fires(name)
}

/// Whether this process is the build that encodes and refuses differently (`HYDRANT_ENCODE_DIFFERENTLY=1`): what was
/// sealed by the ordinary build must still go out byte for byte.
#[inline]
pub fn encodes_differently() -> bool {
    armed::encodes_differently()
}

#[cfg(not(feature = "failpoints"))]
mod armed {
    #[inline(always)]
    pub fn fires(_name: &str) -> bool {
        false
    }
    #[inline(always)]
    pub fn encodes_differently() -> bool {
        false
    }
    #[inline(always)]
    pub fn die(_name: &str) {}
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Armed {
        name: String,
        left: AtomicU64,
    }

    fn armed() -> Option<&'static Armed> {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        ARMED
            .get_or_init(|| {
                let text = std::env::var("HYDRANT_FAILPOINT").ok()?;
                let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
                Some(Armed { name: name.to_owned(), left: AtomicU64::new(count.parse().unwrap_or(1)) })
            })
            .as_ref()
    }

    pub fn fires(name: &str) -> bool {
        match armed() {
            Some(point) if point.name == name => point.left.fetch_sub(1, Ordering::SeqCst) == 1,
            _ => false,
        }
    }

    pub fn encodes_differently() -> bool {
        static ON: OnceLock<bool> = OnceLock::new();
        *ON.get_or_init(|| std::env::var("HYDRANT_ENCODE_DIFFERENTLY").is_ok_and(|v| v == "1"))
    }

    pub fn die(name: &str) {
        eprintln!("failpoint {name} reached");
        let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        std::process::abort();
    }
}
