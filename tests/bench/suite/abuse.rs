//! Clients that send too much, too slowly, or nothing at all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a client does, over and over.
#[derive(Clone, Debug)]
pub enum Abuse {
    /// Sends this head, and then this part of a body without end.
    Oversized(Vec<u8>, Vec<u8>),
    /// Sends this head, and then a byte a second.
    Slow(Vec<u8>),
    /// Connects and says nothing.
    Silent,
}

/// Many clients of a kind.
pub struct Abusers {
    stop: CancellationToken,
    tasks: TaskTracker,
    ended: Arc<AtomicUsize>,
}

impl Abusers {
    /// Starts them; each begins anew when it is cut off.
    pub fn start(target: SocketAddr, clients: usize, abuse: &Abuse) -> Abusers {
        let abusers =
            Abusers { stop: CancellationToken::new(), tasks: TaskTracker::new(), ended: Arc::default() };
        for _ in 0..clients {
            let (stop, ended, abuse) = (abusers.stop.clone(), Arc::clone(&abusers.ended), abuse.clone());
            abusers.tasks.spawn(stop.run_until_cancelled_owned(async move {
                loop {
                    // However it ends: cut off, answered, or not let in.
                    let _ = once(target, &abuse).await;
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        abusers.tasks.close();
        abusers
    }

    /// Ends them, and answers how many connections were cut off.
    pub async fn finish(self) -> usize {
        self.stop.cancel();
        self.tasks.wait().await;
        self.ended.load(Ordering::Relaxed)
    }
}

async fn once(target: SocketAddr, abuse: &Abuse) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let (head, part, pause) = match abuse {
        Abuse::Oversized(head, part) => (head, part.as_slice(), None),
        Abuse::Slow(head) => (head, b"x".as_slice(), Some(Duration::from_secs(1))),
        Abuse::Silent => return stream.read_u8().await.map(|_| ()),
    };
    stream.write_all(head).await?;
    let (mut reading, mut writing) = stream.split();
    let sending = async {
        loop {
            writing.write_all(part).await?;
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
    };
    tokio::select! {
        // An answer, or the end.
        heard = reading.read_u8() => heard.map(|_| ()),
        broken = sending => broken,
    }
}
