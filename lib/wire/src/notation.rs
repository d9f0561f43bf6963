//! What the protocols' encoders have in common: one walk over a tree of values, and the members of hot answers.
//!
//! A notation knows how each kind of value is written, not what is written.

use thalweg_shape::Value;
use thalweg_types::Timestamp;

/// How values are written. Appends only; the caller keeps maps and lists balanced.
pub(crate) trait Notation {
    /// Opens a map or structure.
    fn open_map(out: &mut Vec<u8>);
    /// The name of the next member of the open map; its value follows.
    fn member(out: &mut Vec<u8>, name: &str);
    /// Closes the open map.
    fn close_map(out: &mut Vec<u8>);
    /// Opens a list.
    fn open_list(out: &mut Vec<u8>);
    /// Before each element of the open list.
    fn element(out: &mut Vec<u8>);
    /// Closes the open list.
    fn close_list(out: &mut Vec<u8>);
    /// Nothing, as an element of a list.
    fn null(out: &mut Vec<u8>);
    /// True or false.
    fn boolean(out: &mut Vec<u8>, boolean: bool);
    /// A whole number.
    fn integer(out: &mut Vec<u8>, number: i64);
    /// Any other number.
    fn float(out: &mut Vec<u8>, number: f64);
    /// Text.
    fn text(out: &mut Vec<u8>, text: &str);
    /// Text of ASCII letters, digits and punctuation without quotes and backslashes: nothing to escape.
    fn plain_text(out: &mut Vec<u8>, text: &[u8]);
    /// How many bytes `plain_text` appends before a text of this length.
    fn plain_text_head(length: usize) -> usize;
    /// Bytes.
    fn bytes(out: &mut Vec<u8>, bytes: &[u8]);
    /// A moment.
    fn timestamp(out: &mut Vec<u8>, timestamp: Timestamp);
    /// An upper bound for what `bytes` appends for this many bytes.
    fn bytes_length(length: usize) -> usize;
}

/// Appends a tree. Null members of maps are left out: absent and null are the same to AWS.
pub(crate) fn encode<N: Notation>(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => N::null(out),
        Value::Boolean(boolean) => N::boolean(out, *boolean),
        Value::Integer(number) => N::integer(out, *number),
        Value::Float(number) => N::float(out, *number),
        Value::Text(text) => N::text(out, text),
        Value::Bytes(bytes) => N::bytes(out, bytes),
        Value::Timestamp(timestamp) => N::timestamp(out, *timestamp),
        Value::List(elements) => {
            N::open_list(out);
            for element in elements {
                N::element(out);
                encode::<N>(element, out);
            }
            N::close_list(out);
        }
        Value::Map(members) => {
            N::open_map(out);
            for (name, value) in members {
                if *value != Value::Null {
                    N::member(out, name);
                    encode::<N>(value, out);
                }
            }
            N::close_map(out);
        }
    }
}
