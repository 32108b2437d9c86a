//! Components of the world `transform` with an adapter beside their own code, which takes a batch packed and leaves the
//! answer where it lies. Pure, bytes to bytes.
//!
//! By itself a component is entered twice more for each record, to allocate its id and its data, and what it answers is
//! lifted value by value. The adapter (`transforms/list-adapter`) is in the same memory, so that it does the first from
//! inside, and [`super::flat`] reads the second. The component's own export stays, for its types.
//!
//! Only what the usual tools make is adapted: the function is lifted in the component itself, from one core function with
//! one memory, and passed through a component that does nothing but name its types. Others are used as they are.
//!
//! Format: <https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md>.

use super::abi;
use wasm_encoder::{
    CanonicalFunctionSection, CanonicalOption, ComponentAliasSection, ComponentExportKind, ComponentExportSection,
    ComponentTypeSection, ComponentValType, Encode, ExportKind, InstanceSection, ModuleArg, PrimitiveValType,
};
use wasmparser::{
    BinaryReader, BinaryReaderError, CanonicalFunction, ComponentAlias, ComponentExport, ComponentExternalKind,
    ComponentImport, ComponentInstance, ComponentInstantiationArg, ComponentOuterAliasKind, ComponentTypeRef,
    ExternalKind, FromReader, SectionLimited,
};

/// The export that is added.
pub const EXPORT: &str = "adapted-call";

/// Built by `transforms/build`.
pub(super) const ADAPTER: &[u8] = include_bytes!("adapter.wasm");

/// Magic, version and layer of a component.
const HEADER_BYTES: usize = 8;
/// Sections of a component.
const CUSTOM: u8 = 0;
const CORE_MODULE: u8 = 1;
const CORE_INSTANCE: u8 = 2;
const COMPONENT: u8 = 4;
const INSTANCE: u8 = 5;
const ALIAS: u8 = 6;
const TYPE: u8 = 7;
const CANONICAL: u8 = 8;
const IMPORT: u8 = 10;
const EXPORT_SECTION: u8 = 11;

/// The component with the adapter; `None` if it is not of the form that is adapted.
pub fn adapted(component: &[u8]) -> Option<Vec<u8>> {
    with_adapter(component, ADAPTER)
}

/// The same with an adapter of another build.
pub fn with_adapter(component: &[u8], adapter: &[u8]) -> Option<Vec<u8>> {
    // What cannot be read is for the engine to refuse.
    let spaces = Spaces::of(component).ok()?;
    let instance = spaces.transformer?;
    let function = spaces.instances.get(instance as usize).copied().flatten()?;
    let lifted = spaces.functions.get(function as usize).copied().flatten()?;
    let mut out = component.to_vec();
    spaces.append(adapter, &lifted, &mut out);
    Some(out)
}

/// A function of the component that is lifted from a core function.
#[derive(Debug, Clone, Copy)]
struct Lifted {
    core_function: u32,
    memory: u32,
    realloc: u32,
}

/// The index spaces of a component: how many there are, and of some what is known.
#[derive(Debug, Default)]
struct Spaces {
    modules: u32,
    core_instances: u32,
    core_functions: u32,
    types: u32,
    functions: Vec<Option<Lifted>>,
    /// The function that an instance has as its only one.
    instances: Vec<Option<u32>>,
    /// Whether a component exports the one function that it imports, and has none else.
    components: Vec<bool>,
    /// The instance that is exported as the interface.
    transformer: Option<u32>,
}

