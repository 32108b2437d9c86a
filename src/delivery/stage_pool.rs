//! The threads that stage runs: as many as may work at once, kept for the life of the node.
//!
//! Kept, because staging takes and frees tens of MiB a run: the allocator holds freed memory for each thread that asked
//! for it, so memory grows with the threads that ever staged, not with those that do. A panic ends its job, not its
//! thread, and is the answer to who asked.

use super::behind::stand_behind;
use parking_lot::{Condvar, Mutex};
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Why a job gave no answer.
#[derive(Debug)]
pub enum JobDied {
    /// It panicked.
    Panicked(Box<dyn Any + Send>),
    /// The pool stopped before it began.
    Stopped,
}

/// See the module. Dropping it lets the job that each thread has end, and joins them.
#[derive(Debug)]
pub struct StagePool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    stopping: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("waiting", &self.line.lock().jobs.len()).finish()
    }
}

impl StagePool {
    /// Starts `threads` threads, at least one.
    pub fn start(threads: usize) -> io::Result<Self> {
        Self::start_with(threads, false)
    }

    /// Starts `threads` threads, at least one, that get the processor after all others: for jobs that keep it for long.
    /// Threads that they start are like them.
    pub fn start_behind(threads: usize) -> io::Result<Self> {
        Self::start_with(threads, true)
    }

    fn start_with(threads: usize, is_behind: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let threads = (0..threads.max(1))
            .map(|i| {
                let shared = shared.clone();
                std::thread::Builder::new().name(format!("stage-{i}")).spawn(move || {
                    if is_behind {
                        stand_behind();
                    }
                    work(&shared);
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { shared, threads })
    }

    /// Jobs that no thread has taken yet.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.shared.line.lock().jobs.len()
    }

    /// Runs `job` when a thread is free, first come first served.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, JobDied> {
        let (answer, answered) = oneshot::channel();
        self.shared.line.lock().jobs.push_back(Box::new(move || {
            // Who asked may be gone: then nobody wants the outcome.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(job)));
        }));
        self.shared.changed.notify_one();
        match answered.await {
            Ok(outcome) => outcome.map_err(JobDied::Panicked),
            Err(_) => Err(JobDied::Stopped),
        }
    }
}

impl Drop for StagePool {
    fn drop(&mut self) {
        {
            let mut line = self.shared.line.lock();
            line.stopping = true;
            line.jobs.clear();
        }
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // The last owner may be a job's own thread; its panics were answers.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn work(shared: &Shared) {
    loop {
        let job = {
            let mut line = shared.line.lock();
            loop {
                if line.stopping {
                    return;
                }
                match line.jobs.pop_front() {
                    Some(job) => break job,
                    None => shared.changed.wait(&mut line),
                }
            }
        };
        job();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_are_answered_and_a_panic_ends_one_of_them_only() {
        let pool = StagePool::start(1).unwrap();
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
        let died = pool.run(|| -> u32 { panic!("boom") }).await.unwrap_err();
        assert!(matches!(died, JobDied::Panicked(panic) if panic.downcast_ref() == Some(&"boom")));
        let thread = pool.run(|| std::thread::current().name().map(str::to_owned)).await.unwrap();
        assert_eq!(thread.as_deref(), Some("stage-0"));
    }
}
