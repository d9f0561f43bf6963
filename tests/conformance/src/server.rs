//! A server in this process, over a real socket: real gateway and service, storage in memory that fails when told,
//! and for the service a clock that tests move.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use thalweg_api::kinesis::KinesisService;
use thalweg_catalog::memory::MemoryCatalog;
use thalweg_gateway::{Gateway, Serving, bind};
use thalweg_journal_memory::{Knobs, MemoryJournal};
use thalweg_streams::{Components, Limits, Settings, Streams};
use thalweg_system::os::{OsClock, OsNetworkSpawn, OsRandom, TokioTasks};
use thalweg_system::simulated::{ManualClock, SeededRandom};
use thalweg_types::Timestamp;

use crate::client::{Client, Encoding};
use crate::faults::{Faults, FaultyCatalog, FaultyJournal};

/// What the clock shows at first: 2027-01-15T08:00:00Z.
const STARTED: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// How long shutting down may take.
const GRACE: Duration = Duration::from_secs(10);
/// How often [`Server::until`] asks.
const QUESTIONS_MAX: usize = 10_000;

/// How the server is set up.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// AWS's limits, or none.
    pub limits: Limits,
    /// How long streams stay CREATING, UPDATING and DELETING, by the test's clock.
    pub transition_delay: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions { limits: Limits::None, transition_delay: Duration::ZERO }
    }
}

/// A running server.
pub struct Server {
    /// `127.0.0.1:PORT`
    pub address: String,
    clock: ManualClock,
    faults: Arc<Faults>,
    streams: Arc<Streams>,
    serving: Serving,
}

impl Server {
    /// Starts one on a port of its own.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(options: ServerOptions) -> Server {
        let clock = ManualClock::new(STARTED);
        let faults = Arc::new(Faults::default());
        let journal = MemoryJournal::new(Arc::new(clock.clone()), Knobs::default());
        let components = Components {
            journal: Arc::new(FaultyJournal { inner: Arc::new(journal), faults: Arc::clone(&faults) }),
            catalog: Arc::new(FaultyCatalog {
                inner: Arc::new(MemoryCatalog::new()),
                faults: Arc::clone(&faults),
            }),
            clock: Arc::new(clock.clone()),
            random: Arc::new(SeededRandom::new(1)),
            tasks: Arc::new(TokioTasks),
        };
        let settings = Settings {
            limits: options.limits,
            transition_delay: options.transition_delay,
            ..Settings::default()
        };
        let streams = Streams::open(components, settings).await.expect("memory is readable");
        let gateway = Gateway::new(
            thalweg_gateway::Settings { threads: NonZeroUsize::MIN, ..thalweg_gateway::Settings::default() },
            vec![Arc::new(KinesisService(Arc::clone(&streams)))],
            Arc::new(OsClock::new()),
            &OsRandom,
            Box::new(|| Ok(())),
            Arc::new(TokioTasks),
        );
        let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("loopback has free ports");
        let serving = gateway.serve(vec![listener], &OsNetworkSpawn).expect("the listener is usable");
        Server { address: serving.addresses()[0].to_string(), clock, faults, streams, serving }
    }

    /// A client of this server.
    pub fn client(&self, encoding: Encoding) -> Client {
        Client { address: self.address.clone(), encoding }
    }

    /// Moves the service's clock.
    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// What the service's clock shows.
    pub fn now(&self) -> Timestamp {
        thalweg_system::Clock::wall(&self.clock)
    }

    /// What can be made to fail.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Asks until the answer is as wanted: for what goes on behind an answer.
    ///
    /// # Panics
    /// When it never is.
    pub async fn until(
        &self,
        client: &Client,
        operation: &str,
        request: &Value,
        wanted: impl Fn(&Value) -> bool,
    ) {
        let mut last = Value::Null;
        for _ in 0..QUESTIONS_MAX {
            last = client.call(operation, request).await.body;
            if wanted(&last) {
                return;
            }
        }
        panic!("{operation} {request} still answers {last}");
    }

    /// Stops it in good order.
    ///
    /// # Panics
    /// When something is still running after the grace period.
    pub async fn stop(self) {
        assert_eq!(self.serving.shutdown(GRACE).await, 0, "everything ended by itself");
        self.streams.shutdown().await;
    }
}
