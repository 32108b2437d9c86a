//! Segments broken on purpose: what was synced is damage, what was not is a torn tail.

use super::super::JournalError;
use super::super::codec::Payload;
use super::super::segment::SegmentName;
use super::super::writer::{JournalOptions, Writer};
use super::fixtures::{Maker, close_of, lane};
use crate::disk::faulty::FaultyDisk;
use crate::disk::{Disk, create_dir_durable};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/journal";

/// A segment with a snapshot of one open seal, and three entries after it, each with a sync of its own.
struct Written {
    name: String,
    bytes: Vec<u8>,
    /// Where entries start, and the end.
    starts: Vec<u64>,
    last_open: usize,
}

fn write() -> Written {
    let disk = FaultyDisk::new();
    let mut maker = Maker::default();
    let mut seal = |parcels: &[&[u8]]| {
        let (seal, inline) = maker.seal(&lane(1), 3, parcels);
        (Payload::Seal(Arc::new(seal)), inline)
    };
    let first = seal(&[b"inline bytes"]);
    let Payload::Seal(first_seal) = &first.0 else { unreachable!() };
    let close = (Payload::Close(close_of(first_seal)), Vec::new());
    let open = || Writer::open(Arc::new(disk.clone()), PathBuf::from(DIR), JournalOptions::default()).unwrap();
    open().commit(std::slice::from_ref(&first))[0].as_ref().unwrap();
    let mut writer = open();
    let (name, read) = only_segment(&disk);
    let mut starts = entry_starts(&read());
    for entry in [seal(&[b"two"]), close, seal(&[])] {
        writer.commit(&[entry])[0].as_ref().unwrap();
        starts.push(read().len() as u64);
    }
    Written { name, bytes: read(), starts, last_open: 2 }
}

fn only_segment(disk: &FaultyDisk) -> (String, impl Fn() -> Vec<u8>) {
    let name = disk.list(Path::new(DIR)).unwrap()[0].name.clone();
    let file = disk.open(&Path::new(DIR).join(&name)).unwrap();
    let read = move || {
        let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    (name, read)
}

/// Starts of the entries of a whole segment, and its end.
fn entry_starts(bytes: &[u8]) -> Vec<u64> {
    let mut starts = vec![super::super::segment::HEADER_BYTES as u64];
    while let Some(start) = starts.last().map(|start| *start as usize).filter(|start| *start < bytes.len()) {
        let length = |at| u32::from_le_bytes(bytes[start + at..start + at + 4].try_into().unwrap()) as u64;
        starts.push(start as u64 + 48 + length(32) + length(36));
    }
    starts
}

fn start_with(files: &[(&str, &[u8])]) -> Result<Writer, JournalError> {
    let disk = FaultyDisk::new();
    create_dir_durable(&disk, Path::new(DIR)).unwrap();
    for (name, bytes) in files {
        disk.create_new(&Path::new(DIR).join(name)).unwrap().write_all_at(&[bytes], 0).unwrap();
    }
    Writer::open(Arc::new(disk), PathBuf::from(DIR), JournalOptions::default())
}

fn open_seals(writer: &Writer) -> usize {
    writer.published().read().state.open_count() as usize
}

fn damage_at(opened: Result<Writer, JournalError>, name: &str, offset: u64, what: &str) {
    match opened {
        Err(JournalError::Damaged { path, offset_bytes, .. }) => {
            assert_eq!((path, offset_bytes), (Path::new(DIR).join(name), offset), "{what}");
        }
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what}: it starts"),
    }
}

#[test]
fn a_last_entry_torn_or_flipped_anywhere_is_cut_off() {
    let written = write();
    let [.., last, end] = written.starts[..] else { unreachable!() };
    assert_eq!(end as usize, written.bytes.len());
    for cut in last..end {
        let writer = start_with(&[(&written.name, &written.bytes[..cut as usize])]).unwrap();
        assert_eq!(open_seals(&writer), written.last_open - 1, "cut at {cut}");
        let mut flipped = written.bytes.clone();
        flipped[cut as usize] ^= 0x10;
        assert_eq!(open_seals(&start_with(&[(&written.name, &flipped)]).unwrap()), written.last_open - 1, "{cut}");
        let mut zeroed = written.bytes.clone();
        zeroed[cut as usize..].fill(0);
        let open = open_seals(&start_with(&[(&written.name, &zeroed)]).unwrap());
        let unchanged = zeroed == written.bytes;
        assert_eq!(open, written.last_open - usize::from(!unchanged), "zeros from {cut}");
    }
    assert_eq!(open_seals(&start_with(&[(&written.name, &written.bytes)]).unwrap()), written.last_open);
}

#[test]
fn a_flipped_byte_below_a_mark_is_damage_with_its_place() {
    let written = write();
    let last = written.starts[written.starts.len() - 2];
    for at in 0..last {
        let mut flipped = written.bytes.clone();
        flipped[at as usize] ^= 0x10;
        let entry = written.starts.iter().rev().find(|start| **start <= at).copied().unwrap_or(0);
        damage_at(start_with(&[(&written.name, &flipped)]), &written.name, entry, &format!("byte {at}"));
    }
}

#[test]
fn a_segment_that_was_never_served_does_not_hide_the_older_one_but_its_marks_count() {
    let written = write();
    let older: SegmentName = written.name.parse().unwrap();
    // A newer one, begun after a restart and torn anywhere in its snapshot.
    let disk = FaultyDisk::new();
    create_dir_durable(&disk, Path::new(DIR)).unwrap();
    let file = disk.create_new(&Path::new(DIR).join(&written.name)).unwrap();
    file.write_all_at(&[&written.bytes], 0).unwrap();
    drop(Writer::open(Arc::new(disk.clone()), PathBuf::from(DIR), JournalOptions::default()).unwrap());
    let (newer, read) = only_segment(&disk);
    let newer_bytes = read();
    assert!(newer.parse::<SegmentName>().unwrap() > older);
    for cut in 0..newer_bytes.len() {
        let torn = &newer_bytes[..cut];
        let writer = start_with(&[(&written.name, &written.bytes), (&newer, torn)]).unwrap();
        assert_eq!(open_seals(&writer), written.last_open, "newer one cut at {cut}");
        // Alone it proves that something is gone.
        assert!(matches!(start_with(&[(&newer, torn)]), Err(JournalError::Damaged { .. })), "alone, cut at {cut}");
    }
    // Complete, it stands alone, and whatever the older one has become does not matter.
    assert_eq!(open_seals(&start_with(&[(&newer, &newer_bytes)]).unwrap()), written.last_open);
    let both = start_with(&[(&written.name, b"rubbish"), (&newer, &newer_bytes)]).unwrap();
    assert_eq!(open_seals(&both), written.last_open);
    // Two entries cut off, of which the marks in the newer one's torn snapshot know the first.
    let [.., short, _, _] = written.starts[..] else { unreachable!() };
    let files = [(written.name.as_str(), &written.bytes[..short as usize]), (&newer, &newer_bytes[..400])];
    damage_at(start_with(&files), &written.name, short, "shortened");
}

#[test]
fn a_founding_segment_torn_before_it_was_served_is_founded_again() {
    let disk = FaultyDisk::new();
    drop(Writer::open(Arc::new(disk.clone()), PathBuf::from(DIR), JournalOptions::default()).unwrap());
    let (name, read) = only_segment(&disk);
    for cut in 0..=read().len() {
        assert_eq!(open_seals(&start_with(&[(&name, &read()[..cut])]).unwrap()), 0, "cut at {cut}");
    }
}
