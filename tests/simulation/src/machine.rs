//! A simulated machine and the server on it: put together as the real one is, over a disk that outlives it; and the world
//! that uses it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use thalweg_api::kinesis::KinesisService;
use thalweg_catalog::Catalog;
use thalweg_catalog_disk::DiskCatalog;
use thalweg_gateway::Gateway;
use thalweg_journal::Journal;
use thalweg_journal_disk::{DiskJournal, Settings};
use thalweg_streams::{Components, Limits, Streams};
use thalweg_system::simulated::{CallKind, Crash, ManualClock, SeededRandom, SimulatedDisk, SimulatedSpawn};
use thalweg_system::{Clock, Disk, Random};
use thalweg_types::Timestamp;

use crate::network::Network;
use crate::world::{World, has_aws_limits, has_much_data};

const KIB: usize = 1024;
pub(crate) const CATALOG_DIRECTORY: &str = "meta";
/// How long requests in flight have when the server ends in good order.
const GRACE: Duration = Duration::from_secs(1);

/// Made once: the default number of threads is read from files, and a start of a machine takes a millisecond.
static GATEWAY_SETTINGS: LazyLock<thalweg_gateway::Settings> = LazyLock::new(Default::default);

pub(crate) struct Machine {
    pub(crate) world: Arc<World>,
    pub(crate) network: Network,
    pub(crate) clock: ManualClock,
    /// The scheduler of all machines.
    spawn: SimulatedSpawn,
    pub(crate) disk: SimulatedDisk,
    settings: Settings,
    /// Whether its disks lie about what is durable.
    is_lying: bool,
    random: Arc<SeededRandom>,
    life: Option<Life>,
}

/// A running server.
struct Life {
    spawn: SimulatedSpawn,
    gateway: Gateway,
    streams: Arc<Streams>,
    journal: Arc<DiskJournal>,
    catalog: Arc<dyn Catalog>,
}

impl Machine {
    /// A machine that has not been started, with an empty disk.
    pub(crate) fn new(seed: u64, spawn: &SimulatedSpawn, clock: &ManualClock, is_lying: bool) -> Machine {
        // Blocks as real disks have them, or of the size of a sector.
        let disk = match seed.is_multiple_of(2) {
            true => SimulatedDisk::with_alignment(thalweg_journal_disk::BLOCK_BYTES),
            false => SimulatedDisk::new(),
        };
        disk.lie_about_syncs(is_lying);
        let settings = journal_settings(has_much_data(seed));
        let mut machine = Machine { is_lying, ..Machine::on(disk, seed, spawn, clock, settings) };
        let world = Arc::get_mut(&mut machine.world).expect("nobody else knows it yet");
        world.keeps_aws_limits = has_aws_limits(seed);
        machine
    }

    /// A machine by itself with this disk, not started, and the scheduler and clock that nobody else has.
    pub(crate) fn alone(
        disk: SimulatedDisk,
        seed: u64,
        wall: Timestamp,
        settings: Settings,
    ) -> (SimulatedSpawn, Machine) {
        let clock = ManualClock::new(wall);
        let spawn = SimulatedSpawn::new(seed, clock.clone());
        let machine = Machine::on(disk, seed, &spawn, &clock, settings);
        (spawn, machine)
    }

    /// A machine that has not been started, with this disk.
    pub(crate) fn on(
        disk: SimulatedDisk,
        seed: u64,
        spawn: &SimulatedSpawn,
        clock: &ManualClock,
        settings: Settings,
    ) -> Machine {
        let network = Network::new(seed ^ 0x6e65_7477_6f72_6b00);
        Machine {
            world: World::new(seed, Arc::new(network.clone()), Arc::new(clock.clone()), 100),
            network,
            clock: clock.clone(),
            spawn: spawn.clone(),
            disk,
            settings,
            is_lying: false,
            random: Arc::new(SeededRandom::new(seed ^ 0x6d61_6368_696e_6500)),
            life: None,
        }
    }

