//! Components whose answers last: the option `post-return` of their functions is left out. Pure, bytes to bytes.
//!
//! The option names a function of the guest that frees what a call returned, and the engine calls it before the host sees
//! the result. Here an instance serves one call and then ends with all its memory, so that freeing is of no use, and
//! without it the host reads an answer where it lies. The rest of a component stays as it is, byte by byte; the engine
//! validates the outcome as it would the original.
//!
//! Format: <https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md>.

use wasmparser::{BinaryReader, BinaryReaderError, CanonicalFunction, CanonicalOption, SectionLimited};

/// Magic, version and layer of a component, or of one inside another.
const HEADER_BYTES: usize = 8;
/// Section of a component inside, and of canonical functions.
const COMPONENT: u8 = 4;
const CANONICAL: u8 = 8;
/// A canonical function that lifts one of the core module's.
const LIFT: [u8; 2] = [0, 0];

/// Components inside one another that are looked into.
const DEEPEST: usize = 100;

/// Why a component was not gone through.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    Format(#[from] BinaryReaderError),
    #[error("it has components inside one another more than {DEEPEST} deep")]
    Deep,
}

/// The component without the option, in itself and in those inside it.
pub fn lasting(component: &[u8]) -> Result<Vec<u8>, Unreadable> {
    at_depth(component, DEEPEST)
}

fn at_depth(component: &[u8], left: usize) -> Result<Vec<u8>, Unreadable> {
    let left = left.checked_sub(1).ok_or(Unreadable::Deep)?;
    let mut reader = BinaryReader::new(component, 0);
    let mut out = reader.read_bytes(HEADER_BYTES)?.to_vec();
    while !reader.eof() {
        let (id, bytes) = (reader.read_u8()?, reader.read_var_u32()?);
        let section = reader.read_bytes(bytes as usize)?;
        out.push(id);
        match id {
            COMPONENT => put_section(&at_depth(section, left)?, &mut out),
            CANONICAL => put_section(&functions(section)?, &mut out),
            _ => put_section(section, &mut out),
        }
    }
    Ok(out)
}

/// A section of canonical functions.
fn functions(section: &[u8]) -> Result<Vec<u8>, BinaryReaderError> {
    let functions = SectionLimited::<CanonicalFunction>::new(BinaryReader::new(section, 0))?;
    let mut out = Vec::with_capacity(section.len());
    put_u32(functions.count(), &mut out);
    let functions = functions.into_iter_with_offsets().collect::<Result<Vec<_>, _>>()?;
    let ends = functions.iter().skip(1).map(|(start, _)| *start).chain([section.len()]);
    for ((start, function), end) in functions.iter().zip(ends) {
        match function {
            CanonicalFunction::Lift { core_func_index, type_index, .. } => {
                out.extend(LIFT);
                put_u32(*core_func_index, &mut out);
                options(&section[*start..end], &mut out)?;
                put_u32(*type_index, &mut out);
            }
            _ => out.extend_from_slice(&section[*start..end]),
        }
    }
    Ok(out)
}

/// The options of a function that lifts.
fn options(function: &[u8], out: &mut Vec<u8>) -> Result<(), BinaryReaderError> {
    let mut reader = BinaryReader::new(function, 0);
    reader.read_bytes(LIFT.len())?;
    reader.read_var_u32()?;
    let (mut count, mut kept) = (0, Vec::new());
    for _ in 0..reader.read_var_u32()? {
        let start = reader.original_position();
        if !matches!(reader.read::<CanonicalOption>()?, CanonicalOption::PostReturn(_)) {
            count += 1;
            kept.extend_from_slice(&function[start..reader.original_position()]);
        }
    }
    put_u32(count, out);
    out.extend(kept);
    Ok(())
}

fn put_section(bytes: &[u8], out: &mut Vec<u8>) {
    // Not longer than what was read, whose length is of 32 bits.
    put_u32(bytes.len() as u32, out);
    out.extend_from_slice(bytes);
}

/// LEB128.
fn put_u32(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;
    use wasmparser::{Parser, Payload};

    fn component(file: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
    }

    /// Functions that lift, and those of them with the option, anywhere inside.
    fn lifts(component: &[u8]) -> (usize, usize) {
        let (mut all, mut freeing) = (0, 0);
        for payload in Parser::new(0).parse_all(component) {
            let Payload::ComponentCanonicalSection(section) = payload.unwrap() else { continue };
            for function in section {
                if let CanonicalFunction::Lift { options, .. } = function.unwrap() {
                    all += 1;
                    freeing += usize::from(options.iter().any(|o| matches!(o, CanonicalOption::PostReturn(_))));
                }
            }
        }
        (all, freeing)
    }

    #[test]
    fn the_option_goes_and_nothing_else() {
        for file in ["poison-list", "poison-packed"] {
            let original = component(&format!("tests/guests/{file}.wasm"));
            let lasting_one = lasting(&original).unwrap();
            assert_eq!((lifts(&original), lifts(&lasting_one)), ((1, 1), (1, 0)), "{file}");
            // The option and the index of its function, both below 128.
            assert_eq!(original.len() - lasting_one.len(), 2, "{file}");
            assert_eq!(lasting(&lasting_one).unwrap(), lasting_one, "{file}");
            // In a component inside another one, too.
            let mut outer = original[..HEADER_BYTES].to_vec();
            outer.push(COMPONENT);
            put_section(&original, &mut outer);
            assert_eq!((lifts(&outer), lifts(&lasting(&outer).unwrap())), ((1, 1), (1, 0)), "{file}");
        }
        // What has none stays as it is.
        let logfmt = component("transforms/logfmt.wasm");
        assert_eq!(lasting(&logfmt).unwrap(), logfmt);
    }

    #[test]
    fn depth_is_bounded() {
        let header = component("transforms/logfmt.wasm")[..HEADER_BYTES].to_vec();
        let around = |inner: &[u8]| {
            let mut outer = header.clone();
            outer.push(COMPONENT);
            put_section(inner, &mut outer);
            outer
        };
        let deepest = (1..DEEPEST).fold(header.clone(), |inner, _| around(&inner));
        assert_eq!(lasting(&deepest).unwrap(), deepest);
        assert!(matches!(lasting(&around(&deepest)), Err(Unreadable::Deep)));
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(at in any::<prop::sample::Index>(), bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
            let mut component = component("transforms/logfmt.wasm");
            let at = at.index(component.len());
            let upto = component.len().min(at + bytes.len());
            component.splice(at..upto, bytes);
            let _ = lasting(&component);
        }
    }
}
