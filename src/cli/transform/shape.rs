//! What stands on the outside of a WebAssembly file: its kind, and the functions it exports and imports.

use crate::stage::transform::{PACKED, TRANSFORMER};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};
use wit_component::DecodedWasm;
use wit_parser::{Resolve, WorldItem, WorldKey};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Component,
    CoreModule,
    Other,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::CoreModule => "core module",
            Self::Other => "no WebAssembly",
        }
    }
}

/// A function on the outside, or an interface that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The interface, or the module of a core module's import; empty if there is none.
    pub interface: String,
    /// `None`: the interface has types only.
    pub function: Option<String>,
}

impl Item {
    /// As it is shown.
    pub fn name(&self) -> String {
        match &self.function {
            None => format!("{} (types only)", self.interface),
            Some(function) if self.interface.is_empty() => function.clone(),
            Some(function) => format!("{}#{function}", self.interface),
        }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub kind: Kind,
    pub exports: Vec<Item>,
    pub imports: Vec<Item>,
    /// Of a core module: it says of which world it is, as binding generators have it do.
    pub has_component_type: bool,
    /// Why there is no more to tell.
    pub problem: Option<String>,
}

impl Shape {
    /// Of the bytes of a file.
    pub fn of(wasm: &[u8]) -> Self {
        let kind = if Parser::is_component(wasm) {
            Kind::Component
        } else if Parser::is_core_wasm(wasm) {
            Kind::CoreModule
        } else {
            Kind::Other
        };
        let mut shape =
            Self { kind, exports: Vec::new(), imports: Vec::new(), has_component_type: false, problem: None };
        let read = match kind {
            Kind::Component => shape.read_component(wasm),
            Kind::CoreModule => shape.read_core(wasm),
            Kind::Other => Ok(()),
        };
        shape.problem = read.err();
        shape
    }

    /// The worlds of the contract that it exports.
    pub fn worlds(&self) -> Vec<&'static str> {
        let exports = |interface: &str| self.exports.iter().any(|item| item.interface == interface);
        let worlds = [(TRANSFORMER, "transform"), (PACKED, "transform-packed")];
        worlds.into_iter().filter(|(interface, _)| exports(interface)).map(|(_, world)| world).collect()
    }

    fn read_component(&mut self, wasm: &[u8]) -> Result<(), String> {
        let decoded = wit_component::decode(wasm).map_err(|error| format!("{error:#}"))?;
        let DecodedWasm::Component(resolve, world) = decoded else {
            return Err("it is a WIT package, not a component".to_owned());
        };
        let world = &resolve.worlds[world];
        self.exports = world.exports.iter().flat_map(|(key, item)| items(&resolve, key, item)).collect();
        self.imports = world.imports.iter().flat_map(|(key, item)| items(&resolve, key, item)).collect();
        Ok(())
    }

    fn read_core(&mut self, wasm: &[u8]) -> Result<(), String> {
        let text = |error: wasmparser::BinaryReaderError| error.to_string();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(text)? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.map_err(text)?;
                        if matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)) {
                            let function = Some(import.name.to_owned());
                            self.imports.push(Item { interface: import.module.to_owned(), function });
                        }
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.map_err(text)?;
                        if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
                            // As components call them: INTERFACE#FUNCTION.
                            let (interface, function) = export.name.split_once('#').unwrap_or(("", export.name));
                            self.exports
                                .push(Item { interface: interface.to_owned(), function: Some(function.to_owned()) });
                        }
                    }
                }
                Payload::CustomSection(section) => {
                    self.has_component_type |= section.name().starts_with("component-type");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn items(resolve: &Resolve, key: &WorldKey, item: &WorldItem) -> Vec<Item> {
    let interface = resolve.name_world_key(key);
    match item {
        WorldItem::Function(function) => {
            vec![Item { interface: String::new(), function: Some(function.name.clone()) }]
        }
        WorldItem::Type { .. } => Vec::new(),
        WorldItem::Interface { id, .. } => {
            let functions = &resolve.interfaces[*id].functions;
            if functions.is_empty() {
                return vec![Item { interface, function: None }];
            }
            functions.keys().map(|name| Item { interface: interface.clone(), function: Some(name.clone()) }).collect()
        }
    }
}
