//! Growing the ring: new slots, made in the background at a limited rate. Failing to grow only throttles.

use std::sync::Arc;

use crate::engine::{Engine, Phase};
use crate::slot;

/// Makes slots when they are wanted, until the ring has its largest size or the journal ends.
pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        let figures = engine.ring.figures();
        // The first slots are made at once; the start waited for one of them.
        if figures.slots >= engine.settings.slots_first {
            tokio::select! {
                biased;
                () = engine.reached(Phase::Closing) => return,
                () = engine.slot_wanted.notified() => {}
            }
        }
        if engine.has_ended() {
            return;
        }
        let Some(bytes) = next_slot_bytes(&engine) else { continue };
        if let Err(error) = grow(&engine, bytes).await {
            tracing::warn!(%error, "the ring cannot grow; puts may be throttled");
            tokio::select! {
                biased;
                () = engine.reached(Phase::Closing) => return,
                () = engine.clock.sleep(engine.settings.chores_interval) => {}
            }
        }
    }
}

/// The size of the slot to make next; `None` when there should be none.
fn next_slot_bytes(engine: &Engine) -> Option<u64> {
    let (figures, settings) = (engine.ring.figures(), &engine.settings);
    if figures.slots < settings.slots_first {
        return Some(settings.slot_bytes_first);
    }
    let fits = figures.bytes + settings.slot_bytes <= settings.ring_bytes_max;
    // A slot may have become free since one was wanted.
    let wanted = fits && figures.free == 0 && engine.status.brake().is_none();
    wanted.then_some(settings.slot_bytes)
}

/// Adds one slot of this size to the ring. Only one caller at a time: the loop here, or the start before it.
pub(crate) async fn grow(engine: &Engine, bytes: u64) -> Result<(), thalweg_system::DiskError> {
    let figures = engine.ring.figures();
    let is_first = figures.slots < engine.settings.slots_first;
    let rate = if is_first { 0 } else { engine.settings.grow_bytes_per_second };
    let slot =
        slot::create(&*engine.disk, &*engine.clock, engine.journal, figures.slots, bytes, rate).await?;
    let count = figures.slots + 1;
    engine.superblocks.lock().await.store(|superblock| superblock.slots = count).await?;
    engine.ring.add(Arc::new(slot));
    Ok(())
}
