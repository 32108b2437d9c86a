//! What the journal should hold, in the simplest way: lists, applied without checks.

use super::super::codec::{Forget, Payload};
use super::super::writer::Published;
use super::super::{LaneState, Position};
use super::fixtures::{Maker, close_of, lane, read_all};
use crate::stream::seal::{Attempts, Fates, LaneId, ParcelKind, Seal, Turn};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An entry with its inline bytes.
pub type Entry = (Payload, Vec<u8>);

/// All lanes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model(BTreeMap<LaneId, ModelLane>);

#[derive(Debug, Clone, Default, PartialEq)]
struct ModelLane {
    closed: Position,
    closed_number: u64,
    ledger: Fates,
    open: Vec<ModelSeal>,
}

#[derive(Debug, Clone, PartialEq)]
struct ModelSeal {
    seal: Arc<Seal>,
    turns: Vec<Arc<Turn>>,
    attempts: BTreeMap<u32, Arc<Attempts>>,
    /// By parcel number.
    bytes: BTreeMap<u32, Vec<u8>>,
}

impl Model {
    /// Applies an entry that fits.
    pub fn apply(&mut self, (payload, inline): &Entry) {
        match payload {
            Payload::Seal(seal) => {
                let mut rest = inline.as_slice();
                let mut bytes = BTreeMap::new();
                for parcel in &seal.parcels {
                    let (own, others) = rest.split_at(parcel.length_bytes as usize);
                    bytes.insert(parcel.number, own.to_vec());
                    rest = others;
                }
                let open = ModelSeal { seal: Arc::clone(seal), turns: Vec::new(), attempts: BTreeMap::new(), bytes };
                self.0.entry(seal.lane.clone()).or_default().open.push(open);
            }
            Payload::Turn(turn) => {
                let lane = self.0.get_mut(&turn.lane).unwrap();
                let open = lane.open.iter_mut().find(|open| open.seal.id == turn.seal).unwrap();
                open.bytes.insert(turn.instead.number, inline.clone());
                open.turns.push(Arc::clone(turn));
            }
            Payload::Attempts(attempts) => {
                let lane = self.0.get_mut(&attempts.lane).unwrap();
                let open = lane.open.iter_mut().find(|open| open.seal.id == attempts.seal).unwrap();
                open.attempts.insert(attempts.parcel, Arc::clone(attempts));
            }
            Payload::Close(close) => {
                let lane = self.0.get_mut(&close.lane).unwrap();
                let open = lane.open.remove(0);
                lane.closed = open.seal.run.to.clone();
                lane.closed_number = open.seal.number;
                lane.ledger += open.seal.fates;
                for turn in open.turns {
                    lane.ledger.delivered.records -= turn.refused.records;
                    lane.ledger.delivered.bytes -= turn.refused.bytes;
                    lane.ledger.refused.records += turn.refused.records;
                    lane.ledger.refused.bytes += turn.refused.bytes;
                }
            }
            Payload::Forget(forget) => self.0.retain(|id, _| id.incarnation != forget.incarnation),
            Payload::Lane(_) | Payload::SnapshotEnd(_) => unreachable!("not a caller's entry"),
        }
    }

    /// Says how what the journal shows differs from this, if it does. Bytes are compared where the disk `answers`.
    pub fn compare(&self, shown: &Published, answers: bool) -> Result<(), String> {
        let mine: BTreeMap<LaneId, LaneState> = self.0.iter().map(|(id, lane)| (id.clone(), lane.state())).collect();
        let theirs = shown.state.lanes().map(|(id, lane)| (id.clone(), LaneState::of(lane))).collect();
        if mine != theirs {
            return Err(format!("expected {mine:#?}\nbut the journal shows {theirs:#?}"));
        }
        let all: Vec<&ModelSeal> = self.0.values().flat_map(|lane| &lane.open).collect();
        if shown.state.open_count() != all.len() as u64 {
            return Err(format!("{} seals are indexed, {} are open", shown.state.open_count(), all.len()));
        }
        for open in all.into_iter().filter(|_| answers) {
            for (parcel, bytes) in &open.bytes {
                if shown.inline(open.seal.id, *parcel).map(|shown| read_all(&*shown)).as_ref() != Some(bytes) {
                    return Err(format!("the bytes of parcel {parcel} of {:?} differ", open.seal.id));
                }
            }
        }
        Ok(())
    }

