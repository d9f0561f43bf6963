//! What the SDK's signer signs is right here, whatever the request; and what it signs with another key is not.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use proptest::prelude::*;
use thalweg_sigv4::{Claim, Expected, Request, SigningKey, SigningTime, payload_hash};

const REGION: &str = "eu-central-1";
const SERVICE: &str = "kinesis";
const SECONDS: u64 = 1_795_000_000;

#[derive(Debug)]
struct Sent {
    method: &'static str,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Sent {
    fn uri(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("http://host.example:4567{}{mark}{}", self.path, self.query)
    }

    /// Lets the SDK sign it.
    fn signed(mut self, secret: &str, location: SignatureLocation, token: Option<String>) -> Self {
        let identity = Credentials::new("AKIDEXAMPLE", secret, token, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = location;
        if location == SignatureLocation::QueryParams {
            settings.expires_in = Some(Duration::from_secs(60));
        }
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(SERVICE)
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(SECONDS))
            .settings(settings)
            .build()
            .expect("nothing is missing")
            .into();
        let uri = self.uri();
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signable = SignableRequest::new(self.method, &uri, headers, SignableBody::Bytes(&self.body))
            .expect("it is a request");
        let (instructions, _) = sign(signable, &parameters).expect("it can be signed").into_parts();
        let mut request = http::Request::builder().method(self.method).uri(&uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(()).expect("it is a request");
        instructions.apply_to_request_http1x(&mut request);
        let text = |value: &http::HeaderValue| value.to_str().expect("it is a text").to_owned();
        self.headers =
            request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        self.query = request.uri().query().unwrap_or_default().to_owned();
        self.path = request.uri().path().to_owned();
        self.headers.push(("host".to_owned(), "host.example:4567".to_owned()));
        self
    }

    fn is_signed_with(&self, secret: &str) -> bool {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let request =
            Request { method: self.method, path: &self.path, query: &self.query, headers: &headers };
        let claim = Claim::of(&request).expect("the SDK makes good ones");
        let now = SigningTime::from_seconds(SECONDS as i64 + 30).expect("it is a time");
        claim
            .check(&request, Expected { region: REGION, service: SERVICE, now })
            .expect("it is for here and now");
        let key = SigningKey::derive(secret, claim.day(), REGION, SERVICE);
        claim.is_signed_by(&key, &request, &payload_hash(&self.body))
    }
}

prop_compose! {
    fn sent()(
        method in prop::sample::select(vec!["GET", "POST", "PUT", "DELETE"]),
        path in "(/([a-zA-Z0-9._~:@!$'()*,;=-]|%[0-9A-F][0-9A-F]){0,5}){1,5}",
        query in "(([a-zA-Z0-9._~-]|%(2[0-9A-F]|C3%A9)){1,4}(=([a-zA-Z0-9._~:-]|%[2-7][0-9A-F]){0,5})?&){0,4}",
        names in prop::collection::btree_set("x-[a-z][a-z0-9-]{0,6}", 0..4),
        value in "[!-~]([ -~]{0,12}[!-~])?",
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) -> Sent {
        let headers = names.into_iter().map(|name| (name, value.clone())).collect();
        Sent { method, path, query: query.trim_end_matches('&').to_owned(), headers, body }
    }
}

proptest! {
    #[test]
    fn what_the_sdk_signs_is_right(
        sent in sent(),
        secret in "[a-zA-Z0-9/+]{1,50}",
        is_presigned in any::<bool>(),
        token in prop::option::of("[a-zA-Z0-9/+=]{1,60}"),
    ) {
        let location = if is_presigned { SignatureLocation::QueryParams } else { SignatureLocation::Headers };
        let sent = sent.signed(&secret, location, token);
        prop_assert!(sent.is_signed_with(&secret), "{:?}", sent);
        prop_assert!(!sent.is_signed_with(&(secret + "x")));
    }
}
