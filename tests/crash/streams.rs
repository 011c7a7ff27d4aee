//! Streams that come and go beside a program that dies.

use std::collections::BTreeSet;
use std::time::Duration;

use owncast_herald::sim::fediverse::Server;
use owncast_herald::sim::owncast::SimOwncast;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::LONG;
use crate::support::stage::SOON;

/// How long a stream goes on once its post was seen.
const GOES_ON: Duration = Duration::from_millis(1_500);

/// The streamer.
pub struct Streams {
    stop: CancellationToken,
    task: JoinHandle<usize>,
}

impl Streams {
    /// Streams until told to finish. Each stream waits until all `servers` have its post, since what has not gone out at
    /// its end never does, and after its end for the edit at the first of them.
    pub fn start(owncast: SimOwncast, servers: Vec<Server>, post: watch::Sender<Option<String>>) -> Streams {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            while !stopped.is_cancelled() {
                stream(&owncast, &servers, &post, &mut seen).await;
            }
            seen.len()
        });
        Streams { stop, task }
    }

    /// Ends with the running stream; answers how many there were.
    pub async fn finish(self) -> usize {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

async fn stream(
    owncast: &SimOwncast,
    servers: &[Server],
    post: &watch::Sender<Option<String>>,
    before: &mut BTreeSet<String>,
) {
    owncast.go_live_with(SOON);
    let server = &servers[0];
    let announced = server.wait_post(LONG, |post| !before.contains(&post.note)).await;
    let note = announced.expect("the stream is announced").note;
    before.insert(note.clone());
    post.send_replace(Some(note.clone()));
    for other in &servers[1..] {
        assert!(other.wait_post(LONG, |post| post.note == note).await.is_some(), "it is everywhere");
    }
    tokio::time::sleep(GOES_ON).await;
    owncast.end_stream();
    let over =
        server.wait_post(LONG, |post| post.note == note && post.html.contains("The stream is over")).await;
    assert!(over.is_some(), "its post says that the stream is over");
}
