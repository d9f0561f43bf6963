//! Schemas: static tables that the generator writes from the service models.

use std::sync::OnceLock;

use regex_lite::Regex;

use crate::Value;

/// A structure: its name and its members, in the order in which AWS reports their violations.
#[derive(Debug)]
pub struct StructureSchema {
    /// The shape's name in the model.
    pub name: &'static str,
    /// Its members.
    pub members: &'static [Member],
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Its name on the wire.
    pub name: &'static str,
    /// Whether a request must have it.
    pub required: bool,
    /// What it holds.
    pub schema: &'static Schema,
}

/// What a value must be. Bounds are inclusive; `None` means unbounded.
#[derive(Debug)]
pub enum Schema {
    /// True or false.
    Boolean,
    /// A 32-bit number.
    Integer {
        /// Smallest.
        min: Option<i64>,
        /// Largest.
        max: Option<i64>,
    },
    /// A 64-bit number.
    Long {
        /// Smallest.
        min: Option<i64>,
        /// Largest.
        max: Option<i64>,
    },
    /// A floating-point number.
    Double,
    /// Text. Lengths are in characters.
    Text {
        /// Shortest.
        min: Option<usize>,
        /// Longest.
        max: Option<usize>,
        /// What it must match, whole.
        pattern: Option<Pattern>,
        /// The values that it may have; empty when it is no enumeration.
        values: &'static [&'static str],
    },
    /// Bytes.
    Blob {
        /// Shortest.
        min: Option<usize>,
        /// Longest.
        max: Option<usize>,
    },
    /// A moment.
    Timestamp,
    /// Values in order.
    List {
        /// What each is.
        member: &'static Schema,
        /// Fewest.
        min: Option<usize>,
        /// Most.
        max: Option<usize>,
    },
    /// Values by name.
    Map {
        /// What each name must be.
        key: &'static Schema,
        /// What each value is.
        value: &'static Schema,
        /// Fewest.
        min: Option<usize>,
        /// Most.
        max: Option<usize>,
    },
    /// A structure.
    Structure(&'static StructureSchema),
}

/// A regular expression of the model, compiled when first used. A text must match it whole, as in Java.
#[derive(Debug)]
pub struct Pattern {
    /// As AWS writes it in its messages.
    pub source: &'static str,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    /// From the model's text.
    pub const fn new(source: &'static str) -> Self {
        Pattern { source, compiled: OnceLock::new() }
    }

    /// Whether all of `text` matches.
    ///
    /// # Panics
    /// When the source is no regular expression: the generator's tests compile each.
    pub fn matches(&self, text: &str) -> bool {
        self.compiled
            .get_or_init(|| {
                Regex::new(&format!("^(?:{})$", self.source))
                    .expect("the generator's tests compile each pattern")
            })
            .is_match(text)
    }
}

/// A generated type of a structure shape.
pub trait Structure: Sized {
    /// Its table.
    fn schema() -> &'static StructureSchema;

    /// From a value that was coerced and checked by the schema.
    ///
    /// # Panics
    /// When it was not.
    fn from_value(value: Value) -> Self;

    /// As a value, absent members left out.
    fn into_value(self) -> Value;
}

impl Structure for () {
    fn schema() -> &'static StructureSchema {
        &StructureSchema { name: "Unit", members: &[] }
    }

    fn from_value(_: Value) -> Self {}

    fn into_value(self) -> Value {
        Value::Null
    }
}
