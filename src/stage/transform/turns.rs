//! Calls that take long do so in turns, on all processors but one, so that producers are answered and other streams are cut
//! whatever guests do. For [`super::host`], which asks before such a call begins and at each tick of it.
//!
//! Invariant: who waits is served in the order of asking.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How often somebody who waits looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// How long who has a place steps aside; the kernel makes some 60 µs of it.
const ASIDE: Duration = Duration::from_micros(1);

/// Places for calls that take long.
#[derive(Debug)]
pub struct Turns {
    places: usize,
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Debug)]
struct Line {
    free: usize,
    waiting: VecDeque<u64>,
    next: u64,
}

/// A place that is taken; dropping it gives it to who waits longest.
#[derive(Debug)]
pub struct Turn(Arc<Turns>);

impl Turns {
    /// So many places, at least one.
    pub fn new(places: usize) -> Self {
        let places = places.max(1);
        let line = Mutex::new(Line { free: places, waiting: VecDeque::new(), next: 0 });
        Self { places, line, changed: Condvar::new() }
    }

    /// Waits for a place; `None` once `gives_up` says so.
    pub fn take(self: &Arc<Self>, gives_up: impl Fn() -> bool) -> Option<Turn> {
        let mut line = self.line.lock();
        let ticket = line.next;
        line.next += 1;
        line.waiting.push_back(ticket);
        while line.free == 0 || line.waiting.front() != Some(&ticket) {
            if gives_up() {
                line.waiting.retain(|other| *other != ticket);
                drop(line);
                // It may have been the first one.
                self.changed.notify_all();
                return None;
            }
            self.changed.wait_for(&mut line, LOOK);
        }
        line.waiting.pop_front();
        line.free -= 1;
        drop(line);
        self.changed.notify_all();
        Some(Turn(Arc::clone(self)))
    }

    /// Whether somebody has a place.
    pub fn are_taken(&self) -> bool {
        self.places > self.line.lock().free
    }
}

impl Turn {
    /// Whether somebody waits for a place.
    pub fn is_wanted(&self) -> bool {
        !self.0.line.lock().waiting.is_empty()
    }

    /// Steps aside for a moment, so that who waits for the processor goes first; a thread with a long slice comes back
    /// behind them. No yield: for one, Linux (from 6.18 on) has the thread wait until others have had a whole slice of
    /// its own, so that beside busy producers a call that takes long would come to a halt.
    #[allow(clippy::disallowed_methods, reason = "it waits for nothing")]
    pub fn step_aside(&self) {
        std::thread::sleep(ASIDE);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.line.lock().free += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn places_are_given_in_the_order_of_asking() {
        let turns = Arc::new(Turns::new(1));
        assert!(!turns.are_taken());
        let first = turns.take(|| false).unwrap();
        assert!(turns.are_taken() && !first.is_wanted());
        let (said, heard) = mpsc::channel();
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let (turns, said) = (Arc::clone(&turns), said.clone());
                let thread = std::thread::spawn(move || {
                    let turn = turns.take(|| false).unwrap();
                    said.send(number).unwrap();
                    drop(turn);
                });
                while first.0.line.lock().waiting.len() < number + 1 {
                    std::thread::yield_now();
                }
                thread
            })
            .collect();
        assert!(first.is_wanted());
        drop(first);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(!turns.are_taken());
    }

    #[test]
    fn who_gives_up_leaves_the_line() {
        let turns = Arc::new(Turns::new(0));
        let held = turns.take(|| true).unwrap();
        assert!(turns.take(|| true).is_none());
        assert!(!held.is_wanted());
        drop(held);
        assert!(turns.take(|| true).is_some());
    }
}
