//! What to measure and how long.

use std::path::PathBuf;

/// The command line.
#[derive(clap::Parser, Clone, Debug)]
#[command(
    name = "thalweg-bench",
    about = "Builds, starts, measures and stops everything, and writes docs/benchmarks"
)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Only the ratios to the floors, in under three minutes; writes nothing
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these chapters (comma-separated); of peers and log-engines only those that are named beside it
    #[arg(long, value_delimiter = ',', value_name = "CHAPTER")]
    pub(crate) only: Vec<String>,
    /// Runs of each figure; the report has their median
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// The shortest time that a run lasts, in seconds
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// A built server, instead of building this checkout's
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,
    /// Where servers keep their data while they are measured: the disk under test [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where peers are installed, once [default: ~/.cache/thalweg/peers]
    #[arg(long, value_name = "DIR", env = "THALWEG_PEERS")]
    pub(crate) peers_dir: Option<PathBuf>,
    /// Where the report goes
    #[arg(long, value_name = "DIR", default_value = "docs/benchmarks")]
    pub(crate) out: PathBuf,
}

/// What the program is besides a benchmark.
#[derive(clap::Subcommand, Clone, Debug)]
pub(crate) enum Command {
    /// Serves as one of the floors: f1, f2 or f3
    Floor {
        /// Which
        kind: String,
        /// Where F2 writes
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
}

impl Options {
    /// Where peers and log engines are installed, from the root: servers are started elsewhere.
    ///
    /// # Panics
    /// When the folder has no name.
    pub(crate) fn peers_folder(&self) -> PathBuf {
        let default = || {
            let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
            home.join(".cache/thalweg/peers")
        };
        let folder = self.peers_dir.clone().unwrap_or_else(default);
        std::path::absolute(folder).expect("the folder has a name")
    }

    /// Whether this chapter was asked for.
    pub(crate) fn wants(&self, chapter: &str) -> bool {
        self.only.is_empty() || self.names(chapter)
    }

    /// Whether a part of a chapter was asked for by its name: `--only peers,ferrokinesis`.
    pub(crate) fn names(&self, part: &str) -> bool {
        self.only.iter().any(|wanted| wanted == part)
    }
}
