//! The load generator: prepared requests over HTTP/1.1 and HTTP/2, in closed and open loops. It knows of no operation
//! but by the checks that a [`Request`] carries, and measures no processor time: that is [`crate::meter`]'s.
//!
//! ```text
//!  request   what is sent, prepared, and what its answer must be like
//!  lane      a connection, or its part of one: one request at a time
//!  pool      some lanes
//!  closed    each lane sends its next request when the answer is complete
//!  open      requests are due at fixed times
//!  timer     sleeping to the microsecond
//!  counter   how often a name came in bytes that arrive in pieces
//! ```

mod closed;
mod counter;
mod http2;
mod lane;
mod open;
mod pool;
mod request;
mod timer;

pub(crate) use closed::Until;
pub(crate) use counter::Counter;
pub(crate) use http2::Http2;
pub(crate) use lane::Lane;
pub(crate) use open::Schedule;
pub(crate) use pool::{Pool, Version};
pub(crate) use request::{Expect, Request};
pub(crate) use timer::Timer;
