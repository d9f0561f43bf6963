//! The gateway over real sockets, with a fake service behind it.

mod protocol;
mod shutdown;
mod simulated;
mod support;
mod transport;
