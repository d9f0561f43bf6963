//! The texts that settings are written in, parsed: the same on the command line, in the environment and in the file.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use thalweg_types::StreamName;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Lets a value be written in TOML as a text (or as a whole number, where that is its text).
macro_rules! deserialize_by_text {
    ($($type:ident: $expecting:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct TextVisitor;
                impl Visitor<'_> for TextVisitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }

                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(TextVisitor)
            }
        }
    )*};
}

deserialize_by_text! {
    Account: "twelve digits, in quotes";
    ByteSize: "a size such as \"256MiB\"";
    Delay: "a duration such as \"250ms\"";
    ListenAddress: "an address and port such as \"127.0.0.1:4567\"";
    LogLevel: "a level such as \"info\"";
    NewStream: "\"NAME\" or \"NAME:SHARDS\"";
    Percent: "a percentage from 0 to 100";
    Region: "a region such as \"us-east-1\"";
    Threads: "a number of threads from 1 to 256";
}

/// Where to listen: an IP address, or `localhost`, and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress(pub(crate) SocketAddr);

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
            return Ok(ListenAddress(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)));
        }
        text.parse()
            .map(ListenAddress)
            .map_err(|_| "write an IP address and a port, such as 127.0.0.1:4567 or [::1]:4567".to_owned())
    }
}

/// A region's name: lower-case letters, digits and dashes, as it stands in ARNs and host names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region(pub(crate) String);

/// Longer than any region there is; a host name's label is no longer than this either.
const REGION_CHARACTERS_MAX: usize = 63;

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let starts_with_letter = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if text.len() > REGION_CHARACTERS_MAX || !text.bytes().all(is_name) || !starts_with_letter {
            return Err("a region is lower-case letters, digits and dashes, such as us-east-1".to_owned());
        }
        Ok(Region(text.to_owned()))
    }
}

/// An account's number: twelve digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account(pub(crate) String);

impl FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err("an account is twelve digits, such as 000000000000".to_owned());
        }
        Ok(Account(text.to_owned()))
    }
}

/// A stream to create: `NAME` or `NAME:SHARDS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewStream {
    /// Its name.
    pub(crate) name: StreamName,
    /// How many shards it begins with.
    pub(crate) shards: i32,
}

impl FromStr for NewStream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, shards) = text.split_once(':').unwrap_or((text, "1"));
        let name = StreamName::new(name).map_err(|error| format!("\"{name}\": {error}"))?;
        let shards = shards.parse().ok().filter(|&count| count > 0);
        let shards =
            shards.ok_or_else(|| format!("{name}: the number of shards is a whole number from 1"))?;
        Ok(NewStream { name, shards })
    }
}

/// A percentage, kept to the tenth: `5`, `2.5`, `5%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percent {
    /// In thousandths of the whole.
    pub(crate) permille: u32,
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a percentage from 0 to 100, with one decimal at most".to_owned();
        let number = text.strip_suffix('%').unwrap_or(text);
        let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(tenths) || tenths.len() != 1 || whole.len() > 3 {
            return Err(wrong());
        }
        let permille: u32 = format!("{whole}{tenths}").parse().map_err(|_| wrong())?;
        if permille > 1000 {
            return Err(wrong());
        }
        Ok(Percent { permille })
    }
}

/// A number of bytes: `65536`, `64KiB`, `256MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) usize);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a number of bytes such as 65536, 64KiB, 256MiB or 1GiB".to_owned();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit: usize = match &text[digits.len()..] {
            "" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        let count: usize = digits.parse().map_err(|_| wrong())?;
        count.checked_mul(unit).map(ByteSize).ok_or_else(wrong)
    }
}

/// A duration: `0`, `250ms`, `5s`, `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delay(pub(crate) Duration);

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a duration such as 0, 250ms, 5s or 2m".to_owned();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        let millis = match &text[digits.len()..] {
            "" if count == 0 => 0,
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            _ => return Err(wrong()),
        };
        Ok(Delay(Duration::from_millis(count.checked_mul(millis).ok_or_else(wrong)?)))
    }
}

