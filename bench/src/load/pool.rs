//! Some lanes to one server. The loops over them are in `closed` and `open`.

use crate::client::Client;
use crate::load::{Http2, Lane};

/// How to speak to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// A connection per lane.
    Http1,
    /// The lanes are streams of this many connections.
    Http2(usize),
}

impl Version {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Version::Http1 => "HTTP/1.1",
            Version::Http2(_) => "HTTP/2",
        }
    }
}

/// Lanes, connected. Must be used in a `LocalSet`.
pub(crate) struct Pool {
    pub(super) lanes: Vec<Lane>,
}

impl Pool {
    /// Connects this many lanes.
    pub(crate) async fn connect(address: &str, version: Version, lanes: usize) -> Pool {
        let mut pool = Pool { lanes: Vec::with_capacity(lanes) };
        match version {
            Version::Http1 => {
                for _ in 0..lanes {
                    pool.lanes.push(Lane::Http1(Client::connect(address).await));
                }
            }
            Version::Http2(connections) => {
                let mut shared = Vec::with_capacity(connections);
                for _ in 0..connections {
                    shared.push(Http2::connect(address).await);
                }
                for lane in 0..lanes {
                    pool.lanes.push(Lane::Http2(shared[lane % connections].share()));
                }
            }
        }
        pool
    }

    /// The lanes themselves, for loops of another kind.
    pub(crate) fn into_lanes(self) -> Vec<Lane> {
        self.lanes
    }
}
