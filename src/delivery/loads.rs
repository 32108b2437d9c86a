//! What becomes of a staged object that is to be loaded into a table: its manifest and its load, as parcels of the same seal,
//! and the manifest that is kept where the load is given up.
//!
//! From: `run`, once the object's bytes are durable; `turning`. Invariant: what a load needs is fixed with it; the same load
//! makes the same manifest, whenever it is asked for.

use super::parcels::{FinishedParcels, store};
use super::run::{RunPlan, StageRunError};
use super::turning::{GivenUp, TURNED};
use crate::destination::redshift::manifest::manifest;
use crate::destination::s3::key::{GIVEN_UP_MANIFESTS, ObjectName, given_up_manifest_key, manifest_key};
use crate::outbox::Outbox;
use crate::stream::definition::RedshiftTarget;
use crate::stream::seal::{LaneId, Load, Parcel, ParcelKind, Place, Tally, Turn};
use crate::stream::{Incarnation, SealId};
use std::io::{self, Write};

/// Adds the manifest and the load of the data parcel among `finished`, if there is one: all its records may be refused.
/// `source_bytes` are those of its records, `oldest_arrival_ms` the arrival of the oldest of them.
pub fn add_load(
    outbox: &Outbox,
    plan: &RunPlan,
    seal: SealId,
    lane: &LaneId,
    target: &RedshiftTarget,
    (source_bytes, oldest_arrival_ms): (u64, i64),
    finished: &mut FinishedParcels,
) -> Result<(), StageRunError> {
    let Some(object) = finished.parcels.iter().find(|parcel| parcel.kind == ParcelKind::Data).cloned() else {
        return Ok(());
    };
    let definition = &plan.definition;
    let number = finished.parcels.iter().map(|parcel| parcel.number).max().unwrap_or(0) + 1;
    let (stream, revision) = (&definition.name, definition.revision);
    let name = ObjectName { stream, revision, oldest_arrival_ms, seal, parcel: number, extension: "" };
    let manifest_key = manifest_key(&definition.s3, &name)?;
    let bytes = manifest(&object.bucket, &[&object.key]);
    let (stored, place) = put(outbox, finished.incarnation, seal, number, &bytes, &mut finished.inline)?;
    finished.parcels.push(Parcel {
        number,
        key: manifest_key.clone(),
        content_encoding: None,
        length_bytes: stored.0,
        crc32c: stored.1,
        records: 0,
        place,
        ..object.clone()
    });
    let load = Load {
        lane: format!("{}/{}", lane.incarnation, lane.lane),
        sequence: plan.number,
        manifest_key,
        object_key: object.key.clone(),
        copy: target.copy.clone(),
        method: target.method,
        ledger: target.ledger.clone(),
        source_bytes,
        oldest_arrival_ms,
    };
    let number = number + 1;
    finished.parcels.push(Parcel { number, kind: ParcelKind::Load(load), key: seal.parcel_uuid(number), ..object });
    Ok(())
}

fn put(
    outbox: &Outbox,
    incarnation: Incarnation,
    seal: SealId,
    number: u32,
    bytes: &[u8],
    inline: &mut Vec<u8>,
) -> io::Result<((u64, u32), Place)> {
    let mut draft = outbox.begin(incarnation, seal, number);
    draft.write_all(bytes)?;
    store(outbox, draft, inline)
}

/// The turn of a load: its manifest, once more, where it is looked for when somebody loads by hand.
pub fn turn(given_up: &GivenUp, load: &Load) -> io::Result<(Turn, Vec<u8>)> {
    let GivenUp { outbox, seal, parcel, .. } = given_up;
    let (incarnation, number) = (seal.lane.incarnation, TURNED | parcel.number);
    outbox.discard(incarnation, seal.id, number)?;
    let bytes = manifest(&parcel.bucket, &[&load.object_key]);
    let mut inline = Vec::new();
    let (stored, place) = put(outbox, incarnation, seal.id, number, &bytes, &mut inline)?;
    let instead = Parcel {
        number,
        kind: ParcelKind::Error(GIVEN_UP_MANIFESTS.to_owned()),
        key: given_up_manifest_key(&load.manifest_key),
        content_encoding: None,
        length_bytes: stored.0,
        crc32c: stored.1,
        place,
        ..parcel.clone()
    };
    let refused = Tally { records: parcel.records, bytes: load.source_bytes };
    Ok((given_up.turn(instead, refused), inline))
}
