//! Who asks, and whom a statement means.

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account's twelve digits; empty where there is none.
    pub account: String,
    /// What of it.
    pub identity: Identity,
}

/// What of an account asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The account itself.
    Root,
    /// A user: its ARN.
    User(String),
    /// Whoever has assumed a role.
    Session {
        /// The role's ARN.
        role: String,
        /// `arn:aws:sts::111122223333:assumed-role/Reader/anna`
        session: String,
    },
    /// A service, such as `firehose.amazonaws.com`.
    Service(String),
    /// Nobody whom we know.
    Anonymous,
}

impl Caller {
    /// Its ARN, as denials name it.
    pub fn arn(&self) -> String {
        match &self.identity {
            Identity::Root => format!("arn:aws:iam::{}:root", self.account),
            Identity::User(arn) | Identity::Session { session: arn, .. } => arn.clone(),
            Identity::Service(name) => name.clone(),
            Identity::Anonymous => "anonymous".to_owned(),
        }
    }
}

/// One principal of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Principal {
    /// `*`
    Anyone,
    /// `111122223333`, or the ARN of its root.
    Account(String),
    /// The ARN of a user, a role or a session.
    Arn(String),
    Service(String),
    /// A federated or canonical user: nobody here.
    Foreign,
}

/// How far a principal means a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meant {
    No,
    /// Its account is: whom of it, the account's own policies say.
    ByAccount,
    /// Itself, or everybody.
    Itself,
}

impl Principal {
    /// Of a value of `"AWS"`.
    pub(crate) fn of_aws(value: &str) -> Option<Self> {
        if value == "*" {
            return Some(Principal::Anyone);
        }
        if value.len() == 12 && value.bytes().all(|digit| digit.is_ascii_digit()) {
            return Some(Principal::Account(value.to_owned()));
        }
        let parts: Vec<&str> = value.splitn(6, ':').collect();
        let ["arn", _, "iam" | "sts", "", account, resource] = parts[..] else { return None };
        // `*` in a principal's ARN is no wildcard, and AWS refuses it.
        if account.len() != 12 || resource.is_empty() || value.contains('*') {
            return None;
        }
        Some(match resource {
            "root" => Principal::Account(account.to_owned()),
            _ => Principal::Arn(value.to_owned()),
        })
    }

    pub(crate) fn means(&self, caller: &Caller) -> Meant {
        match (self, &caller.identity) {
            (Principal::Anyone, _) => Meant::Itself,
            (Principal::Account(account), Identity::Root) if *account == caller.account => Meant::Itself,
            (Principal::Account(account), Identity::User(_) | Identity::Session { .. })
                if *account == caller.account =>
            {
                Meant::ByAccount
            }
            (Principal::Arn(arn), Identity::User(user)) if arn == user => Meant::Itself,
            (Principal::Arn(arn), Identity::Session { role, session }) if arn == role || arn == session => {
                Meant::Itself
            }
            (Principal::Service(name), Identity::Service(service)) if name == service => Meant::Itself,
            _ => Meant::No,
        }
    }
}
