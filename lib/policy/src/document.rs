//! Policy documents: JSON, parsed once.

use serde_json::{Map, Value};

use crate::condition::Condition;
use crate::pattern::{Pattern, Syntax};
use crate::principal::{Caller, Meant, Principal};
use crate::request::Request;

/// A document that was parsed.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) statements: Vec<Statement>,
}

/// Why a text is no policy document, in words for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

/// What a statement says of what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It may be done, unless a statement denies it.
    Allow,
    /// It may not be done.
    Deny,
}

#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// Its `Sid`, or its number.
    pub(crate) name: String,
    pub(crate) effect: Effect,
    /// `None` in policies of identities.
    principals: Option<Only<Principal>>,
    actions: Only<Pattern>,
    /// `None` in trust policies: whatever the policy is attached to.
    resources: Option<Only<Pattern>>,
    conditions: Vec<Condition>,
}

/// These, or all others (`NotAction`).
#[derive(Clone, Debug)]
enum Only<T> {
    These(Vec<T>),
    Others(Vec<T>),
}

impl<T> Only<T> {
    fn contains(&self, is_meant: impl Fn(&T) -> bool) -> bool {
        match self {
            Only::These(list) => list.iter().any(is_meant),
            Only::Others(list) => !list.iter().any(is_meant),
        }
    }
}

/// Who attaches a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Identity,
    Resource,
    Trust,
}

impl Policy {
    /// A policy of a user or a role: without principals, with resources.
    ///
    /// # Errors
    /// It is none.
    pub fn of_identity(text: &str) -> Result<Self, Malformed> {
        parse(text, Place::Identity)
    }

    /// A policy of a resource: with principals and resources.
    ///
    /// # Errors
    /// It is none.
    pub fn of_resource(text: &str) -> Result<Self, Malformed> {
        parse(text, Place::Resource)
    }

    /// A role's trust policy: with principals, without resources.
    ///
    /// # Errors
    /// It is none.
    pub fn of_trust(text: &str) -> Result<Self, Malformed> {
        parse(text, Place::Trust)
    }
}

impl Statement {
    /// How far it is about this request.
    pub(crate) fn means(&self, request: &Request<'_>) -> Meant {
        let is_action = |pattern: &Pattern| pattern.matches(request.action, request.context, true);
        // Not before all else is right: it is the smallest part of it.
        let is_resource = |pattern: &Pattern| {
            pattern.is_everything() || pattern.matches(request.resource, request.context, false)
        };
        if !self.actions.contains(is_action)
            || self.resources.as_ref().is_some_and(|resources| !resources.contains(is_resource))
            || !self.conditions.iter().all(|condition| condition.holds(request.context))
        {
            return Meant::No;
        }
        self.principals.as_ref().map_or(Meant::Itself, |principals| principals.mean(request.caller))
    }
}

impl Only<Principal> {
    fn mean(&self, caller: &Caller) -> Meant {
        let strongest = |list: &[Principal]| {
            list.iter().map(|principal| principal.means(caller)).max().unwrap_or(Meant::No)
        };
        match self {
            Only::These(list) => strongest(list),
            Only::Others(list) if strongest(list) == Meant::No => Meant::Itself,
            Only::Others(_) => Meant::No,
        }
    }
}

fn parse(text: &str, place: Place) -> Result<Policy, Malformed> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| Malformed(format!("it is no JSON: {error}")))?;
    let document = object(&value, "a policy document")?;
    known(document, &["Version", "Id", "Statement"], "a policy document")?;
    let has_variables = match document.get("Version").map(Value::as_str) {
        Some(Some("2012-10-17")) => true,
        Some(Some("2008-10-17")) | None => false,
        Some(_) => return Err(Malformed("Version is 2012-10-17 or 2008-10-17".to_owned())),
    };
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return Err(Malformed("Statement is an object, or a list of objects".to_owned())),
    };
    let statements = statements
        .into_iter()
        .enumerate()
        .map(|(number, statement)| {
            parse_statement(statement, number, has_variables, place)
                .map_err(|Malformed(why)| Malformed(format!("statement {}: {why}", number + 1)))
        })
        .collect::<Result<_, _>>()?;
    Ok(Policy { statements })
}

