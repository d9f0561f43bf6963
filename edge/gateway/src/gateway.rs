//! The gateway itself: its components and what all connections share.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

use thalweg_api::{BoxFuture, Service};
use thalweg_system::{Clock, Random, Tasks};

use crate::Settings;
use crate::budget::{Budget, Outgoing};
use crate::request_id::RequestIds;

/// Whether the program can serve; the reason if it cannot.
pub type Readiness = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The front door of the services. Clones are the same gateway.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
}

/// How far shutting down has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Not at all.
    Open,
    /// No new connections; each connection ends after its current answers; event streams end.
    Draining,
    /// Whatever is left is dropped.
    Closed,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) services: Vec<Arc<dyn Service>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: RequestIds,
    pub(crate) readiness: Readiness,
    pub(crate) tasks: Arc<dyn Tasks>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) live: Arc<Live>,
    /// Request bodies in memory.
    pub(crate) bodies: Arc<Budget>,
    /// What clients have not taken yet.
    pub(crate) outgoing: Arc<Outgoing>,
}

impl Gateway {
    /// A gateway for these services. `tasks` runs what must outlive a connection; `random` seeds request ids.
    pub fn new(
        settings: Settings,
        services: Vec<Arc<dyn Service>>,
        clock: Arc<dyn Clock>,
        random: &dyn Random,
        readiness: Readiness,
        tasks: Arc<dyn Tasks>,
    ) -> Self {
        let shared = Shared {
            bodies: Budget::new(settings.bodies_bytes_max),
            outgoing: Arc::new(Outgoing {
                answers: Budget::new(settings.answers_bytes_max),
                events: Budget::new(settings.events_bytes_max),
            }),
            settings,
            services,
            clock,
            ids: RequestIds::new(random),
            readiness,
            tasks,
            phase: watch::Sender::new(Phase::Open),
            live: Arc::default(),
        };
        Gateway { shared: Arc::new(shared) }
    }

    /// Tells every connection to end after its current answers and every event stream to end now. They do so while
    /// they are polled; [`Gateway::drained`] says when all have.
    pub fn start_draining(&self) {
        self.shared.phase.send_if_modified(|phase| {
            let change = *phase < Phase::Draining;
            if change {
                *phase = Phase::Draining;
            }
            change
        });
    }

    /// Completes when no connection and no call is left.
    pub async fn drained(&self) {
        self.shared.live.none().await;
    }
}

impl Shared {
    /// A future that completes once shutting down has come to `phase`.
    pub(crate) fn reached(&self, phase: Phase) -> BoxFuture<'static, ()> {
        let mut phases = self.phase.subscribe();
        Box::pin(async move {
            // The sender lives as long as any connection.
            let _ = phases.wait_for(|current| *current >= phase).await;
        })
    }
}

/// Counts what must end before a shutdown is complete.
#[derive(Default)]
pub(crate) struct Live {
    count: AtomicUsize,
    ended: Notify,
}

impl Live {
    /// One more, until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> LiveGuard {
        self.count.fetch_add(1, Ordering::AcqRel);
        LiveGuard(Arc::clone(self))
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Completes when there is none.
    fn none(self: &Arc<Self>) -> impl Future<Output = ()> + use<> {
        let live = Arc::clone(self);
        async move {
            loop {
                // Registered before the count is read, so that an end in between is not missed.
                let ended = live.ended.notified();
                if live.count() == 0 {
                    return;
                }
                ended.await;
            }
        }
    }
}

/// One of those that [`Live`] counts.
pub(crate) struct LiveGuard(Arc<Live>);

impl Drop for LiveGuard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}