impl Spaces {
    fn of(component: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut spaces = Self::default();
        for (id, bytes) in sections(component)? {
            match id {
                CORE_MODULE => spaces.modules += 1,
                // Nothing is validated yet, so that these may be any numbers.
                CORE_INSTANCE => add(&mut spaces.core_instances, bytes)?,
                TYPE => add(&mut spaces.types, bytes)?,
                COMPONENT => spaces.components.push(passes_on(bytes)?),
                INSTANCE => read(bytes, |instance| spaces.instance(instance))?,
                ALIAS => read(bytes, |alias| spaces.alias(&alias))?,
                CANONICAL => read(bytes, |function| spaces.canonical(&function))?,
                IMPORT => read(bytes, |import: ComponentImport<'_>| spaces.import(import.ty))?,
                EXPORT_SECTION => read(bytes, |export| spaces.export(&export))?,
                _ => {}
            }
        }
        Ok(spaces)
    }

    fn instance(&mut self, instance: ComponentInstance<'_>) {
        let function = match instance {
            ComponentInstance::Instantiate { component_index, args } => {
                let passes_on = self.components.get(component_index as usize).copied().unwrap_or(false);
                let is_function = |arg: &&ComponentInstantiationArg<'_>| arg.kind == ComponentExternalKind::Func;
                // There may be more arguments than the component wants.
                let mut functions = args.iter().filter(is_function);
                let (first, second) = (functions.next(), functions.next());
                first.filter(|_| passes_on && second.is_none()).map(|arg| arg.index)
            }
            ComponentInstance::FromExports(exports) => {
                let is_function = |export: &&ComponentExport<'_>| {
                    export.kind == ComponentExternalKind::Func && export.name.name == abi::FUNCTION
                };
                exports.iter().find(is_function).map(|export| export.index)
            }
        };
        self.instances.push(function);
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        match alias {
            ComponentAlias::InstanceExport { kind, .. } => self.unknown(*kind),
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, .. } => self.core_functions += 1,
            ComponentAlias::CoreInstanceExport { .. } => {}
            ComponentAlias::Outer { kind, .. } => match kind {
                ComponentOuterAliasKind::CoreModule => self.unknown(ComponentExternalKind::Module),
                ComponentOuterAliasKind::Type => self.unknown(ComponentExternalKind::Type),
                ComponentOuterAliasKind::Component => self.unknown(ComponentExternalKind::Component),
                ComponentOuterAliasKind::CoreType => {}
            },
        }
    }

    fn canonical(&mut self, function: &CanonicalFunction) {
        let CanonicalFunction::Lift { core_func_index, options, .. } = function else {
            self.core_functions += 1;
            return;
        };
        let (mut memory, mut realloc, mut is_plain) = (None, None, true);
        for option in options {
            match option {
                wasmparser::CanonicalOption::UTF8 => {}
                wasmparser::CanonicalOption::Memory(index) => memory = Some(*index),
                wasmparser::CanonicalOption::Realloc(index) => realloc = Some(*index),
                _ => is_plain = false,
            }
        }
        let lifted = |memory, realloc| Lifted { core_function: *core_func_index, memory, realloc };
        self.functions.push(memory.zip(realloc).filter(|_| is_plain).map(|(memory, realloc)| lifted(memory, realloc)));
    }

    fn import(&mut self, ty: ComponentTypeRef) {
        self.unknown(match ty {
            ComponentTypeRef::Module(_) => ComponentExternalKind::Module,
            ComponentTypeRef::Func(_) => ComponentExternalKind::Func,
            ComponentTypeRef::Value(_) => ComponentExternalKind::Value,
            ComponentTypeRef::Type(_) => ComponentExternalKind::Type,
            ComponentTypeRef::Instance(_) => ComponentExternalKind::Instance,
            ComponentTypeRef::Component(_) => ComponentExternalKind::Component,
        });
    }

    /// An export has an index of its own as well.
    fn export(&mut self, export: &ComponentExport<'_>) {
        if export.kind == ComponentExternalKind::Instance && export.name.name == abi::TRANSFORMER {
            self.transformer = Some(export.index);
        }
        self.unknown(export.kind);
    }

    /// Something of which nothing is known.
    fn unknown(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Module => self.modules += 1,
            ComponentExternalKind::Func => self.functions.push(None),
            ComponentExternalKind::Type => self.types += 1,
            ComponentExternalKind::Instance => self.instances.push(None),
            ComponentExternalKind::Component => self.components.push(false),
            ComponentExternalKind::Value => {}
        }
    }

    fn append(&self, adapter: &[u8], lifted: &Lifted, out: &mut Vec<u8>) {
        out.push(CORE_MODULE);
        adapter.encode(out);
        let mut instances = InstanceSection::new();
        instances.export_items([
            ("memory", ExportKind::Memory, lifted.memory),
            ("realloc", ExportKind::Func, lifted.realloc),
            ("transform", ExportKind::Func, lifted.core_function),
        ]);
        instances.instantiate(self.modules, [("guest", ModuleArg::Instance(self.core_instances))]);
        append(&instances, out);
        let mut aliases = ComponentAliasSection::new();
        let instance = self.core_instances + 1;
        aliases.alias(wasm_encoder::Alias::CoreInstanceExport { instance, kind: ExportKind::Func, name: "call" });
        append(&aliases, out);
        let mut types = ComponentTypeSection::new();
        let (bytes, answer) = (ComponentValType::Type(self.types), ComponentValType::Type(self.types + 1));
        types.defined_type().list(PrimitiveValType::U8);
        types.defined_type().tuple([PrimitiveValType::U32.into(), bytes]);
        types.function().params([("invocation", bytes), ("batch", bytes)]).result(Some(answer));
        append(&types, out);
        let mut functions = CanonicalFunctionSection::new();
        let options = [CanonicalOption::Memory(lifted.memory), CanonicalOption::Realloc(lifted.realloc)];
        functions.lift(self.core_functions, self.types + 2, options);
        append(&functions, out);
        let mut exports = ComponentExportSection::new();
        exports.export(EXPORT, ComponentExportKind::Func, self.functions.len() as u32, None);
        append(&exports, out);
    }
}

