//! The service: its settings, its parts, and how it starts and stops. What it does is in [`crate::operations`].

use std::sync::{Arc, Weak};
use std::time::Duration;

use thalweg_catalog::{Catalog, CatalogError, CommitError, Row};
use thalweg_journal::{AppendError, Journal};
use thalweg_system::{Clock, Random, Tasks};
use thalweg_types::{ConsumerArn, ShardIndex, StreamArn, StreamId, Timestamp, limits};
use tokio::sync::{Mutex, RwLock, Semaphore};

use crate::account::Account;
use crate::consumer::Consumer;
use crate::fan_out::FanOut;
use crate::iterator::Sealer;
use crate::load::{self, JournalFacts};
use crate::rate::Rates;
use crate::registry::{Entry, Registry};
use crate::stream::Stream;
use crate::sweep::Sweeper;
use crate::throttle::Throttle;
use crate::transition::StepError;

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
    /// Where changes go on when their caller has gone.
    pub tasks: Arc<dyn Tasks>,
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
    /// The catalog was written for another journal.
    #[error("the catalog was made with another journal than this one: they do not belong together")]
    OtherJournal,
    /// The journal has a stream that this catalog never made: one of them is not the other's.
    #[error("the journal has records of {0}, which the catalog never made: they do not belong together")]
    ForeignJournal(StreamId),
    /// The catalog has an open shard that the journal has not: one of them is not the other's, or lost data.
    #[error("the journal has no {shard} of stream {stream}, which the catalog says is open")]
    ShardMissing {
        /// The stream's name.
        stream: String,
        /// The shard.
        shard: ShardIndex,
    },
    /// The journal closed an open shard, or opened one, and the catalog knows of no such change: a change is in the
    /// catalog before the journal hears of it, so that the catalog is older than the journal, or lost commits.
    #[error(
        "the journal {what} {shard} of stream {stream}, and the catalog knows nothing of that: it is older than the \
         journal, or lost its newest changes"
    )]
    CatalogBehind {
        /// The stream's name.
        stream: String,
        /// The shard.
        shard: ShardIndex,
        /// "closed" or "opened".
        what: &'static str,
    },
    /// A change that was under way cannot be finished, now or later.
    #[error("cannot finish what was under way with stream {stream}: {why}")]
    Unfinished {
        /// The stream's name.
        stream: String,
        /// What failed.
        why: String,
    },
}

/// Answers of GetRecords in the making at once; others that need the disk wait. Each may hold 10 MiB of records, and
/// encoded 13.4 MiB.
const PAGES_MAX: usize = 8;

/// Kinesis Data Streams.
pub struct Streams {
    pub(crate) settings: Settings,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) tasks: Arc<dyn Tasks>,
    pub(crate) registry: Registry,
    /// Whoever counts over all streams, or gives an id, holds this. A stream's change lock is taken first.
    pub(crate) account: Mutex<Account>,
    /// What iterators and page tokens are sealed with: random, and the same after a restart.
    pub(crate) secret: [u8; 32],
    pub(crate) throttle: Throttle,
    /// What shards may take and give.
    pub(crate) rates: Rates,
    /// Makes and opens shard iterators.
    pub(crate) iterators: Sealer,
    /// Places for answers of GetRecords in the making.
    pub(crate) pages: Semaphore,
    /// Subscriptions.
    pub(crate) fan_out: FanOut,
    pub(crate) sweeper: Mutex<Sweeper>,
    /// Whether no change may begin any more. Those that have begun hold it for reading.
    pub(crate) stopped: RwLock<bool>,
    /// Itself: for tasks that go on when a caller has gone.
    pub(crate) me: Weak<Streams>,
}

impl Streams {
    /// Loads the catalog, finishes what was under way, and brings the journal in line. Starts the loop that sweeps
    /// ([`Streams::sweep`]); it ends when this is dropped.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open(components: Components, settings: Settings) -> Result<Arc<Streams>, OpenError> {
        let Components { journal, catalog, clock, random, tasks } = components;
        let facts = JournalFacts { identity: journal.identity(), shards: journal.shards() };
        let loaded = load::load(&*catalog, &facts).await?;
        // From here on something is changed.
        let account = Account::of_start(loaded.account, facts.identity, &*catalog, &*random).await?;
        let secret = account.secret()?;
        let rates = Rates::new(settings.limits == Limits::Aws);
        let sweeper = Sweeper::new(clock.wall(), clock.monotonic());
        let streams = Arc::new_cyclic(|me| Streams {
            settings,
            journal,
            catalog,
            clock,
            random,
            tasks,
            registry: Registry::default(),
            account: Mutex::new(account),
            secret,
            throttle: Throttle::default(),
            rates,
            iterators: Sealer::new(&secret),
            pages: Semaphore::new(PAGES_MAX),
            fan_out: FanOut::new(),
            sweeper: Mutex::new(sweeper),
            stopped: RwLock::new(false),
            me: Weak::clone(me),
        });
        for (stream, version) in loaded.streams {
            streams.registry.insert(Entry::new(stream, version));
        }
        streams.align_journal(loaded.forgotten).await?;
        streams.finish_all().await?;
        streams.sweep_for_ever();
        Ok(streams)
    }

    /// Ends all subscriptions, begins no more changes and waits for those that have begun. The journal and the catalog are not shut
    /// down: they belong to whoever made them.
    pub async fn shutdown(&self) {
        self.fan_out.close();
        *self.stopped.write().await = true;
    }

    /// Every row whose key begins with `prefix`.
    pub(crate) async fn scan(&self, prefix: &[u8]) -> Result<Vec<Row>, CatalogError> {
        load::scan(&*self.catalog, prefix).await
    }

    /// Tells the journal how long to keep records, and removes streams that the catalog has forgotten.
    async fn align_journal(&self, forgotten: Vec<StreamId>) -> Result<(), OpenError> {
        for stream in self.registry.all().into_iter().filter(|stream| load::is_in_journal(stream)) {
            self.journal.set_retention(stream.id, stream.retention());
        }
        for id in forgotten {
            tracing::warn!(stream = %id, "the journal has a stream that was deleted; removing it");
            self.journal.delete_stream(id).await?;
        }
        Ok(())
    }

    /// Finishes what was under way when the last process ended; what is to be seen longer goes on by itself.
    async fn finish_all(&self) -> Result<(), OpenError> {
        for stream in self.registry.all() {
            let mut changing = self.lock(stream.id).await.expect("nobody else is here yet");
            match self.finish(&mut changing, Duration::ZERO).await {
                Ok(None) => {}
                Ok(Some(_)) => self.drive(stream.id),
                Err(error) if error.may_pass() => self.drive(stream.id),
                Err(StepError::Commit(error)) => return Err(error.into()),
                Err(error) => {
                    let (stream, why) = (stream.name.to_string(), error.to_string());
                    return Err(OpenError::Unfinished { stream, why });
                }
            }
        }
        Ok(())
    }

    /// Itself, to be owned by a task.
    pub(crate) fn arc(&self) -> Arc<Streams> {
        self.me.upgrade().expect("whoever calls a method holds one")
    }

    /// The wall clock now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// The time to measure the age of records and of closed shards by. While the journal doubts the clock, nothing may
    /// be trimmed or forgotten by it, but what is too old is hidden.
    pub(crate) fn expiry_now(&self) -> Timestamp {
        self.journal.expiry_time(self.now())
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
