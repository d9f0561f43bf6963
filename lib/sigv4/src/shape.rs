//! Whether a header or a query has the parts of a signature at all.

/// The parameter by which a query is known to be presigned.
pub const QUERY_ALGORITHM: &str = "X-Amz-Algorithm";
/// What an Authorization header must name, in the order in which AWS misses it.
pub(crate) const HEADER_PARAMETERS: [&str; 3] = ["Credential", "Signature", "SignedHeaders"];
/// What a presigned query must name, in the order in which AWS misses it.
pub(crate) const QUERY_PARAMETERS: [&str; 5] =
    [QUERY_ALGORITHM, "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];

/// What an Authorization header lacks, in AWS's words; empty when it has everything. `dated`: whether there is a date header.
pub fn missing_in_header(header: &str, dated: bool) -> String {
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

/// What a presigned query lacks, in AWS's words; empty when it has everything.
pub fn missing_in_query(query: &str) -> String {
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
