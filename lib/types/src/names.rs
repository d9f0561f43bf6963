//! Names that users choose.

use std::fmt;
use std::sync::Arc;

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no character, or more than 128.
    #[error("a name has 1 to 128 characters")]
    Length,
    /// It has a character other than `a-z A-Z 0-9 _ . -`.
    #[error("a name has only letters, digits, underscores, dots and dashes")]
    Character,
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() || text.chars().count() > 128 {
        return Err(NameError::Length);
    }
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')) {
        Ok(())
    } else {
        Err(NameError::Character)
    }
}

macro_rules! name {
    ($(#[$documentation:meta])* $type:ident) => {
        $(#[$documentation])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks `text`.
            ///
            /// # Errors
            /// Which rule it breaks.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok($type(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// A stream's name: 1 to 128 characters of `[a-zA-Z0-9_.-]`. Holding one is the proof that it was checked.
    StreamName
}
name! {
    /// A fan-out consumer's name: 1 to 128 characters of `[a-zA-Z0-9_.-]`.
    ConsumerName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_stream_name(text: &str, expected: Result<(), NameError>) {
        assert_eq!(StreamName::new(text).map(drop), expected, "{text}");
    }

    #[test]
    fn stream_names() {
        check_stream_name("orders.eu-1_v2", Ok(()));
        check_stream_name("orders/eu", Err(NameError::Character));
        check_stream_name("", Err(NameError::Length));
        check_stream_name(&"x".repeat(128), Ok(()));
        check_stream_name(&"x".repeat(129), Err(NameError::Length));
    }
}
