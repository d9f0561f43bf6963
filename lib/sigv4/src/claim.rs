//! What a request says about its signature, and whether that can be.

use sha2::{Digest, Sha256};

use crate::canonical::{decoded, hex_of};
use crate::shape::{
    HEADER_PARAMETERS, QUERY_ALGORITHM, QUERY_PARAMETERS, missing_in_header, missing_in_query,
};
use crate::{
    ALGORITHM, EXPIRES_SECONDS_MAX, Refusal, Request, SKEW_SECONDS_MAX, SigningKey, SigningTime, TERMINATOR,
};

const QUERY_SIGNATURE: &str = "X-Amz-Signature";
const QUERY_EXPIRES: &str = "X-Amz-Expires";
const QUERY_TOKEN: &str = "X-Amz-Security-Token";
const TOKEN_HEADER: &str = "x-amz-security-token";
/// Headers that begin so change what a request does (`x-amz-target`), and are signed where they are there.
const MEANINGFUL: &str = "x-amz-";

/// Where a claim must have been made for, and when we read it.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// `us-east-1`
    pub region: &'a str,
    /// `kinesis`
    pub service: &'a str,
    /// Our time.
    pub now: SigningTime,
}

/// What a request says about its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose signature it is said to be.
    pub access_key: String,
    /// Day, region, service and terminator.
    scope: [String; 4],
    /// In lower case, sorted.
    signed_headers: Vec<String>,
    signature: Option<[u8; 32]>,
    /// When it is said to have been made.
    pub time: SigningTime,
    /// How long a presigned request is good for, in seconds.
    expires: Option<i64>,
    /// Of temporary credentials.
    pub session_token: Option<String>,
}

impl Claim {
    /// Reads it.
    ///
    /// # Errors
    /// There is none, there are two, or it is none: [`Refusal::Missing`] to [`Refusal::Expires`].
    pub fn of(request: &Request<'_>) -> Result<Self, Refusal> {
        let header = request.header("authorization").filter(|value| !value.is_empty());
        let query: Vec<(String, String)> = parameters(request.query);
        let is_presigned = query.iter().any(|(name, _)| name == QUERY_ALGORITHM);
        match (header, is_presigned) {
            (Some(_), true) => Err(Refusal::Twice),
            (Some(header), false) => Self::of_header(&String::from_utf8_lossy(header), request),
            (None, true) => match missing_in_query(request.query) {
                missing if missing.is_empty() => Self::of_query(&query),
                missing => Err(Refusal::Incomplete(missing)),
            },
            (None, false) => Err(Refusal::Missing),
        }
    }

    fn of_header(header: &str, request: &Request<'_>) -> Result<Self, Refusal> {
        let mut words = header.split([',', ' ']);
        let algorithm = words.next().unwrap_or_default();
        let parameters: Vec<(&str, &str)> =
            words.filter_map(|parameter| parameter.trim().split_once('=')).collect();
        let find = |name: &str| {
            parameters
                .iter()
                .find(|(known, value)| *known == name && !value.is_empty())
                .map(|(_, value)| *value)
        };
        let dated = request.header("x-amz-date").or_else(|| request.header("date"));
        let missing = missing_in_header(header, dated.is_some());
        if !missing.is_empty() {
            return Err(Refusal::Incomplete(missing));
        }
        let time = String::from_utf8_lossy(dated.unwrap_or_default()).into_owned();
        let time = time.trim();
        let parsed = if request.header("x-amz-date").is_some() {
            SigningTime::of_basic(time)
        } else {
            SigningTime::of_date_header(time)
        };
        let part = |name: &str| find(name).unwrap_or_default();
        let token = request.header(TOKEN_HEADER).map(|token| String::from_utf8_lossy(token).into_owned());
        Self::new(
            algorithm,
            part(HEADER_PARAMETERS[0]),
            part(HEADER_PARAMETERS[1]),
            part(HEADER_PARAMETERS[2]),
            parsed.ok_or_else(|| Refusal::Time(time.to_owned()))?,
            token,
        )
    }

