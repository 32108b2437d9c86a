//! The journal's cursors, as a stream's log asks for them: what all lanes over it have closed may be forgotten.

use crate::journal::Journal;
use crate::log::LogCursors;
use crate::source::local::Cursors;
use crate::stream::seal::LaneId;
use crate::stream::{Incarnation, Position};
use std::sync::Arc;

/// Where a journal says that lanes stand. A source backup's lane counts once it has begun, which `opening`
/// sees to.
#[derive(Debug)]
pub struct JournalCursors(pub Arc<Journal>);

impl Cursors for JournalCursors {
    fn of_log(&self, incarnation: Incarnation) -> LogCursors {
        let number = |position: Position| position.number().unwrap_or(0);
        let (closed, sealed) = self.0.cursor(&LaneId::direct_put(incarnation)).unwrap_or_default();
        let mut cursors = LogCursors::one(number(closed), number(sealed));
        if let Some((closed, sealed)) = self.0.cursor(&LaneId::source_backup(incarnation)) {
            cursors.closed = cursors.closed.min(number(closed));
            cursors.sealed.push(number(sealed));
        }
        cursors
    }
}
