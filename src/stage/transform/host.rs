//! The engines that guests run on, and what confines them: processor time (looked at by epoch ticks), fuel where it is asked
//! for, memory (a limiter), output.
//!
//! One [`Host`] a process. Its thread ticks only while a call runs, so an idle service does not wake up for it. Code that
//! counts its fuel is slower, so it is compiled by an engine of its own. The engines keep what they compile in a folder, if
//! there is one, by hashes of the module, the engine's version and settings, and what the processor can do.

use super::turns::{Turn, Turns};
use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ResourceLimiter,
    Trap,
};

/// Resolution of the time limit.
const TICK: Duration = Duration::from_millis(10);
/// The same while a call has a turn: so often it steps aside for others. The kernel alone would have them wait for some 4 ms,
/// which is longer than a put waits for all else.
const SHORT_TICK: Duration = Duration::from_micros(500);

/// A call that takes longer goes on in turns of so long, and the next one of its module begins in one, as behind one that
/// failed after a tick. Processor time.
const LONG: Duration = Duration::from_millis(500);
const TURN: Duration = Duration::from_millis(100);

/// No call is given more time than this.
const LONGEST_LIMIT: Duration = Duration::from_secs(3600);

/// What an entry of a table is taken to occupy, in bytes.
const TABLE_ENTRY_BYTES: usize = 16;

/// Instances at once: far more than there are threads that call. Each has 4 GiB of addresses and no memory before it is
/// used.
const INSTANCES: u32 = 1000;
/// Core instances of a component; those of Python have some 40.
const CORE_INSTANCES: u32 = 64;
/// Memories and tables of a component, so that no one takes those of all others.
const MEMORIES_OF_A_COMPONENT: u32 = 16;
const TABLES_OF_A_COMPONENT: u32 = 64;
/// Memories and tables of one module.
const MEMORIES_OF_A_MODULE: u32 = 4;
const TABLES: u32 = 4;
const TABLE_ELEMENTS: usize = 200_000;
/// What the engine itself keeps of an instance.
const INSTANCE_BYTES: usize = 16 << 20;
/// Memory that a slot keeps for the next instance, as far as the last one has written it: more than a batch of 1 MiB takes.
const RESIDENT_BYTES: usize = 16 << 20;

/// Compiled code that is kept on disk, in bytes as stored; above it what was not used for the longest time goes.
const KEPT_CODE_BYTES: u64 = 1 << 30;

/// Limits that hold for all transforms; those a stream sets stand in its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransformLimits {
    /// What one call may return.
    pub output_bytes: usize,
    /// Guest lines a second and a module that reach the log; a burst of ten seconds' worth is let through.
    pub log_lines_per_second: u32,
}

impl Default for TransformLimits {
    fn default() -> Self {
        Self { output_bytes: 64 << 20, log_lines_per_second: 10 }
    }
}

/// The engine could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the engine for transforms does not start: {0}")]
pub struct HostError(String);

impl crate::fault::Fault for HostError {
    fn class(&self) -> crate::fault::Class {
        crate::fault::Class::Bug
    }

    fn retry(&self) -> crate::fault::Retry {
        crate::fault::Retry::Never
    }
}

/// The engines and the thread that lets their time pass.
pub struct Host {
    engine: Engine,
    /// Its code counts fuel.
    metered: Engine,
    pub(super) limits: TransformLimits,
    kept: Option<Cache>,
    /// Threads besides their callers' that calls may run on now, over all streams.
    helpers: AtomicUsize,
    pub(super) turns: Arc<Turns>,
    ticker: Ticker,
}

