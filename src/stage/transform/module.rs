//! One component: validated and compiled once, called on a fresh instance each time.
//!
//! From: [`super::folder`] loads it. To: [`super::stage`] calls it.

use super::abi::{self, Failure, InputRecord, Invocation, LogLine, Outcome};
use super::adapted::{self, adapted};
use super::flat;
use super::guest_log::GuestLog;
use super::host::{Confined, Host, Interrupted};
use super::last_words::LastWords;
use super::lasting::lasting;
use super::load_error::LoadError;
use super::observe::Observer;
use super::packed;
use super::reply::{Reply, Returned, malformed};
use super::stage::{InvocationInfo, TransformStage};
use crate::stage::Stage;
use crate::stage::partition::lambda::LambdaKeys;
use crate::stream::definition::TransformSpec;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wasmparser::Parser;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, WasmList};
use wasmtime::{Engine, Store, Trap, UpdateDeadline, WasmBacktrace};

/// What the trial instance made at load may take.
const TRIAL_LIMIT: Duration = Duration::from_secs(60);
/// Memory of the trial instance.
const TRIAL_MEMORY_BYTES: usize = 4 << 30;
/// Host memory that one output record takes beside its bytes.
const RECORD_OVERHEAD_BYTES: usize = 256;
/// In the text of the engine's error for an answer above the limit.
const OUTPUT_TOO_LARGE: &str = "fuel allocated for hostcalls";
/// Functions named in the message of a trap.
const FRAMES_SHOWN: usize = 4;

/// A component that keeps the contract.
pub struct Module {
    /// SHA-256 of the component, hex; stands in the seal.
    pub sha256_hex: String,
    pub(super) host: Arc<Host>,
    instance: InstancePre<Confined>,
    entry: Entry,
    pub(super) guest_log: GuestLog,
    last_words: LastWords,
    /// Its last call took long, and so may the next one: it waits for a turn before it begins.
    goes_in_turns: AtomicBool,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("sha256_hex", &self.sha256_hex).finish_non_exhaustive()
    }
}

/// Which of the two worlds it exports, and how it is called.
#[derive(Clone, Copy)]
enum Entry {
    List(ComponentExportIndex),
    /// The same by its adapter.
    Adapted {
        list: ComponentExportIndex,
        adapter: ComponentExportIndex,
    },
    Packed(ComponentExportIndex),
}

/// A call that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The guest said so.
    Failed { message: String, lines: Vec<LogLine> },
    /// It ran into its time limit.
    TimedOut { limit_ms: u64 },
    /// It used up its fuel.
    OutOfFuel { fuel: u64 },
    /// It ran into its memory limit and gave up.
    OutOfMemory { limit_bytes: u64 },
    /// It trapped.
    Trapped(String),
    /// It returned more than is taken.
    OutputTooLarge { limit_bytes: usize },
    /// Its answer breaks the layout.
    Malformed(String),
    /// No instance could be made; no record is to blame.
    NotStarted(String),
    /// The service stops: nobody uses the answer.
    Interrupted,
}

impl CallError {
    /// What to tell a person.
    pub fn detail(&self) -> String {
        match self {
            Self::Failed { message, .. } => message.clone(),
            Self::TimedOut { limit_ms } => format!("It took more than {limit_ms} ms of processor time."),
            Self::OutOfFuel { fuel } => format!("It used up its fuel of {fuel}."),
            Self::OutOfMemory { limit_bytes } => format!("It needs more memory than its limit of {limit_bytes} bytes."),
            Self::Trapped(text) | Self::Malformed(text) => text.clone(),
            Self::OutputTooLarge { limit_bytes } => format!("It returned more than the limit of {limit_bytes} bytes."),
            Self::NotStarted(text) => format!("It does not start: {text}"),
            Self::Interrupted => "The service stopped meanwhile.".to_owned(),
        }
    }

