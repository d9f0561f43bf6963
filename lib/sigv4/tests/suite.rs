//! The signatures of AWS's published test suite are right, and a changed request is not. The suite comes with the SDK's
//! signer, from which it is read; nothing of it is kept here.

#![allow(clippy::disallowed_methods, reason = "a test looks for files")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use thalweg_sigv4::{Claim, Expected, Refusal, Request, SigningKey, SigningTime, payload_hash};

/// How many cases the suite has, so that one that is not found is not taken for one that passes.
const CASES: usize = 38;
/// Of these, services that do not normalise paths. Ours do, so that they are wrong here, but for the last.
const OTHER_PATHS: usize = 7;
const OTHER_AND_NORMAL: &str = "get-space-unnormalized";

struct Case {
    name: String,
    context: Value,
    /// A request as it is sent, signed in its headers or in its query.
    request: String,
}

fn suite() -> PathBuf {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()
        .expect("cargo runs this test");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("it is JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let signer = packages.iter().find(|package| package["name"] == "aws-sigv4").expect("it is a dependency");
    let manifest = Path::new(signer["manifest_path"].as_str().expect("it is a path"));
    manifest.with_file_name("aws-signing-test-suite").join("v4")
}

fn cases(file: &str) -> Vec<Case> {
    let folders =
        fs::read_dir(suite()).expect("the suite is there").map(|entry| entry.expect("it can be read"));
    let mut cases = Vec::new();
    for folder in folders {
        // Cases of the signer's own have none.
        let Ok(context) = fs::read_to_string(folder.path().join("context.json")) else { continue };
        let request = fs::read_to_string(folder.path().join(file)).expect("each has one");
        let name = folder.file_name().to_string_lossy().into_owned();
        cases.push(Case { name, context: serde_json::from_str(&context).expect("it is JSON"), request });
    }
    assert_eq!(cases.len(), CASES, "the suite is the one we know");
    cases
}

/// A request in parts.
struct Parts {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Parts {
    fn of(text: &str) -> Self {
        let text = text.replace("\r\n", "\n");
        let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end_matches('\n'), ""));
        let mut lines = head.lines();
        let first = lines.next().expect("there is a request line");
        let (method, rest) = first.split_once(' ').expect("it has a method");
        let (target, _) = rest.rsplit_once(' ').expect("it has a version");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            match line.split_once(':') {
                Some((name, value)) if !line.starts_with(' ') => {
                    headers.push((name.to_ascii_lowercase(), value.to_owned()));
                }
                // A folded one, which HTTP has no more.
                _ => headers.last_mut().expect("it goes on").1 += line,
            }
        }
        Parts {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: body.to_owned(),
        }
    }

    fn verify(&self, context: &Value) -> Result<(), Refusal> {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.trim().as_bytes())).collect();
        let request =
            Request { method: &self.method, path: &self.path, query: &self.query, headers: &headers };
        let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
        let now = text(&context["timestamp"]).replace(['-', ':'], "");
        let (region, service) = (text(&context["region"]), text(&context["service"]));
        let claim = Claim::of(&request)?;
        assert_eq!(claim.access_key, text(&context["credentials"]["access_key_id"]));
        let now = SigningTime::of_basic(&now).expect("it is a time");
        claim.check(&request, Expected { region: &region, service: &service, now })?;
        let secret = text(&context["credentials"]["secret_access_key"]);
        let key = SigningKey::derive(&secret, claim.day(), &region, &service);
        let is_right = claim.is_signed_by(&key, &request, &payload_hash(self.body.as_bytes()));
        if is_right { Ok(()) } else { Err(Refusal::Mismatch) }
    }
}

#[test]
fn published_signatures_are_right() {
    for file in ["header-signed-request.txt", "query-signed-request.txt"] {
        let mut others = 0;
        for case in cases(file) {
            let verified = Parts::of(&case.request).verify(&case.context);
            let is_other = case.context["normalize"] == false;
            others += usize::from(is_other);
            // A few services leave the token in a query unsigned. Ours do not.
            let is_without_token = file.starts_with("query") && case.context["omit_session_token"] == true;
            let is_wrong = is_without_token || (is_other && case.name != OTHER_AND_NORMAL);
            let expected = if is_wrong { Err(Refusal::Mismatch) } else { Ok(()) };
            assert_eq!(verified, expected, "{file} of {}", case.name);
        }
        assert_eq!(others, OTHER_PATHS, "{file}");
    }
}

type Change = fn(&mut Parts);

#[test]
fn a_changed_request_is_not_signed() {
    for file in ["header-signed-request.txt", "query-signed-request.txt"] {
        for case in cases(file).into_iter().filter(|case| case.context["normalize"] == true) {
            let changes: [(&str, Change); 5] = [
                ("another method", |parts| parts.method = "PUT".to_owned()),
                ("another path", |parts| parts.path += "x"),
                ("another query", |parts| parts.query += "&more=1"),
                ("another host", |parts| {
                    let host = parts.headers.iter_mut().find(|(name, _)| name == "host");
                    host.expect("each has one").1 += ".org";
                }),
                ("another body", |parts| parts.body += "x"),
            ];
            for (what, change) in changes {
                let mut parts = Parts::of(&case.request);
                change(&mut parts);
                assert_eq!(
                    parts.verify(&case.context),
                    Err(Refusal::Mismatch),
                    "{file} of {} with {what}",
                    case.name
                );
            }
        }
    }
}
