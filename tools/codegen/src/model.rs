//! A service model as it lies in `models/`, and what AWS does beyond it (`overrides.json`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A model that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what the generator expects.
    #[error("cannot understand {path}")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// One service.
pub struct Model {
    /// The folder's name: `kinesis`.
    pub service: String,
    pub(crate) facts: Facts,
    pub(crate) overrides: Overrides,
    /// Shapes that inputs and outputs reach, exceptions and event streams left out.
    pub(crate) reached: BTreeSet<String>,
}

#[derive(Deserialize)]
pub(crate) struct Facts {
    pub(crate) metadata: Metadata,
    pub(crate) operations: BTreeMap<String, OperationFacts>,
    pub(crate) shapes: BTreeMap<String, Shape>,
    pub(crate) provenance: Provenance,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    #[serde(default)]
    pub(crate) target_prefix: String,
    pub(crate) service_full_name: String,
}

#[derive(Deserialize)]
pub(crate) struct Provenance {
    pub(crate) package: String,
    pub(crate) version: String,
}

#[derive(Deserialize)]
pub(crate) struct OperationFacts {
    pub(crate) input: Option<Reference>,
    pub(crate) output: Option<Reference>,
    #[serde(default)]
    pub(crate) errors: Vec<Reference>,
}

#[derive(Deserialize)]
pub(crate) struct Reference {
    pub(crate) shape: String,
}

#[derive(Deserialize)]
pub(crate) struct Shape {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) members: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    pub(crate) required: Vec<String>,
    pub(crate) member: Option<Reference>,
    pub(crate) key: Option<Reference>,
    pub(crate) value: Option<Reference>,
    /// Whole for lengths and counts; a few doubles of the family have fractions.
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) pattern: Option<String>,
    #[serde(default, rename = "enum")]
    pub(crate) values: Vec<String>,
    #[serde(default)]
    pub(crate) exception: bool,
    #[serde(default)]
    pub(crate) fault: bool,
    #[serde(default)]
    pub(crate) eventstream: bool,
}

#[derive(Deserialize)]
pub(crate) struct Overrides {
    #[serde(rename = "trait")]
    pub(crate) trait_name: String,
    pub(crate) signing_name: String,
    #[serde(default)]
    pub(crate) hot: Vec<String>,
    /// Operations that are not written yet.
    #[serde(default)]
    pub(crate) later: Vec<String>,
    #[serde(default)]
    pub(crate) optional_members: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(crate) violation_order: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(crate) enum_order: BTreeMap<String, Vec<String>>,
}

fn read<T: for<'a> Deserialize<'a>>(path: PathBuf) -> Result<T, ModelError> {
    let text = fs::read(&path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
    serde_json::from_slice(&text).map_err(|source| ModelError::Parse { path, source })
}

/// The services below `models/`, in order.
pub(crate) fn services(root: &Path) -> Result<Vec<String>, ModelError> {
    let path = root.join("models");
    let entries = fs::read_dir(&path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
    let mut services: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    services.sort();
    Ok(services)
}

impl Model {
    /// Reads one service's files.
    ///
    /// # Errors
    /// When one cannot be read or understood.
    pub fn read(root: &Path, service: &str) -> Result<Self, ModelError> {
        let folder = root.join("models").join(service);
        let mut model = Model {
            service: service.to_owned(),
            facts: read(folder.join("service.json"))?,
            overrides: read(folder.join("overrides.json"))?,
            reached: BTreeSet::new(),
        };
        let mut open: Vec<String> = model
            .facts
            .operations
            .values()
            .flat_map(|operation| operation.input.iter().chain(&operation.output))
            .map(|reference| reference.shape.clone())
            .collect();
        while let Some(name) = open.pop() {
            let shape = model.shape(&name);
            if shape.exception || model.reached.contains(&name) {
                continue;
            }
            open.extend(model.members(&name).map(|member| member.shape));
            open.extend(
                [&shape.member, &shape.key, &shape.value].into_iter().flatten().map(|r| r.shape.clone()),
            );
            model.reached.insert(name);
        }
        let event_streams: Vec<String> =
            model.reached.iter().filter(|name| model.is_event_stream_or_holds_one(name)).cloned().collect();
        for name in event_streams {
            model.reached.remove(&name);
        }
        Ok(model)
    }

    pub(crate) fn shape(&self, name: &str) -> &Shape {
        self.facts
            .shapes
            .get(name)
            .unwrap_or_else(|| panic!("the model names the shape {name} and does not have it"))
    }

    /// A structure's members in the order in which AWS reports their violations.
    pub(crate) fn members(&self, structure: &str) -> impl Iterator<Item = MemberFacts> {
        let shape = self.shape(structure);
        let first = self.overrides.violation_order.get(structure).cloned().unwrap_or_default();
        let optional = self.overrides.optional_members.get(structure).cloned().unwrap_or_default();
        let rest: Vec<String> = shape.members.keys().filter(|name| !first.contains(name)).cloned().collect();
        first.into_iter().chain(rest).map(move |name| MemberFacts {
            shape: shape.members[&name]["shape"].as_str().expect("members name their shape").to_owned(),
            required: shape.required.contains(&name) && !optional.contains(&name),
            name,
        })
    }

    /// The values of an enumeration in AWS's order.
    pub(crate) fn values<'a>(&'a self, name: &str) -> &'a [String] {
        self.overrides.enum_order.get(name).unwrap_or(&self.shape(name).values)
    }

    pub(crate) fn is_event_stream_or_holds_one(&self, name: &str) -> bool {
        self.shape(name).eventstream || self.members(name).any(|member| self.shape(&member.shape).eventstream)
    }
}

pub(crate) struct MemberFacts {
    pub(crate) name: String,
    pub(crate) shape: String,
    pub(crate) required: bool,
}
