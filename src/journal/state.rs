//! What the entries of the journal add up to, and the order they must keep. Pure.
//!
//! From: `recovery` applies scanned entries, `writer` applies new ones to a draft before it writes them. Invariants
//! (rule D1): a lane's seals have numbers without gaps and runs without gaps; they close in order; a seal's fates sum
//! up to its run; what a seal of the second half takes is taken once. `sealed` is the end of the last open seal, or `closed` when none is open.

use super::chunks::{Chunks, NotThere};
use super::codec::{LaneBase, Payload};
use crate::stream::seal::{Attempts, Close, Fates, LaneId, Parcel, ParcelKind, Place, Request, Seal, Taken, Turn};
use crate::stream::{Incarnation, Position, SealId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Inline bytes of an entry in the current segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Where they start in the file.
    pub offset_bytes: u64,
    /// How many they are.
    pub length_bytes: u64,
    /// CRC-32C of them, so that a copy never blesses rotten bytes with a new checksum.
    pub crc32c: u32,
}

/// A seal that is not closed.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenSeal {
    /// The seal.
    pub seal: Arc<Seal>,
    /// Its inline bytes.
    pub inline: Extent,
    /// Its turns with their inline bytes, in the order stored.
    pub turns: Vec<(Arc<Turn>, Extent)>,
    /// Attempts of its parcels that failed, by parcel.
    pub attempts: BTreeMap<u32, Arc<Attempts>>,
}

/// A lane's cursor, sums and open seals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lane {
    /// End of the last closed seal.
    pub closed: Position,
    /// Its number; 0 when none is closed.
    pub closed_number: u64,
    /// Sums over all closed seals.
    pub ledger: Fates,
    /// Open seals in order.
    pub open: Vec<OpenSeal>,
    /// Spool chunks that are not delivered whole.
    pub chunks: Chunks,
}

/// An entry that does not fit what is stored: a broken invariant of the caller, nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Numbers of seals have no gaps.
    #[error("seal {number} of lane {lane:?} is out of order: {expected} comes next")]
    SealNumber {
        /// Whose.
        lane: LaneId,
        /// Found.
        number: u64,
        /// The one that fits.
        expected: u64,
    },
    /// Runs have no gaps.
    #[error("seal {number} of lane {lane:?} starts at {from:?}, but the last one ends at {sealed:?}")]
    RunStart {
        /// Whose.
        lane: LaneId,
        /// Which seal.
        number: u64,
        /// Its start.
        from: Position,
        /// The start that fits.
        sealed: Position,
    },
    /// A run holds at least one record.
    #[error("the run of seal {number} of lane {lane:?} is empty")]
    RunEmpty {
        /// Whose.
        lane: LaneId,
        /// Which seal.
        number: u64,
    },
    /// Each record of a run has one fate.
    #[error("the fates of seal {number} of lane {lane:?} sum up to {fates} records, its run has {records}")]
    FatesSum {
        /// Whose.
        lane: LaneId,
        /// Which seal.
        number: u64,
        /// Sum of the fates.
        fates: u64,
        /// Records in the run.
        records: u64,
    },
    /// An id stands for one seal.
    #[error("the seal {0} is open already")]
    SealTwice(SealId),
    /// A number stands for one parcel.
    #[error("the parcel number {parcel} of seal {seal} is taken")]
    ParcelTwice {
        /// Which seal.
        seal: SealId,
        /// The number.
        parcel: u32,
    },
    /// A partition of a spool chunk is delivered once.
    #[error("seal {seal} takes partitions of chunk {chunk} of lane '{lane}' that are not there or taken already")]
    NotSpooled {
        /// Which seal.
        seal: SealId,
        /// Whose chunk.
        lane: String,
        /// Which chunk.
        chunk: u64,
    },
    /// Inline bytes are inside and are those the parcel names.
    #[error("the inline bytes of parcel {parcel} of seal {seal} do not match its place, length or checksum")]
    InlineBytes {
        /// Which seal.
        seal: SealId,
        /// Which parcel.
        parcel: u32,
    },
    /// Turns and closes belong to an open seal.
    #[error("the seal {0} is not open")]
    NotOpen(SealId),
    /// Only a data parcel of the seal can be given up, and once.
    #[error("parcel {parcel} of seal {seal} cannot be given up: it is not a data parcel of it, or was given up before")]
    NotToTurn {
        /// Which seal.
        seal: SealId,
        /// Which parcel.
        parcel: u32,
    },
    /// Attempts are those of a parcel.
    #[error("the seal {seal} has no parcel {parcel}")]
    NoParcel {
        /// Which seal.
        seal: SealId,
        /// The number.
        parcel: u32,
    },
    /// Closes are in order.
    #[error("close of seal {number} of lane {lane:?} is out of order: {expected} comes next")]
    CloseOrder {
        /// Whose.
        lane: LaneId,
        /// Found.
        number: u64,
        /// The one that fits.
        expected: u64,
    },
    /// A snapshot ends once, and a lane begins once.
    #[error("an entry of a snapshot where none belongs")]
    Snapshot,
}

