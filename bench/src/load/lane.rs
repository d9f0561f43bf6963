//! One request at a time: a connection, or one stream after the other of a shared one.

use crate::client::{Answer, Client};
use crate::load::request::start;
use crate::load::{Http2, Request};

/// See the module.
pub(crate) enum Lane {
    /// A connection of its own.
    Http1(Client),
    /// Streams of a connection.
    Http2(Http2),
}

impl Lane {
    /// Sends a request and waits for the whole answer.
    pub(crate) async fn call(&mut self, request: &Request) -> Answer<'_> {
        match self {
            Lane::Http1(client) => client.call(request.whole()).await,
            Lane::Http2(client) => client.call(request).await,
        }
    }

    /// Sends a request whose answer does not end, and hands each piece that arrives to `piece` until it says stop. The
    /// bytes of the protocol may be among them.
    pub(crate) async fn stream(&mut self, request: &Request, piece: impl FnMut(&[u8]) -> bool) {
        match self {
            Lane::Http1(client) => client.stream(request.whole(), piece).await,
            Lane::Http2(client) => client.stream(request, piece).await,
        }
    }

    /// Sends a request; answers false when it was told to slow down.
    ///
    /// # Panics
    /// When the answer is an error of another kind, or not what the request expects.
    pub(crate) async fn attempt(&mut self, request: &Request) -> bool {
        let answer = self.call(request).await;
        if answer.status == 200 {
            request.expect.check(answer.body);
            return true;
        }
        let throttled = memchr::memmem::find(answer.body, b"ProvisionedThroughputExceeded").is_some();
        assert!(throttled, "status {}: {}", answer.status, start(answer.body));
        false
    }
}
