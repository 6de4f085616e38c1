//! The whole system in one thread, on clocks and a network of its own: stores, control planes and edges with every
//! fault there is, drawn from a seed. What decides is the product's own code; what it runs on is simulated.
//!
//! `make sim` plays many histories, `SEED=41 make sim` one of them, and tells it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod broken;
mod clock;
mod edge;
mod faults;
mod origin;
mod plane;
mod store;
mod story;
mod violation;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use faults::Faults;
use world::{Rules, World};

/// Histories of `cargo test`; `make sim` plays more.
const HISTORIES: u64 = 600;

/// A number from the environment.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[allow(clippy::disallowed_methods)] // how long a run takes is for a person: no history knows
#[test]
fn no_history_breaks_a_promise() {
    let seeds = match asked("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..asked("HISTORIES").unwrap_or(HISTORIES),
    };
    let (next, told) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let began = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let faults = thread::scope(|scope| {
        let play = || {
            let mut faults = Faults::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return faults;
                }
                let ended = World::new(seed, Rules::default()).play();
                if let Err(broken) = &ended.outcome {
                    panic!(
                        "{broken}\n\nSEED={seed} make sim tells it again:\n{}",
                        ended.story
                    );
                }
                if asked("SEED").is_some() {
                    println!("{}", ended.story);
                }
                faults.add(&ended.faults);
                let done = told.fetch_add(1, Ordering::Relaxed) + 1;
                if done.is_multiple_of(10_000) {
                    println!("{done} histories");
                }
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(play)).collect();
        let all = threads.into_iter().map(|it| it.join());
        all.fold(Faults::default(), |mut all, faults| {
            // A panic in a thread has said what broke.
            all.add(&faults.unwrap_or_else(|_| panic!("a history broke a promise")));
            all
        })
    });
    let (histories, took) = (seeds.end - seeds.start, began.elapsed());
    println!("{histories} histories in {took:.1?}; faults that did something:\n{faults}");
    let idle = faults.mostly_idle();
    assert!(
        histories < HISTORIES || idle.is_empty(),
        "most of these do nothing: {idle:?}"
    );
}
