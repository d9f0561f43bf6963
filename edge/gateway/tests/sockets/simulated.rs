//! The same code under the seeded scheduler: no socket, no runtime, no real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use thalweg_gateway::{Gateway, Settings};
use thalweg_system::Spawn;
use thalweg_system::simulated::{ManualClock, SeededRandom, SimulatedSpawn};
use thalweg_types::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::{Ask, Fake, FakeService, asked_over_http2, settings};

#[test]
fn a_connection_is_served_in_a_simulation() {
    for seed in 0..20 {
        let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
        let spawn = SimulatedSpawn::new(seed, clock.clone());
        let gateway = Gateway::new(
            settings(),
            vec![Arc::new(FakeService(Arc::new(Fake::default())))],
            Arc::new(clock.clone()),
            &SeededRandom::new(seed),
            Box::new(|| Ok(())),
            Arc::new(spawn.clone()),
        );
        let (mut ours, theirs) = tokio::io::duplex(100);
        let served = {
            let gateway = gateway.clone();
            spawn.spawn("connection", Box::pin(async move { gateway.serve_connection(theirs).await }))
        };
        let answer = spawn.block_on(async {
            ours.write_all(&Ask::json("Test_1.Echo", r#"{"Text":"x"}"#).bytes()).await.expect("served");
            let mut answer = Vec::new();
            while !answer.ends_with(br#"{"Text":"x"}"#) {
                assert_ne!(ours.read_buf(&mut answer).await.expect("served"), 0, "seed {seed}");
            }
            answer
        });
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "seed {seed}");
        // Time passes, and the idle connection with it.
        clock.advance(Duration::from_secs(600));
        spawn.block_on(served.0);
    }
}

/// An HTTP/2 client that has sent all it says.
struct Http2 {
    fake: Arc<Fake>,
    clock: ManualClock,
    spawn: SimulatedSpawn,
    stream: DuplexStream,
    has_ended: Arc<AtomicBool>,
}

impl Http2 {
    /// Asks for one answer, with a window of so many bytes for it.
    fn ask(fake: Fake, target: &str, body: &str, window: u32) -> Self {
        let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
        let spawn = SimulatedSpawn::new(1, clock.clone());
        let fake = Arc::new(fake);
        let gateway = Gateway::new(
            settings(),
            vec![Arc::new(FakeService(Arc::clone(&fake)))],
            Arc::new(clock.clone()),
            &SeededRandom::new(1),
            Box::new(|| Ok(())),
            Arc::new(spawn.clone()),
        );
        let (mut stream, theirs) = tokio::io::duplex(64 * 1024);
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&has_ended);
        let served = async move {
            gateway.serve_connection(theirs).await;
            ended.store(true, Ordering::SeqCst);
        };
        drop(spawn.spawn("connection", Box::pin(served)));
        spawn.block_on(stream.write_all(&asked_over_http2(target, body, 1, window))).expect("served");
        Http2 { fake, clock, spawn, stream, has_ended }
    }

    /// Whether the connection is there after so many seconds more.
    fn stays_for(&self, seconds: u64) -> bool {
        self.spawn.run_until_idle();
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            self.spawn.run_until_idle();
        }
        !self.has_ended.load(Ordering::SeqCst)
    }
}

#[test]
fn small_answers_and_events_behind_a_closed_window_end_the_connection() {
    let Settings { write_timeout, event_timeout, .. } = settings();
    for (target, body, timeout) in [
        ("Test_1.Large", r#"{"Text":"x","Number":100}"#, write_timeout),
        ("Test_1.Stream", r#"{"Text":"x"}"#, event_timeout),
    ] {
        for window in [0, 1] {
            let client = Http2::ask(Fake::default(), target, body, window);
            assert!(client.stays_for(timeout.as_secs()), "{target}");
            assert!(!client.stays_for(timeout.as_secs() / 4), "{target} and a window of {window}");
        }
    }
}

#[test]
fn a_subscription_without_events_stays() {
    let fake = Fake::default();
    let source = fake.event_source();
    let mut client = Http2::ask(fake, "Test_1.Stream", r#"{"Text":"x"}"#, 65_535);
    assert!(client.stays_for(settings().write_timeout.as_secs() * 10));
    source.send(Bytes::from_static(b"at last")).expect("it is subscribed");
    assert!(client.stays_for(settings().write_timeout.as_secs() * 10));
    assert_eq!(client.fake.taken.load(Ordering::SeqCst), 1);
    let mut received = vec![0; 64 * 1024];
    let count = client.spawn.block_on(client.stream.read(&mut received)).expect("served");
    assert!(received[..count].ends_with(b"at last"));
}
