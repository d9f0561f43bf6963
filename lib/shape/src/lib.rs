//! The runtime under the generated models, written by hand.
//!
//! A request goes through here in three steps, each of which AWS answers differently when it fails:
//! 1. a protocol (in `thalweg-wire`) turns bytes into a [`Value`] tree;
//! 2. [`coerce()`] compares the tree's types with the operation's [`Schema`] (SerializationException);
//! 3. [`violations`] checks constraints, all of them together (ValidationException).
//!
//! After that the generated `from_value` cannot fail: types are the proof. There is no derive and no reflection:
//! schemas are static tables that the generator writes.

pub mod coerce;
pub mod failure;
pub mod schema;
pub mod value;
pub mod violation;

pub use coerce::{TypeMismatch, coerce};
pub use failure::Failure;
pub use schema::{Member, Pattern, Schema, Structure, StructureSchema};
pub use value::{Fields, Value};
pub use violation::{validation_message, violations};
