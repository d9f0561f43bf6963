//! When a request was signed.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

/// A second of the calendar, in UTC. Displayed as AWS writes it, `20150830T123600Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SigningTime(jiff::Timestamp);

impl SigningTime {
    /// From seconds since 1970; `None` for what no calendar has.
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        jiff::Timestamp::from_second(seconds).ok().map(SigningTime)
    }

    /// Of `X-Amz-Date`: `20150830T123600Z` and nothing else.
    pub fn of_basic(text: &str) -> Option<Self> {
        let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().try_fold(0i16, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + i16::from(digit - b'0'))
            })
        };
        let small = |from: usize, to: usize| number(from, to).and_then(|number| i8::try_from(number).ok());
        let date = Date::new(number(0, 4)?, small(4, 6)?, small(6, 8)?).ok()?;
        let time = Time::new(small(9, 11)?, small(11, 13)?, small(13, 15)?, 0).ok()?;
        let zoned = DateTime::from_parts(date, time).to_zoned(TimeZone::UTC).ok()?;
        Some(SigningTime(zoned.timestamp()))
    }

    /// Of `Date`, which may have HTTP's form, too.
    pub fn of_date_header(text: &str) -> Option<Self> {
        Self::of_basic(text).or_else(|| rfc2822::parse(text).ok().map(|zoned| SigningTime(zoned.timestamp())))
    }

    /// In seconds since 1970.
    pub fn as_seconds(self) -> i64 {
        self.0.as_second()
    }

    /// The day, as scopes name it: `20150830`.
    pub fn day(self) -> String {
        let date = self.0.to_zoned(TimeZone::UTC).date();
        format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
    }

    /// So many seconds later, or as late as there is.
    pub(crate) fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_seconds(self.as_seconds().saturating_add(seconds)).unwrap_or(SigningTime(if seconds < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        }))
    }
}

impl fmt::Display for SigningTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0.to_zoned(TimeZone::UTC).time();
        write!(f, "{}T{:02}{:02}{:02}Z", self.day(), time.hour(), time.minute(), time.second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_times_are_strict() {
        for (text, seconds) in [
            ("20150830T123600Z", Some(1_440_938_160)),
            ("19700101T000000Z", Some(0)),
            ("20240229T235959Z", Some(1_709_251_199)),
            ("20230229T000000Z", None),
            ("20150830T243600Z", None),
            ("20150830T123660Z", None),
            ("2015-08-30T12:36:00Z", None),
            ("20150830 123600Z", None),
            ("20150830T123600", None),
            ("20150830T123600+", None),
            ("+0150830T123600Z", None),
            ("20150830T12360éZ", None),
            ("", None),
        ] {
            assert_eq!(SigningTime::of_basic(text).map(SigningTime::as_seconds), seconds, "{text}");
        }
    }

    #[test]
    fn a_time_is_written_as_it_is_read() {
        let time = SigningTime::of_basic("20150830T123600Z").expect("it is one");
        assert_eq!(time.to_string(), "20150830T123600Z");
        assert_eq!(time.day(), "20150830");
        assert_eq!(SigningTime::of_date_header("Sun, 30 Aug 2015 12:36:00 GMT"), Some(time));
        assert_eq!(SigningTime::of_date_header("20150830T123600Z"), Some(time));
        assert_eq!(SigningTime::of_date_header("yesterday"), None);
    }
}
