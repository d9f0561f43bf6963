//! From what a request says (names, ARNs) to the resource that it means. Checks no state: a stream that is being
//! created or deleted is found too.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_shape::Failure;
use thalweg_types::{Arn, ConsumerArn, ConsumerName, ShardIndex, StreamArn};

use crate::consumer::Consumer;
use crate::errors;
use crate::rows;
use crate::service::Streams;
use crate::stream::Stream;

/// A stream or one of its consumers: what an ARN can name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resource {
    Stream(Arc<Stream>),
    Consumer(Arc<Stream>, Consumer),
}

impl Resource {
    /// The stream, or the consumer's stream.
    pub(crate) fn stream(&self) -> &Stream {
        match self {
            Resource::Stream(stream) | Resource::Consumer(stream, _) => stream,
        }
    }

    /// The key of its policy.
    pub(crate) fn policy_key(&self) -> Bytes {
        match self {
            Resource::Stream(stream) => rows::policy_key(stream.id, None),
            Resource::Consumer(stream, consumer) => rows::policy_key(stream.id, Some(&consumer.name)),
        }
    }
}

/// The stream's name as a request has it, for errors that come before the stream is looked for.
pub(crate) fn shard_name<'a>(name: Option<&'a str>, arn: Option<&'a str>) -> &'a str {
    let from_arn = || arn.and_then(|arn| arn.split_once(":stream/")).map(|(_, name)| name);
    name.or_else(from_arn).unwrap_or_default()
}

impl Streams {
    /// The stream that a request names by `StreamName`, `StreamARN` or both (and then they must agree). A
    /// `StreamId` is never given out here, so none can be right.
    ///
    /// # Errors
    /// InvalidArgument when nothing names a stream or two name different ones; ResourceNotFound.
    pub(crate) fn resolve_stream(
        &self,
        name: Option<&str>,
        arn: Option<&str>,
        id: Option<&str>,
    ) -> Result<Arc<Stream>, Failure> {
        let account = &self.settings.account;
        if let Some(id) = id {
            return Err(errors::stream_id_not_found(id, account));
        }
        let Some(arn) = arn else {
            let name = name.ok_or_else(errors::no_stream_named)?;
            return self.stream_named(name);
        };
        let parsed = StreamArn::parse(arn).ok_or_else(|| errors::not_a_stream_arn(arn))?;
        if name.is_some_and(|name| name != parsed.name.as_str()) {
            return Err(errors::stream_names_differ(arn, name.unwrap_or_default()));
        }
        self.stream_by_arn(&parsed)
    }

    /// The stream of this name.
    ///
    /// # Errors
    /// ResourceNotFound.
    pub(crate) fn stream_named(&self, name: &str) -> Result<Arc<Stream>, Failure> {
        self.registry.find(name).ok_or_else(|| errors::stream_not_found(name, &self.settings.account))
    }

    /// The stream with this ARN. Those of another region or account are not found.
    ///
    /// # Errors
    /// ResourceNotFound.
    pub(crate) fn stream_by_arn(&self, arn: &StreamArn) -> Result<Arc<Stream>, Failure> {
        if arn.region != self.settings.region || arn.account != self.settings.account {
            return Err(errors::stream_not_found(arn.name.as_str(), &arn.account));
        }
        self.stream_named(arn.name.as_str())
    }

    /// The consumer with this ARN: name, creation second and stream must be right.
    ///
    /// # Errors
    /// InvalidArgument when it is no consumer's ARN; ResourceNotFound.
    pub(crate) fn resolve_consumer(&self, arn: &str) -> Result<(Arc<Stream>, Consumer), Failure> {
        let parsed = ConsumerArn::parse(arn).ok_or_else(|| errors::not_a_consumer_arn(arn))?;
        let stream = self.stream_by_arn(&parsed.stream)?;
        match stream.consumers.get(&parsed.name) {
            Some(consumer) if consumer.created == parsed.created => {
                let consumer = consumer.clone();
                Ok((stream, consumer))
            }
            _ => Err(errors::consumer_arn_not_found(arn)),
        }
    }

    /// The stream or consumer with this ARN. Queues and channels do not exist here, so theirs are not found.
    ///
    /// # Errors
    /// InvalidArgument when it is no such ARN; ResourceNotFound.
    pub(crate) fn resolve_resource(&self, arn: &str, id: Option<&str>) -> Result<Resource, Failure> {
        if let Some(id) = id {
            return Err(errors::stream_id_not_found(id, &self.settings.account));
        }
        let resource = Arn::parse(arn).map(|arn| arn.resource).unwrap_or_default();
        if resource.starts_with("queue/") || resource.starts_with("channel/") {
            return Err(errors::resource_not_found(arn));
        }
        if resource.contains("/consumer/") {
            return self.resolve_consumer(arn).map(|(stream, consumer)| Resource::Consumer(stream, consumer));
        }
        self.resolve_stream(None, Some(arn), None).map(Resource::Stream)
    }

    /// The consumer that a request names by `ConsumerARN`, by `StreamARN` and `ConsumerName`, or by all three (and
    /// then they must agree).
    ///
    /// # Errors
    /// InvalidArgument when that names none or two; ResourceNotFound.
    pub(crate) fn resolve_named_consumer(
        &self,
        consumer_arn: Option<&str>,
        stream_arn: Option<&str>,
        name: Option<&str>,
        id: Option<&str>,
    ) -> Result<(Arc<Stream>, Consumer), Failure> {
        let account = &self.settings.account;
        if let Some(id) = id {
            return Err(errors::stream_id_not_found(id, account));
        }
        if let Some(arn) = consumer_arn {
            let parsed = ConsumerArn::parse(arn).ok_or_else(|| errors::not_a_consumer_arn(arn))?;
            let agrees = name.is_none_or(|name| name == parsed.name.as_str())
                && stream_arn.is_none_or(|stream| StreamArn::parse(stream) == Some(parsed.stream.clone()));
            if !agrees {
                return Err(errors::consumer_names_differ(arn));
            }
            return self.resolve_consumer(arn);
        }
        let (Some(stream_arn), Some(name)) = (stream_arn, name) else {
            return Err(errors::no_consumer_named());
        };
        let stream = self.resolve_stream(None, Some(stream_arn), None)?;
        let found = ConsumerName::new(name).ok().and_then(|name| stream.consumers.get(&name).cloned());
        let consumer =
            found.ok_or_else(|| errors::consumer_not_found(name, stream.name.as_str(), account))?;
        Ok((stream, consumer))
    }

    /// The index in a shard id, whatever its prefix and padding. `name` is the stream's, for the error.
    ///
    /// # Errors
    /// ResourceNotFound.
    pub(crate) fn parse_shard(&self, id: &str, name: &str) -> Result<ShardIndex, Failure> {
        ShardIndex::parse(id).ok_or_else(|| errors::could_not_find_shard(id, name, &self.settings.account))
    }
}
