//! Tries inputs until one breaks a rule, and says how to try that one again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::chance::Chance;
use crate::mutate::mutated;

/// What a target is fed with.
pub struct Target {
    /// The folder of its corpus.
    pub name: &'static str,
    /// Inputs beside the corpus.
    pub also: Vec<Vec<u8>>,
    /// What its language is made of.
    pub words: &'static [&'static [&'static str]],
    /// How many inputs a run of ordinary size makes.
    pub cases: u64,
}

/// What JSON is made of.
pub const JSON: &[&str] = &["{", "}", "[", "]", ":", ",", "\"", "null"];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}

/// Every input of the corpus is tried as it is, and then what becomes of them.
pub fn fuzz(target: &Target, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target.name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    corpus.extend(target.also.iter().cloned());
    assert!(!corpus.is_empty(), "{} has no corpus", target.name);
    let (cases, seed) = match std::env::var("HERALD_TEST_SIZE").as_deref() {
        Ok("quick") => (target.cases / 10, 1),
        Ok("full") => (target.cases * 50, jiff::Timestamp::now().as_nanosecond() as u64),
        _ => (target.cases, 1),
    };
    if let Some(case) = number("HERALD_FUZZ_CASE") {
        return try_one(target, case, &made(target, &corpus, case), &check);
    }
    let seed = number("HERALD_FUZZ_SEED").unwrap_or(seed);
    eprintln!("{}: HERALD_FUZZ_SEED={seed}, {} inputs kept, {cases} made", target.name, corpus.len());
    for input in &corpus {
        try_one(target, 0, input, &check);
    }
    let mut chance = Chance::of(seed);
    for _ in 0..cases {
        let case = chance.below(u64::MAX) | 1;
        try_one(target, case, &made(target, &corpus, case), &check);
    }
}

fn made(target: &Target, corpus: &[Vec<u8>], case: u64) -> Vec<u8> {
    mutated(&mut Chance::of(case), corpus, &target.words.concat())
}

fn try_one(target: &Target, case: u64, input: &[u8], check: &impl Fn(&[u8])) {
    if catch_unwind(AssertUnwindSafe(|| check(input))).is_err() {
        let shown = String::from_utf8_lossy(input);
        panic!("{}: HERALD_FUZZ_CASE={case} breaks a rule:\n{shown}\n{:?}", target.name, shown);
    }
}
