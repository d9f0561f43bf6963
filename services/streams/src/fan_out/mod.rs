//! Enhanced fan-out: subscriptions that are pushed a shard's records, for SubscribeToShard.
//!
//! ```text
//!  subscriptions   who reads which shard: the five-second rule, take-over
//!  subscription    one SubscribeToShard session, as a stream of frames that somebody polls
//!  interruptions   what ends a subscription's wait beside records
//!  frames          events, encoded once and shared by the subscriptions that read alike
//! ```
//!
//! A subscription holds a place in a shard and nothing else: the next frame is made when it is asked for, so a slow
//! reader costs no memory. Consumers themselves (registering, deregistering) are not here.

mod event;
mod frames;
mod interruptions;
mod subscription;
mod subscriptions;

use tokio::sync::watch;

pub(crate) use subscription::{Beginning, begin};

use frames::Frames;
use subscriptions::Subscriptions;

/// What all subscriptions share.
pub(crate) struct FanOut {
    subscriptions: Subscriptions,
    frames: Frames,
    closing: watch::Sender<bool>,
}

impl FanOut {
    /// Without subscriptions.
    pub(crate) fn new() -> Self {
        FanOut {
            subscriptions: Subscriptions::default(),
            frames: Frames::new(frames::BYTES_MAX),
            closing: watch::Sender::new(false),
        }
    }

    /// Ends all subscriptions, those that are begun later included. Clients subscribe again elsewhere.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }
}
