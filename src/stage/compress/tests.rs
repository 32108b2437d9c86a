//! Round trips through decoders that share no code with the encoders where there are such, and golden headers.

use super::*;
use crate::record::Chunk;
use std::io::{self, Read, Write};
use std::process::Command;

pub const ALL: [Compression; 6] = [
    Compression::Uncompressed,
    Compression::Gzip,
    Compression::Zip,
    Compression::Snappy,
    Compression::HadoopSnappy,
    Compression::Zstd,
];

pub const ENTRY: &str = "0f8fad5b-d9cb-869f-a165-70867728950e";

/// Encodes `chunks`; also how many bytes had left before `finish`.
fn encode_tuned(compression: Compression, tuning: Tuning, chunks: &[Chunk]) -> (Vec<u8>, usize) {
    let mut body = Vec::new();
    let mut encoder = tuned(compression, ENTRY, "", tuning);
    for chunk in chunks {
        assert!(encoder.push(chunk, &mut body).unwrap().is_empty());
    }
    let early_bytes = body.len();
    let records = encoder.finish(&mut body).unwrap();
    assert_eq!(records, chunks.iter().map(|c| c.slots.len() as u64).sum::<u64>());
    (body, early_bytes)
}

pub fn encode(compression: Compression, chunks: &[Chunk]) -> Vec<u8> {
    encode_tuned(compression, ORDINARY, chunks).0
}

/// A reader of raw Snappy written from the format's description, for blocks whose decoder must not be ours.
fn unsnap(mut block: &[u8]) -> Vec<u8> {
    fn varint(block: &mut &[u8]) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = block[0];
            *block = &block[1..];
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }
    fn number(block: &mut &[u8], bytes: usize) -> usize {
        let value = (0..bytes).map(|i| usize::from(block[i]) << (8 * i)).sum();
        *block = &block[bytes..];
        value
    }
    let expected = varint(&mut block);
    let mut out: Vec<u8> = Vec::new();
    while !block.is_empty() {
        let tag = number(&mut block, 1);
        let (offset, length) = match tag & 3 {
            0 => {
                let short = tag >> 2;
                let length = 1 + if short < 60 { short } else { number(&mut block, short - 59) };
                out.extend_from_slice(&block[..length]);
                block = &block[length..];
                continue;
            }
            1 => (((tag >> 5) << 8) | number(&mut block, 1), 4 + ((tag >> 2) & 7)),
            2 => (number(&mut block, 2), 1 + (tag >> 2)),
            _ => (number(&mut block, 4), 1 + (tag >> 2)),
        };
        for _ in 0..length {
            out.push(out[out.len() - offset]);
        }
    }
    assert_eq!(out.len(), expected);
    out
}

fn take_u32(body: &mut &[u8]) -> usize {
    let value = u32::from_be_bytes(body[..4].try_into().unwrap());
    *body = &body[4..];
    value as usize
}

fn take<'a>(body: &mut &'a [u8], bytes: usize) -> &'a [u8] {
    let (head, rest) = body.split_at(bytes);
    *body = rest;
    head
}

pub fn decode(compression: Compression, mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match compression {
        Compression::Uncompressed => out.extend_from_slice(body),
        Compression::Gzip => {
            // `read::GzDecoder` stops after one member: what is left over would show a second one.
            let mut decoder = flate2::bufread::GzDecoder::new(body);
            decoder.read_to_end(&mut out).unwrap();
            assert!(decoder.into_inner().is_empty(), "more than one member");
        }
        Compression::Zip => {
            let mut archive = ::zip::ZipArchive::new(io::Cursor::new(body)).unwrap();
            assert_eq!(archive.len(), 1);
            let mut entry = archive.by_index(0).unwrap();
            assert_eq!(entry.name().unwrap(), ENTRY);
            entry.read_to_end(&mut out).unwrap();
        }
        Compression::Snappy => {
            assert_eq!(take(&mut body, 16), b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
            while !body.is_empty() {
                let bytes = take_u32(&mut body);
                let block = unsnap(take(&mut body, bytes));
                assert!(block.len() <= 32 * 1024);
                out.extend(block);
            }
        }
        Compression::HadoopSnappy => {
            while !body.is_empty() {
                let (uncompressed, compressed) = (take_u32(&mut body), take_u32(&mut body));
                assert!(uncompressed <= 256 * 1024 && compressed <= 256 * 1024, "more than Hadoop's buffers hold");
                let block = unsnap(take(&mut body, compressed));
                assert_eq!(block.len(), uncompressed);
                out.extend(block);
            }
        }
        Compression::Zstd => out = ::zstd::decode_all(body).unwrap(),
    }
    out
}

/// JSON lines in chunks of several sizes, some of them with gaps between the records.
fn sample() -> (Vec<Chunk>, Vec<u8>) {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut chunks, mut joined) = (Vec::new(), Vec::new());
    for records in [1, 400, 0, 12_000] {
        let lines: Vec<Vec<u8>> = (0..records)
            .map(|n| format!("{{\"n\":{n},\"v\":{},\"w\":\"{:x}\"}}\n", random.u32(..), random.u128(..)).into_bytes())
            .collect();
        let mut chunk = Chunk::from_records(lines.iter().map(Vec::as_slice), 0, 0);
        if records == 400 {
            chunk.slots.retain(|slot| slot.origin.ordinal % 3 != 0);
        }
        chunk.iter().for_each(|(_, bytes)| joined.extend_from_slice(bytes));
        chunks.push(chunk);
    }
    (chunks, joined)
}