fn parse_statement(
    value: &Value,
    number: usize,
    variables: bool,
    place: Place,
) -> Result<Statement, Malformed> {
    const MEMBERS: [&str; 9] = [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];
    let statement = object(value, "a statement")?;
    known(statement, &MEMBERS, "a statement")?;
    let name = match statement.get("Sid") {
        None => format!("#{}", number + 1),
        Some(Value::String(sid)) if sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) => sid.clone(),
        Some(_) => return Err(Malformed("Sid is letters and digits".to_owned())),
    };
    let effect = match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(Malformed("Effect is Allow or Deny".to_owned())),
    };
    let actions = either(statement, "Action", "NotAction", |value| texts(value, "Action"))?
        .ok_or_else(|| Malformed("it has no Action and no NotAction".to_owned()))?;
    for action in actions.list() {
        let has_service = action.split_once(':').is_some_and(|(service, name)| {
            !service.is_empty() && !name.is_empty() && !service.contains(['*', '?'])
        });
        if action != "*" && !has_service {
            return Err(Malformed(format!("{action:?} is no action such as kinesis:PutRecord")));
        }
    }
    let action = Syntax { wildcards: true, variables: false, is_arn: false };
    let resources = either(statement, "Resource", "NotResource", |value| texts(value, "Resource"))?;
    let principals = either(statement, "Principal", "NotPrincipal", principals)?;
    match (place, &principals, &resources) {
        (Place::Identity, Some(_), _) => {
            return Err(Malformed("a policy of a user or a role has no Principal".to_owned()));
        }
        (Place::Resource | Place::Trust, None, _) => {
            return Err(Malformed("it has no Principal and no NotPrincipal".to_owned()));
        }
        (Place::Identity | Place::Resource, _, None) => {
            return Err(Malformed("it has no Resource and no NotResource".to_owned()));
        }
        (Place::Trust, _, Some(_)) => return Err(Malformed("a trust policy has no Resource".to_owned())),
        _ => {}
    }
    for resource in resources.iter().flat_map(Only::list) {
        let is_arn = resource.starts_with("arn:") && resource.splitn(6, ':').count() == 6;
        if !is_arn && !resource.starts_with('*') && !resource.starts_with("arn:*") {
            return Err(Malformed(format!("{resource:?} is no ARN")));
        }
    }
    let arn = Syntax { wildcards: true, variables, is_arn: true };
    Ok(Statement {
        name,
        effect,
        principals,
        actions: actions.map(|text| Pattern::new(&text, action)),
        resources: resources.map(|resources| resources.map(|text| Pattern::new(&text, arn))),
        conditions: conditions(statement.get("Condition"), variables)?,
    })
}

impl<T> Only<T> {
    fn list(&self) -> &[T] {
        match self {
            Only::These(list) | Only::Others(list) => list,
        }
    }

    fn map<U>(self, map: impl Fn(T) -> U) -> Only<U> {
        match self {
            Only::These(list) => Only::These(list.into_iter().map(map).collect()),
            Only::Others(list) => Only::Others(list.into_iter().map(map).collect()),
        }
    }
}

/// The member of one of two names.
fn either<T>(
    statement: &Map<String, Value>,
    these: &str,
    others: &str,
    parse: impl Fn(&Value) -> Result<Vec<T>, Malformed>,
) -> Result<Option<Only<T>>, Malformed> {
    match (statement.get(these), statement.get(others)) {
        (Some(_), Some(_)) => Err(Malformed(format!("it has both {these} and {others}"))),
        (Some(value), None) => Ok(Some(Only::These(parse(value)?))),
        (None, Some(value)) => Ok(Some(Only::Others(parse(value)?))),
        (None, None) => Ok(None),
    }
}

fn principals(value: &Value) -> Result<Vec<Principal>, Malformed> {
    if value.as_str() == Some("*") {
        return Ok(vec![Principal::Anyone]);
    }
    let kinds = object(value, "Principal, if not \"*\",")?;
    known(kinds, &["AWS", "Service", "Federated", "CanonicalUser"], "Principal")?;
    let mut all = Vec::new();
    for (kind, value) in kinds {
        for text in texts(value, kind)? {
            all.push(match kind.as_str() {
                "AWS" => Principal::of_aws(&text)
                    .ok_or_else(|| Malformed(format!("{text:?} is no account, user, role or session")))?,
                "Service" => Principal::Service(text),
                _ => Principal::Foreign,
            });
        }
    }
    Ok(all)
}

fn conditions(value: Option<&Value>, variables: bool) -> Result<Vec<Condition>, Malformed> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for (operator, keys) in object(value, "Condition")? {
        for (key, values) in object(keys, operator)? {
            all.push(Condition::new(operator, key, &scalars(values, key)?, variables).map_err(Malformed)?);
        }
    }
    Ok(all)
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, Malformed> {
    value.as_object().ok_or_else(|| Malformed(format!("{what} is an object")))
}

fn known(object: &Map<String, Value>, names: &[&str], what: &str) -> Result<(), Malformed> {
    match object.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(Malformed(format!("{what} has no {name}"))),
        None => Ok(()),
    }
}

/// A text, or a list of texts.
fn texts(value: &Value, what: &str) -> Result<Vec<String>, Malformed> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let all = match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) if !list.is_empty() => list.iter().map(text).collect(),
        _ => None,
    };
    all.ok_or_else(|| Malformed(format!("{what} is a text, or a list of texts")))
}

/// As [`texts`], where numbers and `true` are texts, too.
fn scalars(value: &Value, what: &str) -> Result<Vec<String>, Malformed> {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    };
    let all = match value {
        Value::Array(list) => list.iter().map(scalar).collect(),
        value => scalar(value).map(|one| vec![one]),
    };
    all.ok_or_else(|| Malformed(format!("{what} has a value, or a list of values")))
}
