//! Makes new inputs out of old ones.

use crate::chance::Chance;

/// Longest input made.
const LONGEST: usize = 64 * 1024;

/// One of the corpus with a few changes.
pub fn mutated(chance: &mut Chance, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = one(chance, corpus).clone();
    for _ in 0..=chance.below(6) {
        change(chance, &mut input, corpus, words);
        input.truncate(LONGEST);
    }
    input
}

fn one<'a, T>(chance: &mut Chance, all: &'a [T]) -> &'a T {
    &all[chance.below(all.len() as u64) as usize]
}

/// A place, and a length from there that is short as a rule.
fn range(chance: &mut Chance, length: usize) -> std::ops::Range<usize> {
    let from = chance.below(length as u64 + 1) as usize;
    let most = if chance.below(4) == 0 { length } else { 12 };
    from..(from + chance.below(most as u64 + 1) as usize).min(length)
}

fn change(chance: &mut Chance, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str]) {
    let here = range(chance, input.len());
    match chance.below(9) {
        0 if !here.is_empty() => input[here.start] ^= 1 << chance.below(8),
        1 if !here.is_empty() => input[here.start] = chance.below(256) as u8,
        2 => drop(input.drain(here)),
        3 => {
            let again = input[here.clone()].to_vec();
            drop(input.splice(here.start..here.start, again));
        }
        // The same many times over.
        4 => {
            let again = input[here.clone()].repeat(1 << chance.below(8));
            drop(input.splice(here.start..here.start, again));
        }
        5 | 6 => drop(input.splice(here.start..here.start, one(chance, words).bytes())),
        7 => drop(input.splice(here, one(chance, words).bytes())),
        _ => {
            let other = one(chance, corpus);
            let there = range(chance, other.len());
            drop(input.splice(here, other[there].iter().copied()));
        }
    }
}