impl Lane {
    /// A lane with a cursor and sums, no seal open.
    pub fn from_base(base: &LaneBase) -> Self {
        Self {
            closed: base.closed.clone(),
            closed_number: base.closed_number,
            ledger: base.ledger,
            open: Vec::new(),
            chunks: Chunks::from_base(&base.chunks),
        }
    }

    /// End of the last seal.
    pub fn sealed(&self) -> &Position {
        self.open.last().map_or(&self.closed, |open| &open.seal.run.to)
    }

    /// Number of the last seal.
    pub fn sealed_number(&self) -> u64 {
        self.open.last().map_or(self.closed_number, |open| open.seal.number)
    }

    fn seal(&mut self, seal: &Arc<Seal>, inline: Extent) -> Result<(), OrderError> {
        let (lane, number) = (|| seal.lane.clone(), seal.number);
        let expected = self.sealed_number() + 1;
        if number != expected {
            return Err(OrderError::SealNumber { lane: lane(), number, expected });
        }
        if seal.run.from != *self.sealed() {
            let (from, sealed) = (seal.run.from.clone(), self.sealed().clone());
            return Err(OrderError::RunStart { lane: lane(), number, from, sealed });
        }
        if seal.run.to <= seal.run.from {
            return Err(OrderError::RunEmpty { lane: lane(), number });
        }
        if let Some(records) = records_in_run(seal)
            && records != seal.fates.total().records
        {
            let fates = seal.fates.total().records;
            return Err(OrderError::FatesSum { lane: lane(), number, fates, records });
        }
        if self.open.iter().any(|open| open.seal.id == seal.id) {
            return Err(OrderError::SealTwice(seal.id));
        }
        for (i, parcel) in seal.parcels.iter().enumerate() {
            if seal.parcels[..i].iter().any(|other| other.number == parcel.number) {
                return Err(OrderError::ParcelTwice { seal: seal.id, parcel: parcel.number });
            }
        }
        if let Some(spooled) = &seal.spooled {
            self.chunks.put(number, spooled);
        }
        let (turns, attempts) = (Vec::new(), BTreeMap::new());
        self.open.push(OpenSeal { seal: Arc::clone(seal), inline, turns, attempts });
        Ok(())
    }

    fn turn(&mut self, turn: &Arc<Turn>, inline: Extent) -> Result<(), OrderError> {
        let open = self.open.iter_mut().find(|open| open.seal.id == turn.seal);
        let open = open.ok_or(OrderError::NotOpen(turn.seal))?;
        let can_turn = |parcel: &Parcel| parcel.number == turn.parcel && parcel.kind.is_delivery();
        if !open.seal.parcels.iter().any(can_turn) || open.turns.iter().any(|(other, _)| other.parcel == turn.parcel) {
            return Err(OrderError::NotToTurn { seal: turn.seal, parcel: turn.parcel });
        }
        let number = turn.instead.number;
        // Rule D2: a number stands for the same bytes for ever, also after the parcel was given up.
        if open.parcels().any(|(parcel, _)| parcel.number == number) {
            return Err(OrderError::ParcelTwice { seal: turn.seal, parcel: number });
        }
        open.turns.push((Arc::clone(turn), inline));
        Ok(())
    }

    fn note_attempts(&mut self, attempts: &Arc<Attempts>) -> Result<(), OrderError> {
        let open = self.open.iter_mut().find(|open| open.seal.id == attempts.seal);
        let open = open.ok_or(OrderError::NotOpen(attempts.seal))?;
        if !open.seal.parcels.iter().any(|parcel| parcel.number == attempts.parcel) {
            return Err(OrderError::NoParcel { seal: attempts.seal, parcel: attempts.parcel });
        }
        open.attempts.insert(attempts.parcel, Arc::clone(attempts));
        Ok(())
    }

    fn close(&mut self, close: &Close) -> Result<(), OrderError> {
        let Some(first) = self.open.first() else { return Err(OrderError::NotOpen(close.seal)) };
        if first.seal.number != close.number {
            let expected = first.seal.number;
            return Err(OrderError::CloseOrder { lane: close.lane.clone(), number: close.number, expected });
        }
        if first.seal.id != close.seal {
            return Err(OrderError::NotOpen(close.seal));
        }
        let first = self.open.remove(0);
        self.closed = first.seal.run.to.clone();
        self.closed_number = first.seal.number;
        self.ledger += first.fates();
        self.chunks.drop_closed(self.closed_number);
        Ok(())
    }
}

