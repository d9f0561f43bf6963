//! Page tokens (`NextToken`): where a listing goes on, sealed into a text that only this installation can make.
//! No state is kept for them.

use base64_simd::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thalweg_shape::Failure;
use thalweg_types::Timestamp;
use thalweg_types::limits::NEXT_TOKEN_MILLIS;

use crate::errors;
use crate::service::Streams;

/// Length of the MAC before the JSON.
const MAC_BYTES: usize = 16;
/// What the MAC begins with, so that no other text of this installation is a token.
const CONTEXT: &[u8] = b"thalweg page token 1\0";

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Position {
    /// ListStreams: after this name.
    Streams { after: String },
    /// ListShards of a stream: after this index, with the filter and the start of the first call. The id decides
    /// which stream it is; the name is for the error when it is gone.
    Shards { stream: u64, name: String, after: u32, filter: Filter, start: Option<u32> },
    /// ListStreamConsumers of a stream: after this name.
    Consumers { stream: u64, after: String },
}

/// A ShardFilter, checked. Times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Filter {
    /// All that are listed: what no filter means, too.
    #[default]
    FromTrimHorizon,
    /// Those open at the horizon.
    AtTrimHorizon,
    /// Those open now.
    AtLatest,
    /// Those open then.
    AtTimestamp(i64),
    /// Those open then or later.
    FromTimestamp(i64),
    /// Those made after this one.
    AfterShardId(u32),
}

#[derive(Serialize, Deserialize)]
struct Token {
    made: i64,
    position: Position,
}

fn mac(secret: &[u8; 32], json: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(CONTEXT);
    mac.update(json);
    mac
}

/// A token that is valid from `now` on.
pub(crate) fn seal(secret: &[u8; 32], now: Timestamp, position: Position) -> String {
    let json = serde_json::to_vec(&Token { made: now.as_millis(), position }).expect("plain data");
    seal_json(secret, &json)
}

/// A token that says this.
pub(crate) fn seal_json(secret: &[u8; 32], json: &[u8]) -> String {
    let mut bytes = mac(secret, json).finalize().into_bytes()[..MAC_BYTES].to_vec();
    bytes.extend_from_slice(json);
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// What a token says, and whether it is too old.
pub(crate) fn open(secret: &[u8; 32], now: Timestamp, text: &str) -> Option<(Position, bool)> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
    let (seal, json) = bytes.split_at_checked(MAC_BYTES)?;
    mac(secret, json).verify_truncated_left(seal).ok()?;
    let Token { made, position } = serde_json::from_slice(json).ok()?;
    let expired = now.as_millis().saturating_sub(made) > NEXT_TOKEN_MILLIS;
    Some((position, expired))
}

impl Streams {
    /// A token for the next page.
    pub(crate) fn token(&self, position: Position) -> String {
        seal(&self.secret, self.now(), position)
    }

    /// What a token says; `None` when we did not make it.
    ///
    /// # Errors
    /// ExpiredNextToken when it is older than five minutes.
    pub(crate) fn position(&self, token: &str) -> Result<Option<Position>, Failure> {
        match open(&self.secret, self.now(), token) {
            None => Ok(None),
            Some((_, true)) => Err(errors::expired_token()),
            Some((position, false)) => Ok(Some(position)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn position() -> Position {
        let filter = Filter::AtTimestamp(-1);
        Position::Shards { stream: 5, name: "s".to_owned(), after: 999, filter, start: None }
    }

    #[test]
    fn tokens_are_valid_for_five_minutes() {
        let made = Timestamp::from_seconds(1_700_000_000);
        let token = seal(&SECRET, made, position());
        for (millis, expired) in [(0, false), (300_000, false), (300_001, true), (-5_000, false)] {
            let now = Timestamp::from_millis(made.as_millis() + millis);
            assert_eq!(open(&SECRET, now, &token), Some((position(), expired)), "after {millis} ms");
        }
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let token = seal(&SECRET, now, position());
        assert_eq!(open(&[8; 32], now, &token), None, "of another installation");
        for text in ["", "AAAA", "not base64!", &token[1..], &token[..token.len() - 2]] {
            assert_eq!(open(&SECRET, now, text), None, "{text}");
        }
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(bytes).expect("ASCII");
            assert_eq!(open(&SECRET, now, &text), None, "changed at {place}");
        }
    }
}
