//! The request as signer and verifier both write it down before they hash it.
//!
//! ```text
//!   POST                                   method
//!   /                                      path, normalised, encoded
//!   Action=ListUsers&Version=2010-05-08    query, decoded, encoded, sorted
//!   host:example.amazonaws.com             each signed header, trimmed
//!   x-amz-date:20150830T123600Z
//!
//!   host;x-amz-date                        their names
//!   e3b0c442…                              SHA-256 of the body
//! ```

use sha2::{Digest, Sha256};

/// A request as far as a signature covers it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// In capitals.
    pub method: &'a str,
    /// As it came, without the query.
    pub path: &'a str,
    /// As it came, without the question mark.
    pub query: &'a str,
    /// As they came, names in lower case. `host` is among them, with HTTP/2, too: there it is `:authority`.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// Bytes as small hexadecimal digits.
pub fn hex_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

/// SHA-256 of a body, as canonical requests have it.
pub fn payload_hash(body: &[u8]) -> String {
    hex_of(&Sha256::digest(body))
}

impl Request<'_> {
    /// The request in canonical form. Of the query, parameters that are called `without` are left out.
    pub(crate) fn canonical(&self, signed: &[&str], payload_hash: &str, without: Option<&str>) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend(self.method.as_bytes());
        out.push(b'\n');
        write_path(self.path, &mut out);
        out.push(b'\n');
        write_query(self.query, without, &mut out);
        out.push(b'\n');
        for name in signed {
            out.extend(name.as_bytes());
            out.push(b':');
            let values = self.headers.iter().filter(|(header, _)| header == name);
            for (index, (_, value)) in values.enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_trimmed(value, &mut out);
            }
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend(signed.join(";").as_bytes());
        out.push(b'\n');
        out.extend(payload_hash.as_bytes());
        out
    }
}

/// Without blanks at the ends, and with one where several follow each other.
fn write_trimmed(value: &[u8], out: &mut Vec<u8>) {
    let words = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend(word);
    }
}

/// Without empty and dotted segments, and encoded: what came encoded is so twice.
fn write_path(path: &str, out: &mut Vec<u8>) {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    for segment in &kept {
        out.push(b'/');
        segment.bytes().for_each(|byte| write_encoded(byte, out));
    }
    let is_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if kept.is_empty() || is_folder {
        out.push(b'/');
    }
}

/// Each name and value decoded and encoded anew, in the order of their encoded forms.
fn write_query(query: &str, without: Option<&str>, out: &mut Vec<u8>) {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for piece in query.split('&').filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = decoded(name);
        if without.is_some_and(|without| name == without.as_bytes()) {
            continue;
        }
        pairs.push((encoded(&name), encoded(&decoded(value))));
    }
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend(name);
        out.push(b'=');
        out.extend(value);
    }
}

/// Of a part of a query: `%41` is `A` and `+` a blank. What is not two digits stays as it is.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digit = |index: usize| after.get(index).and_then(|digit| (*digit as char).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                rest = &after[2..];
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    out
}

fn encoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    bytes.iter().for_each(|byte| write_encoded(*byte, &mut out));
    out
}

fn write_encoded(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        out.push(byte);
    } else {
        out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