impl Host {
    /// `code_dir`: where compiled code is kept. One that cannot be used costs the time to compile, at each start.
    pub fn new(limits: TransformLimits, code_dir: Option<PathBuf>) -> Result<Self, HostError> {
        let kept = code_dir.and_then(|dir| {
            let mut config = CacheConfig::new();
            config.with_directory(&dir).with_files_total_size_soft_limit(KEPT_CODE_BYTES);
            let opened = Cache::new(config);
            opened
                .inspect_err(|error| tracing::warn!(dir = %dir.display(), "compiled code is not kept: {error:#}"))
                .ok()
        });
        let engine = |is_metered| {
            let mut config = Config::new();
            config.epoch_interruption(true).consume_fuel(is_metered).cache(kept.clone());
            // Not to dump anything: it is the way to the memory of a guest that trapped, for its last words.
            config.coredump_on_trap(true);
            config.allocation_strategy(pool());
            Engine::new(&config).or_else(|error| {
                tracing::warn!("memory of transforms is not pooled, which makes calls slower: {error:#}");
                config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
                Engine::new(&config).map_err(|error| HostError(format!("{error:#}")))
            })
        };
        let (engine, metered) = (engine(false)?, engine(true)?);
        let helpers = AtomicUsize::new(processors() - 1);
        let turns = Arc::new(Turns::new(processors() - 1));
        let ticker = Ticker::start([engine.clone(), metered.clone()], Arc::clone(&turns))
            .map_err(|error| HostError(error.to_string()))?;
        Ok(Self { engine, metered, limits, kept, helpers, turns, ticker })
    }

    /// The engine for code that counts its fuel, or for code that does not.
    pub(super) fn engine(&self, is_metered: bool) -> &Engine {
        if is_metered { &self.metered } else { &self.engine }
    }

    /// How often a module was found compiled.
    pub fn found_compiled(&self) -> usize {
        self.kept.as_ref().map_or(0, Cache::cache_hits)
    }

    /// Takes up to `wanted` threads that are free.
    pub(super) fn helpers(&self, wanted: usize) -> Helpers<'_> {
        let taken =
            self.helpers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| Some(free - free.min(wanted)));
        Helpers { host: self, count: taken.map_or(0, |free| free.min(wanted)) }
    }

    /// Lets time pass for as long as the answer lives.
    pub(super) fn ticking(&self) -> Ticking<'_> {
        let mut state = self.ticker.shared.state.lock();
        state.calls += 1;
        // A thread that waits for the next tick is on time as it is.
        if state.is_asleep {
            self.ticker.shared.changed.notify_all();
        }
        Ticking(&self.ticker.shared)
    }
}

/// Processor time of this thread so far. What calls are limited by: a guest waits for nothing, so however busy the machine
/// is, the same work takes about the same.
pub fn thread_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), spent.tv_nsec.unsigned_abs() as u32)
}

/// Whether what took so long is waited behind by the next call of its module. Not behind a failure that took nothing: of
/// those there may be thousands a batch, and a turn of somebody else before each.
fn waits_next(took: Duration, has_failed: bool) -> bool {
    took >= LONG || (has_failed && took >= TICK)
}

/// Memory that instances are made in. A slot is used again, with part of its pages already there: most of what a short
/// call costs otherwise is page faults. What an instance leaves in them is cleared before the next one.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * CORE_INSTANCES)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES * TABLES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES_OF_A_COMPONENT)
        .max_tables_per_component(TABLES_OF_A_COMPONENT)
        .max_memories_per_module(MEMORIES_OF_A_MODULE)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES)
        // One that was used before is taken first.
        .max_unused_warm_slots(0)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        // The kernel tells which pages were written; else all that could be are cleared.
        .pagemap_scan(Enabled::Auto)
        .table_keep_resident(RESIDENT_BYTES);
    pool
}

/// Processors that calls may run on at once.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Threads that a caller may start; free again when this is dropped.
pub struct Helpers<'a> {
    host: &'a Host,
    pub count: usize,
}

impl Drop for Helpers<'_> {
    fn drop(&mut self) {
        self.host.helpers.fetch_add(self.count, Ordering::Relaxed);
    }
}

struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    calls: usize,
    /// The thread waits for a call.
    is_asleep: bool,
    stopping: bool,
}

/// A call is running.
pub struct Ticking<'a>(&'a Shared);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.state.lock().calls -= 1;
    }
}

