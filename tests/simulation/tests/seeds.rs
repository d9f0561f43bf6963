//! A short campaign, that every fault of it struck, and that a seed repeats itself.

use thalweg_simulation::{Counters, Options, run};

const SEEDS: u64 = 40;
const OPTIONS: Options = Options { operations: 200, lying_disk: false };

#[test]
fn no_rule_is_broken() {
    let mut counters = Counters::default();
    for seed in 1..=SEEDS {
        println!("seed {seed}");
        counters.append(&run(seed, OPTIONS));
    }
    println!("{counters}");
    for name in [
        "puts acknowledged",
        "puts of unknown outcome",
        "records verified",
        "reshards",
        "connections reset",
        "crashes at an await",
        "crashes at a call to the disk",
        "crashes during a start",
        "failing calls to the disk",
        "full volumes",
        "slow disks",
        "leaps ahead",
        "leaps back",
        "ends in good order",
        "power cuts that tear",
    ] {
        assert!(counters.get(name) > 0, "{name}: none in {SEEDS} seeds");
    }
}

/// A checker that never finds anything proves nothing.
#[test]
fn a_disk_that_lies_is_found_out() {
    let options = Options { lying_disk: true, ..OPTIONS };
    let found = (1..=SEEDS).find(|seed| std::panic::catch_unwind(|| run(*seed, options)).is_err());
    assert!(found.is_some(), "{SEEDS} seeds over a disk that lies, and nobody noticed");
    println!("seed {found:?} noticed");
}

#[test]
fn a_seed_repeats_itself() {
    assert_eq!(run(7, OPTIONS), run(7, OPTIONS));
}