#[test]
fn every_format_gives_the_records_back() {
    let (chunks, joined) = sample();
    for compression in ALL {
        let body = encode(compression, &chunks);
        assert_eq!(decode(compression, &body), joined, "{compression:?}");
        assert_eq!(encode(compression, &chunks), body, "{compression:?} depends on the moment");
    }
}

#[test]
fn output_leaves_as_it_comes() {
    let (chunks, _) = sample();
    for compression in ALL {
        let (body, early_bytes) = encode_tuned(compression, ORDINARY, &chunks);
        assert!(early_bytes * 3 > body.len(), "{compression:?}: {early_bytes} of {}", body.len());
    }
}

#[test]
fn no_record_no_byte() {
    for compression in ALL {
        assert!(encode(compression, &[]).is_empty());
        assert!(encode(compression, &[Chunk::default()]).is_empty());
    }
}

#[test]
fn an_empty_record_makes_an_object() {
    for compression in ALL {
        let body = encode(compression, &[Chunk::from_records([&b""[..]], 0, 0)]);
        assert_eq!(decode(compression, &body), b"");
        let bodiless = matches!(compression, Compression::Uncompressed | Compression::HadoopSnappy);
        assert_eq!(body.is_empty(), bodiless, "{compression:?}");
    }
}

#[test]
fn the_other_build_writes_other_bytes_of_equal_content() {
    let (chunks, joined) = sample();
    for compression in ALL.into_iter().filter(|c| *c != Compression::Uncompressed) {
        let (other, _) = encode_tuned(compression, OTHERWISE, &chunks);
        assert_ne!(other, encode(compression, &chunks), "{compression:?}");
        assert_eq!(decode(compression, &other), joined, "{compression:?}");
    }
}

#[test]
fn headers_are_fixed() {
    let chunk = [Chunk::from_records([&b"{}"[..]], 0, 0)];
    // Method 8, no flags, mtime 0.
    assert_eq!(encode(Compression::Gzip, &chunk)[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    let xerial = encode(Compression::Snappy, &chunk);
    assert_eq!(xerial[16..], [0, 0, 0, 4, 2, 4, b'{', b'}']);
    assert_eq!(encode(Compression::HadoopSnappy, &chunk), [0, 0, 0, 2, 0, 0, 0, 4, 2, 4, b'{', b'}']);
}

/// Runs a program that reads the body from a file; `None`, with a note, where it is not installed.
fn judged_by(program: &str, arguments: &[&str], body: &[u8]) -> Option<Vec<u8>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(body).unwrap();
    match Command::new(program).args(arguments).arg(file.path()).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program}: {text} {}", String::from_utf8_lossy(&output.stdout));
            Some(output.stdout)
        }
        Err(error) => {
            eprintln!("skipped: {program}: {error}");
            None
        }
    }
}

#[test]
fn programs_of_others_read_the_bodies() {
    let (chunks, joined) = sample();
    for (program, arguments, compression) in [
        ("gzip", &["-dc"][..], Compression::Gzip),
        ("unzip", &["-p"], Compression::Zip),
        ("zstd", &["-dcq"], Compression::Zstd),
    ] {
        if let Some(out) = judged_by(program, arguments, &encode(compression, &chunks)) {
            assert_eq!(out, joined, "{program}");
        }
    }
    judged_by("unzip", &["-tq"], &encode(Compression::Zip, &chunks));
}

#[test]
fn a_failing_sink_is_reported() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (chunks, _) = sample();
    for compression in ALL {
        let mut encoder = encoder(compression, ENTRY, "");
        let failed = chunks.iter().any(|chunk| encoder.push(chunk, &mut Full).is_err());
        assert!(failed, "{compression:?}");
    }
}

#[test]
fn names_and_headers_are_those_of_firehose() {
    let table: Vec<_> = ALL.map(|c| (extension(c), content_encoding(c))).into();
    assert_eq!(
        table,
        [
            ("", None),
            (".gz", Some("gzip")),
            (".zip", Some("zip")),
            (".snappy", Some("snappy-java")),
            (".snappy", Some("hadoop-snappy")),
            (".zst", Some("zstd")),
        ]
    );
}