    /// Starts the server; it listens then.
    ///
    /// # Errors
    /// Why it does not start. Nothing of it runs then.
    pub(crate) async fn start(&mut self) -> Result<(), String> {
        let spawn = self.spawn.other_group();
        match self.open(&spawn).await {
            Ok(life) => {
                self.network.listen(life.gateway.clone(), spawn);
                self.life = Some(life);
                Ok(())
            }
            Err(error) => {
                spawn.kill_tasks();
                Err(error)
            }
        }
    }

    async fn open(&self, spawn: &SimulatedSpawn) -> Result<Life, String> {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let random: Arc<dyn Random> = self.random.clone();
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        // As the server's compose does.
        let may_create = !thalweg_journal_disk::is_made(&*disk).await.map_err(|error| chain(&error))?;
        let catalog = DiskCatalog::open(
            Arc::clone(&disk),
            spawn,
            Arc::clone(&clock),
            &*random,
            CATALOG_DIRECTORY,
            thalweg_catalog_disk::Settings { may_create, ..thalweg_catalog_disk::Settings::small() },
        );
        let catalog: Arc<dyn Catalog> = Arc::new(catalog.await.map_err(|error| chain(&error))?);
        let may_create = catalog.scan(b"", None, 1).await.is_ok_and(|rows| rows.is_empty());
        let journal = DiskJournal::open(
            disk,
            Arc::clone(&clock),
            Arc::new(spawn.clone()),
            Arc::clone(&random),
            thalweg_journal_disk::Settings { may_create, ..self.settings.clone() },
        );
        let journal = Arc::new(journal.await.map_err(|error| chain(&error))?);
        let components = Components {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            catalog: Arc::clone(&catalog),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            tasks: Arc::new(spawn.clone()),
        };
        let limits = if self.world.keeps_aws_limits { Limits::Aws } else { Limits::None };
        let settings = thalweg_streams::Settings { limits, ..thalweg_streams::Settings::default() };
        let streams = Streams::open(components, settings).await;
        let streams = streams.map_err(|error| chain(&error))?;
        let gateway = Gateway::new(
            GATEWAY_SETTINGS.clone(),
            vec![Arc::new(KinesisService(Arc::clone(&streams)))],
            clock,
            &*random,
            Box::new(|| Ok(())),
            Arc::new(spawn.clone()),
        );
        Ok(Life { spawn: spawn.clone(), gateway, streams, journal, catalog })
    }

    /// Ends everything where it stands, and leaves of the disk what `how` leaves.
    pub(crate) fn crash(&mut self, how: Crash) {
        self.network.silence();
        self.count_calls();
        let after = self.disk.crash(how);
        after.lie_about_syncs(self.is_lying);
        if let Some(life) = self.life.take() {
            self.count_figures(&life);
            life.spawn.kill_tasks();
            self.world.server_is_gone();
        }
        self.disk = after;
    }

    /// Notes what its disk was asked for, before that is replaced.
    pub(crate) fn count_calls(&self) {
        let mut counters = self.world.counters();
        counters.add("calls to the disk", self.disk.calls());
        counters.add("files made", self.disk.calls_of(CallKind::Create));
        counters.add("files removed", self.disk.calls_of(CallKind::Unlink));
    }

    /// Notes what the journal did in a life that ends.
    fn count_figures(&self, life: &Life) {
        let figures = life.journal.figures();
        let mut counters = self.world.counters();
        counters.add("slots entered", figures.slots_entered);
        counters.add("ring wraps", figures.ring_wraps);
        counters.add("segments rolled", figures.segments_rolled);
        counters.add("segments expired", figures.segments_expired);
        counters.add("shards forgotten", figures.shards_forgotten);
    }

