//! Random lives of a stream, an Owncast, the program beside it and the servers of its followers, in simulated time.
//!
//! Each seed is a life of its own and repeats exactly. `HERALD_SEED=<n>` lives one and tells what happens in it;
//! `HERALD_TEST_SIZE=quick` lives fewer.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod chance;
mod expect;
mod herald;
mod peers;
mod truth;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use std::sync::atomic::{AtomicU64, Ordering};

use herald::Life;

const STEPS: u64 = 500;
const FIRST_SEED: u64 = 1_000_000;

/// What came about in many lives: a simulation in which nothing happens shows nothing.
#[derive(Debug, Default)]
struct Came {
    announced: usize,
    ended: usize,
    resumed: usize,
}

impl Came {
    fn add(&mut self, other: &Came) {
        self.announced += other.announced;
        self.ended += other.ended;
        self.resumed += other.resumed;
    }
}

fn live(seed: u64, trace: bool) -> Came {
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let mut life = Life::new(seed, trace);
        for _ in 0..STEPS {
            life.step();
        }
        life.come_to_rest();
        let expect = &life.expect;
        Came { announced: expect.announced, ended: expect.ended, resumed: expect.resumed }
    }));
    lived.unwrap_or_else(|failure| {
        eprintln!("seed {seed} failed; again with: HERALD_SEED={seed} cargo test --locked --test simulation");
        resume_unwind(failure)
    })
}

#[test]
fn whatever_happens_followers_learn_of_each_stream_once_in_time_and_truly() {
    if let Some(seed) = std::env::var("HERALD_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let came = live(seed, true);
        eprintln!("seed {seed}: {came:?}");
        return;
    }
    let lives = match std::env::var("HERALD_TEST_SIZE").as_deref() {
        Ok("quick") => 200,
        _ => 2000,
    };
    let next = AtomicU64::new(FIRST_SEED);
    let worker = || {
        let mut all = Came::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= FIRST_SEED + lives {
                return all;
            }
            all.add(&live(seed, false));
        }
    };
    let mut all = Came::default();
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().for_each(|worker| all.add(&worker.join().unwrap()));
    });
    println!("{} steps: {all:?}", lives * STEPS);
    let enough = usize::try_from(lives).unwrap();
    assert!(all.announced > enough && all.ended > enough && all.resumed > enough / 4, "{all:?}");
}
