//! The listening socket, in two steps: its port is taken at once, so that a port in use is told before a recovery
//! begins, but the kernel takes connections only when the server is ready to answer them.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};
use thalweg_gateway::settings::BACKLOG;

use crate::start_error::StartError;

/// A port of ours that refuses connections.
pub(crate) struct Reserved {
    socket: Socket,
    address: SocketAddr,
}

/// Takes the port.
pub(crate) fn reserve(address: SocketAddr) -> Result<Reserved, StartError> {
    let reserve = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restarted server need not wait for the old connections' last packets.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    let socket = reserve().map_err(|source| StartError::Listen { address, source })?;
    Ok(Reserved { socket, address })
}

impl Reserved {
    /// From now on the kernel takes connections.
    pub(crate) fn listen(self) -> Result<TcpListener, StartError> {
        // Two programs may have reserved the same port; only one may listen.
        self.socket.listen(BACKLOG).map_err(|source| StartError::Listen { address: self.address, source })?;
        Ok(TcpListener::from(self.socket))
    }
}
