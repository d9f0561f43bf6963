//! Where reading begins: what `--from` may say.

use std::fmt;
use std::time::Duration;

use aws_sdk_kinesis::primitives::DateTime;
use thalweg_types::SequenceNumber;

/// Where reading begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// At the oldest record there is.
    TrimHorizon,
    /// At the next record to come.
    Latest,
    /// This long ago.
    Ago(Duration),
    /// At the first record that arrived then or later.
    Time(jiff::Timestamp),
    /// At the record with this number, in its shard and what became of it.
    Number(String),
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            From::TrimHorizon => f.write_str("trim-horizon"),
            From::Latest => f.write_str("latest"),
            From::Ago(ago) => write!(f, "{} seconds ago", ago.as_secs()),
            From::Time(time) => time.fmt(f),
            From::Number(number) => f.write_str(number),
        }
    }
}

/// A sequence number has 56 digits; a time in seconds has ten.
const NUMBER_DIGITS_MIN: usize = 20;

impl From {
    /// Reads `trim-horizon`, `latest`, a duration (`90s`, `5m`, `2h`, `1d`), a time (RFC 3339, or a date, or a date
    /// and time, in UTC unless they say otherwise; or seconds since 1970), or a sequence number.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().replace('_', "-").as_str() {
            "trim-horizon" => return Ok(From::TrimHorizon),
            "latest" => return Ok(From::Latest),
            _ => {}
        }
        if text.len() >= NUMBER_DIGITS_MIN && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(From::Number(text.to_owned()));
        }
        if let Some(ago) = duration(text) {
            return Ok(From::Ago(ago));
        }
        time(text).map(From::Time).ok_or_else(|| {
            "write trim-horizon, latest, a duration such as 5m, a time such as 2026-11-20T13:00:00Z, \
             or a sequence number"
                .to_owned()
        })
    }
}

/// The shard that a sequence number belongs to, when it is one of version 2 (which carry it).
pub(crate) fn shard_of(number: &str) -> Option<String> {
    SequenceNumber::parse(number).ok().map(|number| format!("shardId-{:012}", number.shard().0))
}

/// As the SDK wants it.
pub(crate) fn date_time(time: jiff::Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millisecond())
}

fn duration(text: &str) -> Option<Duration> {
    let unit = match text.bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 60 * 60,
        b'd' => 24 * 60 * 60,
        _ => return None,
    };
    let count: u64 = text[..text.len() - 1].parse().ok()?;
    Some(Duration::from_secs(count.checked_mul(unit)?))
}

fn time(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time);
    }
    if let Ok(time) = text.parse::<jiff::civil::DateTime>() {
        return jiff::tz::Offset::UTC.to_timestamp(time).ok();
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(seconds) || !is_number(fraction) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let millis = seconds.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(millis)?;
    jiff::Timestamp::from_millisecond(millis).ok()
}

#[cfg(test)]
mod tests {
    use thalweg_types::{ShardIndex, Timestamp};

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<From>) {
        assert_eq!(From::parse(text).ok(), expected, "{text}");
    }

    fn at(millis: i64) -> Option<From> {
        Some(From::Time(jiff::Timestamp::from_millisecond(millis).expect("the table's times exist")))
    }

    #[test]
    fn what_from_may_say() {
        check("trim-horizon", Some(From::TrimHorizon));
        check("TRIM_HORIZON", Some(From::TrimHorizon));
        check("latest", Some(From::Latest));
        check("90s", Some(From::Ago(Duration::from_secs(90))));
        check("5m", Some(From::Ago(Duration::from_secs(300))));
        check("2h", Some(From::Ago(Duration::from_secs(7200))));
        check("1d", Some(From::Ago(Duration::from_secs(86400))));
        check("2026-11-20T13:33:07Z", at(1_795_181_587_000));
        check("2026-11-20T14:33:07.125+01:00", at(1_795_181_587_125));
        check("2026-11-20T13:33:07", at(1_795_181_587_000));
        check("2026-11-20", at(1_795_132_800_000));
        check("1795181587", at(1_795_181_587_000));
        check("1795181587.1259", at(1_795_181_587_125));
        let number = "49590338271490256608559692538361571095921575989136588898";
        check(number, Some(From::Number(number.to_owned())));
        for text in ["", "m", "-5m", "five", "2026-13-01", "1795181587.", "18446744073709551615d"] {
            check(text, None);
        }
    }

    #[test]
    fn a_sequence_number_names_its_shard() {
        let then = Timestamp::from_seconds(1_795_181_587);
        let number = SequenceNumber::of_record(then, ShardIndex(12), 0, then).digits();
        assert_eq!(shard_of(number.as_str()), Some("shardId-000000000012".to_owned()));
        assert_eq!(shard_of("12345678901234567890"), None);
    }
}