    /// Whether the same call may be tried again: what Firehose calls an invocation error.
    pub fn may_retry(&self) -> bool {
        !matches!(self, Self::Malformed(_) | Self::Interrupted)
    }

    /// Whether a record may be the cause.
    pub fn by_records(&self) -> bool {
        !matches!(self, Self::NotStarted(_) | Self::Interrupted)
    }
}

/// What a call may take.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    pub time: Duration,
    pub memory_bytes: u64,
    /// Only of a module that counts it.
    pub fuel: Option<u64>,
}

/// What a call took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Memory of the instance at the end, which is the most it had; 0 if there was none.
    pub memory_bytes: u64,
    /// Fuel, where it is counted.
    pub fuel: Option<u64>,
}

impl Module {
    /// Validates and compiles a component: no imports, one of the two worlds, its types, a trial instance. `is_metered`:
    /// it counts its fuel.
    pub fn compile(host: &Arc<Host>, wasm: &[u8], is_metered: bool) -> Result<Self, LoadError> {
        let engine = host.engine(is_metered);
        if !wasm.starts_with(b"\0asm") {
            return Err(LoadError::NotAComponent("it does not begin as WebAssembly does".to_owned()));
        }
        let (component, is_adapted) = component(engine, wasm)?;
        Self::of_component(host, &component, wasm, is_metered, is_adapted)
    }

    /// `wasm`: what the component was made of. `is_adapted`: it has been given an adapter.
    pub(super) fn of_component(
        host: &Arc<Host>,
        component: &Component,
        wasm: &[u8],
        is_metered: bool,
        is_adapted: bool,
    ) -> Result<Self, LoadError> {
        let engine = host.engine(is_metered);
        let imports = imported_functions(engine, component);
        if !imports.is_empty() {
            return Err(LoadError::Imports(imports));
        }
        let entry = find_entry(component, is_adapted)?;
        let instance =
            Linker::new(engine).instantiate_pre(component).map_err(|error| LoadError::Start(format!("{error:#}")))?;
        let module = Self {
            sha256_hex: Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect(),
            host: Arc::clone(host),
            instance,
            entry,
            guest_log: GuestLog::new(host.limits.log_lines_per_second),
            last_words: LastWords::of(wasm),
            goes_in_turns: AtomicBool::new(false),
        };
        module.try_out(is_metered)?;
        Ok(module)
    }

    /// A stage that runs records through this module as `spec` says, and keeps the `wanted` keys of their verdicts.
    /// Once `interrupted` says yes, guests are stopped, and what the stage returns is void.
    pub fn stage(
        self: &Arc<Self>,
        spec: &TransformSpec,
        info: InvocationInfo,
        wanted: LambdaKeys,
        interrupted: Interrupted,
    ) -> Box<dyn Stage> {
        Box::new(TransformStage::new(Arc::clone(self), spec.clone(), info, wanted, interrupted))
    }

    /// The same, observed: the guest's lines go to the observer alone. Nothing interrupts it.
    pub fn observed_stage(
        self: &Arc<Self>,
        spec: &TransformSpec,
        info: InvocationInfo,
        observer: Arc<dyn Observer>,
    ) -> Box<dyn Stage> {
        let (wanted, interrupted) = (LambdaKeys::default(), Arc::new(|| false));
        let stage = TransformStage::new(Arc::clone(self), spec.clone(), info, wanted, interrupted);
        Box::new(stage.observed_by(observer))
    }

    /// Makes one call without records. An error is what is wrong before there are any, such as at the head of a handler.
    pub fn call_without_records(self: &Arc<Self>, spec: &TransformSpec, info: InvocationInfo) -> Result<(), String> {
        let (wanted, interrupted) = (LambdaKeys::default(), Arc::new(|| false));
        let stage = TransformStage::new(Arc::clone(self), spec.clone(), info, wanted, interrupted);
        stage.call_without_records().map_err(|error| error.detail())
    }

