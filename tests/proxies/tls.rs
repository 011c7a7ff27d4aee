//! What speaks TLS beside an Owncast, which does not itself.

use std::net::SocketAddr;

use native_tls::Identity;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_native_tls::TlsAcceptor;

use crate::authority::Authority;

/// Hands on to `owncast` what comes in over TLS. Returns where that is; it ends with the test.
pub async fn before(authority: &Authority, owncast: SocketAddr) -> SocketAddr {
    let read = |path| std::fs::read(path).unwrap();
    let identity = Identity::from_pkcs8(&read(&authority.chain), &read(&authority.key)).unwrap();
    let acceptor = TlsAcceptor::from(native_tls::TlsAcceptor::new(identity).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let there = (acceptor.accept(stream).await, TcpStream::connect(owncast).await);
                if let (Ok(mut from), Ok(mut to)) = there {
                    // Either side may go away at any time.
                    let _ = copy_bidirectional(&mut from, &mut to).await;
                }
            });
        }
    });
    address
}
