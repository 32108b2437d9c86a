//! Has a thread of [`super::stage_pool`] stand behind the others of the service: they get the processor before it.
//!
//! Niceness says how much a thread gets of what several want, and nothing of when. One that wakes up interrupts at once only
//! who has a longer slice than its own. So a thread behind asks for a long one: others interrupt it, and when it has stepped
//! aside for them (`stage::transform`), it comes back behind them.

use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::gettid;
use std::time::Duration;

/// Niceness beyond the others': of two threads that always work, one behind gets a third of the other's time.
const NICE: i32 = 5;
/// What niceness ends at.
const NICEST: i32 = 19;
/// The longest slice that Linux grants (`sched_setattr(2)`, from 6.12 on; before it is ignored).
const SLICE: Duration = Duration::from_millis(100);

/// Puts the calling thread, and those that it starts from now on, behind others. Where the system refuses slices, or the
/// service runs in real time, niceness alone is asked for, and where it refuses that too the thread works all the same.
pub fn stand_behind() {
    let nice = getpriority_process(Some(gettid())).unwrap_or(0).saturating_add(NICE).min(NICEST);
    if !set(nice, SLICE) {
        let _ = setpriority_process(Some(gettid()), nice);
    }
}

/// Niceness and slice of the calling thread; `false` if the system refuses. Whether it takes a slice as it is or moves it
/// into its bounds is its affair.
fn set(nice: i32, slice: Duration) -> bool {
    let mut attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: 0,
        // The policy stays: whoever runs the service may have chosen one.
        sched_flags: libc::SCHED_FLAG_KEEP_POLICY as u64,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: slice.as_nanos() as u64,
        sched_deadline: 0,
        sched_period: 0,
    };
    const THIS_THREAD: libc::pid_t = 0;
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: `sched_setattr(pid_t, struct sched_attr *, unsigned)`: the kernel reads `size` bytes there, which all are
    // initialised and live until the call is over, keeps no pointer, and writes at most to the field `size`, which is
    // ours. It changes the scheduling of this thread alone; no value of a field is undefined, wrong ones are refused.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, THIS_THREAD, &raw mut attributes, NO_FLAGS) };
    done == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// Niceness of the calling thread, as the kernel tells it (`proc_pid_stat(5)`, field 19).
    fn nice() -> i32 {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        let behind_name = stat.rsplit_once(") ").unwrap().1;
        behind_name.split(' ').nth(16).unwrap().parse().unwrap()
    }

    /// Its slice, where the kernel tells it.
    fn slice() -> Option<Duration> {
        let sched = fs::read_to_string("/proc/thread-self/sched").ok()?;
        let line = sched.lines().find(|line| line.starts_with("se.slice"))?;
        Some(Duration::from_nanos(line.split_once(':')?.1.trim().parse().ok()?))
    }

    fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(work).join().unwrap())
    }

    #[test]
    fn a_thread_behind_and_those_it_starts_have_its_niceness_and_its_slice() {
        let told = on_a_thread(|| {
            stand_behind();
            let takes_slices = set(nice(), SLICE);
            let slice = || slice().filter(|_| takes_slices);
            [(nice(), slice()), on_a_thread(|| (nice(), slice()))]
        });
        let beside = on_a_thread(nice);
        assert_eq!(beside, nice(), "threads beside it are as before");
        for (nice, slice) in told {
            assert_eq!(nice, (beside + NICE).min(NICEST));
            if let Some(slice) = slice {
                assert_eq!(slice, SLICE);
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_is_taken_or_refused(asked in any::<i32>(), nanos in any::<u64>()) {
            let (was, taken, is) = on_a_thread(|| (nice(), set(asked, Duration::from_nanos(nanos)), nice()));
            prop_assert!(if taken { is == asked.clamp(-20, 19) } else { is == was }, "{asked}: {taken}, {was}, {is}");
        }
    }
}
