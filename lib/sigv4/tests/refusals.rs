//! Each thing that can be wrong with a signature, and AWS's code and words for it.

use thalweg_sigv4::{
    ALGORITHM, Claim, Expected, Refusal, Request, SigningKey, SigningTime, hex_of, payload_hash,
};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "us-east-1";
const SERVICE: &str = "kinesis";
const SIGNED: &str = "20261130T235500Z";
const TARGET: &str = "Kinesis_20131202.ListStreams";
const BODY: &[u8] = b"{}";
/// Of nobody.
const NO_SIGNATURE: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const INCOMPLETE: &str = "IncompleteSignatureException";
const INVALID: &str = "InvalidSignatureException";

/// A request that is right, of which a case changes something.
#[derive(Clone)]
struct Sent {
    query: String,
    headers: Vec<(&'static str, String)>,
    now: &'static str,
    body: &'static [u8],
}

impl Sent {
    fn set(&mut self, name: &'static str, value: &str) {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
    }

    fn replace(&mut self, name: &str, from: &str, to: &str) {
        let (_, value) = self.headers.iter_mut().find(|(known, _)| *known == name).expect("it has one");
        assert!(value.contains(from), "{value} has {from}");
        *value = value.replace(from, to);
    }

    fn verify(&self) -> Result<(), Refusal> {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let request = Request { method: "POST", path: "/", query: &self.query, headers: &headers };
        let claim = Claim::of(&request)?;
        let now = SigningTime::of_basic(self.now).expect("it is a time");
        claim.check(&request, Expected { region: REGION, service: SERVICE, now })?;
        let key = SigningKey::derive(SECRET, claim.day(), REGION, SERVICE);
        let is_right = claim.is_signed_by(&key, &request, &payload_hash(self.body));
        if is_right { Ok(()) } else { Err(Refusal::Mismatch) }
    }
}

/// Signs by hand, as a second opinion on the canonical form.
fn signature(query: &str, header_lines: &str, signed: &str) -> String {
    let canonical = format!("POST\n/\n{query}\n{header_lines}\n{signed}\n{}", payload_hash(BODY));
    let day = &SIGNED[..8];
    let scope = format!("{day}/{REGION}/{SERVICE}/aws4_request");
    let text = format!("{ALGORITHM}\n{SIGNED}\n{scope}\n{}", payload_hash(canonical.as_bytes()));
    hex_of(&SigningKey::derive(SECRET, day, REGION, SERVICE).sign(text.as_bytes()))
}

fn by_header() -> Sent {
    let lines = format!("host:localhost:4567\nx-amz-date:{SIGNED}\nx-amz-target:{TARGET}\n");
    let signed = "host;x-amz-date;x-amz-target";
    let signature = signature("", &lines, signed);
    let credential = format!("{KEY}/{}/{REGION}/{SERVICE}/aws4_request", &SIGNED[..8]);
    let authorization =
        format!("{ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}");
    Sent {
        query: String::new(),
        headers: vec![
            ("host", "localhost:4567".to_owned()),
            ("x-amz-date", SIGNED.to_owned()),
            ("x-amz-target", TARGET.to_owned()),
            ("authorization", authorization),
        ],
        now: SIGNED,
        body: BODY,
    }
}

fn presigned() -> Sent {
    let query = format!(
        "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={KEY}%2F{}%2F{REGION}%2F{SERVICE}%2Faws4_request&\
         X-Amz-Date={SIGNED}&X-Amz-Expires=60&X-Amz-SignedHeaders=host",
        &SIGNED[..8]
    );
    let signature = signature(&query, "host:localhost:4567\n", "host");
    Sent {
        query: format!("{query}&X-Amz-Signature={signature}"),
        headers: vec![("host", "localhost:4567".to_owned())],
        now: SIGNED,
        body: BODY,
    }
}

fn check(what: &str, mut sent: Sent, change: impl FnOnce(&mut Sent), expected: Result<(), (&str, &str)>) {
    change(&mut sent);
    let verified = sent.verify();
    let told = verified.map_err(|refusal| (refusal.code(), refusal.to_string()));
    match (told, expected) {
        (Ok(()), Ok(())) => {}
        (Err((code, message)), Err((expected_code, expected_message))) => {
            assert_eq!(code, expected_code, "{what}: {message}");
            assert!(message.contains(expected_message), "{what}: {message}");
        }
        (told, expected) => panic!("{what}: {told:?}, not {expected:?}"),
    }
}

#[test]
fn a_header_that_is_right_is_right() {
    check("as it is", by_header(), |_| (), Ok(()));
    check("blanks as separators", by_header(), |sent| sent.replace("authorization", ", ", " "), Ok(()));
    check("commas alone", by_header(), |sent| sent.replace("authorization", ", ", ","), Ok(()));
    check(
        "blanks around a value",
        by_header(),
        |sent| sent.replace("host", "localhost", "  localhost"),
        Ok(()),
    );
    check("a header more that says nothing", by_header(), |sent| sent.set("user-agent", "test"), Ok(()));
    check("a token that came later", by_header(), |sent| sent.set("x-amz-security-token", "abc"), Ok(()));
    check("five minutes later", by_header(), |sent| sent.now = "20261201T000000Z", Ok(()));
    check("five minutes earlier", by_header(), |sent| sent.now = "20261130T235000Z", Ok(()));
}

#[test]
fn a_header_that_is_wrong_is_refused() {
    let wrong =
        |what, change: fn(&mut Sent), code, message| check(what, by_header(), change, Err((code, message)));
    wrong(
        "no signature at all",
        |sent| sent.headers.retain(|(name, _)| *name != "authorization"),
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    );
    wrong(
        "two signatures",
        |sent| sent.query = format!("X-Amz-Algorithm={ALGORITHM}"),
        INVALID,
        "Found both 'X-Amz-Algorithm'",
    );
    wrong(
        "another algorithm",
        |sent| sent.replace("authorization", ALGORITHM, "AWS4-HMAC-SHA512"),
        INCOMPLETE,
        "SHA512",
    );
    wrong(
        "nothing in it",
        |sent| sent.set("authorization", ALGORITHM),
        INCOMPLETE,
        "requires 'Credential' parameter. Authorization header requires 'Signature' parameter. \
         Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256",
    );
    wrong(
        "no date",
        |sent| sent.headers.retain(|(name, _)| *name != "x-amz-date"),
        INCOMPLETE,
        "either a 'X-Amz-Date' or a 'Date' header",
    );
    wrong("a date that is none", |sent| sent.set("x-amz-date", "today"), INCOMPLETE, "Got 'today'");
    wrong("a scope of three", |sent| sent.replace("authorization", "/kinesis", ""), INCOMPLETE, "exactly 5");
    wrong(
        "a scope of six",
        |sent| sent.replace("authorization", "/kinesis", "/a/kinesis"),
        INCOMPLETE,
        "exactly 5",
    );
    wrong(
        "an unsigned host",
        |sent| sent.replace("authorization", "host;", ""),
        INVALID,
        "'Host' or ':authority' must be a 'SignedHeader'",
    );
    wrong(
        "an unsigned target",
        |sent| sent.replace("authorization", ";x-amz-target", ""),
        INVALID,
        "'x-amz-target' must",
    );
    wrong(
        "another region",
        |sent| sent.replace("authorization", REGION, "mars-1"),
        INVALID,
        "valid region, not 'mars-1'",
    );
    wrong(
        "another service",
        |sent| sent.replace("authorization", "/kinesis/", "/s3/"),
        INVALID,
        "correct service: 'kinesis'",
    );
    wrong(
        "another terminator",
        |sent| sent.replace("authorization", "aws4_request", "aws5"),
        INVALID,
        "not 'aws5'",
    );
    wrong(
        "another day",
        |sent| sent.replace("authorization", "/20261130/", "/20261129/"),
        INVALID,
        "'20261129' != '20261130', from '20261130T235500Z'.",
    );
    wrong(
        "too old",
        |sent| sent.now = "20261201T000001Z",
        INVALID,
        "Signature expired: 20261130T235500Z is now earlier than 20261130T235501Z (20261201T000001Z - 5 min.)",
    );
    wrong(
        "too new",
        |sent| sent.now = "20261130T234959Z",
        INVALID,
        "Signature not yet current: 20261130T235500Z is still later than 20261130T235459Z (20261130T234959Z + 5 min.)",
    );
    wrong(
        "a changed target",
        |sent| sent.set("x-amz-target", "Kinesis_20131202.DeleteStream"),
        INVALID,
        "does not match",
    );
    wrong(
        "a second target",
        |sent| sent.headers.push(("x-amz-target", TARGET.to_owned())),
        INVALID,
        "does not match",
    );
    wrong("a changed host", |sent| sent.set("host", "elsewhere"), INVALID, "does not match");
    wrong("a changed body", |sent| sent.body = b"{ }", INVALID, "does not match");
    wrong("a query more", |sent| sent.query = "a=b".to_owned(), INVALID, "does not match");
    wrong(
        "another signature",
        |sent| {
            let at = sent.headers.last().expect("it has one").1.find("Signature=").expect("it is there") + 10;
            let (_, value) = sent.headers.last_mut().expect("it has one");
            value.replace_range(at.., NO_SIGNATURE);
        },
        INVALID,
        "does not match",
    );
    wrong(
        "half a signature",
        |sent| {
            sent.headers.last_mut().expect("it has one").1.pop();
        },
        INVALID,
        "does not match",
    );
}

#[test]
fn a_date_header_will_do() {
    let lines = "date:Mon, 30 Nov 2026 23:55:00 GMT\nhost:localhost:4567\n";
    let signature = signature("", lines, "date;host");
    let mut sent = by_header();
    sent.headers = vec![("host", "localhost:4567".to_owned())];
    sent.set("date", "Mon, 30 Nov 2026 23:55:00 GMT");
    let credential = format!("{KEY}/{}/{REGION}/{SERVICE}/aws4_request", &SIGNED[..8]);
    sent.set(
        "authorization",
        &format!("{ALGORITHM} Credential={credential}, SignedHeaders=date;host, Signature={signature}"),
    );
    check("signed by date", sent, |_| (), Ok(()));
}

#[test]
fn a_presigned_query_is_good_for_its_time() {
    check("as it is", presigned(), |_| (), Ok(()));
    check("a minute later", presigned(), |sent| sent.now = "20261130T235600Z", Ok(()));
    let wrong =
        |what, change: fn(&mut Sent), code, message| check(what, presigned(), change, Err((code, message)));
    wrong(
        "more than a minute later",
        |sent| sent.now = "20261130T235601Z",
        INVALID,
        "Signature expired: 20261130T235500Z is now earlier than 20261130T235501Z (20261130T235601Z - 1 min.)",
    );
    wrong(
        "no key",
        |sent| sent.query = sent.query.replace("X-Amz-Credential", "x"),
        INCOMPLETE,
        "'X-Amz-Credential'",
    );
    wrong(
        "for ever",
        |sent| sent.query = sent.query.replace("Expires=60", "Expires=604801"),
        INVALID,
        "604801",
    );
    wrong(
        "for no time",
        |sent| sent.query = sent.query.replace("Expires=60", "Expires=0"),
        INVALID,
        "got '0'",
    );
    wrong(
        "longer",
        |sent| sent.query = sent.query.replace("Expires=60", "Expires=61"),
        INVALID,
        "does not match",
    );
    wrong("an unsigned target", |sent| sent.set("x-amz-target", TARGET), INVALID, "'x-amz-target' must");
}

#[test]
fn keys_are_not_printed() {
    assert_eq!(format!("{:?}", SigningKey::derive(SECRET, "20261130", REGION, SERVICE)), "SigningKey(..)");
}
