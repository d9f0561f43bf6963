//! The runtime under the generated models: value tree, readers, constraint violations.
