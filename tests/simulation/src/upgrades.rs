//! Data directories as plain files, so that those of every version can be kept and opened by every later one.

use std::collections::BTreeMap;

use thalweg_system::simulated::SimulatedDisk;

use crate::directory::{End, look, make};

/// Files by their paths.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A directory that this version makes.
///
/// # Panics
/// When it is not as it should be.
pub fn made(end: End) -> Files {
    let disk = make(end).disk;
    let content = |path: String| (path.clone(), disk.content(&path).expect("it was listed"));
    disk.files().into_iter().map(content).collect()
}

/// All that a server of this version says of a directory, a line for each fact.
///
/// # Panics
/// When the server does not start, or cannot read something.
pub fn described(files: &Files) -> String {
    let disk = SimulatedDisk::new();
    files.iter().for_each(|(path, bytes)| disk.put(path, bytes));
    let told = look(disk).unwrap_or_else(|error| panic!("the server does not start: {error}"));
    assert_eq!(told.unreadable, Vec::<String>::new(), "everything can be read");
    told.facts.iter().map(|(name, fact)| format!("{name} = {fact}\n")).collect()
}
