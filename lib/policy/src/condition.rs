//! Conditions: what a statement asks of the request's context.
//!
//! ```text
//!   "Condition": {"ForAllValues:StringLikeIfExists": {"aws:TagKeys": ["team-*", "cost"]}}
//!                  quantifier   comparison  optional     key            any of these
//! ```
//! All of a statement's conditions must hold.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::pattern::{Pattern, Syntax};
use crate::request::Context;

/// One comparison of one key.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    quantifier: Quantifier,
    comparison: Comparison,
    is_optional: bool,
    /// In lower case.
    key: String,
    expected: Vec<Expected>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// The key's one value.
    None,
    ForAllValues,
    ForAnyValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// With the negation of the whole.
    String {
        is_like: bool,
        ignores_case: bool,
        is_not: bool,
    },
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Ip {
        is_not: bool,
    },
    Arn {
        is_not: bool,
    },
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equals,
    NotEquals,
    Less,
    LessOrEquals,
    Greater,
    GreaterOrEquals,
}

/// A value of the document, ready to be compared.
#[derive(Clone, Debug)]
enum Expected {
    Text(Pattern),
    /// The six parts of an ARN, or `*`.
    Arn(Vec<Pattern>),
    Number(f64),
    /// In milliseconds.
    Date(i64),
    Bool(bool),
    Bytes(Vec<u8>),
    Network {
        address: IpAddr,
        prefix: u8,
    },
}

