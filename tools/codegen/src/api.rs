//! A service's operations, its typed trait, and the adapter to the gateway's `Service`.

use std::fmt::Write;

use crate::model::{Model, OperationFacts};
use crate::{naming, rust};

pub(crate) fn api(model: &Model) -> String {
    let service = &model.service;
    let trait_name = &model.overrides.trait_name;
    let prefix = &model.facts.metadata.target_prefix;
    let mut out = rust::header(model, "Operations, trait and adapter");
    let _ = write!(
        out,
        "use std::sync::Arc;

use bytes::Bytes;
use thalweg_model::{service}::*;
use thalweg_shape::{{Structure, Value}};

use crate::operation::{{Operation, ResourceMember}};
use crate::service::{{Answer, Call, EventStream, HotAnswer, Reply, Service, not_available}};

"
    );
    let (mut table, mut methods, mut hot, mut calls) =
        (String::new(), String::new(), String::new(), String::new());
    for (name, operation) in &model.facts.operations {
        let function = naming::snake(name);
        let input = operation.input.as_ref().map_or("()", |input| &input.shape);
        let streaming =
            operation.output.as_ref().is_some_and(|o| model.is_event_stream_or_holds_one(&o.shape));
        let output = match &operation.output {
            Some(_) if streaming => "EventStream",
            Some(output) => &output.shape,
            None => "()",
        };
        let available = !model.overrides.later.contains(name);
        let is_hot = model.overrides.hot.contains(name);
        let errors: String = operation.errors.iter().map(|error| format!("\"{}\", ", error.shape)).collect();
        let schema = match &operation.input {
            Some(input) => format!("&schemas::{}", naming::constant(&input.shape)),
            None => "&thalweg_shape::StructureSchema { name: \"Unit\", members: &[] }".to_owned(),
        };
        let _ = writeln!(
            table,
            "    Operation {{ name: \"{name}\", input: {schema}, errors: &[{errors}], action: \"{}:{name}\", resource: {}, \
             streaming: {streaming}, hot: {is_hot}, available: {available} }},",
            model.overrides.signing_name,
            resource(model, operation)
        );
        let _ = write!(
            methods,
            "
    /// `{name}`
    fn {function}<'a>(&'a self, call: &'a Call, input: {input}) -> Reply<'a, {output}> {{
        let _ = (call, input);
        not_available(\"{name}\")
    }}
"
        );
        if is_hot {
            let _ = write!(
                methods,
                "
    /// `{name}` straight from the encoded body; `None` takes the ordinary path.
    fn {function}_hot<'a>(&'a self, call: &'a Call, body: &'a Bytes) -> HotAnswer<'a> {{
        let _ = (call, body);
        None
    }}
"
            );
            let _ = writeln!(hot, "\"{name}\" => self.0.{function}_hot(call, body),");
        }
        let answer = if streaming { "Answer::Events" } else { "|output| Answer::Value(output.into_value())" };
        let _ = writeln!(
            calls,
            "\"{name}\" => self.0.{function}(call, Structure::from_value(input)).await.map({answer}),"
        );
    }
    let _ = write!(
        out,
        "/// The operations, by name.
pub static OPERATIONS: &[Operation] = &[
{table}];

/// {full} as a typed trait. A method that a service does not write answers that it is not available.
pub trait {trait_name}: Send + Sync + 'static {{{methods}}}

/// Makes a [`Service`] of a [`{trait_name}`].
pub struct {trait_name}Service<T>(pub Arc<T>);

impl<T: {trait_name}> Service for {trait_name}Service<T> {{
    fn target_prefix(&self) -> &'static str {{ \"{prefix}\" }}

    fn operation(&self, name: &str) -> Option<&'static Operation> {{
        let index = OPERATIONS.binary_search_by(|operation| operation.name.cmp(name)).ok()?;
        Some(&OPERATIONS[index])
    }}

    fn hot<'a>(&'a self, operation: &'static Operation, call: &'a Call, body: &'a Bytes) -> HotAnswer<'a> {{
        match operation.name {{
            {hot}
            _ => None,
        }}
    }}

    fn call<'a>(&'a self, operation: &'static Operation, call: &'a Call, input: Value) -> Reply<'a, Answer> {{
        Box::pin(async move {{
            match operation.name {{
                {calls}
                other => unreachable!(\"{{other}} is in the table and not in the match\"),
            }}
        }})
    }}
}}
",
        full = model.facts.metadata.service_full_name
    );
    out
}

/// Which member names the resource: derived from what the input has.
fn resource(model: &Model, operation: &OperationFacts) -> String {
    let Some(input) = &operation.input else { return "ResourceMember::Account".to_owned() };
    let has = |name: &str| model.members(&input.shape).any(|member| member.name == name);
    if has("StreamName") {
        return "ResourceMember::Stream".to_owned();
    }
    for arn in ["ConsumerARN", "ResourceARN", "QueueARN", "ChannelARN", "StreamARN"] {
        if has(arn) {
            return format!("ResourceMember::Arn(\"{arn}\")");
        }
    }
    "ResourceMember::Account".to_owned()
}
