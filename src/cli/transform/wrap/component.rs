//! A component of a core module, as compilers for C and Rust make them. Pure.
//!
//! A binding generator leaves in the module which world it is of. One written by hand, against the canonical ABI, is
//! known by what it exports.

use super::super::shape::{Kind, Shape};
use super::handler::Language;
use crate::stage::transform::{PACKED, TRANSFORMER};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The contract.
pub(super) const WIT: &str = include_str!("../../../../transforms/wit/transform.wit");

/// Makes it, or says why it cannot be.
pub(super) fn component(core: &[u8]) -> Result<Vec<u8>, String> {
    let shape = Shape::of(core);
    match (shape.kind, &shape.problem) {
        (Kind::CoreModule, None) => {}
        (Kind::CoreModule, Some(problem)) => return Err(format!("it is damaged: {problem}")),
        (Kind::Component, _) => return Err("it is a component already".to_owned()),
        (Kind::Other, _) => return Err(format!("it is no WebAssembly; a handler ends in {}", Language::FILES)),
    }
    if !shape.imports.is_empty() {
        let names: Vec<_> = shape.imports.iter().map(|item| item.name()).collect();
        return Err(format!("it imports {}; a transform may import no function", names.join(", ")));
    }
    let mut module = core.to_vec();
    if !shape.has_component_type {
        describe(&mut module, &shape)?;
    }
    let encoder = ComponentEncoder::default().validate(true).module(&module).and_then(|mut encoder| encoder.encode());
    encoder.map_err(|error| format!("{error:#}"))
}

/// Adds the world that is exported.
fn describe(module: &mut Vec<u8>, shape: &Shape) -> Result<(), String> {
    let worlds = shape.worlds();
    if worlds.is_empty() {
        return Err(format!("it exports neither {TRANSFORMER}#transform nor {PACKED}#transform"));
    }
    let told = |error: &dyn std::fmt::Display| format!("the contract cannot be read: {error}");
    let mut resolve = Resolve::new();
    let package = resolve.push_source("transform.wit", WIT).map_err(|error| told(&error))?;
    let package = if let [world] = worlds[..] {
        let world = resolve.select_world(&[package], Some(world)).map_err(|error| told(&error))?;
        return embed(module, &resolve, world);
    } else {
        let both = format!("package hydrant:guest;\nworld both {{\n  export {TRANSFORMER};\n  export {PACKED};\n}}\n");
        resolve.push_source("both.wit", &both).map_err(|error| told(&error))?
    };
    let world = resolve.select_world(&[package], Some("both")).map_err(|error| told(&error))?;
    embed(module, &resolve, world)
}

fn embed(module: &mut Vec<u8>, resolve: &Resolve, world: wit_parser::WorldId) -> Result<(), String> {
    embed_component_metadata(module, resolve, world, StringEncoding::UTF8).map_err(|error| format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_transform_is_told_apart() {
        let told = |bytes: &[u8]| component(bytes).unwrap_err();
        assert!(told(b"").starts_with("it is no WebAssembly; a handler ends in "));
        assert_eq!(told(b"\0asm\x01\0\0\0\xff"), told(b"\0asm\x01\0\0\0\xff"));
        assert!(told(b"\0asm\x01\0\0\0\xff").starts_with("it is damaged: "));
        assert!(
            told(b"\0asm\x01\0\0\0").starts_with("it exports neither hydrant:transform/transformer@1.0.0#transform")
        );
        let enrich = include_bytes!("../../../../transforms/enrich.wasm");
        assert_eq!(told(enrich), "it is a component already");
    }

    #[test]
    fn a_module_written_by_hand_is_known_by_its_exports() {
        for worlds in [&["transform"][..], &["transform-packed"], &["transform", "transform-packed"]] {
            let component = component(&by_hand(worlds)).unwrap();
            let shape = Shape::of(&component);
            assert_eq!((shape.kind, shape.worlds()), (Kind::Component, worlds.to_vec()));
            assert!(shape.imports.iter().all(|item| item.function.is_none()), "{:?}", shape.imports);
        }
    }

    /// A module that exports functions of the right types which do nothing.
    fn by_hand(worlds: &[&str]) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        let mut section = |id: u8, body: &[u8]| {
            module.push(id);
            // Lengths below 2^14 in two bytes.
            module.extend([(body.len() & 0x7f) as u8 | 0x80, (body.len() >> 7) as u8]);
            module.extend_from_slice(body);
        };
        // (i32) -> i32 and (i32, i32, i32, i32) -> i32.
        section(1, &[2, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f]);
        section(3, &[2, 0, 1]);
        section(5, &[1, 0, 1]);
        let mut exports = vec![2 + worlds.len() as u8];
        let mut export = |name: &str, kind: u8, index: u8| {
            exports.push(name.len() as u8);
            exports.extend_from_slice(name.as_bytes());
            exports.extend([kind, index]);
        };
        export("memory", 2, 0);
        export("cabi_realloc", 0, 1);
        for world in worlds {
            let interface = if *world == "transform" { TRANSFORMER } else { PACKED };
            export(&format!("{interface}#transform"), 0, 0);
        }
        section(7, &exports);
        // Bodies: i32.const 0, end.
        section(10, &[2, 4, 0, 0x41, 0, 0x0b, 4, 0, 0x41, 0, 0x0b]);
        module
    }
}
