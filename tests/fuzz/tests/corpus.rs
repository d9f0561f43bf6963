//! Every target over its corpus, and over random changes of it: what `cargo test` does where libFuzzer does more.

#![allow(clippy::disallowed_methods, reason = "the corpus is files of the repository")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use thalweg_fuzz::mutation::Mutator;
use thalweg_fuzz::{TARGETS, Target};

/// Bytes that all corpora together may have: they are in every clone.
const CORPUS_BYTES_MAX: usize = 400 << 10;

/// Panics so far: a service catches those of its calls, and they count.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn folder(target: &Target) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// The inputs of a target's corpus, by name.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder(target)).expect("each target has a corpus");
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("it can be listed");
            let bytes = fs::read(entry.path()).expect("it can be read");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    inputs.sort();
    inputs
}

/// Whether a target takes an input without a panic, caught or not.
fn is_taken(target: &Target, input: &[u8]) -> bool {
    let before = PANICS.load(Ordering::Relaxed);
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    outcome.is_ok() && PANICS.load(Ordering::Relaxed) == before
}

/// An input as a text that a shell's `printf` writes again.
fn shown(input: &[u8]) -> String {
    input.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

// One test: panics are counted for the whole process.
#[test]
fn every_target_takes_its_corpus_and_what_is_like_it() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        report(info);
    }));
    let seed = std::env::var("THALWEG_SEED").map_or(1, |seed| seed.parse().expect("a seed is a number"));
    let times = std::env::var("THALWEG_TIMES").map_or(1, |times| times.parse().expect("times are a number"));
    println!("THALWEG_SEED={seed}");
    let mut mutator = Mutator::new(seed);
    let mut bytes = 0;
    let mut broken = Vec::new();
    for target in TARGETS {
        let inputs = corpus(target);
        for (name, input) in &inputs {
            if !is_taken(target, input) {
                broken.push(format!("corpus/{}/{name}", target.name));
            }
            bytes += input.len();
        }
        let inputs: Vec<Vec<u8>> = inputs.into_iter().map(|(_, input)| input).collect();
        for number in 0..target.mutations * times {
            let input = mutator.next(&inputs, target.bytes_max);
            if !is_taken(target, &input) {
                broken.push(format!("{}, input {number}: printf '{}'", target.name, shown(&input)));
                break;
            }
        }
    }
    assert!(broken.is_empty(), "with seed {seed} these break a rule:\n{}", broken.join("\n"));
    assert!(bytes <= CORPUS_BYTES_MAX, "the corpora have {bytes} bytes");
}

#[test]
#[ignore = "writes the seeds into the corpora"]
fn write_the_seeds() {
    for target in TARGETS {
        fs::create_dir_all(folder(target)).expect("it can be made");
        for (name, input) in (target.seeds)() {
            fs::write(folder(target).join(format!("seed-{name}")), input).expect("it can be written");
        }
    }
}