    /// Which of the two worlds is used.
    pub fn world(&self) -> &'static str {
        match self.entry {
            Entry::List(_) | Entry::Adapted { .. } => "transform",
            Entry::Packed(_) => "transform-packed",
        }
    }

    /// Whether it is called by an adapter.
    #[cfg(test)]
    pub(super) fn is_adapted(&self) -> bool {
        matches!(self.entry, Entry::Adapted { .. })
    }

    /// Makes an instance and drops it; what that takes. `is_metered` as when it was compiled.
    pub fn instance_start(&self, is_metered: bool) -> Result<Duration, LoadError> {
        let began = Instant::now();
        self.try_out(is_metered).map(|()| began.elapsed())
    }

    fn try_out(&self, is_metered: bool) -> Result<(), LoadError> {
        let fuel = is_metered.then_some(u64::MAX);
        let limits = CallLimits { time: TRIAL_LIMIT, memory_bytes: TRIAL_MEMORY_BYTES as u64, fuel };
        let mut store = self.store(limits, 0, &(Arc::new(|| false) as Interrupted));
        let _ticking = self.host.ticking();
        let instance = self
            .instance
            .instantiate(&mut store)
            .map_err(|error| LoadError::Start(self.classify(&error, &store, limits).detail()))?;
        let typed = match self.entry {
            Entry::List(index) => instance.get_typed_func::<ListParams<'_>, ListResults>(&mut store, index).map(drop),
            Entry::Adapted { list, adapter } => instance
                .get_typed_func::<ListParams<'_>, ListResults>(&mut store, list)
                .and_then(|_| instance.get_typed_func::<AdaptedParams<'_>, AdaptedResults>(&mut store, adapter))
                .map(drop),
            Entry::Packed(index) => {
                instance.get_typed_func::<PackedParams<'_>, PackedResults>(&mut store, index).map(drop)
            }
        };
        typed.map_err(|error| LoadError::Types(format!("{error:#}")))
    }

    /// One call on a fresh instance; `used` is set to what it took. `packed` is room that is used again.
    pub(super) fn call<'a>(
        &self,
        invocation: Invocation<'_>,
        records: impl ExactSizeIterator<Item = InputRecord<'a>> + Clone,
        limits: CallLimits,
        interrupted: &Interrupted,
        packed: &mut Vec<u8>,
        used: &mut Used,
    ) -> Result<Reply, CallError> {
        if interrupted() {
            return Err(CallError::Interrupted);
        }
        let mut store = self.store(limits, records.len(), interrupted);
        if self.goes_in_turns.load(Ordering::Relaxed) && !store.data_mut().begin_in_turn() {
            return Err(CallError::Interrupted);
        }
        let answered = self.answer(&mut store, invocation, records, limits, packed);
        self.goes_in_turns.store(store.data().is_to_wait_next(answered.is_err()), Ordering::Relaxed);
        let left = limits.fuel.and_then(|fuel| Some(fuel.saturating_sub(store.get_fuel().ok()?)));
        *used = Used { memory_bytes: store.data().used_bytes as u64, fuel: left };
        let turn = store.data_mut().take_turn();
        match answered {
            Ok(answer) => {
                // Others may go on while its answer is read.
                drop(turn);
                Ok(Reply { store, answer, limit_bytes: self.host.limits.output_bytes })
            }
            Err(error) => {
                // What it filled is cleared in its turn: of a gigabyte that takes long too.
                drop(store);
                drop(turn);
                Err(error)
            }
        }
    }

    /// What the guest answers, in a store that it has for itself.
    fn answer<'a>(
        &self,
        store: &mut Store<Confined>,
        invocation: Invocation<'_>,
        records: impl ExactSizeIterator<Item = InputRecord<'a>> + Clone,
        limits: CallLimits,
        packed: &mut Vec<u8>,
    ) -> Result<Returned, CallError> {
        let _ticking = self.host.ticking();
        let instance = self.instance.instantiate(&mut *store).map_err(|error| {
            match self.classify(&error, store, limits) {
                CallError::Interrupted => CallError::Interrupted,
                // Its start code works on no record yet.
                other => CallError::NotStarted(other.detail()),
            }
        })?;
        let outcome = match self.entry {
            Entry::Adapted { adapter, .. } => {
                packed::pack(records, packed);
                instance
                    .get_typed_func::<AdaptedParams<'_>, AdaptedResults>(&mut *store, adapter)
                    .and_then(|function| function.call(&mut *store, (&packed::pack_invocation(&invocation), packed)))
                    .map(|((at, memory),)| Ok(Returned::Flat(at, memory)))
            }
            Entry::List(index) => {
                let records: Vec<_> = records.collect();
                instance
                    .get_typed_func::<ListParams<'_>, ListResults>(&mut *store, index)
                    .and_then(|function| function.call(&mut *store, (invocation, &records)))
                    .map(|(result,)| result.map(Returned::List))
            }
            Entry::Packed(index) => {
                packed::pack(records, packed);
                instance
                    .get_typed_func::<PackedParams<'_>, PackedResults>(&mut *store, index)
                    .and_then(|function| function.call(&mut *store, (invocation, packed)))
                    .map(|(result,)| result.map(Returned::Packed))
            }
        };
        let failed = |Failure { message, logs }| CallError::Failed { message, lines: logs };
        match outcome {
            Ok(Ok(answer)) => {
                if let Returned::Flat(at, memory) = &answer {
                    let limit_bytes = self.host.limits.output_bytes;
                    let failure = flat::failure(memory.as_le_slice(&*store), *at, limit_bytes);
                    if let Some(failure) = failure.map_err(|error| malformed(error, limit_bytes))? {
                        return Err(failed(failure));
                    }
                }
                Ok(answer)
            }
            Ok(Err(failure)) => Err(failed(failure)),
            Err(error) => Err(match (self.classify(&error, store, limits), error.downcast_ref::<Trap>()) {
                (CallError::Trapped(text), Some(trap)) => match self.last_words.read(&error, store) {
                    // The functions would be those that panic.
                    Some(words) => CallError::Trapped(format!("{words} ({trap})")),
                    None => CallError::Trapped(text),
                },
                (other, _) => other,
            }),
        }
    }

    fn store(&self, limits: CallLimits, records: usize, interrupted: &Interrupted) -> Store<Confined> {
        let memory_bytes = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX);
        let turns = Arc::clone(&self.host.turns);
        let confined = Confined::new(memory_bytes, limits.time, turns, Arc::clone(interrupted));
        let mut store = Store::new(self.instance.engine(), confined);
        store.limiter(|confined| confined);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            Ok(context.data_mut().tick().map(|()| UpdateDeadline::Continue(1))?)
        });
        if let Some(fuel) = limits.fuel
            && let Err(error) = store.set_fuel(fuel)
        {
            tracing::error!("fuel for a transform that does not count it: {error:#}");
        }
        // What an adapter leaves in memory is measured when it is read.
        store.set_hostcall_fuel(match self.entry {
            Entry::Adapted { .. } => usize::MAX,
            _ => self.host.limits.output_bytes.saturating_add(records * RECORD_OVERHEAD_BYTES),
        });
        store
    }

    fn classify(&self, error: &wasmtime::Error, store: &Store<Confined>, limits: CallLimits) -> CallError {
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) if store.data().was_interrupted => CallError::Interrupted,
            Some(Trap::Interrupt) => {
                CallError::TimedOut { limit_ms: u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX) }
            }
            Some(Trap::OutOfFuel) => CallError::OutOfFuel { fuel: limits.fuel.unwrap_or_default() },
            _ if store.data().refused_growth => CallError::OutOfMemory { limit_bytes: limits.memory_bytes },
            Some(trap) => CallError::Trapped(trap_text(trap, error.downcast_ref())),
            // The engine's error for it is not public, so it is known by its text; a test holds it.
            None if error.root_cause().to_string().contains(OUTPUT_TOO_LARGE) => {
                CallError::OutputTooLarge { limit_bytes: self.host.limits.output_bytes }
            }
            None => CallError::Malformed(error.root_cause().to_string()),
        }
    }
}

