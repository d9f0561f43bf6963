//! What AWS says of an Authorization that has not the shape of a signature. Whether a signature is right is not
//! looked at: without access control, requests with none, a wrong, a foreign or a stale one are served.

use http::header::{AUTHORIZATION, DATE};
use http::request::Parts;
use thalweg_shape::Failure;
use thalweg_sigv4::{QUERY_ALGORITHM, missing_in_header, missing_in_query};

/// What is wrong with the shape of the request's signature, if anything.
pub(crate) fn failure(head: &Parts) -> Option<Failure> {
    let header = head.headers.get(AUTHORIZATION).filter(|header| !header.is_empty());
    let query = head.uri.query().unwrap_or_default();
    if header.is_none() && query.is_empty() {
        return None;
    }
    let presigned = query.split('&').any(|pair| pair.split('=').next() == Some(QUERY_ALGORITHM));
    let missing = match (header, presigned) {
        (None, false) => return None,
        (Some(_), true) => {
            return Some(Failure::client(
                "InvalidSignatureException",
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
            ));
        }
        (Some(header), false) => {
            let header = String::from_utf8_lossy(header.as_bytes());
            let dated = head.headers.contains_key("x-amz-date") || head.headers.contains_key(DATE);
            missing_in_header(&header, dated)
        }
        (None, true) => missing_in_query(query),
    };
    (!missing.is_empty()).then(|| Failure::client("IncompleteSignatureException", missing))
}
