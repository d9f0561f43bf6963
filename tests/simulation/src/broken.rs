//! What was wrong with a seed: its first panic. Those that follow from it say less, and the gateway catches those of a call
//! and answers InternalFailure.

use std::cell::RefCell;
use std::fmt;
use std::panic::PanicHookInfo;
use std::sync::Once;

/// A broken rule, or a panic of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What the panic said.
    pub message: String,
    /// The file that it was in, below the repository's root.
    pub file: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.message.lines().next().unwrap_or_default())
    }
}

thread_local! {
    static FIRST: RefCell<Option<Broken>> = const { RefCell::new(None) };
}

fn broken(info: &PanicHookInfo<'_>) -> Broken {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    Broken {
        message: text.unwrap_or("it says nothing").to_owned(),
        file: info.location().map_or_else(String::new, |location| location.file().to_owned()),
    }
}

/// Takes down the first panic of this thread from now on.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            FIRST.with_borrow_mut(|first| {
                first.get_or_insert_with(|| broken(info));
            });
            before(info);
        }));
    });
    FIRST.take();
}

/// The first panic since [`watch`].
pub(crate) fn first() -> Option<Broken> {
    FIRST.with_borrow(Option::clone)
}
