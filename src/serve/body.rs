//! Reading a request's body: bounded in bytes and in time, whatever its length header says.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Buf;
use futures_util::{Stream, StreamExt};
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Problem;
use crate::model::{Site, Source};

/// The largest activity taken; peers' limits are of this size or smaller.
pub const ACTIVITY_BYTES: usize = 256 * 1024;
/// Time for an activity's body.
pub const ACTIVITY_TIME: Duration = Duration::from_secs(10);
/// Time for a form's body.
pub const FORM_TIME: Duration = Duration::from_secs(5);

/// What every body may have, larger than nearly all activities are: connections being limited, so is this.
const OWN_BYTES: usize = 8 * 1024;
/// What all bodies together may have beyond that, in blocks.
const ROOM: usize = 2 * 1024 * 1024 / BLOCK;
/// What the bodies of one client may have of that, in blocks, so that one leaves room to others.
const ROOM_OF_ONE: usize = ROOM / 4;
/// What the bodies of one IPv6 [site](Site) may have of that, in blocks.
const ROOM_OF_A_SITE: usize = ROOM / 2;
/// The room that a body takes at a time, in bytes.
const BLOCK: usize = 16 * 1024;

/// Room for the bodies that are being read or looked at: when it is full, large ones are sent away to come back.
#[derive(Clone, Debug)]
pub struct Room {
    all: Arc<Semaphore>,
    held: Arc<Mutex<Held>>,
}

/// Blocks taken, by whom.
#[derive(Debug, Default)]
struct Held {
    sources: HashMap<Source, usize>,
    sites: HashMap<Site, usize>,
}

/// Whether there was room for so many more.
fn take<K: Hash + Eq>(held: &mut HashMap<K, usize>, who: K, more: usize, most: usize) -> bool {
    let now = held.get(&who).copied().unwrap_or_default() + more;
    if now <= most {
        held.insert(who, now);
    }
    now <= most
}

fn give_back<K: Hash + Eq>(held: &mut HashMap<K, usize>, who: K, blocks: usize) {
    if let Some(count) = held.get_mut(&who) {
        *count = count.saturating_sub(blocks);
        if *count == 0 {
            held.remove(&who);
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Room { all: Arc::new(Semaphore::new(ROOM)), held: Arc::default() }
    }
}

/// A whole body, and the room it takes.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    _taken: Taken,
}

/// The room of one body; free again when it is dropped.
#[derive(Debug)]
struct Taken {
    room: Room,
    source: Option<Source>,
    blocks: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Taken {
    /// Whether there was room for it to have so many blocks.
    fn grow(&mut self, blocks: usize) -> bool {
        let more = blocks.saturating_sub(self.blocks);
        if more == 0 {
            return true;
        }
        let permits = u32::try_from(more).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.room.all).try_acquire_many_owned(permits) else { return false };
        if let Some(source) = self.source {
            let mut held = self.room.held.lock().unwrap_or_else(PoisonError::into_inner);
            if !take(&mut held.sources, source, more, ROOM_OF_ONE) {
                return false;
            }
            if source.site().is_some_and(|site| !take(&mut held.sites, site, more, ROOM_OF_A_SITE)) {
                give_back(&mut held.sources, source, more);
                return false;
            }
        }
        match &mut self.permit {
            Some(held) => held.merge(permit),
            None => self.permit = Some(permit),
        }
        self.blocks = blocks;
        true
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(source) = self.source.filter(|_| self.blocks > 0) else { return };
        let mut held = self.room.held.lock().unwrap_or_else(PoisonError::into_inner);
        give_back(&mut held.sources, source, self.blocks);
        if let Some(site) = source.site() {
            give_back(&mut held.sites, site, self.blocks);
        }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Room {
    /// Reads a whole body of `source`, if clients can be told apart, of at most `limit` bytes within `time`.
    pub async fn read<S, B>(
        &self,
        source: Option<Source>,
        stream: S,
        limit: usize,
        time: Duration,
    ) -> Result<Body, Problem>
    where
        S: Stream<Item = Result<B, warp::Error>>,
        B: Buf,
    {
        tokio::time::timeout(time, self.read_all(source, stream, limit)).await.unwrap_or_else(|_| {
            Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "too-slow",
                format!("the body did not come within {} seconds", time.as_secs()),
            ))
        })
    }