    /// An entry that fits, or now and then one that does not; `true` with the former.
    pub fn random_entry(&self, maker: &mut Maker, random: &mut Rng, lanes: u64) -> (Entry, bool) {
        let id = lane(random.u64(..lanes));
        let (number, to, open) = match self.0.get(&id) {
            Some(lane) => {
                let state = lane.state();
                (state.sealed_number, state.sealed.number().unwrap(), lane.open.clone())
            }
            None => (0, 0, Vec::new()),
        };
        let seal = |maker: &mut Maker, random: &mut Rng| {
            maker.set(&id, number, to);
            let parcels: Vec<Vec<u8>> = (0..random.usize(..3)).map(|_| bytes(random)).collect();
            let parcels: Vec<&[u8]> = parcels.iter().map(Vec::as_slice).collect();
            let (seal, inline) = maker.seal(&id, random.u64(5..50), &parcels);
            (Payload::Seal(Arc::new(seal)), inline)
        };
        let wanted = random.u8(..20);
        match (wanted, open.first()) {
            (0, _) => ((Payload::Forget(Forget { incarnation: id.incarnation }), Vec::new()), true),
            (1, Some(first)) => {
                let mut close = close_of(&first.seal);
                close.number += 1;
                ((Payload::Close(close), Vec::new()), false)
            }
            (2, _) => {
                let (payload, mut inline) = seal(maker, random);
                inline.iter_mut().for_each(|byte| *byte ^= 1);
                let fits = inline.is_empty();
                ((payload, inline), fits)
            }
            (3..=5, Some(first)) if first.can_turn().is_some() => {
                let parcel = first.can_turn().unwrap_or_default();
                let (turn, inline) = maker.turn(&first.seal, parcel, &bytes(random));
                ((Payload::Turn(Arc::new(turn)), inline), true)
            }
            (6..=7, Some(first)) if !first.seal.parcels.is_empty() => {
                let attempts = Attempts {
                    seal: first.seal.id,
                    lane: id.clone(),
                    parcel: first.seal.parcels[0].number,
                    failed: random.u64(..),
                    paused_ms: random.u64(..),
                    last_error: "503".to_owned(),
                };
                ((Payload::Attempts(Arc::new(attempts)), Vec::new()), true)
            }
            (6..=12, Some(first)) => ((Payload::Close(close_of(&first.seal)), Vec::new()), true),
            _ if open.len() > 3 => ((Payload::Close(close_of(&open[0].seal)), Vec::new()), true),
            _ => (seal(maker, random), true),
        }
    }
}

impl ModelLane {
    fn state(&self) -> LaneState {
        let last = self.open.last().map(|open| &open.seal);
        LaneState {
            closed: self.closed.clone(),
            closed_number: self.closed_number,
            sealed: last.map_or(&self.closed, |seal| &seal.run.to).clone(),
            sealed_number: last.map_or(self.closed_number, |seal| seal.number),
            ledger: self.ledger,
            open: self.open.iter().map(|open| Arc::clone(&open.seal)).collect(),
            turns: self.open.iter().flat_map(|open| open.turns.iter().cloned()).collect(),
            attempts: self.open.iter().flat_map(|open| open.attempts.values().cloned()).collect(),
            chunks: Vec::new(),
        }
    }
}

impl ModelSeal {
    /// A data parcel not given up. Two turns would count more records than a seal surely has.
    fn can_turn(&self) -> Option<u32> {
        let data = self.seal.parcels.iter().filter(|parcel| parcel.kind == ParcelKind::Data);
        data.map(|parcel| parcel.number).find(|number| self.turns.iter().all(|turn| turn.parcel != *number))
    }
}

fn bytes(random: &mut Rng) -> Vec<u8> {
    let length = if random.u8(..8) == 0 { random.usize(..5000) } else { random.usize(..100) };
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}