type ListParams<'a> = (Invocation<'a>, &'a [InputRecord<'a>]);
type ListResults = (Result<Outcome, Failure>,);
type AdaptedParams<'a> = (&'a [u8], &'a [u8]);
type AdaptedResults = ((u32, WasmList<u8>),);
type PackedParams<'a> = (Invocation<'a>, &'a [u8]);
type PackedResults = (Result<WasmList<u8>, Failure>,);

/// Compiles a component, so that its answers last, and with an adapter if it can have one: whether it has.
fn component(engine: &Engine, wasm: &[u8]) -> Result<(Component, bool), LoadError> {
    let refused = |error: &dyn std::fmt::Display| match Parser::is_component(wasm) {
        true => LoadError::Invalid(format!("{error:#}")),
        false => LoadError::NotAComponent(format!("{error:#}")),
    };
    match lasting(wasm) {
        Ok(wasm) => match adapted(&wasm).map(|adapted| Component::from_binary(engine, &adapted)) {
            Some(Ok(component)) => Ok((component, true)),
            // It is as it should be without an adapter, or the engine says of it what is wrong.
            _ => match Component::from_binary(engine, &wasm) {
                Ok(component) => Ok((component, false)),
                Err(error) => Err(refused(&error)),
            },
        },
        // The engine says best what is wrong.
        Err(error) => {
            Err(Component::from_binary(engine, wasm).map_or_else(|error| refused(&error), |_| refused(&error)))
        }
    }
}

