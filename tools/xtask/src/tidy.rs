//! Tidy tests: what the compiler does not check.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Rust sources of the repository, generated ones included.
    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("folders are readable").flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir()
                && name != "target"
                && name != "node_modules"
                && !name.to_string_lossy().starts_with('.')
            {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    fn every_source() -> Vec<(PathBuf, String)> {
        let mut paths = Vec::new();
        sources(&crate::root(), &mut paths);
        paths.sort();
        paths
            .into_iter()
            .map(|path| {
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                (path, text)
            })
            .collect()
    }

    #[test]
    fn every_module_opens_with_a_comment() {
        for (path, text) in every_source() {
            assert!(text.starts_with("//! "), "{} does not say what it is", path.display());
        }
    }

    #[test]
    fn files_have_one_subject() {
        for (path, text) in every_source() {
            let generated = text.starts_with("//! GENERATED");
            let lines = text.lines().count();
            assert!(
                generated || lines <= 1200,
                "{} has {lines} lines: more than one subject",
                path.display()
            );
        }
    }

    #[test]
    fn nothing_is_left_over() {
        for (path, text) in every_source() {
            for word in ["TO", "FIX", "XX"].iter().zip(["DO", "ME", "X"]).map(|(a, b)| format!("{a}{b}")) {
                assert!(!text.contains(&word), "{} has a {word}: do it, or open an issue", path.display());
            }
        }
    }

    #[test]
    fn every_decision_is_numbered_and_says_why() {
        let folder = crate::root().join("docs/decisions");
        for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "README.md" {
                continue;
            }
            let text = fs::read_to_string(entry.path()).expect("decisions are UTF-8");
            assert!(name.as_bytes().iter().take(4).all(u8::is_ascii_digit), "{name} has no number");
            assert!(text.contains("## Why"), "{name} does not say why");
        }
    }
}