    async fn read_all<S, B>(&self, source: Option<Source>, stream: S, limit: usize) -> Result<Body, Problem>
    where
        S: Stream<Item = Result<B, warp::Error>>,
        B: Buf,
    {
        let mut stream = std::pin::pin!(stream);
        let mut body = Vec::new();
        let mut taken = Taken { room: self.clone(), source, blocks: 0, permit: None };
        while let Some(part) = stream.next().await {
            let mut part = part.map_err(|_| {
                Problem::new(StatusCode::BAD_REQUEST, "body-broken", "the body ended before it was complete")
            })?;
            let size = body.len() + part.remaining();
            if size > limit {
                return Err(Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too-large",
                    format!("bodies of up to {limit} bytes are taken here"),
                ));
            }
            if !taken.grow(size.saturating_sub(OWN_BYTES).div_ceil(BLOCK)) {
                return Err(Problem::busy("busy", "too many large bodies are arriving", 30));
            }
            if size > OWN_BYTES && body.capacity() < size {
                // No more than was granted: left to itself it would double.
                body.reserve_exact(size.next_multiple_of(BLOCK).min(limit) - body.len());
            }
            while part.has_remaining() {
                let chunk = part.chunk();
                body.extend_from_slice(chunk);
                let taken = chunk.len();
                part.advance(taken);
            }
        }
        Ok(Body { bytes: body, _taken: taken })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;

    use super::*;

    fn parts(count: usize) -> impl Stream<Item = Result<Bytes, warp::Error>> {
        stream::iter((0..count).map(|_| Ok(Bytes::from_static(&[b'x'; 1024]))))
    }

    #[tokio::test]
    async fn large_bodies_are_sent_away_when_there_is_no_room_and_small_ones_never() {
        let room = Room::default();
        let read = async |kib: usize| room.read(None, parts(kib), ACTIVITY_BYTES, ACTIVITY_TIME).await;
        let mut held = Vec::new();
        let refused = loop {
            match read(256).await {
                Ok(body) => held.push(body),
                Err(problem) => break problem,
            }
        };
        assert_eq!((refused.status, refused.code), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
        assert!(refused.retry_after.is_some());
        let kept: usize = held.iter().map(|body| body.len()).sum();
        assert!((2 << 20..=4 << 20).contains(&kept), "{kept} bytes");
        let taken: usize = held.iter().map(|body| body.bytes.capacity()).sum();
        assert!(taken <= kept + held.len() * BLOCK, "{taken} bytes for {kept}");
        for _ in 0..100 {
            held.push(read(8).await.unwrap());
        }
        drop(held);
        assert_eq!(read(256).await.unwrap().len(), ACTIVITY_BYTES);
        assert_eq!(read(257).await.unwrap_err().code, "too-large");
        assert_eq!(room.all.available_permits(), ROOM);
    }

    #[tokio::test]
    async fn one_client_leaves_room_to_others() {
        let room = Room::default();
        let read = async |last: u8, kib: usize| {
            let source = Some(Source::of([203, 0, 113, last].into()));
            room.read(source, parts(kib), ACTIVITY_BYTES, ACTIVITY_TIME).await
        };
        let mut held = Vec::new();
        let refused = loop {
            match read(1, 256).await {
                Ok(body) => held.push(body),
                Err(problem) => break problem,
            }
        };
        assert_eq!((refused.code, refused.retry_after.is_some()), ("busy", true));
        let kept: usize = held.iter().map(|body| body.len()).sum();
        assert!((1 << 19..=1 << 20).contains(&kept), "{kept} bytes");
        held.push(read(1, 8).await.unwrap());
        held.push(read(2, 256).await.unwrap());
        drop(held);
        // Nor do all the networks that an IPv6 client may have.
        let mut held = Vec::new();
        for number in 0..ROOM as u16 {
            let source = Some(Source::of([0x2a00, 1, 2, number, 0, 0, 0, 1].into()));
            held.extend(room.read(source, parts(256), ACTIVITY_BYTES, ACTIVITY_TIME).await);
        }
        let kept: usize = held.iter().map(|body| body.len()).sum();
        assert!((1 << 20..=2 << 20).contains(&kept), "{kept} bytes");
        held.push(read(2, 256).await.unwrap());
        drop(held);
        assert!(room.held.lock().unwrap().sites.is_empty());
        drop(read(1, 256).await.unwrap());
        assert_eq!(room.all.available_permits(), ROOM);
        assert!(room.held.lock().unwrap().sources.is_empty());
    }
}
