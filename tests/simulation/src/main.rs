//! A campaign: many seeds, one after the other, and what they met.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use thalweg_simulation::{Counters, Options, run};

/// Simulates the server from many seeds, with all faults
#[derive(Debug, Parser)]
#[command(name = "thalweg-simulation")]
struct Arguments {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many seeds
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// Calls that the clients of a seed make, about
    #[arg(long, default_value_t = 200)]
    operations: u64,
    /// Every hundredth seed has this many instead
    #[arg(long, default_value_t = 20_000)]
    operations_long: u64,
}

/// One seed in so many is a long one.
const LONG_ONE_IN: u64 = 100;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut counters = Counters::default();
    let mut failed = Vec::new();
    for seed in arguments.from..arguments.from + arguments.seeds {
        let operations =
            if seed.is_multiple_of(LONG_ONE_IN) { arguments.operations_long } else { arguments.operations };
        match catch_unwind(AssertUnwindSafe(|| run(seed, Options { operations, is_disk_lying: false }))) {
            Ok(met) => counters.append(&met),
            Err(_) => {
                eprintln!("seed {seed} with {operations} operations broke a rule");
                failed.push(seed);
            }
        }
    }
    print!("{counters}");
    println!("{} seeds, {} failed: {failed:?}", arguments.seeds, failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
