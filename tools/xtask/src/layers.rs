//! The layer table: who may depend on whom. A test reads every Cargo.toml and compares.
//!
//! What is not in a row is forbidden, development dependencies included; what only tests may name has a table of
//! its own.

/// A crate's folder, and the crates of this workspace that it may name.
#[cfg(test)]
const TABLE: &[(&str, &[&str])] = &[
    ("lib/types", &[]),
    ("lib/shape", &["types"]),
    ("lib/model", &["types", "shape"]),
    ("lib/wire", &["types", "shape"]),
    ("lib/aggregate", &["types"]),
    ("lib/policy", &[]),
    ("lib/sigv4", &[]),
    ("system", &["types"]),
    ("edge/api", &["types", "shape", "model", "wire"]),
    ("edge/gateway", &["types", "shape", "sigv4", "wire", "api", "system"]),
    ("storage/journal", &["types", "system"]),
    ("storage/journal-memory", &["types", "system", "journal"]),
    ("storage/journal-disk", &["types", "system", "journal"]),
    ("storage/catalog", &["types", "system"]),
    ("storage/catalog-disk", &["types", "system", "catalog"]),
    ("services/streams", &["types", "shape", "model", "wire", "system", "api", "journal", "catalog"]),
    ("clients/cli", &["types", "aggregate"]),
    ("tools/codegen", &[]),
    ("tools/xtask", &["codegen"]),
];

/// What a crate may name besides, for its tests.
#[cfg(test)]
const TABLE_FOR_TESTS: &[(&str, &[&str])] = &[("services/streams", &["journal-memory"])];

/// Composition: these may name every crate.
#[cfg(test)]
const UNBOUND: &[&str] =
    &["server", "bench", "bench/instructions", "tests/conformance", "tests/fuzz", "tests/simulation"];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Workspace crates named in one section of a manifest.
    fn named(manifest: &str, section: &str) -> Vec<String> {
        let mut inside = false;
        let mut found = Vec::new();
        for line in manifest.lines() {
            if line.starts_with('[') {
                inside = line.trim() == format!("[{section}]");
            } else if inside && let Some(rest) = line.trim().strip_prefix("thalweg-") {
                let name: String =
                    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
                found.push(name);
            }
        }
        found
    }

    fn members(root: &Path) -> Vec<String> {
        let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the workspace has a manifest");
        let start = manifest.find("members = [").expect("it lists its members");
        let list = &manifest[start..start + manifest[start..].find(']').expect("the list ends")];
        list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn crates_depend_only_on_layers_below_them() {
        let root = crate::root();
        for member in members(&root) {
            if UNBOUND.contains(&member.as_str()) {
                continue;
            }
            let manifest =
                fs::read_to_string(root.join(&member).join("Cargo.toml")).expect("members have one");
            let (_, allowed) = TABLE
                .iter()
                .find(|(folder, _)| *folder == member)
                .unwrap_or_else(|| panic!("{member} is not in the layer table of tools/xtask/src/layers.rs"));
            for name in named(&manifest, "dependencies") {
                assert!(allowed.contains(&name.as_str()), "{member} must not depend on thalweg-{name}");
            }
            let for_tests =
                TABLE_FOR_TESTS.iter().find(|(folder, _)| *folder == member).map_or(&[][..], |row| row.1);
            for name in named(&manifest, "dev-dependencies") {
                assert!(
                    allowed.contains(&name.as_str()) || for_tests.contains(&name.as_str()),
                    "{member}'s tests must not depend on thalweg-{name}"
                );
            }
        }
    }
}
