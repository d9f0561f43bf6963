//! The same code under the seeded scheduler: no socket, no runtime, no real time.

use std::sync::Arc;
use std::time::Duration;

use thalweg_gateway::Gateway;
use thalweg_system::Spawn;
use thalweg_system::simulated::{ManualClock, SeededRandom, SimulatedSpawn};
use thalweg_types::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Ask, Fake, FakeService, settings};

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
