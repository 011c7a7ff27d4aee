//! Which attacks there are.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;

/// Checks that have a number. There is no check 19.
fn numbers() -> impl Iterator<Item = u32> {
    (1..=28).filter(|number| *number != 19)
}

/// The functions of this program that are tests.
fn tests() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for after in text.split("#[tokio::test").skip(1) {
            let name = after.split("async fn ").nth(1).and_then(|rest| rest.split('(').next());
            found.push(name.expect("a test has a name").to_owned());
        }
    }
    found
}

/// The numbers that a test's name begins with: `c_08_c_24_bodies`.
fn numbers_of(name: &str) -> BTreeSet<u32> {
    let mut parts = name.split('_').peekable();
    let mut numbers = BTreeSet::new();
    while let (Some("c"), Some(number)) = (parts.next(), parts.next().and_then(|part| part.parse().ok())) {
        numbers.insert(number);
    }
    numbers
}

#[test]
fn every_check_is_attacked() {
    let tests = tests();
    let tried: BTreeSet<u32> = tests.iter().flat_map(|name| numbers_of(name)).collect();
    let missing: Vec<u32> = numbers().filter(|number| !tried.contains(number)).collect();
    assert_eq!(missing, Vec::<u32>::new(), "checks that no test tries");
    let unknown: Vec<&u32> = tried.iter().filter(|number| numbers().all(|known| known != **number)).collect();
    assert!(unknown.is_empty(), "tests of no check: {unknown:?}");
    // Past the capture of what a test prints: these two numbers are for whoever reads the output.
    writeln!(
        std::io::stderr(),
        "attack tests: {}, of all {} checks; dialect fixtures: {}",
        tests.len(),
        tried.len(),
        crate::dialects::count()
    )
    .unwrap();
}

/// A proof is made in one place, and what acts on activities takes nothing else.
#[test]
fn only_the_gate_proves() {
    let inbox = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/inbox");
    let read = |name: &str| {
        let text = fs::read_to_string(inbox.join(name)).unwrap();
        text.split("#[cfg(test)]").next().unwrap().to_owned()
    };
    let verified = read("verified.rs");
    assert_eq!(verified.matches(") -> Self").count(), 2, "two ways to be proved");
    assert_eq!(verified.matches("pub(super) fn by_").count(), 2, "neither to be had outside of the inbox");
    for file in fs::read_dir(&inbox).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let makes = read(&name).matches("Verified::by_").count();
        assert_eq!(makes > 0, name == "gate.rs", "{name} makes {makes} proofs");
        let compares = read(&name).matches("same_origin(").count();
        assert_eq!(compares > 0, name == "gate.rs", "{name} compares origins itself");
    }
    assert!(read("apply.rs").contains("verified: Verified"));
}