/// How many threads answer requests: 1 to 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threads(pub(crate) NonZeroUsize);

impl FromStr for Threads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = text.parse().ok().filter(|count: &NonZeroUsize| count.get() <= 256);
        count.map(Threads).ok_or_else(|| "write a number of threads from 1 to 256".to_owned())
    }
}

/// What is logged: levels, and levels of modules, with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLevel(pub(crate) String);

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A word alone that is no level would be taken for a module, and everything else would be silent.
        let is_directive =
            |part: &str| part.contains('=') || (!part.is_empty() && part.parse::<LevelFilter>().is_ok());
        if text.split(',').all(is_directive) && EnvFilter::builder().parse(text).is_ok() {
            return Ok(LogLevel(text.to_owned()));
        }
        Err("write error, warn, info, debug or trace, or levels by module such as info,thalweg_gateway=debug"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr<Err = String> + PartialEq + fmt::Debug>(text: &str, expected: Option<T>) {
        assert_eq!(text.parse::<T>().ok(), expected, "{text}");
    }

    #[test]
    fn addresses() {
        let address =
            |text: &str| Some(ListenAddress(text.parse().expect("the table's addresses are right")));
        check("127.0.0.1:4567", address("127.0.0.1:4567"));
        check("[::1]:0", address("[::1]:0"));
        check("localhost:80", address("127.0.0.1:80"));
        for text in ["", "4567", "127.0.0.1", "example.com:80", "localhost:99999", "http://127.0.0.1:4567"] {
            check::<ListenAddress>(text, None);
        }
    }

    #[test]
    fn regions_and_accounts() {
        check("eu-central-1", Some(Region("eu-central-1".to_owned())));
        check("local", Some(Region("local".to_owned())));
        for text in ["", "EU-central-1", "eu central", "-eu", "1eu", "eu:1"] {
            check::<Region>(text, None);
        }
        check("123456789012", Some(Account("123456789012".to_owned())));
        for text in ["", "12345678901", "1234567890123", "12345678901x"] {
            check::<Account>(text, None);
        }
    }

    #[test]
    fn new_streams() {
        let orders = StreamName::new("orders").expect("a name");
        check("orders", Some(NewStream { name: orders.clone(), shards: 1 }));
        check("orders:8", Some(NewStream { name: orders, shards: 8 }));
        for text in ["", ":1", "orders:", "orders:0", "orders:-1", "or/ders", "orders:1:2"] {
            check::<NewStream>(text, None);
        }
    }

    #[test]
    fn quantities() {
        check("5", Some(Percent { permille: 50 }));
        check("2.5%", Some(Percent { permille: 25 }));
        check("100", Some(Percent { permille: 1000 }));
        for text in ["", "100.1", "-1", "5.55", "five", "."] {
            check::<Percent>(text, None);
        }
        check("65536", Some(ByteSize(65536)));
        check("256MiB", Some(ByteSize(256 << 20)));
        for text in ["", "MiB", "1MB", "1.5GiB", "-1", "99999999999999999999"] {
            check::<ByteSize>(text, None);
        }
        check("0", Some(Delay(Duration::ZERO)));
        check("250ms", Some(Delay(Duration::from_millis(250))));
        check("5s", Some(Delay(Duration::from_secs(5))));
        for text in ["", "5", "ms", "-5s", "1h"] {
            check::<Delay>(text, None);
        }
    }

    #[test]
    fn threads() {
        check("1", NonZeroUsize::new(1).map(Threads));
        check("256", NonZeroUsize::new(256).map(Threads));
        for text in ["", "0", "257", "-1", "two", "1.5"] {
            check::<Threads>(text, None);
        }
    }

    #[test]
    fn log_levels() {
        for text in ["info", "WARN", "off", "info,thalweg_gateway=debug", "thalweg_gateway=trace"] {
            check(text, Some(LogLevel(text.to_owned())));
        }
        for text in ["", "verbose", "thalweg_gateway", "info,", "thalweg=loud"] {
            check::<LogLevel>(text, None);
        }
    }
}
