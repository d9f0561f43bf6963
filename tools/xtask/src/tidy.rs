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

    /// The tests that a page names: words in backticks and lower case with underscores, in brackets.
    fn tests_named_in(page: &str) -> Vec<&str> {
        let brackets = page.split('[').skip(1).filter_map(|rest| rest.split(']').next());
        let words = brackets.flat_map(|bracket| bracket.split('`').skip(1).step_by(2));
        words.filter(|word| word.contains('_')).collect()
    }

    #[test]
    fn every_guarantee_names_a_test_that_exists() {
        let page = fs::read_to_string(crate::root().join("docs/guarantees.md")).expect("the page is there");
        let sources: String = every_source().into_iter().map(|(_, text)| text).collect();
        let named = tests_named_in(&page);
        assert!(named.len() > 40, "the page names its tests in brackets: {named:?}");
        for test in named {
            assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
        }
        for item in page.split("\n- ").skip(1) {
            let sentence = item.split("\n\n").next().expect("a split has a first part");
            let is_assumption = sentence.starts_with("A write that a power cut tears");
            assert!(is_assumption || sentence.contains("[`"), "which test holds this? {sentence}");
        }
    }
}
