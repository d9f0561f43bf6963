//! Generated code: writing it, and the test that it is up to date.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Writes every generated file that differs.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    for (path, content) in formatted(root)? {
        let target = root.join(&path);
        if fs::read_to_string(&target).ok().as_deref() == Some(content.as_str()) {
            continue;
        }
        let folder = target.parent().expect("generated files lie in folders");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&target, content))
            .map_err(|e| format!("{path:?}: {e}"))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

fn formatted(root: &Path) -> Result<BTreeMap<PathBuf, String>, String> {
    let files = thalweg_codegen::generate(root).map_err(|error| format!("{error:?}"))?;
    files.into_iter().map(|(path, content)| Ok((path, format(root, &content)?))).collect()
}

fn format(root: &Path, source: &str) -> Result<String, String> {
    let mut child = Command::new("rustfmt")
        .arg("--config-path")
        .arg(root.join("rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run rustfmt: {error}"))?;
    let mut input = child.stdin.take().expect("stdin was asked for");
    let source = source.to_owned();
    let writer = std::thread::spawn(move || input.write_all(source.as_bytes()));
    let output = child.wait_with_output().map_err(|error| format!("rustfmt: {error}"))?;
    writer.join().expect("writing does not panic").map_err(|error| format!("rustfmt: {error}"))?;
    if !output.status.success() {
        return Err("rustfmt refused what the generator wrote".to_owned());
    }
    String::from_utf8(output.stdout).map_err(|error| format!("rustfmt: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_code_is_up_to_date() {
        let root = crate::root();
        for (path, content) in formatted(&root).expect("the models are readable") {
            let stored = fs::read_to_string(root.join(&path)).unwrap_or_default();
            assert!(stored == content, "{} is out of date: run `cargo xtask generate`", path.display());
        }
    }
}
