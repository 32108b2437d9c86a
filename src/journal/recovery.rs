//! What a node's segments mean after a crash. Pure: decides over the outlines that scans made.
//!
//! Rules: the newest segment with a complete snapshot is the journal; everything older is superseded. A segment whose
//! snapshot is not complete was never served. Entries below any mark were synced, so a missing one is damage; above all
//! marks it is a torn tail and cut off. A flipped bit in the last entries, above all marks, cannot be told from a tail.

use super::codec::{Broken, Envelope};
use super::segment::{FOUNDING, SegmentName};

/// What a scan found in one segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Which segment.
    pub name: SegmentName,
    /// Whether the unbroken chain holds the end of the snapshot.
    pub complete: bool,
    /// Number that would follow the chain; `None` when the header is bad.
    pub next_number: Option<u64>,
    /// Where the chain ends.
    pub end_bytes: u64,
    /// What stands there, if not the end of the file.
    pub bad: Option<Broken>,
    /// Highest mark of any whole entry, also behind the bad place.
    pub synced_upto: u64,
    /// Whether an entry behind the bad place is not part of the snapshot: such are written only after it was synced.
    pub live_behind: bool,
}

impl Default for Outline {
    fn default() -> Self {
        Self {
            name: SegmentName { id: FOUNDING, nonce: 0 },
            complete: false,
            next_number: None,
            end_bytes: 0,
            bad: None,
            synced_upto: 0,
            live_behind: false,
        }
    }
}

impl Outline {
    /// Takes the mark of a whole entry.
    pub fn note(&mut self, envelope: &Envelope) {
        self.synced_upto = self.synced_upto.max(envelope.synced_upto);
    }
}

/// Which segment to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// None: the journal begins.
    Found,
    /// The segment of this outline, up to the end of its chain.
    GoOn {
        /// Index in the outlines.
        index: usize,
        /// Highest entry number known synced.
        synced_upto: u64,
    },
}

/// Something synced is not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// In which segment.
    pub name: SegmentName,
    /// Where.
    pub offset_bytes: u64,
    /// What is wrong.
    pub reason: String,
}

/// Judges the segments, newest first; nothing older than the first complete one needs to be there.
pub fn judge(newest_first: &[Outline]) -> Result<Verdict, Damage> {
    let mut synced_upto = 0;
    for (index, outline) in newest_first.iter().enumerate() {
        let damage = |reason: String| Damage { name: outline.name, offset_bytes: outline.end_bytes, reason };
        let what = outline.bad.map_or("the file ends here", |broken| broken.0);
        synced_upto = synced_upto.max(outline.synced_upto);
        if !outline.complete {
            if outline.live_behind {
                return Err(damage(format!("{what}, in a snapshot that was synced")));
            }
            continue;
        }
        if let Some(next) = outline.next_number
            && next <= synced_upto
        {
            return Err(damage(format!("{what}, where entry {next} was synced (entries up to {synced_upto} were)")));
        }
        return Ok(Verdict::GoOn { index, synced_upto });
    }
    match newest_first.last() {
        // Segments are removed only when a newer one is complete, and the founding one is found again by its id.
        Some(oldest) if oldest.name.id != FOUNDING || synced_upto > 0 => Err(Damage {
            name: oldest.name,
            offset_bytes: oldest.end_bytes,
            reason: "no segment has a complete snapshot, and earlier ones are gone".to_owned(),
        }),
        _ => Ok(Verdict::Found),
    }
}