/// All imports that are more than types, by name.
fn imported_functions(engine: &Engine, component: &Component) -> Vec<String> {
    fn collect(engine: &Engine, name: &str, item: &ComponentItem, found: &mut Vec<String>) {
        match item {
            ComponentItem::Type(_) => {}
            ComponentItem::ComponentInstance(instance) => {
                for (member, item) in instance.exports(engine) {
                    collect(engine, &format!("{name}#{member}"), &item.ty, found);
                }
            }
            _ => found.push(name.to_owned()),
        }
    }
    let mut found = Vec::new();
    for (name, import) in component.component_type().imports(engine) {
        collect(engine, name, &import.ty, &mut found);
    }
    found
}

fn find_entry(component: &Component, is_adapted: bool) -> Result<Entry, LoadError> {
    let find = |interface| {
        let instance = component.get_export_index(None, interface)?;
        component.get_export_index(Some(&instance), abi::FUNCTION)
    };
    // Packed first: a component that exports both does so for speed.
    if let Some(index) = find(abi::PACKED) {
        return Ok(Entry::Packed(index));
    }
    // Another component may have a function of that name.
    let adapter = component.get_export_index(None, adapted::EXPORT).filter(|_| is_adapted);
    let entry = |list| match adapter {
        Some(adapter) => Entry::Adapted { list, adapter },
        None => Entry::List(list),
    };
    find(abi::TRANSFORMER).map(entry).ok_or_else(|| {
        let ty = component.component_type();
        let mut exports: Vec<_> = ty.exports(component.engine()).map(|(name, _)| name.to_owned()).collect();
        if exports.is_empty() {
            exports.push("nothing".to_owned());
        }
        LoadError::NoWorld(exports)
    })
}

/// The trap and the innermost functions, as far as the component names them.
fn trap_text(trap: &Trap, backtrace: Option<&WasmBacktrace>) -> String {
    let names: Vec<_> = backtrace
        .map(|backtrace| backtrace.frames().iter().filter_map(|frame| frame.func_name()).take(FRAMES_SHOWN).collect())
        .unwrap_or_default();
    if names.is_empty() { trap.to_string() } else { format!("{trap} in {}", names.join(" < ")) }
}
