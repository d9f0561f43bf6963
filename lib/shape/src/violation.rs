//! Constraint checks: all violations of a request together, worded as AWS words them.

use std::fmt::Write;

use crate::{Pattern, Schema, StructureSchema, Value};

/// AWS reports at most this many. Source: facts/aws-behaviour.md, Protocol.
const VIOLATIONS_MAX: usize = 10;
/// Longer texts, in bytes, are not held against a pattern if their length is bounded: they break that bound anyway, and
/// patterns take up to half a microsecond a byte, of which a body has 16 million.
const PATTERN_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of a character.
const CHARACTER_BYTES_MAX: usize = 4;

/// What a coerced request breaks, each as one sentence. Empty when it breaks nothing.
pub fn violations(value: &Value, schema: &StructureSchema) -> Vec<String> {
    let mut found = Vec::new();
    structure(value, schema, "", &mut found);
    found.truncate(VIOLATIONS_MAX);
    found
}

/// The message of a ValidationException for these violations.
pub fn validation_message(violations: &[String]) -> String {
    let plural = if violations.len() == 1 { "" } else { "s" };
    format!("{} validation error{plural} detected: {}", violations.len(), violations.join("; "))
}

fn structure(value: &Value, schema: &StructureSchema, path: &str, found: &mut Vec<String>) {
    for member in schema.members {
        if found.len() >= VIOLATIONS_MAX {
            return;
        }
        let path = join(path, &lower_first(member.name));
        match value.member(member.name) {
            Some(value) => check(value, member.schema, &path, found),
            None if member.required => {
                report(&Value::Null, member.schema, &path, "Member must not be null", found)
            }
            None => {}
        }
    }
}

fn check(value: &Value, schema: &Schema, path: &str, found: &mut Vec<String>) {
    match (schema, value) {
        (_, Value::Null) => {}
        (Schema::Integer { min, max } | Schema::Long { min, max }, Value::Integer(number)) => {
            if let Some(min) = min.filter(|min| number < min) {
                report(
                    value,
                    schema,
                    path,
                    &format!("Member must have value greater than or equal to {min}"),
                    found,
                );
            }
            if let Some(max) = max.filter(|max| number > max) {
                report(
                    value,
                    schema,
                    path,
                    &format!("Member must have value less than or equal to {max}"),
                    found,
                );
            }
        }
        (Schema::Text { min, max, pattern, values }, Value::Text(text)) => {
            if let Some(pattern) = pattern.as_ref().filter(|pattern| breaks_pattern(pattern, *max, text)) {
                let rule = format!("Member must satisfy regular expression pattern: {}", pattern.source);
                report(value, schema, path, &rule, found);
            }
            length(value, schema, path, text.chars().count(), *min, *max, found);
            if !values.is_empty() && !values.contains(&text.as_str()) {
                let rule = format!("Member must satisfy enum value set: [{}]", values.join(", "));
                report(value, schema, path, &rule, found);
            }
        }
        (Schema::Blob { min, max }, Value::Bytes(bytes)) => {
            length(value, schema, path, bytes.len(), *min, *max, found);
        }
        (Schema::List { member, min, max }, Value::List(values)) => {
            length(value, schema, path, values.len(), *min, *max, found);
            if let Some(rule) = broken_text_rule(member, values) {
                report(value, schema, path, &format!("Member must satisfy constraint: [{rule}]"), found);
            }
            for (index, element) in values.iter().enumerate() {
                if found.len() >= VIOLATIONS_MAX {
                    return;
                }
                element_check(element, member, &format!("{path}.{}.member", index + 1), found);
            }
        }
        (Schema::Map { key, value: element, min, max }, Value::Map(members)) => {
            length(value, schema, path, members.len(), *min, *max, found);
            if members.iter().any(|(name, _)| breaks_text_rules(key, name)) {
                let rule = format!("Map keys must satisfy constraint: [{}]", text_rules(key));
                report(value, schema, path, &rule, found);
            }
            if let Some(rule) = broken_text_rule(element, members.iter().map(|(_, value)| value)) {
                report(value, schema, path, &format!("Map value must satisfy constraint: [{rule}]"), found);
            }
            for (name, value) in members {
                element_check(value, element, &format!("{path}.{name}.member"), found);
            }
        }
        (Schema::Structure(schema), value) => structure(value, schema, path, found),
        _ => {}
    }
}

/// An element of a list or map: none may be null; texts are checked together ([`broken_text_rule`]).
fn element_check(element: &Value, schema: &Schema, path: &str, found: &mut Vec<String>) {
    match (element, schema) {
        (Value::Null, _) => report(element, schema, path, "Member must not be null", found),
        (_, Schema::Text { .. }) => {}
        _ => check(element, schema, path, found),
    }
}