impl Condition {
    /// Of an operator, a key and its values as the document has them.
    ///
    /// # Errors
    /// There is no such operator, or a value is none for it; in words.
    pub(crate) fn new(operator: &str, key: &str, values: &[String], variables: bool) -> Result<Self, String> {
        let (quantifier, name) = match operator.split_once(':') {
            Some(("ForAllValues", name)) => (Quantifier::ForAllValues, name),
            Some(("ForAnyValue", name)) => (Quantifier::ForAnyValue, name),
            Some(_) => return Err(format!("there is no condition operator {operator}")),
            None => (Quantifier::None, operator),
        };
        let (name, is_optional) = match name.strip_suffix("IfExists") {
            Some("Null") | None => (name, false),
            Some(name) => (name, true),
        };
        let comparison =
            Comparison::named(name).ok_or_else(|| format!("there is no condition operator {operator}"))?;
        let expected = values
            .iter()
            .map(|value| {
                comparison
                    .expect(value, variables)
                    .ok_or_else(|| format!("{operator} of {key} does not take {value:?}"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Condition { quantifier, comparison, is_optional, key: key.to_ascii_lowercase(), expected })
    }

    pub(crate) fn holds(&self, context: &Context) -> bool {
        let values = context.values(&self.key);
        if self.comparison == Comparison::Null {
            let is_missing = values.is_none_or(<[String]>::is_empty);
            return self
                .expected
                .iter()
                .any(|expected| matches!(expected, Expected::Bool(is) if *is == is_missing));
        }
        let holds = |value: &String| self.comparison.holds(value, &self.expected, context);
        match (self.quantifier, values) {
            (Quantifier::ForAllValues, values) => values.unwrap_or_default().iter().all(holds),
            (_, None | Some([])) if self.is_optional => true,
            (Quantifier::ForAnyValue, values) => values.unwrap_or_default().iter().any(holds),
            // What is not there equals nothing.
            (Quantifier::None, None | Some([])) => self.comparison.is_negative(),
            (Quantifier::None, Some(values)) if self.comparison.is_negative() => values.iter().all(holds),
            (Quantifier::None, Some(values)) => values.iter().any(holds),
        }
    }
}

impl Comparison {
    fn named(name: &str) -> Option<Self> {
        let string = |is_like, ignores_case, is_not| Comparison::String { is_like, ignores_case, is_not };
        let order = |suffix: &str| {
            Some(match suffix {
                "Equals" => Order::Equals,
                "NotEquals" => Order::NotEquals,
                "LessThan" => Order::Less,
                "LessThanEquals" => Order::LessOrEquals,
                "GreaterThan" => Order::Greater,
                "GreaterThanEquals" => Order::GreaterOrEquals,
                _ => return None,
            })
        };
        Some(match name {
            "StringEquals" => string(false, false, false),
            "StringNotEquals" => string(false, false, true),
            "StringEqualsIgnoreCase" => string(false, true, false),
            "StringNotEqualsIgnoreCase" => string(false, true, true),
            "StringLike" => string(true, false, false),
            "StringNotLike" => string(true, false, true),
            "Bool" => Comparison::Bool,
            "BinaryEquals" => Comparison::Binary,
            "IpAddress" => Comparison::Ip { is_not: false },
            "NotIpAddress" => Comparison::Ip { is_not: true },
            "ArnEquals" | "ArnLike" => Comparison::Arn { is_not: false },
            "ArnNotEquals" | "ArnNotLike" => Comparison::Arn { is_not: true },
            "Null" => Comparison::Null,
            _ => match (name.strip_prefix("Numeric"), name.strip_prefix("Date")) {
                (Some(suffix), _) => Comparison::Number(order(suffix)?),
                (_, Some(suffix)) => Comparison::Date(order(suffix)?),
                _ => return None,
            },
        })
    }

    fn is_negative(self) -> bool {
        match self {
            Comparison::String { is_not, .. } | Comparison::Ip { is_not } | Comparison::Arn { is_not } => {
                is_not
            }
            Comparison::Number(order) | Comparison::Date(order) => order == Order::NotEquals,
            Comparison::Bool | Comparison::Binary | Comparison::Null => false,
        }
    }

    fn expect(self, value: &str, variables: bool) -> Option<Expected> {
        Some(match self {
            Comparison::String { is_like, .. } => {
                Expected::Text(Pattern::new(value, Syntax { wildcards: is_like, variables, is_arn: false }))
            }
            Comparison::Number(_) => Expected::Number(value.trim().parse().ok()?),
            Comparison::Date(_) => Expected::Date(date_of(value)?),
            Comparison::Bool | Comparison::Null => Expected::Bool(bool_of(value)?),
            Comparison::Binary => Expected::Bytes(bytes_of(value)?),
            Comparison::Ip { .. } => {
                let (address, prefix) = network_of(value)?;
                Expected::Network { address, prefix }
            }
            Comparison::Arn { .. } => {
                let syntax = Syntax { wildcards: true, variables, is_arn: false };
                // Each part is compared by itself: what it would mean with fewer, nobody says.
                let parts = if value == "*" { vec![value] } else { parts_of_arn(value)? };
                Expected::Arn(parts.iter().map(|part| Pattern::new(part, syntax)).collect())
            }
        })
    }

    /// Whether the comparison holds for one value and any of those expected, or none of them if it is negative.
    fn holds(self, value: &str, expected: &[Expected], context: &Context) -> bool {
        if self.is_negative() {
            return !expected.iter().any(|expected| self.is_met(value, expected, context));
        }
        expected.iter().any(|expected| self.is_met(value, expected, context))
    }

    /// Without the negation.
    fn is_met(self, value: &str, expected: &Expected, context: &Context) -> bool {
        match (self, expected) {
            (Comparison::String { ignores_case, .. }, Expected::Text(pattern)) => {
                pattern.matches(value, context, ignores_case)
            }
            (Comparison::Number(order), Expected::Number(expected)) => {
                value.trim().parse().is_ok_and(|value: f64| order.is_met(value, *expected))
            }
            (Comparison::Date(order), Expected::Date(expected)) => {
                date_of(value).is_some_and(|value| order.is_met(value, *expected))
            }
            (Comparison::Bool, Expected::Bool(expected)) => bool_of(value) == Some(*expected),
            (Comparison::Binary, Expected::Bytes(expected)) => bytes_of(value).as_ref() == Some(expected),
            (Comparison::Ip { .. }, Expected::Network { address, prefix }) => {
                value.parse().is_ok_and(|value| is_within(value, *address, *prefix))
            }
            (Comparison::Arn { .. }, Expected::Arn(patterns)) => {
                match (parts_of_arn(value), patterns.len()) {
                    (Some(parts), 6) => parts
                        .iter()
                        .zip(patterns)
                        .all(|(part, pattern)| pattern.matches(part, context, false)),
                    (_, 1) => patterns[0].matches(value, context, false),
                    _ => false,
                }
            }
            _ => false,
        }
    }
}

impl Order {
    /// Without the negation.
    fn is_met<T: PartialOrd>(self, value: T, expected: T) -> bool {
        match self {
            Order::Equals | Order::NotEquals => value == expected,
            Order::Less => value < expected,
            Order::LessOrEquals => value <= expected,
            Order::Greater => value > expected,
            Order::GreaterOrEquals => value >= expected,
        }
    }
}

fn parts_of_arn(value: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = value.splitn(6, ':').collect();
    (parts.len() == 6).then_some(parts)
}

/// Of ISO 8601 with a zone, of a day, or of seconds since 1970.
fn date_of(value: &str) -> Option<i64> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let time = value.parse::<Timestamp>().or_else(|_| format!("{value}T00:00:00Z").parse());
    time.ok().map(Timestamp::as_millisecond)
}

fn bool_of(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn bytes_of(value: &str) -> Option<Vec<u8>> {
    base64_simd::STANDARD.decode_to_vec(value).ok()
}

/// `203.0.113.0/24`, or one address.
fn network_of(value: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match value.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
        None => (value, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(bits);
    (prefix <= bits).then_some((address, prefix))
}

fn is_within(value: IpAddr, network: IpAddr, prefix: u8) -> bool {
    // An IPv4 address that came over a socket of IPv6.
    let (value, network) = (value.to_canonical(), network.to_canonical());
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let ((value, value_bits), (network, network_bits)) = (bits(value), bits(network));
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    value_bits == network_bits && value & mask == network & mask
}
