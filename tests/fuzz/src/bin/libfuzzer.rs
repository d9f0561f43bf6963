//! A target under libFuzzer: which one says `THALWEG_FUZZ_TARGET`. Without arguments of libFuzzer's it lists them.
//!
//! Not for a plain build: `tests/fuzz/run` builds it with the instrumentation that libFuzzer needs.

#![no_main]

use std::sync::OnceLock;

use thalweg_fuzz::{TARGETS, Target};

static TARGET: OnceLock<&Target> = OnceLock::new();

/// Finds the target, or prints their names and the lengths of their longest inputs.
fn choose() {
    let name = std::env::var("THALWEG_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        for target in TARGETS {
            println!("{} {}", target.name, target.bytes_max);
        }
        std::process::exit(0);
    };
    let _ = TARGET.set(target);
}

libfuzzer_sys::fuzz_target!(init: choose(), |bytes: &[u8]| {
    let target = TARGET.get().expect("libFuzzer initializes first");
    (target.run)(bytes);
});
