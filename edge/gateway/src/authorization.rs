//! What AWS says of an Authorization that has not the shape of a signature. Whether a signature is right is not
//! looked at: without access control, requests with none, a wrong, a foreign or a stale one are served.

use http::header::{AUTHORIZATION, DATE};
use http::request::Parts;
use thalweg_shape::Failure;

/// What an Authorization header must name, in the order in which AWS misses it.
const HEADER_PARAMETERS: [&str; 3] = ["Credential", "Signature", "SignedHeaders"];
/// What a presigned query must name, in the order in which AWS misses it.
const QUERY_PARAMETERS: [&str; 5] =
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];

/// What is wrong with the shape of the request's signature, if anything.
pub(crate) fn failure(head: &Parts) -> Option<Failure> {
    let header = head.headers.get(AUTHORIZATION).filter(|header| !header.is_empty());
    let query = head.uri.query().unwrap_or_default();
    if header.is_none() && query.is_empty() {
        return None;
    }
    let presigned = query.split('&').any(|pair| pair.split('=').next() == Some(QUERY_PARAMETERS[0]));
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

fn missing_in_header(header: &str, dated: bool) -> String {
    // `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`, parted by commas, blanks or both.
    let parameters: Vec<(&str, &str)> =
        header.split([',', ' ']).skip(1).filter_map(|parameter| parameter.trim().split_once('=')).collect();
    let mut missing = String::new();
    for name in HEADER_PARAMETERS {
        if !has(&parameters, name) {
            missing += &format!("Authorization header requires '{name}' parameter. ");
        }
    }
    if !dated {
        missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
    }
    if !missing.is_empty() {
        missing += &format!("Authorization={header}");
    }
    missing
}

fn missing_in_query(query: &str) -> String {
    let parameters: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let mut missing = String::new();
    for name in QUERY_PARAMETERS {
        if !has(&parameters, name) {
            missing += &format!("AWS query-string parameters must include '{name}'. ");
        }
    }
    if !missing.is_empty() {
        missing += "Re-examine the query-string parameters.";
    }
    missing
}

fn has(parameters: &[(&str, &str)], name: &str) -> bool {
    parameters.iter().any(|(parameter, value)| *parameter == name && !value.is_empty())
}
