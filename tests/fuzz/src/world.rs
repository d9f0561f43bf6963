//! The service over engines in memory, under a simulated scheduler and clock: the same for the same input.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_api::kinesis::KinesisService;
use thalweg_api::{Answer, Call, Service};
use thalweg_catalog::{Catalog, MemoryCatalog};
use thalweg_journal::Journal;
use thalweg_journal_memory::{Knobs, MemoryJournal};
use thalweg_shape::{Failure, Schema, Value, coerce, validation_message, violations};
use thalweg_streams::{Components, OpenError, Settings, Streams};
use thalweg_system::Random;
use thalweg_system::simulated::{ManualClock, SimulatedSpawn};
use thalweg_types::Timestamp;
use thalweg_wire::Protocol;

/// When every world begins.
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// What its journal holds at most.
const JOURNAL_BYTES_MAX: usize = 4 << 20;

/// The same number for ever: two worlds with the same calls stay the same, though one asks more often.
pub(crate) struct SameNumber;

impl Random for SameNumber {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// A service and what it stands on.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) spawn: SimulatedSpawn,
    pub(crate) service: Arc<KinesisService<Streams>>,
}

impl World {
    /// With a stream `s` of two shards that has a consumer `c`.
    pub(crate) fn new() -> World {
        let clock = ManualClock::new(START);
        let catalog = Arc::new(MemoryCatalog::new());
        let knobs = Knobs { bytes_max: JOURNAL_BYTES_MAX, ..Knobs::default() };
        let journal = Arc::new(MemoryJournal::new(Arc::new(clock.clone()), knobs));
        let world = World::over(clock, catalog, journal).expect("nothing is there yet");
        for (operation, body) in [
            ("CreateStream", r#"{"StreamName":"s","ShardCount":2}"#),
            (
                "RegisterStreamConsumer",
                r#"{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","ConsumerName":"c"}"#,
            ),
        ] {
            let body = Bytes::from_static(body.as_bytes());
            world.ordinary(operation, Protocol::AwsJson11, &body).expect("a new world has room");
            world.spawn.run_until_idle();
        }
        world
    }

    /// Over what is there.
    pub(crate) fn over(
        clock: ManualClock,
        catalog: Arc<dyn Catalog>,
        journal: Arc<dyn Journal>,
    ) -> Result<World, OpenError> {
        let spawn = SimulatedSpawn::new(1, clock.clone());
        let components = Components {
            journal,
            catalog,
            clock: Arc::new(clock.clone()),
            random: Arc::new(SameNumber),
            tasks: Arc::new(spawn.clone()),
        };
        match spawn.block_on(Streams::open(components, Settings::default())) {
            Ok(streams) => Ok(World { clock, spawn, service: Arc::new(KinesisService(streams)) }),
            Err(error) => {
                spawn.kill_tasks();
                Err(error)
            }
        }
    }

    /// An operation by the hot path; `None` when that declines.
    pub(crate) fn hot(
        &self,
        operation: &str,
        protocol: Protocol,
        body: &Bytes,
    ) -> Option<Result<Bytes, Failure>> {
        let operation = self.service.operation(operation).filter(|operation| operation.hot)?;
        let call = call(protocol);
        let answer = self.service.hot(operation, &call, body)?;
        Some(self.spawn.block_on(answer))
    }

    /// An operation by the ordinary path, as the gateway calls it.
    pub(crate) fn ordinary(
        &self,
        operation: &str,
        protocol: Protocol,
        body: &Bytes,
    ) -> Result<Answer, Failure> {
        let unknown = || Failure::client("UnknownOperationException", "");
        let operation =
            self.service.operation(operation).filter(|known| known.available).ok_or_else(unknown)?;
        let serialization = |message: String| Failure::client("SerializationException", message);
        let Ok(input @ (Value::Map(_) | Value::List(_))) = protocol.decode(body) else {
            return Err(serialization(String::new()));
        };
        let input =
            coerce(input, &Schema::Structure(operation.input)).map_err(|error| serialization(error.0))?;
        let violations = violations(&input, operation.input);
        if !violations.is_empty() {
            return Err(Failure::client("ValidationException", validation_message(&violations)));
        }
        let call = call(protocol);
        self.spawn.block_on(self.service.call(operation, &call, input))
    }

    /// Lets time pass, and everything happen that waited for it.
    pub(crate) fn pass(&self, millis: u64) {
        self.clock.advance(std::time::Duration::from_millis(millis));
        self.spawn.run_until_idle();
    }
}

impl Drop for World {
    /// Tasks hold the scheduler that holds them.
    fn drop(&mut self) {
        self.spawn.kill_tasks();
    }
}

fn call(protocol: Protocol) -> Call {
    Call::unlimited("fuzzing", protocol)
}
