//! What the user sees of a put, on standard error: a bar while it runs (on a terminal only), one line at the end.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::send::Placed;
use crate::CliError;
use crate::os::{Moment, standard_input_bytes};

/// How often the bar is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// Counts what was acknowledged.
pub(crate) struct Progress {
    bar: ProgressBar,
    is_quiet: bool,
    began: Moment,
    records: u64,
    bytes: u64,
    /// For the summary of a single record.
    first: Option<Placed>,
    is_retrying: bool,
}

impl Progress {
    /// `is_long`: whether this may take long enough for a bar.
    pub(crate) fn new(is_long: bool, is_quiet: bool) -> Self {
        let bar = if !is_long || is_quiet {
            ProgressBar::hidden()
        } else {
            // The length is known when standard input is a file. The bar hides itself when standard error is no
            // terminal.
            match standard_input_bytes() {
                Some(length) => ProgressBar::new(length).with_style(style(
                    "{bar:32} {percent}%  {bytes} of {total_bytes}  {bytes_per_sec}  {msg}  {eta} left",
                )),
                None => ProgressBar::new_spinner()
                    .with_style(style("{spinner} {bytes}  {bytes_per_sec}  {msg}  {elapsed}")),
            }
        };
        bar.enable_steady_tick(TICK);
        Progress {
            bar,
            is_quiet,
            began: Moment::now(),
            records: 0,
            bytes: 0,
            first: None,
            is_retrying: false,
        }
    }

    /// How many records were acknowledged.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// A record of `bytes` bytes got in.
    pub(crate) fn add(&mut self, bytes: usize, placed: &Placed) {
        self.is_retrying = false;
        self.records += 1;
        self.bytes += bytes as u64;
        if self.records == 1 {
            self.first = Some(placed.clone());
        }
    }

    /// Brings the bar up to date.
    pub(crate) fn show(&self) {
        // A record's line end counts towards the input's length.
        self.bar.set_position(self.bytes + self.records);
        self.bar.set_message(format!("{} records", HumanCount(self.records)));
    }

    /// A request got nothing in and will be repeated. Said once for each streak of failures.
    pub(crate) fn retrying(&mut self, error: &CliError) {
        if !self.is_quiet && !self.is_retrying {
            self.bar.suspend(|| eprintln!("trying again: {error}"));
        }
        self.is_retrying = true;
    }

    /// Clears the bar, and prints the summary if all went well.
    pub(crate) fn finish(&self, stream: &str, is_success: bool) {
        self.bar.finish_and_clear();
        if self.is_quiet || !is_success {
            return;
        }
        match &self.first {
            Some(placed) if self.records == 1 => {
                eprintln!("put 1 record into {stream}: {} {}", placed.shard_id, placed.sequence_number);
            }
            _ => {
                let seconds = self.began.elapsed().as_secs_f64().max(0.001);
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss
                )]
                let per_second = (self.bytes as f64 / seconds) as u64;
                eprintln!(
                    "put {} records, {}, into {stream} in {seconds:.2} s ({}/s)",
                    HumanCount(self.records),
                    HumanBytes(self.bytes),
                    HumanBytes(per_second),
                );
            }
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("our own templates are well formed")
}