impl OpenSeal {
    /// All parcels with the extent their inline places refer to: the seal's own, then those of turns.
    pub fn parcels(&self) -> impl Iterator<Item = (&Parcel, Extent)> {
        let own = self.seal.parcels.iter().map(|parcel| (parcel, self.inline));
        own.chain(self.turns.iter().map(|(turn, inline)| (&turn.instead, *inline)))
    }

    /// The fates as they are once the turns are counted: what was given up is refused, not delivered.
    fn fates(&self) -> Fates {
        let mut fates = self.seal.fates;
        self.turns.iter().for_each(|(turn, _)| fates.turn(turn.refused));
        fates
    }
}

/// Another lane of the stream that a seal is of.
fn lane_of(seal: &Seal, lane: &str) -> LaneId {
    LaneId { incarnation: seal.lane.incarnation, lane: lane.to_owned() }
}

/// Records in the run of a Direct PUT seal, whose positions are record numbers.
fn records_in_run(seal: &Seal) -> Option<u64> {
    if seal.lane != LaneId::direct_put(seal.lane.incarnation) && !seal.lane.is_backup() {
        return None;
    }
    seal.run.to.number()?.checked_sub(seal.run.from.number()?)
}

/// Checks that the inline bytes of an entry are those its parcels name.
pub fn check_inline(payload: &Payload, inline: &[u8]) -> Result<(), OrderError> {
    let (seal, parcels) = match payload {
        Payload::Seal(seal) => (seal.id, seal.parcels.as_slice()),
        Payload::Turn(turn) => (turn.seal, std::slice::from_ref(&turn.instead)),
        _ => return Ok(()),
    };
    let is_there = |offset_bytes: u64, length_bytes: u64, crc32c: u32| {
        let bytes = usize::try_from(offset_bytes).ok().and_then(|start| {
            let end = start.checked_add(usize::try_from(length_bytes).ok()?)?;
            inline.get(start..end)
        });
        bytes.is_some_and(|bytes| crc32c::crc32c(bytes) == crc32c)
    };
    for parcel in parcels {
        let body = match parcel.place {
            Place::Inline { offset_bytes } => is_there(offset_bytes, parcel.length_bytes, parcel.crc32c),
            _ => true,
        };
        let notes = match &parcel.kind {
            ParcelKind::Request(Request { notes, .. }) => {
                is_there(notes.offset_bytes, notes.length_bytes, notes.crc32c)
            }
            _ => true,
        };
        if !body || !notes {
            return Err(OrderError::InlineBytes { seal, parcel: parcel.number });
        }
    }
    Ok(())
}

/// All lanes. Lanes are shared by reference, so a draft of a change costs only the lanes it touches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    lanes: BTreeMap<LaneId, Arc<Lane>>,
    /// Lanes of open seals.
    seals: HashMap<SealId, LaneId>,
}

impl State {
    /// The lane, if anything was stored of it.
    pub fn lane(&self, lane: &LaneId) -> Option<&Arc<Lane>> {
        self.lanes.get(lane)
    }

    /// All lanes in the order of their ids.
    pub fn lanes(&self) -> impl Iterator<Item = (&LaneId, &Arc<Lane>)> {
        self.lanes.iter()
    }

    /// Number of lanes.
    pub fn lane_count(&self) -> u64 {
        self.lanes.len() as u64
    }

    /// Number of open seals.
    pub fn open_count(&self) -> u64 {
        self.seals.len() as u64
    }

    /// An open seal by its id.
    pub fn open_seal(&self, seal: &SealId) -> Option<&OpenSeal> {
        self.lanes.get(self.seals.get(seal)?)?.open.iter().find(|open| open.seal.id == *seal)
    }

    /// Applies one entry, or says why it does not fit and changes nothing.
    pub fn apply(&mut self, payload: &Payload, inline: Extent) -> Result<(), OrderError> {
        let mut draft = Draft::default();
        draft.apply(self, payload, inline)?;
        self.adopt(draft);
        Ok(())
    }

    /// Makes the changes of a draft part of the state it was drawn from.
    pub fn adopt(&mut self, draft: Draft) {
        for (id, lane) in draft.lanes {
            let after = lane.as_ref().map_or(&[][..], |lane| &lane.open);
            for open in self.lanes.get(&id).map_or(&[][..], |lane| &lane.open) {
                self.seals.remove(&open.seal.id);
            }
            for open in after {
                self.seals.insert(open.seal.id, id.clone());
            }
            match lane {
                Some(lane) => self.lanes.insert(id, lane),
                None => self.lanes.remove(&id),
            };
        }
    }
}

