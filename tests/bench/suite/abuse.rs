//! Clients that send too much, too slowly, or nothing at all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

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

/// Many clients of a kind, on a thread that lets everything else go first: in the world they are on other machines.
pub struct Abusers {
    stop: CancellationToken,
    thread: JoinHandle<()>,
    ended: Arc<AtomicUsize>,
}

impl Abusers {
    /// Starts them; each begins anew when it is cut off.
    pub fn start(target: SocketAddr, clients: usize, abuse: &Abuse) -> anyhow::Result<Abusers> {
        let (stop, ended) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted, abuse) = (stop.clone(), Arc::clone(&ended), abuse.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            // On Linux priority belongs to a thread. Without it the figures are only worse.
            let _ = rustix::process::setpriority_process(None, 19);
            let all = futures_util::future::join_all((0..clients).map(|_| async {
                loop {
                    // However it ends: cut off, answered, or not let in.
                    let _ = once(target, &abuse).await;
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }));
            runtime.block_on(stopped.run_until_cancelled(all));
        });
        Ok(Abusers { stop, thread, ended })
    }

    /// Ends them, and answers how many connections were cut off.
    pub fn finish(self) -> anyhow::Result<usize> {
        self.stop.cancel();
        self.thread.join().map_err(|_| anyhow::anyhow!("an abuser panicked"))?;
        Ok(self.ended.load(Ordering::Relaxed))
    }
}

async fn once(target: SocketAddr, abuse: &Abuse) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    // No more than a network would hold: the memory of this machine is no part of what is measured.
    socket.set_send_buffer_size(64 * 1024)?;
    let mut stream = socket.connect(target).await?;
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
