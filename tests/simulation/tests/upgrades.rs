//! Directories of each version that wrote another format, kept for ever: every later version opens them and says the
//! same of them.
//!
//! Never write them again. When the format of the journal or of the catalog changes, new ones join them.

#![allow(clippy::disallowed_methods, reason = "fixtures are files of the repository")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use thalweg_simulation::{End, Files, described, made};

/// What a server must say of the directory beside it.
const EXPECTED: &str = "expected.txt";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/directories")
}

fn load(root: &Path, directory: &Path, files: &mut Files) {
    for entry in fs::read_dir(directory).expect("the fixture is part of the repository") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            load(root, &path, files);
        } else if path.file_name().is_some_and(|name| name != EXPECTED) {
            let name = path.strip_prefix(root).expect("it is below").to_str().expect("names are plain");
            files.insert(name.to_owned(), fs::read(&path).expect("it can be read"));
        }
    }
}

#[test]
fn directories_of_every_version_open_and_hold_what_they_held() {
    let mut opened = 0;
    for entry in fs::read_dir(root()).expect("the fixtures are part of the repository") {
        let directory = entry.expect("it can be listed").path();
        println!("{}", directory.display());
        let mut files = BTreeMap::new();
        load(&directory, &directory, &mut files);
        let expected = fs::read_to_string(directory.join(EXPECTED)).expect("it is part of the fixture");
        assert!(described(&files) == expected, "{} does not hold what it held", directory.display());
        opened += 1;
    }
    assert!(opened >= 2, "one was closed in good order, one was left by a crash");
}

#[test]
#[ignore = "wrote the fixtures, once"]
fn write_the_fixtures() {
    for (name, end) in [("journal-2-catalog-1-clean", End::Clean), ("journal-2-catalog-1-crash", End::Crash)]
    {
        let files = made(end);
        for (path, bytes) in &files {
            let path = root().join(name).join(path);
            fs::create_dir_all(path.parent().expect("it is below")).expect("it can be made");
            fs::write(path, bytes).expect("it can be written");
        }
        fs::write(root().join(name).join(EXPECTED), described(&files)).expect("it can be written");
    }
}
