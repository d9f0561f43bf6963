//! From `models/SERVICE/{service,overrides}.json` to `lib/model/src/SERVICE/` and `edge/api/src/SERVICE.rs`.
//!
//! Output is committed; a test in `xtask` compares it with what this makes. Only shapes that an operation's input
//! or output reaches are written.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a chore reads and writes the repository's files"
)]

mod api;
mod model;
mod naming;
mod rust;
mod schemas;
mod types;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use model::{Model, ModelError};

/// What the generator writes: path from the repository's root, and content before formatting.
pub type Files = BTreeMap<PathBuf, String>;

/// Everything generated for all models below `models/` of the repository at `root`.
///
/// # Errors
/// When a model cannot be read or uses something that the generator does not know.
pub fn generate(root: &Path) -> Result<Files, ModelError> {
    let mut files = Files::new();
    let mut services = Vec::new();
    for service in model::services(root)? {
        let model = Model::read(root, &service)?;
        let folder = Path::new("lib/model/src").join(&service);
        files.insert(folder.join("mod.rs"), types::module(&model));
        files.insert(folder.join("types.rs"), types::types(&model));
        files.insert(folder.join("schemas.rs"), schemas::schemas(&model));
        files.insert(folder.join("errors.rs"), types::errors(&model));
        files.insert(Path::new("edge/api/src").join(format!("{service}.rs")), api::api(&model));
        services.push(service);
    }
    files.insert(PathBuf::from("lib/model/src/lib.rs"), types::root(&services));
    Ok(files)
}