impl Ticker {
    fn start(engines: [Engine; 2], turns: Arc<Turns>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("transform-ticks".to_owned()).spawn(move || {
            let mut state = of_thread.state.lock();
            while !state.stopping {
                if state.calls == 0 {
                    state.is_asleep = true;
                    of_thread.changed.wait(&mut state);
                    state.is_asleep = false;
                    continue;
                }
                let tick = if turns.are_taken() { SHORT_TICK } else { TICK };
                if of_thread.changed.wait_for(&mut state, tick).timed_out() {
                    engines.iter().for_each(Engine::increment_epoch);
                }
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.state.lock().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; time limits are void from then on, which nothing here can mend.
            let _ = thread.join();
        }
    }
}

/// Whether the outcome of a run is not wanted any more: its stream or the service stops. Asked while a guest runs.
pub type Interrupted = Arc<dyn Fn() -> bool + Send + Sync>;

/// What one instance may take: memory (linear memories and tables together) and time of its thread. Also the store's data.
pub struct Confined {
    limit_bytes: usize,
    /// What it has, which is also the most it had: memory is never given back.
    pub used_bytes: usize,
    /// Set when growth was refused: tells a guest that met its limit from one with a bug.
    pub refused_growth: bool,
    /// Of the thread's time, as `ends`.
    began: Duration,
    ends: Duration,
    interrupted: Interrupted,
    /// Set when the call was ended because nobody wants its outcome.
    pub was_interrupted: bool,
    turns: Arc<Turns>,
    /// It goes on in turns however long it takes.
    goes_in_turns: bool,
    /// Its turn, and when that is over.
    turn: Option<(Turn, Duration)>,
}

impl Confined {
    /// `limit`: of the thread's time.
    pub fn new(limit_bytes: usize, limit: Duration, turns: Arc<Turns>, interrupted: Interrupted) -> Self {
        let now = thread_time();
        Self {
            limit_bytes,
            used_bytes: 0,
            refused_growth: false,
            began: now,
            ends: now + limit.min(LONGEST_LIMIT),
            interrupted,
            was_interrupted: false,
            turns,
            goes_in_turns: false,
            turn: None,
        }
    }

    /// Waits for a turn before there is anything to do; `false` if it was interrupted meanwhile.
    pub fn begin_in_turn(&mut self) -> bool {
        self.goes_in_turns = true;
        self.wait_for_turn()
    }

    /// A tick has passed: whether the call may go on. One that takes long waits for a turn, or lets others go first in its own.
    pub fn tick(&mut self) -> Result<(), Trap> {
        self.was_interrupted = (self.interrupted)();
        let now = thread_time();
        if self.was_interrupted || now >= self.ends {
            return Err(Trap::Interrupt);
        }
        self.turn.take_if(|(turn, upto)| now >= *upto && turn.is_wanted());
        let in_turns = self.goes_in_turns || self.is_long();
        if let Some((turn, _)) = &self.turn {
            turn.step_aside();
        } else if in_turns && !self.wait_for_turn() {
            return Err(Trap::Interrupt);
        }
        Ok(())
    }

    fn wait_for_turn(&mut self) -> bool {
        self.turn = self.turns.take(|| (self.interrupted)()).map(|turn| (turn, thread_time() + TURN));
        self.was_interrupted = self.turn.is_none();
        !self.was_interrupted
    }

    fn is_long(&self) -> bool {
        thread_time() >= self.began + LONG
    }

    /// Whether the next call of its module waits for a turn before it begins.
    pub fn is_to_wait_next(&self, has_failed: bool) -> bool {
        waits_next(thread_time().saturating_sub(self.began), has_failed)
    }

    /// The place that it has, for who goes on in its name.
    pub fn take_turn(&mut self) -> Option<Turn> {
        self.turn.take().map(|(turn, _)| turn)
    }

    fn grow(&mut self, by_bytes: usize) -> bool {
        let wanted_bytes = self.used_bytes.saturating_add(by_bytes);
        if wanted_bytes > self.limit_bytes {
            self.refused_growth = true;
            return false;
        }
        self.used_bytes = wanted_bytes;
        true
    }
}

impl ResourceLimiter for Confined {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Growth beyond the memory's own maximum fails anyhow and is the guest's affair.
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let by_bytes = desired.saturating_sub(current).saturating_mul(TABLE_ENTRY_BYTES);
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(by_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_what_was_long_or_failed_late_a_turn_is_waited_for() {
        let least = Duration::from_nanos(1);
        for (took, has_failed, waits) in [
            (Duration::ZERO, true, false),
            (TICK - least, true, false),
            (TICK, true, true),
            (TICK, false, false),
            (LONG - least, false, false),
            (LONG, false, true),
        ] {
            assert_eq!(waits_next(took, has_failed), waits, "{took:?} {has_failed}");
        }
    }
}
