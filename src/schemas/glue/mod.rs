//! AWS Glue as a place of schemas: what it told last, asked for again beside the cuts that use it.
//!
//! | file | what |
//! |---|---|
//! | [`settings`] | the section `glue:` of the configuration |
//! | `call`, [`answer`] | one signed call; what its answer means |
//! | [`kept`] | the last answers on disk, with their codec |
//! | here | who waits for what, and when a table is asked for again |
//!
//! [`Glue::serve`] is the one task that calls. Those who want a table ask it and wait, or take what was told last.
//! Invariant: a table is on disk before it is in use, so that the one in use is there after a restart; if the disk
//! refuses it, that is reported and the table is used all the same.

pub mod answer;
mod call;
pub mod kept;
pub mod settings;

pub use answer::GlueError;
pub use kept::{KeptTable, KeptTables, OpenError, TableKey};
pub use settings::GlueSettings;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::task::Stop;
use answer::Told;
use call::Caller;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// Calls at the same time.
const CALLS_AT_ONCE: usize = 4;
/// How long a cut waits for a table that Glue never told.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// How long after a failed call a cut that has no table may ask again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Most time between two looks at what is due.
const LONGEST_ROUND: Duration = Duration::from_secs(10);

/// The tables of Glue. One serves all streams.
#[derive(Debug)]
pub struct Glue {
    caller: Arc<Caller>,
    kept: Arc<KeptTables>,
    clock: Arc<dyn Clock>,
    refresh: Duration,
    /// Longest that a call may take, waiting for its turn included.
    patience: Duration,
    state: Mutex<State>,
    /// Notified when a call ended, or none will any more.
    changed: Condvar,
    asks: mpsc::UnboundedSender<TableKey>,
    /// Taken by the task.
    asked: Mutex<Option<mpsc::UnboundedReceiver<TableKey>>>,
}

#[derive(Debug, Default)]
struct State {
    tables: HashMap<TableKey, Known>,
    /// No call will be made any more.
    stopped: bool,
}

/// What is known of a table.
#[derive(Debug, Default)]
struct Known {
    told: Option<Arc<KeptTable>>,
    /// The last call's failure.
    problem: Option<GlueError>,
    is_asked: bool,
    /// Monotonic time at which the last call ended.
    ended: Option<Duration>,
    /// Calls that ended.
    calls: u64,
}

impl Glue {
    /// Opens the folder of kept tables at `dir`. Nobody is asked before [`Self::serve`] runs.
    pub fn open(
        settings: GlueSettings,
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let (kept, tables) = KeptTables::open(disk, dir)?;
        let known = |table: KeptTable| (table.key.clone(), Known { told: Some(Arc::new(table)), ..Known::default() });
        let state = State { tables: tables.into_iter().map(known).collect(), stopped: false };
        let (asks, asked) = mpsc::unbounded_channel();
        Ok(Self {
            refresh: settings.refresh(),
            patience: settings.answer_timeout() * 2,
            caller: Arc::new(Caller::new(settings, Arc::clone(&clock))),
            kept: Arc::new(kept),
            clock,
            state: Mutex::new(state),
            changed: Condvar::new(),
            asks,
            asked: Mutex::new(Some(asked)),
        })
    }

    /// What Glue told last. Waits a moment where it never told the table. Blocks.
    pub fn current(&self, key: &TableKey) -> Result<Arc<KeptTable>, GlueError> {
        let mut state = self.state.lock();
        let known = state.tables.entry(key.clone()).or_default();
        if let Some(told) = &known.told {
            return Ok(Arc::clone(told));
        }
        let now = self.clock.monotonic();
        match &known.problem {
            Some(problem) if known.ended.is_some_and(|ended| now < ended + RETRY_AFTER) => return Err(problem.clone()),
            _ => {}
        }
        let calls = known.calls;
        self.ask(&mut state, key);
        self.wait(&mut state, key, calls + 1, FIRST_WAIT);
        match state.tables.get(key) {
            Some(Known { told: Some(told), .. }) => Ok(Arc::clone(told)),
            Some(Known { problem: Some(problem), .. }) => Err(problem.clone()),
            _ => Err(GlueError::Pending),
        }
    }

    /// What Glue tells now, and it is waited for. Blocks.
    pub fn newest(&self, key: &TableKey) -> Result<Arc<KeptTable>, GlueError> {
        let mut state = self.state.lock();
        let known = state.tables.entry(key.clone()).or_default();
        // A call under way may have been answered before what the caller wants to see; it is followed by another.
        let wanted = known.calls + 1 + u64::from(known.is_asked);
        if known.is_asked {
            self.wait(&mut state, key, wanted - 1, self.patience);
        }
        self.ask(&mut state, key);
        self.wait(&mut state, key, wanted, self.patience);
        match state.tables.get(key) {
            Some(Known { problem: Some(problem), .. }) => Err(problem.clone()),
            Some(Known { told: Some(told), calls, .. }) if *calls >= wanted => Ok(Arc::clone(told)),
            _ => Err(GlueError::Pending),
        }
    }

    /// Why the last call for a table failed.
    pub fn problem(&self, key: &TableKey) -> Option<GlueError> {
        self.state.lock().tables.get(key)?.problem.clone()
    }

    /// Asks for a table unless that is under way.
    fn ask(&self, state: &mut State, key: &TableKey) {
        let known = state.tables.entry(key.clone()).or_default();
        if !known.is_asked && !state.stopped && self.asks.send(key.clone()).is_ok() {
            known.is_asked = true;
        }
    }