/// Changes on top of a state, not visible until they are durable. `None`: the lane is dropped.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    lanes: BTreeMap<LaneId, Option<Arc<Lane>>>,
}

impl Draft {
    /// Applies one entry on top of `state` and of what was applied before; on an error nothing changes.
    pub fn apply(&mut self, state: &State, payload: &Payload, inline: Extent) -> Result<(), OrderError> {
        match payload {
            Payload::Lane(base) => {
                if state.lanes.contains_key(&base.lane) || self.lanes.contains_key(&base.lane) {
                    return Err(OrderError::Snapshot);
                }
                self.lanes.insert(base.lane.clone(), Some(Arc::new(Lane::from_base(base))));
                Ok(())
            }
            Payload::SnapshotEnd(_) => Err(OrderError::Snapshot),
            Payload::Seal(seal) => {
                let lane = state.seals.get(&seal.id);
                if lane.is_some_and(|lane| self.open_in(state, lane, seal.id)) {
                    return Err(OrderError::SealTwice(seal.id));
                }
                let before = (!seal.taken.is_empty()).then(|| self.lanes.clone());
                let taken = self.take(state, seal);
                let sealed = taken.and_then(|()| self.change(state, &seal.lane, |lane| lane.seal(seal, inline)));
                if let (Err(_), Some(before)) = (&sealed, before) {
                    self.lanes = before;
                }
                sealed
            }
            Payload::Turn(turn) => self.change(state, &turn.lane, |lane| lane.turn(turn, inline)),
            Payload::Attempts(attempts) => self.change(state, &attempts.lane, |lane| lane.note_attempts(attempts)),
            Payload::Close(close) => {
                let first = self.current(state, &close.lane).and_then(|lane| lane.open.first());
                let seal = first.map(|open| Arc::clone(&open.seal));
                self.change(state, &close.lane, |lane| lane.close(close))?;
                seal.map_or(Ok(()), |seal| self.close_taken(state, &seal))
            }
            Payload::Forget(forget) => {
                self.forget(state, forget.incarnation);
                Ok(())
            }
        }
    }

    /// Marks what a seal takes of spool chunks.
    fn take(&mut self, state: &State, seal: &Seal) -> Result<(), OrderError> {
        self.change_sources(state, seal, |source, taken| {
            let not_spooled =
                |NotThere| OrderError::NotSpooled { seal: seal.id, lane: taken.lane.clone(), chunk: taken.chunk };
            source.chunks.take(taken).map_err(not_spooled)
        })
    }

    /// What a seal took is delivered.
    fn close_taken(&mut self, state: &State, seal: &Seal) -> Result<(), OrderError> {
        self.change_sources(state, seal, |source, taken| {
            source.chunks.close(taken);
            Ok(())
        })
    }

    /// Changes the lanes that a seal takes from, each once however much is taken: a change costs what the lane holds.
    fn change_sources(
        &mut self,
        state: &State,
        seal: &Seal,
        change: impl Fn(&mut Lane, &Taken) -> Result<(), OrderError>,
    ) -> Result<(), OrderError> {
        for of_lane in seal.taken.chunk_by(|a, b| a.lane == b.lane) {
            self.change(state, &lane_of(seal, &of_lane[0].lane), |source| {
                of_lane.iter().try_for_each(|taken| change(source, taken))?;
                source.chunks.drop_closed(source.closed_number);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn open_in(&self, state: &State, lane: &LaneId, seal: SealId) -> bool {
        self.current(state, lane).is_some_and(|lane| lane.open.iter().any(|open| open.seal.id == seal))
    }

    fn current<'a>(&'a self, state: &'a State, lane: &LaneId) -> Option<&'a Arc<Lane>> {
        match self.lanes.get(lane) {
            Some(drafted) => drafted.as_ref(),
            None => state.lanes.get(lane),
        }
    }

    fn change(
        &mut self,
        state: &State,
        id: &LaneId,
        change: impl FnOnce(&mut Lane) -> Result<(), OrderError>,
    ) -> Result<(), OrderError> {
        let mut lane = self.current(state, id).map(|lane| Lane::clone(lane)).unwrap_or_default();
        change(&mut lane)?;
        self.lanes.insert(id.clone(), Some(Arc::new(lane)));
        Ok(())
    }

    fn forget(&mut self, state: &State, incarnation: Incarnation) {
        let first = LaneId { incarnation, lane: String::new() };
        let stored = state.lanes.range(&first..).map(|(id, _)| id.clone());
        let mine: Vec<LaneId> = stored.take_while(|id| id.incarnation == incarnation).collect();
        self.lanes.retain(|id, _| id.incarnation != incarnation);
        self.lanes.extend(mine.into_iter().map(|id| (id, None)));
    }
}
