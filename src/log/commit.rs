//! The threads that run commits: a bounded number serves all logs of a node, first come first served.
//!
//! A log that has more waiting after its commit goes to the end of the line, so that one busy stream does not starve
//! the others. Several threads, because a sync blocks and the file system merges concurrent syncs of different files.

use super::StreamLog;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A pool of commit threads. Joined when [`CommitPool::stop`] is called.
#[derive(Debug)]
pub struct CommitPool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    logs: VecDeque<Arc<StreamLog>>,
    stopping: bool,
}

impl CommitPool {
    /// Starts `threads` threads.
    pub fn start(threads: usize) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared::default());
        let threads = (0..threads.max(1))
            .map(|i| {
                let shared = shared.clone();
                std::thread::Builder::new().name(format!("log-commit-{i}")).spawn(move || run(&shared))
            })
            .collect::<io::Result<_>>()?;
        Ok(Arc::new(Self { shared, threads: Mutex::new(threads) }))
    }

    /// Puts a log in line.
    pub(super) fn schedule(&self, log: Arc<StreamLog>) {
        self.shared.line.lock().logs.push_back(log);
        self.shared.changed.notify_one();
    }

    /// Commits what is in line, then joins the threads. Blocks.
    pub fn stop(&self) {
        self.shared.line.lock().stopping = true;
        self.shared.changed.notify_all();
        for thread in self.threads.lock().drain(..) {
            // The last owner of a log, and with it of this pool, may be a commit thread itself: it ends on its own.
            if thread.thread().id() != std::thread::current().id() {
                // A commit's panic was caught and reported where it happened.
                let _ = thread.join();
            }
        }
    }
}

impl Drop for CommitPool {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Shared) {
    loop {
        let log = {
            let mut line = shared.line.lock();
            loop {
                if let Some(log) = line.logs.pop_front() {
                    break log;
                }
                if line.stopping {
                    return;
                }
                shared.changed.wait(&mut line);
            }
        };
        match catch_unwind(AssertUnwindSafe(|| log.commit())) {
            Ok(false) => {}
            Ok(true) => {
                shared.line.lock().logs.push_back(log);
                shared.changed.notify_one();
            }
            Err(panic) => {
                let text = crate::task::panic_message(panic.as_ref());
                tracing::error!(text, "a commit panicked; the log refuses further records");
                log.commit_died();
            }
        }
    }
}