    /// Waits until so many calls for a table have ended, or none will any more.
    fn wait(&self, state: &mut MutexGuard<'_, State>, key: &TableKey, calls: u64, most: Duration) {
        let until = Instant::now() + most;
        let done = |state: &State| state.stopped || state.tables.get(key).is_none_or(|known| known.calls >= calls);
        while !done(state) && !self.changed.wait_until(state, until).timed_out() {}
    }

    /// Makes the calls until asked to stop. `wanted` lists the tables in use: each is asked for again when it is due;
    /// what is kept of others is forgotten.
    pub async fn serve<W>(self: Arc<Self>, wanted: W, stop: Stop)
    where
        W: Fn() -> Wanted + Send + Sync + 'static,
    {
        let Some(mut asked) = self.asked.lock().take() else { return };
        let wanted = Arc::new(wanted);
        let permits = Arc::new(Semaphore::new(CALLS_AT_ONCE));
        let mut calls: JoinSet<(TableKey, Result<Told, GlueError>)> = JoinSet::new();
        let mut round = tokio::time::interval((self.refresh / 2).clamp(Duration::from_millis(50), LONGEST_ROUND));
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.asked() => break,
                Some(key) = asked.recv() => {
                    let (caller, permits) = (Arc::clone(&self.caller), Arc::clone(&permits));
                    calls.spawn(async move {
                        // Never closed.
                        let _permit = permits.acquire_owned().await;
                        let told = caller.table(&key).await;
                        (key, told)
                    });
                }
                Some(ended) = calls.join_next() => match ended {
                    Ok((key, told)) => self.settle(key, told).await,
                    Err(died) => {
                        tracing::error!(%died, "a call of Glue ended abnormally");
                        self.give_up();
                    }
                },
                _ = round.tick() => {
                    let (glue, wanted) = (Arc::clone(&self), Arc::clone(&wanted));
                    // Reads the folder of schemas and removes files.
                    let looked = tokio::task::spawn_blocking(move || glue.look(&wanted())).await;
                    if let Err(died) = looked {
                        tracing::error!(%died, "looking for what is due at Glue ended abnormally");
                    }
                }
            }
        }
        self.state.lock().stopped = true;
        self.changed.notify_all();
        calls.shutdown().await;
    }

    /// Ends the wait for a call of which nothing is known any more: all that are under way count as ended.
    fn give_up(&self) {
        let now = self.clock.monotonic();
        for known in self.state.lock().tables.values_mut().filter(|known| known.is_asked) {
            (known.is_asked, known.ended) = (false, Some(now));
            known.calls += 1;
        }
        self.changed.notify_all();
    }

    /// Asks for what is due, and forgets what nobody wants.
    fn look(&self, wanted: &Wanted) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        for key in &wanted.to_ask {
            let known = state.tables.entry(key.clone()).or_default();
            let is_due = known.ended.is_none_or(|ended| now >= ended + self.refresh);
            if is_due && (key.is_latest() || known.told.is_none()) {
                self.ask(&mut state, key);
            }
        }
        let unwanted: Vec<_> = state
            .tables
            .iter()
            // One that was asked for a moment ago may be that of a stream that is just being made.
            .filter(|(key, known)| {
                let is_quiet = known.ended.is_none_or(|ended| now >= ended + self.refresh.max(LONGEST_ROUND));
                !wanted.in_use.contains(*key) && !known.is_asked && is_quiet
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in unwanted {
            state.tables.remove(&key);
            if let Err(error) = self.kept.forget(&key) {
                tracing::warn!(database = key.database, table = key.table, %error, "a kept table could not be removed");
            }
        }
    }

    /// Takes over what a call brought.
    async fn settle(&self, key: TableKey, told: Result<Told, GlueError>) {
        let before = self.state.lock().tables.get(&key).and_then(|known| known.told.clone());
        let outcome = match told {
            Ok(Told { version, schema }) => match before {
                Some(before) if before.version == version && *before.schema == schema => Ok(before),
                before => {
                    let told_ms = self.clock.wall_ms();
                    let table = KeptTable { key: key.clone(), version, told_ms, schema: Arc::new(schema) };
                    Ok(self.keep(Arc::new(table), before.is_some()).await)
                }
            },
            Err(error) => Err(error),
        };
        let mut state = self.state.lock();
        let known = state.tables.entry(key).or_default();
        match outcome {
            Ok(table) => (known.told, known.problem) = (Some(table), None),
            Err(error) => {
                if known.problem.as_ref() != Some(&error) && known.told.is_some() {
                    tracing::warn!(%error, "Glue does not tell a table anew; the version before it goes on");
                }
                known.problem = Some(error);
            }
        }
        (known.is_asked, known.ended) = (false, Some(self.clock.monotonic()));
        known.calls += 1;
        drop(state);
        self.changed.notify_all();
    }

    async fn keep(&self, table: Arc<KeptTable>, is_changed: bool) -> Arc<KeptTable> {
        let (kept, copy) = (Arc::clone(&self.kept), Arc::clone(&table));
        let written = tokio::task::spawn_blocking(move || kept.keep(&copy)).await;
        let TableKey { database, table: name, .. } = &table.key;
        match written {
            Ok(Ok(())) if is_changed => {
                tracing::info!(database, table = name, version = table.version, "a table changed")
            }
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(database, table = name, %error, "a table could not be kept on disk"),
            Err(died) => tracing::error!(%died, "keeping a table ended abnormally"),
        }
        table
    }
}

/// The tables that streams name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// All of them.
    pub in_use: HashSet<TableKey>,
    /// Those for which Glue is asked: no file stands in their way.
    pub to_ask: Vec<TableKey>,
}
