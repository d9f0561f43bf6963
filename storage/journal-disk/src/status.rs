//! Whether writes are taken, and why not. Several loops set it; appends look at it without a lock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use thalweg_journal::Health;

/// Who throttles; each lifts only its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brake {
    /// The volume is below its reserve.
    Space,
    /// Draining cannot go on.
    Drain,
}

#[derive(Default)]
pub(crate) struct Status {
    reasons: Mutex<Reasons>,
    braked: AtomicBool,
}

#[derive(Default)]
struct Reasons {
    stopped: Option<String>,
    space: Option<String>,
    drain: Option<String>,
}

impl Status {
    fn reasons(&self) -> MutexGuard<'_, Reasons> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes have stopped until restart. The first reason stays.
    pub(crate) fn stop_writes(&self, reason: &str) {
        self.reasons().stopped.get_or_insert_with(|| reason.to_owned());
    }

    pub(crate) fn stopped(&self) -> Option<String> {
        self.reasons().stopped.clone()
    }

    /// Throttles for this reason, or no longer.
    pub(crate) fn set_brake(&self, brake: Brake, reason: Option<String>) {
        let mut reasons = self.reasons();
        let set = match brake {
            Brake::Space => &mut reasons.space,
            Brake::Drain => &mut reasons.drain,
        };
        match (&set, &reason) {
            (None, Some(reason)) => tracing::warn!(reason, "puts are throttled until there is room"),
            (Some(_), None) => tracing::info!("there is room again"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        *set = reason;
        self.braked.store(reasons.space.is_some() || reasons.drain.is_some(), Ordering::Relaxed);
    }

    /// Why appends are throttled, if they are.
    pub(crate) fn brake(&self) -> Option<String> {
        // Relaxed: an append that slips by meets the bound on undrained bytes.
        if !self.braked.load(Ordering::Relaxed) {
            return None;
        }
        let reasons = self.reasons();
        reasons.drain.clone().or_else(|| reasons.space.clone())
    }

    pub(crate) fn drain_is_stuck(&self) -> bool {
        self.reasons().drain.is_some()
    }

    pub(crate) fn health(&self) -> Health {
        let reasons = self.reasons();
        if let Some(reason) = &reasons.stopped {
            return Health::WritesStopped(reason.clone());
        }
        match reasons.drain.as_ref().or(reasons.space.as_ref()) {
            Some(reason) => Health::Throttled(reason.clone()),
            None => Health::Ready,
        }
    }
}
