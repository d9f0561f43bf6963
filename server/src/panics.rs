//! What a panic does: it ends the process, in every build.
//!
//! A panic is a promise of ours that we broke. Which thread it hits is chance, and the others would wait for it, or
//! go on with what it left half done: a committer that died in silence leaves every put unanswered for ever. Ending is
//! safe, for nothing is acknowledged that is not durable, and a restart takes well under a second; whoever supervises
//! the process sees it.

use std::panic;

/// From now on a panic of any thread is printed, logged, and ends the process (SIGABRT).
pub(crate) fn end_the_process() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        tracing::error!(panic = %info, "a bug: the process ends; acknowledged records are safe");
        std::process::abort();
    }));
}