fn length(
    value: &Value,
    schema: &Schema,
    path: &str,
    length: usize,
    min: Option<usize>,
    max: Option<usize>,
    found: &mut Vec<String>,
) {
    if let Some(min) = min.filter(|min| length < *min) {
        report(
            value,
            schema,
            path,
            &format!("Member must have length greater than or equal to {min}"),
            found,
        );
    }
    if let Some(max) = max.filter(|max| length > *max) {
        report(value, schema, path, &format!("Member must have length less than or equal to {max}"), found);
    }
}

/// AWS checks the texts of a list or map together and then names all of their rules.
fn broken_text_rule<'a>(schema: &Schema, values: impl IntoIterator<Item = &'a Value>) -> Option<String> {
    values
        .into_iter()
        .any(|value| matches!(value, Value::Text(text) if breaks_text_rules(schema, text)))
        .then(|| text_rules(schema))
}

fn breaks_text_rules(schema: &Schema, text: &str) -> bool {
    let Schema::Text { min, max, pattern, values } = schema else { return false };
    let length = text.chars().count();
    min.is_some_and(|min| length < min)
        || max.is_some_and(|max| length > max)
        || pattern.as_ref().is_some_and(|pattern| breaks_pattern(pattern, *max, text))
        || !(values.is_empty() || values.contains(&text))
}

/// Of texts far beyond their longest (`max`) none does.
fn breaks_pattern(pattern: &Pattern, max: Option<usize>, text: &str) -> bool {
    let is_bounded = max.is_some_and(|max| max < PATTERN_BYTES_MAX / CHARACTER_BYTES_MAX);
    if is_bounded && text.len() > PATTERN_BYTES_MAX {
        return false;
    }
    !pattern.matches(text)
}

