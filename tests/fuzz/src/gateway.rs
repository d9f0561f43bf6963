//! One connection to a gateway with a service behind it, over memory and under a simulated scheduler.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_gateway::{Gateway, Settings};
use thalweg_system::simulated::SeededRandom;
use thalweg_system::{Clock, Spawn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::World;

/// What the connection holds in each direction.
const WINDOW_BYTES: usize = 16 << 10;
/// Longer than the gateway keeps a connection that nothing is asked on.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Sends `bytes` in pieces of this size (0: at once), says that no more comes, and returns what is answered.
///
/// # Panics
/// When the gateway does not end the connection.
pub(crate) fn exchange(piece: usize, bytes: &[u8]) -> Vec<u8> {
    let world = World::new();
    let gateway = Gateway::new(
        Settings::default(),
        vec![world.service.clone()],
        Arc::new(world.clock.clone()),
        &SeededRandom::new(1),
        Box::new(|| Ok(())),
        Arc::new(world.spawn.clone()),
    );
    let (ours, theirs) = tokio::io::duplex(WINDOW_BYTES);
    let (mut reading, mut writing) = tokio::io::split(ours);
    let served = {
        let gateway = gateway.clone();
        world.spawn.spawn("connection", Box::pin(async move { gateway.serve_connection(theirs).await }))
    };
    let sent = bytes.to_vec();
    drop(world.spawn.spawn(
        "client-writes",
        Box::pin(async move {
            for piece in sent.chunks(if piece == 0 { usize::MAX } else { piece }) {
                // The gateway may have closed it: then nobody wants the rest.
                if writing.write_all(piece).await.is_err() {
                    return;
                }
            }
            let _ = writing.shutdown().await;
        }),
    ));
    let answer = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&answer);
    drop(world.spawn.spawn(
        "client-reads",
        Box::pin(async move {
            let mut buffer = vec![0; 4096];
            while let Ok(count @ 1..) = reading.read(&mut buffer).await {
                received.lock().expect("nobody panics with it").extend_from_slice(&buffer[..count]);
            }
        }),
    ));
    let clock = world.clock.clone();
    world.spawn.block_on(async {
        tokio::select! {
            biased;
            () = served.0 => {}
            () = clock.sleep(PATIENCE) => panic!("the connection does not end"),
        }
    });
    world.spawn.run_until_idle();
    answer.lock().expect("nobody panics with it").clone()
}
