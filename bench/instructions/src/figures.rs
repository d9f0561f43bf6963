//! The committed figures: `bench/instructions/figures.json`, by counter and workload.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Map, Value};

/// Instructions per request.
pub(crate) struct Figures(Map<String, Value>);

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("figures.json")
}

impl Figures {
    /// What is committed; nothing where there is no file yet.
    ///
    /// # Panics
    /// When the file is no JSON object.
    pub(crate) fn read() -> Figures {
        let Ok(text) = fs::read_to_string(path()) else { return Figures(Map::new()) };
        Figures(serde_json::from_str(&text).expect("figures.json is a JSON object"))
    }

    /// Whether any workload has a figure by this counter.
    pub(crate) fn has(&self, counter: &str) -> bool {
        self.0.get(counter).and_then(Value::as_object).is_some_and(|figures| !figures.is_empty())
    }

    pub(crate) fn get(&self, counter: &str, workload: &str) -> Option<u64> {
        self.0.get(counter)?.get(workload)?.as_u64()
    }

    pub(crate) fn set(&mut self, counter: &str, workload: &str, instructions: u64) {
        let figures = self.0.entry(counter).or_insert_with(|| Value::Object(Map::new()));
        figures[workload] = instructions.into();
    }

    pub(crate) fn write(&self) {
        let text = serde_json::to_string_pretty(&self.0).expect("it is JSON") + "\n";
        fs::write(path(), text).expect("the checkout is writable");
    }
}

/// Says that something was not done, where CI collects such lines.
pub(crate) fn skip(what: &str) {
    println!("SKIPPED: {what}");
    if let Ok(list) = std::env::var("THALWEG_SKIPS") {
        let file = fs::OpenOptions::new().append(true).create(true).open(list);
        let written = file.and_then(|mut file| writeln!(file, "{what}"));
        written.expect("the list of skips can be written");
    }
}
