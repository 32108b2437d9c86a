//! Groups records by partition and writes them as a spool chunk.

use super::SECTION_BYTES;
use super::codec::{self, Entry, EntrySource, Extent, FooterEntry, Partition, SharedSource};
use crate::record::Slot;
use std::collections::HashMap;
use std::io::{self, Write};

/// Memory that the place of a record takes, about.
const PLACE_BYTES: usize = std::mem::size_of::<Place>();

/// Writes one spool chunk to `sink`. What it writes is of no use before [`SpoolWriter::finish`].
pub struct SpoolWriter<W> {
    sink: W,
    written_bytes: u64,
    partitions: Vec<Partition>,
    numbers: HashMap<Box<[u8]>, u32>,
    section: Section,
}

/// Records that are not yet written.
#[derive(Default)]
struct Section {
    bytes: Vec<u8>,
    /// By the number of the partition.
    places: Vec<Vec<Place>>,
    /// Numbers of partitions with places, in the order of their first record.
    filled: Vec<u32>,
    count: usize,
    sources: Vec<Source>,
    extent: Vec<u8>,
}

/// A source that the parts of its record share.
struct Source {
    ordinal: u64,
    /// Where it came from.
    address: (usize, usize),
    /// Where it is in the section.
    place: (u32, u32),
    /// Of the first part that has it.
    partition: u32,
    is_of_several: bool,
    /// Once it is written, if it is of several partitions.
    written: Option<SharedSource>,
}

#[derive(Clone, Copy)]
struct Place {
    slot: Slot,
    /// Its number in the section.
    source: Option<u32>,
    counted_bytes: u64,
}

/// A record on its way into the spool.
#[derive(Debug, Clone, Copy)]
pub struct Spooled<'a> {
    /// Origin and arrival.
    pub slot: Slot,
    /// The record.
    pub bytes: &'a [u8],
    /// What an error record shows of it, where that is something else. Parts of one record that follow each other may give
    /// the same slice, which is then kept once for all partitions.
    pub source: Option<&'a [u8]>,
    /// Bytes that its fate stands for.
    pub counted_bytes: u64,
}

impl<W: Write> SpoolWriter<W> {
    /// Begins a chunk.
    pub fn new(mut sink: W) -> io::Result<Self> {
        sink.write_all(&codec::header())?;
        let (written_bytes, section) = (codec::HEADER_BYTES, Section::default());
        Ok(Self { sink, written_bytes, partitions: Vec::new(), numbers: HashMap::new(), section })
    }

    /// Takes a record of the partition with this key. Origins ascend within a partition.
    pub fn push(&mut self, key: &[u8], record: Spooled<'_>) -> io::Result<()> {
        if self.section.count > 0 && self.section.memory_bytes() + self.section.added_bytes(&record) > SECTION_BYTES {
            self.write_section()?;
        }
        let number = match self.numbers.get(key) {
            Some(number) => *number,
            None => {
                let number = self.partitions.len() as u32;
                self.numbers.insert(key.into(), number);
                self.partitions.push(Partition { key: key.into(), extents: Vec::new(), entry: FooterEntry::default() });
                self.section.places.push(Vec::new());
                number
            }
        };
        self.section.push(number, record);
        Ok(())
    }

