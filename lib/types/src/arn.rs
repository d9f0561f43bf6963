//! Amazon resource names, as far as Kinesis uses them.

use std::fmt;

use crate::{ConsumerName, StreamName, Timestamp};

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`, cut at its colons; the resource keeps its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, `aws-cn`, …
    pub partition: &'a str,
    /// `kinesis`
    pub service: &'a str,
    /// `us-east-1`
    pub region: &'a str,
    /// Twelve digits.
    pub account: &'a str,
    /// `stream/NAME`, `stream/NAME/consumer/CONSUMER:SECONDS`
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// `None` when there are fewer than six parts or the first is not `arn`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next() != Some("arn") {
            return None;
        }
        Some(Arn {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }
}

/// `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamArn {
    /// Where the stream is.
    pub region: String,
    /// Whose it is.
    pub account: String,
    /// Its name.
    pub name: StreamName,
}

impl StreamArn {
    /// `None` when it is not the ARN of a stream.
    pub fn parse(text: &str) -> Option<Self> {
        let arn = Arn::parse(text).filter(|arn| arn.service == "kinesis")?;
        let name = StreamName::new(arn.resource.strip_prefix("stream/")?).ok()?;
        Some(StreamArn { region: arn.region.to_owned(), account: arn.account.to_owned(), name })
    }
}

impl fmt::Display for StreamArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:aws:kinesis:{}:{}:stream/{}", self.region, self.account, self.name)
    }
}

/// `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME/consumer/CONSUMER:CREATION_SECONDS`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerArn {
    /// The stream that it reads.
    pub stream: StreamArn,
    /// Its name.
    pub name: ConsumerName,
    /// When it was registered; whole seconds.
    pub created: Timestamp,
}

impl ConsumerArn {
    /// `None` when it is not the ARN of a consumer.
    pub fn parse(text: &str) -> Option<Self> {
        let (stream, consumer) = text.split_once("/consumer/")?;
        let (name, seconds) = consumer.rsplit_once(':')?;
        Some(ConsumerArn {
            stream: StreamArn::parse(stream)?,
            name: ConsumerName::new(name).ok()?,
            created: Timestamp::from_seconds(seconds.parse().ok()?),
        })
    }
}

impl fmt::Display for ConsumerArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/consumer/{}:{}", self.stream, self.name, self.created.as_seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_read_and_printed_alike() {
        let text = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders.v2";
        assert_eq!(StreamArn::parse(text).expect("well formed").to_string(), text);
        let text = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/billing:1700000000";
        assert_eq!(ConsumerArn::parse(text).expect("well formed").to_string(), text);
        for text in ["", "arn:aws:kinesis", "arn:aws:s3:::stream/x", "arn:aws:kinesis:r:a:stream/a/b"] {
            assert_eq!(StreamArn::parse(text), None, "{text}");
        }
    }
}