    /// Ends the server in good order.
    pub(crate) async fn shut_down(&mut self) {
        self.network.silence();
        let Some(life) = self.life.take() else { return };
        self.count_figures(&life);
        life.gateway.start_draining();
        tokio::select! {
            biased;
            () = life.gateway.drained() => {}
            () = self.clock.sleep(GRACE) => {}
        }
        life.streams.shutdown().await;
        life.journal.shutdown().await;
        life.catalog.shutdown().await;
        life.spawn.kill_tasks();
        self.world.server_is_gone();
    }
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// Where the ring is small the log goes round in it all the time, and waits for draining.
fn journal_settings(has_small_ring: bool) -> Settings {
    if !has_small_ring {
        return Settings::small();
    }
    Settings {
        slot_bytes_first: 96 * KIB as u64,
        slot_bytes: 96 * KIB as u64,
        ring_bytes_max: 192 * KIB as u64,
        batch_bytes_max: 16 * KIB,
        request_bytes_max: 40 * KIB,
        undrained_bytes_max: 160 * KIB,
        drain_start_bytes: 32 * KIB,
        drain_bytes_max: 32 * KIB,
        ..Settings::small()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use thalweg_system::Spawn;

    use super::*;
    use crate::client::{Client, Outcome};

    const SHARDS: usize = 10;

    async fn ask(client: &mut Client, operation: &str, body: Value) -> Value {
        match client.call(operation, &body).await {
            Outcome::Success(answer) => answer,
            other => panic!("{operation} answered {other:?}"),
        }
    }

    async fn create(world: &World, client: &mut Client, stream: &str, shards: usize) {
        ask(client, "CreateStream", json!({"StreamName": stream, "ShardCount": shards})).await;
        loop {
            let summary = ask(client, "DescribeStreamSummary", json!({"StreamName": stream})).await;
            if summary["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" {
                return;
            }
            world.pause(100).await;
        }
    }

    async fn put(client: &mut Client, stream: &str, count: usize) {
        let data = "A".repeat(1000);
        let records: Vec<Value> =
            (0..count).map(|key| json!({"PartitionKey": key.to_string(), "Data": data})).collect();
        ask(client, "PutRecords", json!({"StreamName": stream, "Records": records})).await;
    }

    async fn from_the_start(client: &mut Client, stream: &str, shard: usize) -> Value {
        let body = json!({
            "StreamName": stream, "ShardId": format!("shardId-{shard:012}"), "ShardIteratorType": "TRIM_HORIZON",
        });
        json!({"ShardIterator": ask(client, "GetShardIterator", body).await["ShardIterator"]})
    }

    #[test]
    fn a_read_from_memory_does_not_wait_for_those_that_read_from_disk() {
        let wall = Timestamp::from_seconds(1_700_000_000);
        let (spawn, mut machine) = Machine::alone(SimulatedDisk::new(), 1, wall, Settings::small());
        spawn.block_on(async {
            machine.start().await.expect("an empty disk is no hindrance");
            let world = Arc::clone(&machine.world);
            let mut client = world.client(Duration::from_secs(5));
            create(&world, &mut client, "old", SHARDS).await;
            create(&world, &mut client, "new", 1).await;
            for _ in 0..5 {
                put(&mut client, "old", 100).await;
            }
            // All is drained, and gone from memory.
            machine.clock.sleep(Duration::from_secs(60)).await;
            put(&mut client, "new", 1).await;
            let before = machine.disk.calls_of(CallKind::Read);
            machine.disk.hold(CallKind::Read);
            for shard in 0..SHARDS {
                let body = from_the_start(&mut client, "old", shard).await;
                let mut reader = world.client(Duration::from_secs(5));
                let read = async move { drop(reader.call("GetRecords", &body).await) };
                drop(spawn.spawn("reader", Box::pin(read)));
            }
            machine.clock.sleep(Duration::from_millis(100)).await;
            assert!(machine.disk.calls_of(CallKind::Read) > before, "they wait for the disk");
            let body = from_the_start(&mut client, "new", 0).await;
            let answer = ask(&mut client, "GetRecords", body).await;
            assert_eq!(answer["Records"].as_array().expect("a list").len(), 1);
            machine.disk.release();
        });
    }
}
