//! From a secret to a signature.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::ZeroizeOnDrop;

use crate::TERMINATOR;

/// What signs the requests of a day, a region and a service. Forgotten when dropped, and never printed.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SigningKey([u8; 32]);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// Derives it: four HMACs, so that it is worth keeping for the day. `day` is as in [`SigningTime::day`](crate::SigningTime::day).
    pub fn derive(secret: &str, day: &str, region: &str, service: &str) -> Self {
        let first = zeroize::Zeroizing::new(format!("AWS4{secret}"));
        let mut key = SigningKey(tag(first.as_bytes(), day.as_bytes()));
        for part in [region, service, TERMINATOR] {
            key = SigningKey(tag(&key.0, part.as_bytes()));
        }
        key
    }

    /// Signs.
    pub fn sign(&self, string_to_sign: &[u8]) -> [u8; 32] {
        tag(&self.0, string_to_sign)
    }

    /// Whether it signed this so, in a time that does not depend on where they differ.
    pub(crate) fn has_signed(&self, string_to_sign: &[u8], signature: &[u8; 32]) -> bool {
        keyed(&self.0, string_to_sign).verify(signature.into()).is_ok()
    }
}

fn keyed(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("keys of HMAC may have any length");
    hmac.update(text);
    hmac
}

fn tag(key: &[u8], text: &[u8]) -> [u8; 32] {
    keyed(key, text).finalize().into_bytes().into()
}
