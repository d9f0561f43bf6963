//! What to measure and how long.

use std::path::PathBuf;

use crate::{log_engines, peers, report};

/// The command line.
#[derive(clap::Parser, Clone, Debug)]
#[command(
    name = "thalweg-bench",
    about = "Builds, starts, measures and stops everything, and writes docs/benchmarks"
)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Only the ratios to the floors, of one short run each, in under three minutes; writes nothing
    #[arg(long, conflicts_with_all = ["only", "runs", "seconds", "out"])]
    pub(crate) quick: bool,
    /// Only these parts; the help lists them
    #[arg(long, value_delimiter = ',', value_name = "CHAPTER", value_parser = known, help = only_help())]
    pub(crate) only: Vec<String>,
    /// Runs of each figure; the report has their median
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) runs: u16,
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
    /// Where the report goes [default: docs/benchmarks, and nowhere with --only]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// What the program is besides a benchmark.
#[derive(clap::Subcommand, Clone, Debug)]
pub(crate) enum Command {
    /// Serves as one of the floors: f1, f2 or f3
    Floor {
        /// Which
        #[arg(value_parser = ["f1", "f2", "f3"])]
        kind: String,
        /// Where F2 writes
        #[arg(long)]
        data_dir: Option<PathBuf>,
    },
}

/// Where the report of everything goes.
const REPORT_FOLDER: &str = "docs/benchmarks";

/// # Errors
/// No part of the benchmark has this name.
fn known(name: &str) -> Result<String, String> {
    if report::chapters().chain(peers::names()).chain(log_engines::ENGINES).any(|known| known == name) {
        return Ok(name.to_owned());
    }
    Err(format!("there is no such part; {}", names()))
}

fn only_help() -> String {
    format!(
        "Only these parts, comma-separated; of peers and log-engines all, or those that are named beside it. {}",
        names()
    )
}

/// All that can be named.
fn names() -> String {
    let list = |names: &mut dyn Iterator<Item = &'static str>| names.collect::<Vec<_>>().join(", ");
    format!(
        "Chapters: {}. Of peers: {}. Of log-engines: {}",
        list(&mut report::chapters()),
        list(&mut peers::names()),
        list(&mut log_engines::ENGINES.into_iter())
    )
}

impl Options {
    /// Where the report goes; `None` when there is none. A part never replaces the report of everything, unless it is
    /// told to.
    pub(crate) fn report_folder(&self) -> Option<PathBuf> {
        if self.quick {
            return None;
        }
        let default = || self.only.is_empty().then(|| PathBuf::from(REPORT_FOLDER));
        self.out.clone().or_else(default)
    }

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

    /// The folder that all data is below while it is measured.
    pub(crate) fn data_folder(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(std::env::temp_dir)
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn only_what_there_is_can_be_named() {
        #[track_caller]
        fn check(names: &str, expected: Result<usize, i32>) {
            let options = Options::try_parse_from(["thalweg-bench", "--only", names]);
            let found = options.map(|options| options.only.len()).map_err(|error| error.exit_code());
            assert_eq!(found, expected, "{names}");
        }
        check("put,growth-consumers", Ok(2));
        check("peers,moto server", Ok(2));
        check("log-engines,s2,redis", Ok(3));
        check("puts", Err(2));
        check("put,log-engine", Err(2));
    }

    #[test]
    fn a_part_does_not_replace_the_report() {
        #[track_caller]
        fn check(arguments: &[&str], folder: Option<&str>) {
            let options = Options::parse_from([&["thalweg-bench"], arguments].concat());
            assert_eq!(options.report_folder(), folder.map(PathBuf::from), "{arguments:?}");
        }
        check(&[], Some("docs/benchmarks"));
        check(&["--only", "put"], None);
        check(&["--only", "put", "--out", "elsewhere"], Some("elsewhere"));
        check(&["--quick"], None);
        let refused = Options::try_parse_from(["thalweg-bench", "--quick", "--out", "elsewhere"]);
        assert!(refused.is_err(), "it would write nothing there");
    }
}