/// Whether a component exports the one function that it imports: it has nothing but types beside.
fn passes_on(component: &[u8]) -> Result<bool, BinaryReaderError> {
    let (mut functions, mut others) = (0, 0);
    for (id, bytes) in sections(component)? {
        match id {
            CUSTOM | TYPE | EXPORT_SECTION => {}
            IMPORT => read(bytes, |import: ComponentImport<'_>| match import.ty {
                ComponentTypeRef::Func(_) => functions += 1,
                ComponentTypeRef::Type(_) => {}
                _ => others += 1,
            })?,
            ALIAS => read(bytes, |alias| {
                let kind = match alias {
                    ComponentAlias::InstanceExport { kind, .. } => kind == ComponentExternalKind::Type,
                    ComponentAlias::Outer { kind, .. } => kind == ComponentOuterAliasKind::Type,
                    ComponentAlias::CoreInstanceExport { .. } => false,
                };
                others += usize::from(!kind);
            })?,
            _ => others += 1,
        }
    }
    Ok(functions == 1 && others == 0)
}

/// The sections of a component, in order: number and content.
fn sections(component: &[u8]) -> Result<Vec<(u8, &[u8])>, BinaryReaderError> {
    let mut reader = BinaryReader::new(component, 0);
    reader.read_bytes(HEADER_BYTES)?;
    let mut sections = Vec::new();
    while !reader.eof() {
        let (id, bytes) = (reader.read_u8()?, reader.read_var_u32()?);
        sections.push((id, reader.read_bytes(bytes as usize)?));
    }
    Ok(sections)
}

/// Adds how many items a section has.
fn add(count: &mut u32, section: &[u8]) -> Result<(), BinaryReaderError> {
    *count = count.saturating_add(BinaryReader::new(section, 0).read_var_u32()?);
    Ok(())
}

/// The items of a section.
fn read<'a, T: FromReader<'a>>(section: &'a [u8], mut see: impl FnMut(T)) -> Result<(), BinaryReaderError> {
    for item in SectionLimited::<T>::new(BinaryReader::new(section, 0))? {
        see(item?);
    }
    Ok(())
}

fn append(section: &impl wasm_encoder::ComponentSection, out: &mut Vec<u8>) {
    out.push(section.id());
    section.encode(out);
}
