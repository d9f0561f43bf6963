//! A short campaign, that every fault of it struck, that a seed repeats itself, and that a broken promise is noticed.

use thalweg_simulation::{Counters, Options, run, try_run};

const SEEDS: u64 = 40;
const OPTIONS: Options = Options { operations: 200, is_disk_lying: false };

#[test]
fn no_rule_is_broken() {
    let (mut limited, mut free) = (Counters::default(), Counters::default());
    for seed in 1..=SEEDS {
        println!("seed {seed}");
        let met = run(seed, OPTIONS);
        let kind = if met.get("seeds with AWS's limits") > 0 { &mut limited } else { &mut free };
        kind.append(&met);
    }
    let mut counters = limited.clone();
    counters.append(&free);
    println!("{counters}");
    for name in [
        "puts acknowledged",
        "puts of unknown outcome",
        "puts tried again with the same bytes",
        "puts tried again with another number",
        "puts over a shard's rate",
        "reads throttled",
        "records verified",
        "records read",
        "records pushed",
        "subscriptions",
        "subscriptions that go on",
        "shards read to their end",
        "shards read until nothing followed",
        "retentions changed",
        "ring wraps",
        "shards forgotten",
        "reshards",
        "reshards with puts in flight",
        "connections reset",
        "crashes at an await",
        "crashes at a call to the disk",
        "crashes during a start",
        "failing calls to the disk",
        "full volumes",
        "volumes that fill up",
        "slow disks",
        "crashes with a write on its way",
        "leaps ahead",
        "leaps back",
        "ends in good order",
        "hours that pass",
        "hours without a server",
        "ends of the process",
        "power cuts that lose all that can be lost",
        "power cuts that lose nothing",
        "power cuts that tear",
    ] {
        assert!(counters.get(name) > 0, "{name}: none in {SEEDS} seeds");
    }
    for counters in [limited, free] {
        let (attempted, acknowledged) = (counters.get("puts attempted"), counters.get("puts acknowledged"));
        assert!(
            acknowledged * 10 >= attempted * 3,
            "of {attempted} puts only {acknowledged} were acknowledged"
        );
    }
}

/// Seeds that broke a rule once, and how many operations they had.
#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    // A change that its client gave up on, while a disk stood still, was made while everything was verified; and a body that
    // took hours was answered with 408, of which the client did not know. What had been hidden was back after a crash (56827),
    // and when retention grew while hours passed (386410). A start that read a wrong bit took the last batch for a torn
    // write (the last two).
    for (seed, operations) in [
        (1593, 200),
        (4026, 200),
        (5043, 200),
        (6289, 200),
        (7434, 200),
        (8486, 200),
        (1200, 20_000),
        (56827, 200),
        (386_410, 200),
        (340_900, 20_000),
        (375_900, 20_000),
    ] {
        println!("seed {seed} with {operations} operations");
        run(seed, Options { operations, is_disk_lying: false });
    }
}

#[test]
fn a_seed_repeats_itself() {
    assert_eq!(run(7, OPTIONS), run(7, OPTIONS));
}

/// A campaign that finds nothing proves nothing: here the disk breaks the one promise that everything rests on.
#[test]
fn a_disk_that_lies_is_found_out() {
    let options = Options { is_disk_lying: true, ..OPTIONS };
    // By its checker, not by a panic of the server.
    let is_found = |seed: &u64| {
        try_run(*seed, options).is_err_and(|broken| broken.file.starts_with("tests/simulation/src/"))
    };
    let found = (1..=10).filter(is_found).count();
    // Not all: a seed whose power cuts happen to lose nothing is right to find nothing.
    assert!(found >= 5, "of 10 seeds only {found} noticed");
}