fn text_rules(schema: &Schema) -> String {
    let Schema::Text { min, max, pattern, values } = schema else { return String::new() };
    let rules = [
        max.map(|max| format!("Member must have length less than or equal to {max}")),
        min.map(|min| format!("Member must have length greater than or equal to {min}")),
        pattern.as_ref().map(|p| format!("Member must satisfy regular expression pattern: {}", p.source)),
        (!values.is_empty()).then(|| format!("Member must satisfy enum value set: [{}]", values.join(", "))),
    ];
    rules.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn report(value: &Value, schema: &Schema, path: &str, rule: &str, found: &mut Vec<String>) {
    let mut shown = String::new();
    show(value, schema, &mut shown);
    let shown = if *value == Value::Null { shown } else { format!("'{shown}'") };
    found.push(format!("Value {shown} at '{path}' failed to satisfy constraint: {rule}"));
}

/// A value as Java prints it.
fn show(value: &Value, schema: &Schema, out: &mut String) {
    match (value, schema) {
        (Value::Null, _) => out.push_str("null"),
        (Value::Boolean(boolean), _) => push(out, boolean),
        (Value::Integer(number), _) => push(out, number),
        (Value::Float(number), _) => push(out, number),
        (Value::Text(text), _) => out.push_str(text),
        (Value::Timestamp(timestamp), _) => push(out, timestamp),
        (Value::Bytes(bytes), _) => {
            push(out, format_args!("java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", bytes.len()));
        }
        (Value::List(values), Schema::List { member, .. }) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                show(value, member, out);
            }
            out.push(']');
        }
        (Value::Map(members), Schema::Map { value: element, .. }) => {
            out.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push(out, format_args!("{name}="));
                show(value, element, out);
            }
            out.push('}');
        }
        // Java prints an object's class and its hash, which depends on the run: any hash is as good.
        (_, Schema::Structure(structure)) => {
            push(out, format_args!("com.amazonaws.kinesis.v20131202.{}@c965e310", structure.name));
        }
        _ => {}
    }
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("writing to a string does not fail");
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// `StreamName` as `streamName`.
fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Member;

    static NAME: Schema =
        Schema::Text { min: Some(1), max: Some(5), pattern: Some(Pattern::new("[a-z]+")), values: &[] };
    static KIND: Schema = Schema::Text { min: None, max: None, pattern: None, values: &["A", "B"] };
    static COUNT: Schema = Schema::Integer { min: Some(1), max: Some(3) };
    static TAG: Schema = Schema::Text { min: Some(1), max: Some(2), pattern: None, values: &[] };
    static DATA: Schema = Schema::Blob { min: None, max: Some(2) };
    static ENTRY: StructureSchema =
        StructureSchema { name: "Entry", members: &[Member { name: "Data", required: true, schema: &DATA }] };
    static ENTRY_SCHEMA: Schema = Schema::Structure(&ENTRY);
    static ENTRIES: Schema = Schema::List { member: &ENTRY_SCHEMA, min: Some(1), max: Some(2) };
    static TAGS: Schema = Schema::Map { key: &TAG, value: &TAG, min: Some(1), max: Some(9) };
    static KEYS: Schema = Schema::List { member: &TAG, min: Some(1), max: Some(9) };
    static INPUT: StructureSchema = StructureSchema {
        name: "Input",
        members: &[
            Member { name: "Count", required: false, schema: &COUNT },
            Member { name: "Name", required: true, schema: &NAME },
            Member { name: "Kind", required: false, schema: &KIND },
            Member { name: "Entries", required: false, schema: &ENTRIES },
            Member { name: "Tags", required: false, schema: &TAGS },
            Member { name: "Keys", required: false, schema: &KEYS },
        ],
    };

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[track_caller]
    fn check_violations(members: &[(&str, Value)], expected: &[&str]) {
        let mut members: Vec<_> =
            members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        if !members.iter().any(|(name, _)| name == "Name") {
            members.push(("Name".to_owned(), text("abc")));
        }
        assert_eq!(violations(&Value::Map(members), &INPUT), expected);
    }

    #[test]
    fn violations_read_as_on_aws() {
        check_violations(&[], &[]);
        check_violations(
            &[("Count", Value::Integer(0)), ("Name", Value::Null)],
            &[
                "Value '0' at 'count' failed to satisfy constraint: Member must have value greater than or equal to 1",
                "Value null at 'name' failed to satisfy constraint: Member must not be null",
            ],
        );
        check_violations(
            &[("Name", text(""))],
            &[
                "Value '' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+",
                "Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1",
            ],
        );
        check_violations(
            &[("Kind", text("C"))],
            &["Value 'C' at 'kind' failed to satisfy constraint: Member must satisfy enum value set: [A, B]"],
        );
    }

    #[test]
    fn texts_far_too_long_are_told_their_length_alone() {
        // Found by fuzzing: a name of 14 MiB kept a network thread busy for seconds.
        for (length, rules) in [(PATTERN_BYTES_MAX, 2), (PATTERN_BYTES_MAX + 1, 1), (14 << 20, 1)] {
            let value = Value::Map(vec![("Name".to_owned(), text(&"A".repeat(length)))]);
            let found = violations(&value, &INPUT);
            assert_eq!(found.len(), rules, "{length}");
            assert!(found[rules - 1].ends_with("Member must have length less than or equal to 5"));
        }
    }

    #[test]
    fn lists_are_counted_from_one() {
        let entry =
            |bytes: &'static [u8]| Value::Map(vec![("Data".into(), Value::Bytes(Bytes::from_static(bytes)))]);
        check_violations(
            &[("Entries", Value::List(vec![entry(b"ok"), entry(b"long"), Value::Map(vec![])]))],
            &[
                "Value '[com.amazonaws.kinesis.v20131202.Entry@c965e310, com.amazonaws.kinesis.v20131202.Entry@c965e310, \
                 com.amazonaws.kinesis.v20131202.Entry@c965e310]' at 'entries' failed to satisfy constraint: \
                 Member must have length less than or equal to 2",
                "Value 'java.nio.HeapByteBuffer[pos=0 lim=4 cap=4]' at 'entries.2.member.data' failed to satisfy \
                 constraint: Member must have length less than or equal to 2",
                "Value null at 'entries.3.member.data' failed to satisfy constraint: Member must not be null",
            ],
        );
    }

    #[test]
    fn texts_in_lists_and_maps_are_reported_together() {
        check_violations(
            &[("Tags", Value::Map(vec![("abc".into(), text("x")), ("a".into(), text(""))]))],
            &[
                "Value '{abc=x, a=}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: \
                 [Member must have length less than or equal to 2, Member must have length greater than or equal to 1]",
                "Value '{abc=x, a=}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: \
                 [Member must have length less than or equal to 2, Member must have length greater than or equal to 1]",
            ],
        );
        check_violations(
            &[("Keys", Value::List(vec![text("abc")]))],
            &["Value '[abc]' at 'keys' failed to satisfy constraint: Member must satisfy constraint: \
               [Member must have length less than or equal to 2, Member must have length greater than or equal to 1]"],
        );
    }

    #[test]
    fn at_most_ten_are_reported() {
        let entries = Value::List(vec![Value::Map(vec![]); 20]);
        let value = Value::Map(vec![("Name".into(), text("abc")), ("Entries".into(), entries)]);
        let found = violations(&value, &INPUT);
        assert_eq!(found.len(), 10);
        assert!(validation_message(&found).starts_with("10 validation errors detected: Value "));
    }
}
