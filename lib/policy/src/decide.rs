//! The decision.
//!
//! ```text
//!                       a statement denies                           -> denied
//!   a boundary, or a session's policy, does not allow                -> denied
//!   within an account:  the identity's or the resource's policy allows    -> allowed
//!   between accounts:   both allow                                   -> allowed
//!   else                                                             -> denied
//! ```

use std::fmt;

use crate::document::{Effect, Policy};
use crate::principal::{Identity, Meant};
use crate::request::Request;

/// The policies that apply to a request, each with a name for people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies<'a> {
    /// Of the user or the role.
    pub identity: &'a [(&'a str, &'a Policy)],
    /// The permissions boundary: where there is one, it must allow, too.
    pub boundary: &'a [(&'a str, &'a Policy)],
    /// Of the session: where there are any, one of them must allow, too.
    pub session: &'a [(&'a str, &'a Policy)],
    /// Of the resource, if it has one.
    pub resource: Option<&'a Policy>,
    /// The account that the resource is in; empty for the caller's own.
    pub owner: &'a str,
}

/// Where a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In a policy of the user or the role.
    Identity,
    /// In a permissions boundary.
    Boundary,
    /// In a session's policy.
    Session,
    /// In the resource's policy.
    Resource,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Identity => "identity-based policy",
            Kind::Boundary => "permissions boundary",
            Kind::Session => "session policy",
            Kind::Resource => "resource-based policy",
        })
    }
}

/// A statement that is about the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Where it is.
    pub kind: Kind,
    /// The policy's name; empty for a resource's.
    pub policy: String,
    /// Its `Sid`, or `#` and its number.
    pub statement: String,
    /// What it says.
    pub effect: Effect,
}

/// Whether it may be done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may, by these.
    Allowed(Vec<Applied>),
    /// It may not, because of this one.
    Forbidden(Applied),
    /// It may not: none of this kind allows it.
    NotAllowed(Kind),
}

impl Decision {
    /// Whether it may be done.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Decision::Allowed(_))
    }

    /// What the caller is told; `None` when it may.
    ///
    /// Source: messages of AccessDeniedException.
    pub fn denial(&self, request: &Request<'_>) -> Option<String> {
        let why = match self {
            Decision::Allowed(_) => return None,
            Decision::Forbidden(applied) => {
                let article = if applied.kind == Kind::Identity { "an" } else { "a" };
                format!("with an explicit deny in {article} {}", applied.kind)
            }
            Decision::NotAllowed(kind) => {
                format!("because no {kind} allows the {} action", request.action)
            }
        };
        Some(format!(
            "User: {} is not authorized to perform: {} on resource: {} {why}",
            request.caller.arn(),
            request.action,
            request.resource
        ))
    }
}

/// Decides.
pub fn decide(request: &Request<'_>, policies: &Policies<'_>) -> Decision {
    let Policies { identity, boundary, session, resource, owner } = *policies;
    let resource: Vec<(&str, &Policy)> = resource.iter().map(|policy| ("", *policy)).collect();
    let [by_identity, by_boundary, by_session, by_resource] = [
        (Kind::Identity, identity),
        (Kind::Boundary, boundary),
        (Kind::Session, session),
        (Kind::Resource, &resource),
    ]
    .map(|(kind, policies)| Looked::new(kind, policies, request));
    for looked in [&by_identity, &by_boundary, &by_session, &by_resource] {
        if let Some(applied) = &looked.denied {
            return Decision::Forbidden(applied.clone());
        }
    }
    for (limits, looked) in [(boundary, &by_boundary), (session, &by_session)] {
        if !limits.is_empty() && looked.allowed.is_empty() {
            return Decision::NotAllowed(looked.kind);
        }
    }
    let is_same_account = owner.is_empty() || owner == request.caller.account;
    let has_policies = match request.caller.identity {
        Identity::Root | Identity::User(_) | Identity::Session { .. } => true,
        Identity::Service(_) | Identity::Anonymous => false,
    };
    // An account may do everything, of itself.
    let identity_allows = !by_identity.allowed.is_empty() || request.caller.identity == Identity::Root;
    let is_allowed = if !has_policies {
        by_resource.meant == Meant::Itself
    } else if is_same_account {
        identity_allows || by_resource.meant == Meant::Itself
    } else {
        identity_allows && by_resource.meant != Meant::No
    };
    if !is_allowed {
        let lacks_resource = !has_policies || (!is_same_account && identity_allows);
        return Decision::NotAllowed(if lacks_resource { Kind::Resource } else { Kind::Identity });
    }
    let all = [by_identity, by_boundary, by_session, by_resource];
    Decision::Allowed(all.into_iter().flat_map(|looked| looked.allowed).collect())
}

/// What the policies of one kind say.
struct Looked {
    kind: Kind,
    denied: Option<Applied>,
    allowed: Vec<Applied>,
    /// How far statements that allow mean the caller.
    meant: Meant,
}

impl Looked {
    fn new(kind: Kind, policies: &[(&str, &Policy)], request: &Request<'_>) -> Self {
        let mut looked = Looked { kind, denied: None, allowed: Vec::new(), meant: Meant::No };
        for (name, policy) in policies {
            for statement in &policy.statements {
                let meant = statement.means(request);
                if meant == Meant::No {
                    continue;
                }
                let applied = Applied {
                    kind,
                    policy: (*name).to_owned(),
                    statement: statement.name.clone(),
                    effect: statement.effect,
                };
                match statement.effect {
                    Effect::Deny => looked.denied = looked.denied.or(Some(applied)),
                    Effect::Allow => {
                        looked.meant = looked.meant.max(meant);
                        looked.allowed.push(applied);
                    }
                }
            }
        }
        looked
    }
}
