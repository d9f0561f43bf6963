//! Texts with wildcards and variables: `*` is any number of characters, `?` is one, `${key}` is what the request's context
//! says.

use crate::request::Context;

/// A pattern, in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `?`
    One,
    /// `*`. In an ARN it stays within its segment, unless it ends it.
    Any {
        crosses_colons: bool,
    },
    /// `${key}` or `${key, 'default'}`.
    Variable {
        key: String,
        default: Option<String>,
    },
}

/// What a text may have in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syntax {
    pub(crate) wildcards: bool,
    /// Documents of 2008 have none.
    pub(crate) variables: bool,
    /// Whether `*` keeps to a segment of an ARN.
    pub(crate) is_arn: bool,
}

impl Pattern {
    pub(crate) fn new(text: &str, syntax: Syntax) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let variable = (syntax.variables && rest.starts_with("${")).then(|| variable(rest)).flatten();
            if let Some((piece, after)) = variable {
                match piece {
                    Piece::Text(text) => plain += &text,
                    piece => push(&mut pieces, &mut plain, piece),
                }
                rest = after;
                continue;
            }
            rest = &rest[next.len_utf8()..];
            match next {
                '*' if syntax.wildcards => {
                    let crosses_colons = !syntax.is_arn || rest.is_empty() || rest.starts_with(':');
                    push(&mut pieces, &mut plain, Piece::Any { crosses_colons });
                }
                '?' if syntax.wildcards => push(&mut pieces, &mut plain, Piece::One),
                other => plain.push(other),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Pattern(pieces)
    }

    /// Whether it is `*`.
    pub(crate) fn is_everything(&self) -> bool {
        matches!(self.0[..], [Piece::Any { crosses_colons: true }])
    }

    /// Whether a value is like it. A variable that the context does not tell, or tells several values of, is like nothing.
    pub(crate) fn matches(&self, value: &str, context: &Context, ignores_case: bool) -> bool {
        // Everywhere in `value` where what comes next may begin: this takes as long as both are long, whatever they are.
        let mut ends = vec![false; value.len() + 1];
        ends[0] = true;
        for piece in &self.0 {
            ends = match piece {
                Piece::Text(text) => behind(&ends, value, text, ignores_case),
                Piece::One => behind_one(&ends, value),
                Piece::Any { crosses_colons } => behind_any(&ends, value, *crosses_colons),
                Piece::Variable { key, default } => {
                    let Some(text) = context.single(key).or(default.as_deref()) else { return false };
                    behind(&ends, value, text, ignores_case)
                }
            };
            if !ends.contains(&true) {
                return false;
            }
        }
        ends[value.len()]
    }
}

/// Adds a piece behind the plain text before it.
fn push(pieces: &mut Vec<Piece>, plain: &mut String, piece: Piece) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(std::mem::take(plain)));
    }
    pieces.push(piece);
}

/// What `${…}` at the beginning of a text is, and the text behind it; `None` where it does not end.
fn variable(text: &str) -> Option<(Piece, &str)> {
    let (inside, rest) = text.strip_prefix("${")?.split_once('}')?;
    let piece = match inside {
        "*" | "?" | "$" => Piece::Text(inside.to_owned()),
        _ => {
            let (key, default) = match inside.split_once(',') {
                Some((key, default)) => (key, Some(default.trim().trim_matches('\'').to_owned())),
                None => (inside, None),
            };
            Piece::Variable { key: key.trim().to_ascii_lowercase(), default }
        }
    };
    Some((piece, rest))
}

fn behind(ends: &[bool], value: &str, text: &str, ignores_case: bool) -> Vec<bool> {
    let mut next = vec![false; ends.len()];
    for (at, _) in ends.iter().enumerate().filter(|(_, is_end)| **is_end) {
        let Some(here) = value.as_bytes().get(at..at + text.len()) else { continue };
        let is_same =
            if ignores_case { here.eq_ignore_ascii_case(text.as_bytes()) } else { here == text.as_bytes() };
        next[at + text.len()] |= is_same;
    }
    next
}

fn behind_one(ends: &[bool], value: &str) -> Vec<bool> {
    let mut next = vec![false; ends.len()];
    for (at, character) in value.char_indices() {
        next[at + character.len_utf8()] = ends[at];
    }
    next
}

fn behind_any(ends: &[bool], value: &str, crosses_colons: bool) -> Vec<bool> {
    let mut next = vec![false; ends.len()];
    let mut is_open = false;
    for (at, is_end) in ends.iter().enumerate() {
        is_open |= is_end;
        next[at] = is_open;
        if !crosses_colons && value.as_bytes().get(at) == Some(&b':') {
            is_open = false;
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Syntax = Syntax { wildcards: true, variables: true, is_arn: false };
    const ARN: Syntax = Syntax { is_arn: true, ..PLAIN };

    #[track_caller]
    fn check(syntax: Syntax, pattern: &str, value: &str, expected: bool) {
        let context = Context::new()
            .with("aws:username", ["anna"])
            .with("aws:PrincipalTag/team", ["a*"])
            .with("aws:TagKeys", ["x", "y"]);
        let pattern = Pattern::new(pattern, syntax);
        assert_eq!(pattern.matches(value, &context, false), expected, "{pattern:?} {value}");
    }

    #[test]
    fn wildcards_stand_for_characters() {
        for (pattern, value, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything: at all", true),
            ("a*c", "ac", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("a?c", "aäc", true),
            ("a?c", "ac", false),
            ("?*?", "a", false),
            ("?*?", "ab", true),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("A", "a", false),
            ("${*}", "*", true),
            ("${*}", "x", false),
            ("${?}${$}", "?$", true),
            ("${", "${", true),
        ] {
            check(PLAIN, pattern, value, expected);
        }
    }

    #[test]
    fn variables_stand_for_what_the_context_says() {
        for (pattern, value, expected) in [
            ("${aws:username}", "anna", true),
            ("x-${AWS:UserName}-*", "x-anna-1", true),
            ("${aws:username}", "bert", false),
            ("${aws:PrincipalTag/team}", "a*", true),
            ("${aws:PrincipalTag/team}", "ab", false),
            ("${aws:unknown}", "", false),
            ("${aws:unknown, 'all'}", "all", true),
            ("${aws:username, 'all'}", "all", false),
            ("${aws:TagKeys}", "x", false),
        ] {
            check(PLAIN, pattern, value, expected);
        }
        check(Syntax { variables: false, ..PLAIN }, "${aws:username}", "${aws:username}", true);
        check(Syntax { wildcards: false, ..PLAIN }, "a*", "ab", false);
        check(Syntax { wildcards: false, ..PLAIN }, "a*", "a*", true);
    }

    #[test]
    fn in_an_arn_a_star_within_a_segment_stays_there() {
        let arn = "arn:aws:kinesis:eu-west-1:111122223333:stream/orders";
        for (pattern, expected) in [
            ("*", true),
            ("arn:aws:kinesis:*:111122223333:stream/*", true),
            ("arn:aws:kinesis:*", true),
            ("arn:*:stream/orders", true),
            ("arn:aws:kinesis:eu*st-1:111122223333:stream/orders", true),
            ("arn:aws:kin*stream/orders", false),
            ("arn:aws:kinesis:eu-west-1:1*3:stream/ord*s", true),
            ("arn:aws:kinesis:eu-west-1:111122223333:stream/order", false),
        ] {
            check(ARN, pattern, arn, expected);
        }
    }
}
