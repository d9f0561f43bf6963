//! Schemas: the tables that type checks and constraint checks read.

use std::fmt::Write;

use crate::model::Model;
use crate::{naming, rust};

pub(crate) fn schemas(model: &Model) -> String {
    let mut out = rust::header(model, "Schemas");
    out += "use thalweg_shape::{Member, Pattern, Schema, StructureSchema};\n";
    for name in &model.reached {
        let shape = model.shape(name);
        let constant = naming::constant(name);
        if shape.kind == "structure" {
            let mut members = String::new();
            for member in model.members(name) {
                let _ = writeln!(
                    members,
                    "Member {{ name: \"{}\", required: {}, schema: &{} }},",
                    member.name,
                    member.required,
                    rust::schema_name(model, &member.shape)
                );
            }
            let _ = write!(
                out,
                "
/// `{name}`
pub static {constant}: StructureSchema = StructureSchema {{ name: \"{name}\", members: &[{members}] }};
/// `{name}` as a member.
pub static MEMBER_{constant}: Schema = Schema::Structure(&{constant});
"
            );
        } else {
            let _ = write!(out, "\n/// `{name}`\npub static {constant}: Schema = {};\n", scalar(model, name));
        }
    }
    out
}

fn scalar(model: &Model, name: &str) -> String {
    let shape = model.shape(name);
    let (min, max) = (bound(shape.min), bound(shape.max));
    match shape.kind.as_str() {
        "string" | "character" => {
            let pattern = shape.pattern.as_ref().map_or("None".to_owned(), |pattern| {
                format!("Some(Pattern::new(r#\"{}\"#))", unanchored(pattern))
            });
            let values = model.values(name).iter().map(|value| format!("\"{value}\", ")).collect::<String>();
            format!("Schema::Text {{ min: {min}, max: {max}, pattern: {pattern}, values: &[{values}] }}")
        }
        "boolean" => "Schema::Boolean".to_owned(),
        "integer" => format!("Schema::Integer {{ min: {min}, max: {max} }}"),
        "long" => format!("Schema::Long {{ min: {min}, max: {max} }}"),
        "double" | "float" => "Schema::Double".to_owned(),
        "blob" => format!("Schema::Blob {{ min: {min}, max: {max} }}"),
        "timestamp" => "Schema::Timestamp".to_owned(),
        "list" => {
            let member = rust::schema_name(model, rust::element(model, name));
            format!("Schema::List {{ member: &{member}, min: {min}, max: {max} }}")
        }
        "map" => {
            let key = &shape.key.as_ref().expect("maps have a key").shape;
            let (key, value) =
                (rust::schema_name(model, key), rust::schema_name(model, rust::map_value(model, name)));
            format!("Schema::Map {{ key: &{key}, value: &{value}, min: {min}, max: {max} }}")
        }
        other => panic!("the generator does not know shapes of type {other} ({name})"),
    }
}

fn bound(bound: Option<f64>) -> String {
    bound.map_or("None".to_owned(), |bound| format!("Some({bound})"))
}

/// Newer models anchor some patterns, `^(0|…)$`; AWS's messages show them without (recorded).
fn unanchored(pattern: &str) -> &str {
    let Some(inner) = pattern.strip_prefix("^(").and_then(|rest| rest.strip_suffix(")$")) else {
        return pattern;
    };
    let mut depth = 0i32;
    for character in inner.chars() {
        depth += i32::from(character == '(') - i32::from(character == ')');
        if depth < 0 {
            return pattern;
        }
    }
    inner
}

#[cfg(test)]
mod tests {
    use super::unanchored;

    #[test]
    fn only_whole_anchors_are_taken_off() {
        assert_eq!(unanchored(r"^(0|([1-9]\d{0,38}))$"), r"0|([1-9]\d{0,38})");
        assert_eq!(unanchored("^(a)|(b)$"), "^(a)|(b)$");
        assert_eq!(unanchored("^(arn):aws.*"), "^(arn):aws.*");
    }
}
