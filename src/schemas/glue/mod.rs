//! AWS Glue as a place of schemas: what it told last, asked for again beside the cuts that use it.
//!
//! | file | what |
//! |---|---|
//! | [`settings`] | the section `glue:` of the configuration |
//! | `call`, [`answer`] | one signed call; what its answer means |
//! | [`kept`] | the last answers on disk, with their codec |
//! | here | who waits for what, and when a table is asked for again |
//!
//! [`Glue::serve`] is the one task that calls. Those who want a table ask it and wait, or take what was told last. It
//! also is the only one to change files: one call's answer or one look at what is due at a time.
//! Invariant: a table is on disk before it is in use, so that the one in use is there after a restart; if the disk
//! refuses it, that is reported, the table is used all the same, and writing is tried again when it is told again.

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
    /// Whether `told` is on disk.
    is_kept: bool,
    /// The last call's failure.
    problem: Option<GlueError>,
    is_asked: bool,
    /// Monotonic time at which the last call ended.
    ended: Option<Duration>,
    /// Calls that ended.
    calls: u64,
}

impl Known {
    /// Whether a table in use is asked for again. One that was never told is due soon: a cut that wants it is told the
    /// failure of the call before, which shall not be an old one.
    fn is_due(&self, is_latest: bool, now: Duration, refresh: Duration) -> bool {
        let again = if self.told.is_some() { refresh } else { refresh.min(LONGEST_ROUND) };
        let is_over = self.ended.is_none_or(|ended| now >= ended + again);
        is_over && (is_latest || self.told.is_none() || !self.is_kept)
    }
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
        let known = |table: KeptTable| {
            let key = table.key.clone();
            (key, Known { told: Some(Arc::new(table)), is_kept: true, ..Known::default() })
        };
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

    /// What Glue told last. A table that it never told is asked for, and not waited for: [`GlueError::Pending`], or
    /// why the last call failed.
    pub fn current(&self, key: &TableKey) -> Result<Arc<KeptTable>, GlueError> {
        let mut state = self.state.lock();
        let known = state.tables.entry(key.clone()).or_default();
        if let Some(told) = &known.told {
            return Ok(Arc::clone(told));
        }
        let problem = known.problem.clone().unwrap_or(GlueError::Pending);
        let now = self.clock.monotonic();
        if known.ended.is_none_or(|ended| now >= ended + RETRY_AFTER) {
            self.ask(&mut state, key);
        }
        Err(problem)
    }

    /// What Glue tells now, and it is waited for. Blocks.
    pub fn newest(&self, key: &TableKey) -> Result<Arc<KeptTable>, GlueError> {
        let mut state = self.state.lock();
        let known = state.tables.entry(key.clone()).or_default();
        // A call under way may have been answered before what the caller wants to see; it is followed by another.
        let wanted = known.calls + 1 + u64::from(known.is_asked);
        if known.is_asked {
            self.wait(&mut state, key, wanted - 1);
        }
        self.ask(&mut state, key);
        self.wait(&mut state, key, wanted);
        match state.tables.get(key) {
            Some(Known { problem: Some(problem), calls, .. }) if *calls >= wanted => Err(problem.clone()),
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

    /// Waits until so many calls for a table have ended, none will any more, or patience is over.
    fn wait(&self, state: &mut MutexGuard<'_, State>, key: &TableKey, calls: u64) {
        let until = Instant::now() + self.patience;
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
            if known.is_due(key.is_latest(), now, self.refresh) {
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
        for key in &unwanted {
            state.tables.remove(key);
        }
        // Cuts shall not wait for the disk here.
        drop(state);
        for key in unwanted {
            if let Err(error) = self.kept.forget(&key) {
                tracing::warn!(database = key.database, table = key.table, %error, "a kept table could not be removed");
            }
        }
    }

    /// Takes over what a call brought.
    async fn settle(&self, key: TableKey, told: Result<Told, GlueError>) {
        let outcome = match told {
            Ok(told) => Ok(self.take_over(&key, told).await),
            Err(error) => Err(error),
        };
        let mut state = self.state.lock();
        let known = state.tables.entry(key.clone()).or_default();
        match outcome {
            Ok((table, is_kept)) => (known.told, known.is_kept, known.problem) = (Some(table), is_kept, None),
            Err(error) => {
                if known.problem.as_ref() != Some(&error) {
                    let TableKey { database, table, .. } = &key;
                    if known.told.is_some() {
                        tracing::warn!(
                            database, table, %error,
                            "Glue does not tell a table anew; the version before it goes on"
                        );
                    } else {
                        tracing::warn!(database, table, %error, "Glue does not tell a table");
                    }
                }
                known.problem = Some(error);
            }
        }
        (known.is_asked, known.ended) = (false, Some(self.clock.monotonic()));
        known.calls += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// The table to use from now on, and whether it is on disk: it is written unless it is there already.
    async fn take_over(&self, key: &TableKey, Told { version, schema }: Told) -> (Arc<KeptTable>, bool) {
        let before = {
            let state = self.state.lock();
            state.tables.get(key).and_then(|known| Some((Arc::clone(known.told.as_ref()?), known.is_kept)))
        };
        let table = match before {
            Some((before, is_kept)) if before.version == version && *before.schema == schema => {
                if is_kept {
                    return (before, true);
                }
                before
            }
            before => {
                let TableKey { database, table, .. } = key;
                if before.is_some() {
                    tracing::info!(database, table, version, "a table changed");
                }
                let told_ms = self.clock.wall_ms();
                Arc::new(KeptTable { key: key.clone(), version, told_ms, schema: Arc::new(schema) })
            }
        };
        let is_kept = self.keep(Arc::clone(&table)).await;
        (table, is_kept)
    }

    /// Writes a table; whether that succeeded.
    async fn keep(&self, table: Arc<KeptTable>) -> bool {
        let (kept, key) = (Arc::clone(&self.kept), table.key.clone());
        let TableKey { database, table: name, .. } = &key;
        match tokio::task::spawn_blocking(move || kept.keep(&table)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => {
                tracing::warn!(database, table = name, %error, "a table could not be kept on disk; it is tried again")
            }
            Err(died) => tracing::error!(%died, "keeping a table ended abnormally"),
        }
        false
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::convert::ddl::parse_table;

    #[test]
    fn a_table_never_told_is_due_sooner_and_a_version_that_is_kept_never() {
        let second = Duration::from_secs(1);
        let schema = Arc::new(parse_table("create table t (a int)").unwrap());
        let wanted = crate::stream::definition::SchemaRef {
            catalog_id: String::new(),
            database: "d".to_owned(),
            table: "t".to_owned(),
            region: String::new(),
            version_id: String::new(),
            role_arn: String::new(),
        };
        let told = Some(Arc::new(KeptTable { key: TableKey::of(&wanted), version: None, told_ms: 0, schema }));
        // Told, kept, LATEST; the first second after the call's end at which it is due, with a refresh of 300 s.
        for (told, is_kept, is_latest, due) in [
            (None, false, true, Some(10)),
            (None, false, false, Some(10)),
            (told.clone(), true, true, Some(300)),
            (told.clone(), false, false, Some(300)),
            (told, true, false, None),
        ] {
            let mut known = Known { told, is_kept, ended: Some(second), ..Known::default() };
            let found = (0..1_000).find(|&after| known.is_due(is_latest, second * (1 + after), second * 300));
            assert_eq!(found, due, "{known:?}");
            known.ended = None;
            assert_eq!(known.is_due(is_latest, second, second * 300), due.is_some(), "{known:?}");
        }
    }
}
