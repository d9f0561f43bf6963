//! What a request asks a floor for, in its headers.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    /// `x-floor`: bytes of the answer, or of each of its pieces.
    pub(crate) bytes: usize,
    /// `x-floor-pieces`: so many pieces, as a stream; without it the answer is one.
    pub(crate) pieces: Option<u64>,
    /// `x-floor-every`: a piece each so many microseconds; without it as fast as they are taken.
    pub(crate) every: Option<Duration>,
    /// `x-floor-durable`: bytes to write.
    pub(crate) durable_bytes: u64,
    /// Whether the body is CBOR rather than JSON.
    pub(crate) cbor: bool,
}

impl Ask {
    /// # Panics
    /// When one of the headers is not a number.
    pub(crate) fn of(headers: &HeaderMap) -> Ask {
        let number = |name: &str| -> Option<u64> {
            let value = headers.get(name)?.to_str().expect("digits are ASCII");
            Some(value.parse().expect("these headers are numbers"))
        };
        Ask {
            bytes: number("x-floor").unwrap_or(0) as usize,
            pieces: number("x-floor-pieces"),
            every: number("x-floor-every").map(Duration::from_micros),
            durable_bytes: number("x-floor-durable").unwrap_or(0),
            cbor: headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().ends_with(b"cbor-1.1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_is_asked() {
        #[track_caller]
        fn check(headers: &[(&'static str, &'static str)], expected: Ask) {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().expect("a value"));
            }
            assert_eq!(Ask::of(&map), expected);
        }
        check(&[], Ask::default());
        check(
            &[("content-type", "application/x-amz-json-1.1"), ("x-floor", "12")],
            Ask { bytes: 12, ..Ask::default() },
        );
        check(
            &[("x-floor", "7"), ("x-floor-pieces", "3"), ("x-floor-every", "12500")],
            Ask { bytes: 7, pieces: Some(3), every: Some(Duration::from_micros(12_500)), ..Ask::default() },
        );
        check(
            &[("content-type", "application/x-amz-cbor-1.1"), ("x-floor-durable", "512000")],
            Ask { durable_bytes: 512_000, cbor: true, ..Ask::default() },
        );
    }
}
