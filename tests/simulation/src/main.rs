//! A campaign: many seeds, one after the other, and what they met.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use thalweg_simulation::{
    Abused, Counters, End, Options, Tenant, Traced, Victim, abuse, flips, full_disks, kills, power_cuts,
    soak, try_run,
};

/// A quarter of a campaign's time is the allocator's with glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates the server from many seeds, with all faults
#[derive(Debug, Parser)]
#[command(name = "thalweg-simulation")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
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
    /// Plant one bug after the other instead, and say which seed finds it
    #[cfg(feature = "planted-bugs")]
    #[arg(long)]
    planted: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Misuse a real server in every way that we know, one after the other, while a well-behaved client uses it
    Abuse {
        /// The program
        #[arg(long, value_name = "FILE")]
        server: PathBuf,
        /// Where its data goes
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// Only the cases whose names contain this
        #[arg(long, value_name = "NAME")]
        case: Option<String>,
        /// Every case small and short
        #[arg(long)]
        quick: bool,
    },
    /// Flip every bit of a data directory in turn, and start a server on each
    Flips {
        /// Of the directory that a crash left, instead of one that was closed in good order
        #[arg(long)]
        crashed: bool,
        /// Only every so many bits
        #[arg(long, default_value_t = 1)]
        every: u64,
        /// Which of these, so that several processes can share the work
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
    /// Use a real server for hours, with kills now and then, and see that nothing grows
    Soak {
        /// The program
        #[arg(long, value_name = "FILE")]
        server: PathBuf,
        /// Where its data goes
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// For how long
        #[arg(long, default_value_t = 120)]
        minutes: u64,
        /// The seed of the clients
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Kill a real server on a real disk, over and over, while clients use it
    Kills {
        /// The program
        #[arg(long, value_name = "FILE")]
        server: PathBuf,
        /// Where its data goes: the disk under test
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// How often, at least
        #[arg(long, default_value_t = 1000)]
        times: u64,
        /// Calls that the clients make before everything is verified and begins anew
        #[arg(long, default_value_t = 40_000)]
        calls: u64,
        /// The first seed
        #[arg(long, default_value_t = 1)]
        from: u64,
    },
    /// Fill the volume of a real server and free it again, over and over, while clients use it
    ///
    /// Mounting a volume takes the rights of root; without them this says so, with exit code 3.
    FullDisks {
        /// The program
        #[arg(long, value_name = "FILE")]
        server: PathBuf,
        /// Where the volume goes: a gibibyte
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// How often
        #[arg(long, default_value_t = 5)]
        times: u64,
        /// The server's --disk-reserve, in percent; with 0 it meets the end of the volume itself
        #[arg(long, default_value_t = 5)]
        reserve: u64,
        /// The seed of all chance, but for what real processes do
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Trace a real server's calls to its disk while clients use it, and cut the power at each of them
    ///
    /// The program `strace` is needed.
    PowerCuts {
        /// The program
        #[arg(long, value_name = "FILE")]
        server: PathBuf,
        /// Where its data goes
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// Calls that the clients make
        #[arg(long, default_value_t = 20_000)]
        calls: u64,
        /// The seed of all chance, but for what real processes do
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only at every so many calls to the disk
        #[arg(long, default_value_t = 1)]
        every: usize,
        /// Which of these
        #[arg(long, default_value_t = 0)]
        from: usize,
    },
}

/// The exit code that says that a volume cannot be had here.
const NO_VOLUME: u8 = 3;
/// One seed in so many is a long one.
const LONG_ONE_IN: u64 = 100;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Abuse { server, data_dir, case, quick }) => {
            abuse(&Abused { program: server, folder: data_dir, case, is_quick: quick });
            return ExitCode::SUCCESS;
        }
        Some(Command::Flips { crashed, every, from }) => {
            let end = if crashed { End::Crash } else { End::Clean };
            let tally = flips(end, |number| number % every == from);
            print!("{tally}");
            tally.wrong.iter().for_each(|wrong| println!("{wrong}"));
            return if tally.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Some(Command::Kills { server, data_dir, times, calls, from }) => {
            let victim = Victim { program: server, folder: data_dir, operations: calls };
            let mut counters = Counters::default();
            let mut seed = from;
            while counters.get("kills") < times {
                println!("seed {seed}");
                counters.append(&kills(seed, &victim));
                seed += 1;
            }
            print!("{counters}");
            return ExitCode::SUCCESS;
        }
        Some(Command::Soak { server, data_dir, minutes, seed }) => {
            // Its clients make calls for as long as it lasts.
            let victim = Victim { program: server, folder: data_dir, operations: 1 << 40 };
            print!("{}", soak(seed, &victim, Duration::from_secs(60 * minutes)));
            return ExitCode::SUCCESS;
        }
        Some(Command::FullDisks { server, data_dir, times, reserve, seed }) => {
            let tenant = Tenant { program: server, folder: data_dir, times, reserve };
            return match full_disks(seed, &tenant) {
                Ok(counters) => {
                    print!("{counters}");
                    ExitCode::SUCCESS
                }
                Err(why) => {
                    println!("there is no volume: {why}");
                    ExitCode::from(NO_VOLUME)
                }
            };
        }
        Some(Command::PowerCuts { server, data_dir, calls, seed, every, from }) => {
            let traced = Traced { program: server, folder: data_dir, operations: calls, every, from };
            print!("{}", power_cuts(seed, &traced));
            return ExitCode::SUCCESS;
        }
        None => {}
    }
    #[cfg(feature = "planted-bugs")]
    if arguments.planted {
        let seeds = arguments.from..arguments.from + arguments.seeds;
        let is_found = thalweg_simulation::find_planted(seeds, |seed| try_run(seed, arguments.options(seed)));
        return if is_found { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    campaign(&arguments)
}

impl Arguments {
    fn options(&self, seed: u64) -> Options {
        let operations = match seed.is_multiple_of(LONG_ONE_IN) {
            true => self.operations_long,
            false => self.operations,
        };
        Options { operations, is_disk_lying: false }
    }
}

fn campaign(arguments: &Arguments) -> ExitCode {
    let mut counters = Counters::default();
    let mut failed = Vec::new();
    for seed in arguments.from..arguments.from + arguments.seeds {
        let options = arguments.options(seed);
        match try_run(seed, options) {
            Ok(met) => counters.append(&met),
            Err(broken) => {
                eprintln!("seed {seed} with {} operations: {broken}", options.operations);
                failed.push(seed);
            }
        }
    }
    print!("{counters}");
    println!("{} seeds, {} failed: {failed:?}", arguments.seeds, failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
