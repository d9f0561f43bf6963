//! What tags may be: the rules of both families of tag operations, and of creating with tags. Lengths are
//! constraints of the model, checked before.

use std::collections::BTreeMap;

use thalweg_shape::Failure;
use thalweg_types::limits::TAGS_MAX;

use crate::errors;

/// Whether AWS was seen to accept a character in a key or a value: letters, digits, the space, and some signs. `%`
/// passes here and has an error of its own.
fn is_valid(character: char) -> bool {
    character.is_alphanumeric()
        || " _./=+-%@".contains(character)
        || ('\u{c0}'..='\u{1fff}').contains(&character)
        || ('\u{2c00}'..='\u{d7ff}').contains(&character)
}

/// Checks the characters of keys and values. `action` and `resource` are for the error: "add tags to", "stream x".
///
/// # Errors
/// InvalidArgument.
fn check_characters<'a>(
    texts: impl Iterator<Item = &'a str> + Clone,
    action: &str,
    resource: &str,
    account: &str,
) -> Result<(), Failure> {
    if !texts.clone().all(|text| text.chars().all(is_valid)) {
        return Err(errors::tag_characters());
    }
    if texts.clone().any(|text| text.contains('%')) {
        return Err(errors::tag_percent(action, resource, account));
    }
    Ok(())
}

/// `tags` with `added` in them.
///
/// # Errors
/// InvalidArgument for characters, and when that is more than 50.
pub(crate) fn add(
    tags: &BTreeMap<String, String>,
    added: BTreeMap<String, String>,
    resource: &str,
    account: &str,
) -> Result<BTreeMap<String, String>, Failure> {
    let texts = added.keys().chain(added.values()).map(String::as_str);
    check_characters(texts, "add tags to", resource, account)?;
    let mut tags = tags.clone();
    tags.extend(added);
    if tags.len() > TAGS_MAX {
        return Err(errors::too_many_tags(resource, account, TAGS_MAX));
    }
    Ok(tags)
}

/// `tags` without `removed`; what is not there is no error.
///
/// # Errors
/// InvalidArgument for characters.
pub(crate) fn remove(
    tags: &BTreeMap<String, String>,
    removed: &[String],
    resource: &str,
    account: &str,
) -> Result<BTreeMap<String, String>, Failure> {
    check_characters(removed.iter().map(String::as_str), "remove tags from", resource, account)?;
    let mut tags = tags.clone();
    for key in removed {
        tags.remove(key);
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[track_caller]
    fn check_add(added: &[(&str, &str)], expected: Result<(), Failure>) {
        let result = add(&BTreeMap::new(), tags(added), "stream s", "1");
        assert_eq!(result.map(drop), expected, "{added:?}");
    }

    #[test]
    fn characters_are_those_aws_was_seen_to_take() {
        check_add(&[("a", ""), ("A z_0.1/2=3+4-5@6", "ünïcödé 統一码")], Ok(()));
        for text in ["a;b", "a\tb", "a\nb", "a,b", "a:b", "a\"b", "\u{20ac}"] {
            check_add(&[(text, "v")], Err(errors::tag_characters()));
            check_add(&[("k", text)], Err(errors::tag_characters()));
        }
        check_add(&[("a%b", "v")], Err(errors::tag_percent("add tags to", "stream s", "1")));
        check_add(&[("a%b", "a;b")], Err(errors::tag_characters()));
    }

    #[test]
    fn there_are_at_most_fifty() {
        let numbered = |range: std::ops::Range<u32>| -> BTreeMap<String, String> {
            range.map(|number| (format!("key{number}"), String::new())).collect()
        };
        let fifty = add(&numbered(0..25), numbered(25..50), "stream s", "1").expect("fifty");
        assert!(add(&fifty, numbered(0..50), "stream s", "1").is_ok(), "the same keys again");
        assert_eq!(
            add(&fifty, numbered(50..51), "stream s", "1"),
            Err(errors::too_many_tags("stream s", "1", 50))
        );
    }

    #[test]
    fn removing_takes_what_is_there() {
        let three = tags(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let removed = remove(&three, &["a".to_owned(), "x".to_owned()], "stream s", "1");
        assert_eq!(removed, Ok(tags(&[("b", "2"), ("c", "3")])));
        assert_eq!(
            remove(&three, &["a%".to_owned()], "stream s", "1"),
            Err(errors::tag_percent("remove tags from", "stream s", "1"))
        );
    }
}
