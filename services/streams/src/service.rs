//! The service: its settings, its parts, and how it starts and stops. What it does is in [`crate::operations`].

use std::sync::{Arc, Weak};
use std::time::Duration;

use thalweg_catalog::{Catalog, CatalogError, CommitError};
use thalweg_journal::{AppendError, Journal};
use thalweg_system::{Clock, Random};
use thalweg_types::{ConsumerArn, StreamArn, StreamId, Timestamp, limits};

use crate::consumer::Consumer;
use crate::registry::Registry;
use crate::stream::Stream;

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The region in ARNs: `us-east-1`.
    pub region: String,
    /// The account in ARNs: twelve digits.
    pub account: String,
    /// Which of AWS's limits are kept.
    pub limits: Limits,
    /// Open shards in all streams together, at most. Kept whatever `limits` says.
    pub shard_limit: u32,
    /// For how long streams and consumers stay CREATING, UPDATING and DELETING: 0 is "no longer than it takes".
    pub transition_delay: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            limits: Limits::None,
            shard_limit: limits::SHARD_LIMIT_DEFAULT,
            transition_delay: Duration::ZERO,
        }
    }
}

/// Which of AWS's limits are kept beyond those that always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// None.
    None,
    /// Request rates, shard throughput, counts of resources, counts per 24 hours: as on AWS.
    Aws,
}

/// What the service is made of.
#[derive(Clone)]
pub struct Components {
    /// Where records are.
    pub journal: Arc<dyn Journal>,
    /// Where everything else is.
    pub catalog: Arc<dyn Catalog>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where unpredictable numbers come from.
    pub random: Arc<dyn Random>,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The catalog does not answer.
    #[error("cannot read the catalog")]
    Catalog(#[from] CatalogError),
    /// A row is not what was written, or was written by a later version.
    #[error("the catalog's row {key} cannot be understood: {why}")]
    Row {
        /// The row's key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The catalog takes no commits.
    #[error("cannot write to the catalog")]
    Commit(#[from] CommitError),
    /// The journal takes no changes.
    #[error("cannot bring the journal in line with the catalog")]
    Journal(#[from] AppendError),
}

/// Kinesis Data Streams.
pub struct Streams {
    pub(crate) settings: Settings,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) registry: Registry,
    /// Itself: for tasks that go on when a caller has gone.
    me: Weak<Streams>,
}

impl Streams {
    /// Loads the catalog, finishes what was under way, and brings the journal in line.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open(components: Components, settings: Settings) -> Result<Arc<Streams>, OpenError> {
        let Components { journal, catalog, clock, random } = components;
        let streams = Arc::new_cyclic(|me| Streams {
            settings,
            journal,
            catalog,
            clock,
            random,
            registry: Registry::default(),
            me: Weak::clone(me),
        });
        Ok(streams)
    }

    /// Itself, to be owned by a task.
    pub(crate) fn arc(&self) -> Arc<Streams> {
        self.me.upgrade().expect("whoever calls a method holds one")
    }

    /// The wall clock now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Whether AWS's limits are kept.
    pub(crate) fn keeps_aws_limits(&self) -> bool {
        self.settings.limits == Limits::Aws
    }

    /// A stream's ARN.
    pub(crate) fn stream_arn(&self, stream: &Stream) -> StreamArn {
        StreamArn {
            region: self.settings.region.clone(),
            account: self.settings.account.clone(),
            name: stream.name.clone(),
        }
    }

    /// A consumer's ARN.
    pub(crate) fn consumer_arn(&self, stream: &Stream, consumer: &Consumer) -> ConsumerArn {
        ConsumerArn {
            stream: self.stream_arn(stream),
            name: consumer.name.clone(),
            created: consumer.created,
        }
    }

    /// The stream with this id, as long as it exists.
    pub(crate) fn stream(&self, id: StreamId) -> Option<Arc<Stream>> {
        self.registry.by_id(id)
    }
}