    fn write_section(&mut self) -> io::Result<()> {
        let section = &mut self.section;
        for source in section.sources.iter_mut().filter(|source| source.is_of_several) {
            let (start, length_bytes) = source.place;
            let bytes = &section.bytes[start as usize..start as usize + length_bytes as usize];
            self.sink.write_all(bytes)?;
            let (offset_bytes, crc32c) = (self.written_bytes, crc32c::crc32c(bytes));
            source.written = Some(SharedSource { offset_bytes, length_bytes, crc32c });
            self.written_bytes += u64::from(length_bytes);
        }
        for number in section.filled.drain(..) {
            // Its memory goes as well: else every partition would keep what it had in its largest section.
            let places = std::mem::take(&mut section.places[number as usize]);
            let bytes = &section.bytes;
            let slice = |start: u32, len: u32| &bytes[start as usize..start as usize + len as usize];
            section.extent.clear();
            let entry = |place: &Place| {
                let Place { slot, source, counted_bytes } = *place;
                let source = source.map(|number| match &section.sources[number as usize] {
                    Source { written: Some(shared), .. } => EntrySource::Shared(*shared),
                    Source { place: (start, len), .. } => EntrySource::Own(slice(*start, *len)),
                });
                let bytes = slice(slot.start, slot.len);
                Entry { origin: slot.origin, arrival_ms: slot.arrival_ms, bytes, source, counted_bytes }
            };
            codec::put_extent(&mut section.extent, places.iter().map(entry));
            self.sink.write_all(&section.extent)?;
            let arrivals = || places.iter().map(|place| place.slot.arrival_ms);
            self.partitions[number as usize].extents.push(Extent {
                offset_bytes: self.written_bytes,
                length_bytes: section.extent.len() as u32,
                records: places.len() as u32,
                counted_bytes: places.iter().map(|place| place.counted_bytes).sum(),
                oldest_arrival_ms: arrivals().min().unwrap_or_default(),
                newest_arrival_ms: arrivals().max().unwrap_or_default(),
            });
            self.written_bytes += section.extent.len() as u64;
        }
        section.bytes.clear();
        section.count = 0;
        section.sources.clear();
        Ok(())
    }

    /// Whether a record of the partition with this key was pushed.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.numbers.contains_key(key)
    }

    /// Partitions so far.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Writes what is left, and the footer. Returns the partitions, in the order of their first record, and the sink.
    pub fn finish(mut self) -> io::Result<(Vec<Partition>, W)> {
        self.write_section()?;
        self.sink.write_all(&codec::footer(&mut self.partitions))?;
        Ok((self.partitions, self.sink))
    }
}

impl Section {
    fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.count * PLACE_BYTES + self.sources.len() * size_of::<Source>()
    }

    /// Bytes that a record would add, about.
    fn added_bytes(&self, record: &Spooled<'_>) -> usize {
        let is_new = |source: &&[u8]| !self.is_last_source(record.slot.origin.ordinal, source);
        record.bytes.len() + record.source.filter(is_new).map_or(0, <[u8]>::len)
    }

    fn is_last_source(&self, ordinal: u64, source: &[u8]) -> bool {
        self.sources.last().is_some_and(|last| (last.ordinal, last.address) == (ordinal, address_of(source)))
    }

    fn push(&mut self, number: u32, record: Spooled<'_>) {
        let mut slot = record.slot;
        (slot.start, slot.len) = self.put(record.bytes);
        let source = record.source.map(|source| self.put_source(number, slot.origin.ordinal, source));
        let places = &mut self.places[number as usize];
        if places.is_empty() {
            self.filled.push(number);
        }
        places.push(Place { slot, source, counted_bytes: record.counted_bytes });
        self.count += 1;
    }

    /// Returns the number of the source.
    fn put_source(&mut self, partition: u32, ordinal: u64, source: &[u8]) -> u32 {
        if self.is_last_source(ordinal, source) {
            if let Some(last) = self.sources.last_mut() {
                last.is_of_several |= last.partition != partition;
            }
        } else {
            let (address, place) = (address_of(source), self.put(source));
            self.sources.push(Source { ordinal, address, place, partition, is_of_several: false, written: None });
        }
        self.sources.len() as u32 - 1
    }

    fn put(&mut self, bytes: &[u8]) -> (u32, u32) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        (start, bytes.len() as u32)
    }
}

/// Tells slices of one record from each other, not those of different records, whose buffers may follow in the same place.
fn address_of(bytes: &[u8]) -> (usize, usize) {
    (bytes.as_ptr() as usize, bytes.len())
}