    fn of_query(query: &[(String, String)]) -> Result<Self, Refusal> {
        let find = |name: &str| {
            query
                .iter()
                .find(|(known, value)| known == name && !value.is_empty())
                .map(|(_, value)| value.as_str())
        };
        let [algorithm, credential, signature, signed_headers, time] =
            QUERY_PARAMETERS.map(|name| find(name).unwrap_or_default());
        let time = SigningTime::of_basic(time).ok_or_else(|| Refusal::Time(time.to_owned()))?;
        let token = find(QUERY_TOKEN).map(str::to_owned);
        let mut claim = Self::new(algorithm, credential, signature, signed_headers, time, token)?;
        let expires = find(QUERY_EXPIRES).unwrap_or_default();
        let seconds = expires.parse().ok().filter(|seconds| (1..=EXPIRES_SECONDS_MAX).contains(seconds));
        claim.expires = Some(seconds.ok_or_else(|| Refusal::Expires(expires.to_owned()))?);
        Ok(claim)
    }

    fn new(
        algorithm: &str,
        credential: &str,
        signature: &str,
        signed_headers: &str,
        time: SigningTime,
        session_token: Option<String>,
    ) -> Result<Self, Refusal> {
        if algorithm != ALGORITHM {
            return Err(Refusal::Algorithm(algorithm.to_owned()));
        }
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key, day, region, service, terminator] = parts[..] else {
            return Err(Refusal::Credential(credential.to_owned()));
        };
        let mut signed_headers: Vec<String> =
            signed_headers.split(';').map(str::to_ascii_lowercase).filter(|name| !name.is_empty()).collect();
        signed_headers.sort_unstable();
        signed_headers.dedup();
        Ok(Claim {
            access_key: access_key.to_owned(),
            scope: [day, region, service, terminator].map(str::to_owned),
            signed_headers,
            signature: bytes_of_hex(signature),
            time,
            expires: None,
            session_token,
        })
    }

    /// The day of the scope, as [`SigningKey::derive`] wants it.
    pub fn day(&self) -> &str {
        &self.scope[0]
    }

    /// Whether such a claim can be right here and now, whoever made it.
    ///
    /// # Errors
    /// Something that must be signed is not, or the scope or the time is another.
    pub fn check(&self, request: &Request<'_>, expected: Expected<'_>) -> Result<(), Refusal> {
        let is_signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        if !is_signed("host") {
            return Err(Refusal::Unsigned("Host' or ':authority".to_owned()));
        }
        for (name, _) in request.headers {
            if name.starts_with(MEANINGFUL) && *name != TOKEN_HEADER && !is_signed(name) {
                return Err(Refusal::Unsigned((*name).to_owned()));
            }
        }
        let [day, region, service, terminator] = &self.scope;
        if region != expected.region {
            return Err(Refusal::Region(region.clone()));
        }
        if service != expected.service {
            return Err(Refusal::Service(expected.service.to_owned()));
        }
        if terminator != TERMINATOR {
            return Err(Refusal::Terminator(terminator.clone()));
        }
        if *day != self.time.day() {
            return Err(Refusal::Day { scope: day.clone(), time: self.time });
        }
        let good_for = self.expires.unwrap_or(SKEW_SECONDS_MAX);
        let (signed, now) = (self.time, expected.now);
        let (earliest, latest) = (now.plus_seconds(-good_for), now.plus_seconds(SKEW_SECONDS_MAX));
        if signed < earliest {
            return Err(Refusal::Expired { signed, earliest, now, seconds: good_for });
        }
        if signed > latest {
            return Err(Refusal::Early { signed, latest, now });
        }
        Ok(())
    }

    /// Whether the owner of this key signed this request with a body of this hash ([`payload_hash`](crate::payload_hash)).
    pub fn is_signed_by(&self, key: &SigningKey, request: &Request<'_>, payload_hash: &str) -> bool {
        let Some(signature) = &self.signature else { return false };
        key.has_signed(&self.string_to_sign(request, payload_hash), signature)
    }

    fn string_to_sign(&self, request: &Request<'_>, payload_hash: &str) -> Vec<u8> {
        let signed: Vec<&str> = self.signed_headers.iter().map(String::as_str).collect();
        let without = self.expires.map(|_| QUERY_SIGNATURE);
        let canonical = request.canonical(&signed, payload_hash, without);
        let [day, region, service, terminator] = &self.scope;
        let hash = hex_of(&Sha256::digest(canonical));
        format!("{ALGORITHM}\n{}\n{day}/{region}/{service}/{terminator}\n{hash}", self.time).into_bytes()
    }
}

impl Request<'_> {
    /// The first header of this name.
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Names and values of a query, decoded.
fn parameters(query: &str) -> Vec<(String, String)> {
    let text = |part: &str| String::from_utf8_lossy(&decoded(part)).into_owned();
    query
        .split('&')
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// 64 hexadecimal digits; `None` for anything else, which no key has signed.
fn bytes_of_hex(digits: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = digits.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| (digit as char).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(bytes)
}
