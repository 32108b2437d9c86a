//! Makes seals, turns and closes that fit one after the other.

use crate::record::ParcelBytes;
use crate::stream::seal::{Close, CutReason, Fates, LaneId, Parcel, ParcelKind, Place, Seal, Tally, Turn};
use crate::stream::{Id128, Position, Run};
use std::collections::{BTreeMap, HashMap};

/// The Direct PUT lane of stream number `number`.
pub fn lane(number: u64) -> LaneId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    LaneId::direct_put(Id128(id))
}

/// Remembers where each lane is, and counts ids so that tests repeat themselves exactly.
#[derive(Debug, Default, Clone)]
pub struct Maker {
    lanes: HashMap<LaneId, (u64, u64)>,
    ids: u64,
}

impl Maker {
    /// The seal that follows in `lane`, of `records` records, with one inline parcel for each of `parcels`.
    pub fn seal(&mut self, lane: &LaneId, records: u64, parcels: &[&[u8]]) -> (Seal, Vec<u8>) {
        let (number, from) = self.lanes.get(lane).copied().unwrap_or_default();
        self.set(lane, number + 1, from + records);
        self.ids += 1;
        let mut id = [0xab; 16];
        id[8..].copy_from_slice(&self.ids.to_be_bytes());
        let mut offset_bytes = 0;
        let make = |(i, bytes): (usize, &&[u8])| {
            let parcel = inline_parcel(i as u32, offset_bytes, bytes);
            offset_bytes += bytes.len() as u64;
            parcel
        };
        let parcels_made = parcels.iter().enumerate().map(make).collect();
        let dropped = Tally { records: 0, bytes: 0 };
        let seal = Seal {
            id: Id128(id),
            lane: lane.clone(),
            number: number + 1,
            run: Run { from: position(from), to: position(from + records) },
            revision: 1,
            engine: "0.1.0".to_owned(),
            cut: CutReason::Size,
            oldest_arrival_ms: 1_700_000_000_000,
            newest_arrival_ms: 1_700_000_000_500,
            schema: None,
            module: None,
            fates: Fates { delivered: Tally { records, bytes: records * 100 }, dropped, ..Fates::default() },
            parcels: parcels_made,
            spooled: None,
            taken: Vec::new(),
            extra: BTreeMap::new(),
        };
        (seal, parcels.concat())
    }

    /// Gives up parcel `parcel` of `seal`; two of its records are refused.
    pub fn turn(&mut self, seal: &Seal, parcel: u32, error: &[u8]) -> (Turn, Vec<u8>) {
        let mut instead = inline_parcel(seal.parcels.len() as u32 + parcel, 0, error);
        instead.kind = ParcelKind::Error("http-endpoint-failed".to_owned());
        let turn = Turn {
            seal: seal.id,
            lane: seal.lane.clone(),
            parcel,
            attempts: 12,
            last_error: "503".to_owned(),
            instead,
            refused: Tally { records: 2, bytes: 200 },
        };
        (turn, error.to_vec())
    }

    /// Leaves out ids, so that two makers never make the same one.
    pub fn skip_ids(&mut self, count: u64) {
        self.ids += count;
    }

    /// Goes on in `lane` after seal `number`, which ended at record `to`.
    pub fn set(&mut self, lane: &LaneId, number: u64, to: u64) {
        self.lanes.insert(lane.clone(), (number, to));
    }
}

fn position(number: u64) -> Position {
    if number == 0 { Position::start() } else { Position::from_number(number) }
}

/// A data parcel whose bytes stand at `offset_bytes` of the inline bytes.
pub fn inline_parcel(number: u32, offset_bytes: u64, bytes: &[u8]) -> Parcel {
    Parcel {
        number,
        kind: ParcelKind::Data,
        bucket: "hydrant".to_owned(),
        key: format!("2026/01/01/00/s-{number}"),
        content_type: "application/octet-stream".to_owned(),
        content_encoding: None,
        kms_key: None,
        length_bytes: bytes.len() as u64,
        crc32c: crc32c::crc32c(bytes),
        records: 1,
        place: Place::Inline { offset_bytes },
    }
}

/// The close of `seal`.
pub fn close_of(seal: &Seal) -> Close {
    Close { seal: seal.id, lane: seal.lane.clone(), number: seal.number }
}

/// All bytes of a parcel.
pub fn read_all(bytes: &dyn ParcelBytes) -> Vec<u8> {
    let mut all = vec![0; bytes.length_bytes() as usize];
    bytes.read_exact_at(&mut all, 0).unwrap();
    all
}
