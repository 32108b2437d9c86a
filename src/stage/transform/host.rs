//! The engine all guests run on, and what confines them: time (epoch ticks), memory (a limiter), output.
//!
//! One [`Host`] a process. Its thread ticks only while a call runs, so an idle service does not wake up for it.

use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::{Config, Engine, ResourceLimiter, Trap};

/// Resolution of the time limit.
const TICK: Duration = Duration::from_millis(10);

/// No call is given more time than this.
const LONGEST_LIMIT: Duration = Duration::from_secs(3600);

/// What an entry of a table is taken to occupy, in bytes.
const TABLE_ENTRY_BYTES: usize = 16;

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

/// The engine and the thread that lets its time pass.
pub struct Host {
    pub engine: Engine,
    pub limits: TransformLimits,
    ticker: Ticker,
}

impl Host {
    pub fn new(limits: TransformLimits) -> Result<Self, HostError> {
        let mut config = Config::new();
        // An instance costs some 10 to 20 µs from plain memory maps. A batch is hundreds of records, so the pooling
        // allocator would gain a few ns a record and reserve address space for as many instances as it may hold.
        config.epoch_interruption(true);
        let engine = Engine::new(&config).map_err(|error| HostError(format!("{error:#}")))?;
        let ticker = Ticker::start(engine.clone()).map_err(|error| HostError(error.to_string()))?;
        Ok(Self { engine, limits, ticker })
    }

    /// Lets time pass for as long as the answer lives.
    pub fn ticking(&self) -> Ticking<'_> {
        self.ticker.shared.state.lock().calls += 1;
        self.ticker.shared.changed.notify_all();
        Ticking(&self.ticker.shared)
    }

    /// A time limit in ticks: never less than asked, the running tick included.
    pub fn ticks(limit: Duration) -> u64 {
        u64::try_from(limit.min(LONGEST_LIMIT).as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX / 2) + 1
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
    fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("transform-ticks".to_owned()).spawn(move || {
            let mut state = of_thread.state.lock();
            while !state.stopping {
                if state.calls == 0 {
                    of_thread.changed.wait(&mut state);
                } else if of_thread.changed.wait_for(&mut state, TICK).timed_out() {
                    engine.increment_epoch();
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

/// What one instance may take: memory (linear memories and tables together) and time. Also the store's data.
pub struct Confined {
    limit_bytes: usize,
    used_bytes: usize,
    /// Set when growth was refused: tells a guest that met its limit from one with a bug.
    pub refused_growth: bool,
    ticks_left: u64,
    interrupted: Interrupted,
    /// Set when the call was ended because nobody wants its outcome.
    pub was_interrupted: bool,
}

impl Confined {
    pub fn new(limit_bytes: usize, time: Duration, interrupted: Interrupted) -> Self {
        let ticks_left = Host::ticks(time);
        Self { limit_bytes, used_bytes: 0, refused_growth: false, ticks_left, interrupted, was_interrupted: false }
    }

    /// A tick has passed: whether the call may go on.
    pub fn tick(&mut self) -> Result<(), Trap> {
        self.was_interrupted = (self.interrupted)();
        self.ticks_left = self.ticks_left.saturating_sub(1);
        if self.was_interrupted || self.ticks_left == 0 { Err(Trap::Interrupt) } else { Ok(()) }
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
