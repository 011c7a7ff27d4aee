//! Reading a request's body: bounded in bytes and in time, whatever its length header says.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Problem;

/// The largest activity taken; peers' limits are of this size or smaller.
pub const ACTIVITY_BYTES: usize = 256 * 1024;
/// Time for an activity's body.
pub const ACTIVITY_TIME: Duration = Duration::from_secs(10);
/// Time for a form's body.
pub const FORM_TIME: Duration = Duration::from_secs(5);

/// What every body may have, larger than nearly all activities are: connections being limited, so is this.
const OWN_BYTES: usize = 8 * 1024;
/// What all bodies together may have beyond that, in blocks.
const ROOM: usize = 8 * 1024 * 1024 / BLOCK;
/// The room that a body takes at a time, in bytes.
const BLOCK: usize = 16 * 1024;

/// Room for the bodies that are being read or looked at: when it is full, large ones are sent away to come back.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Room(Arc::new(Semaphore::new(ROOM)))
    }
}

/// A whole body, and the room it takes.
#[derive(Debug)]
pub struct Body {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Room {
    /// Reads a whole body of at most `limit` bytes within `time`.
    pub async fn read<S, B>(&self, stream: S, limit: usize, time: Duration) -> Result<Body, Problem>
    where
        S: Stream<Item = Result<B, warp::Error>>,
        B: Buf,
    {
        tokio::time::timeout(time, self.read_all(stream, limit)).await.unwrap_or_else(|_| {
            Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "too-slow",
                format!("the body did not come within {} seconds", time.as_secs()),
            ))
        })
    }

    async fn read_all<S, B>(&self, stream: S, limit: usize) -> Result<Body, Problem>
    where
        S: Stream<Item = Result<B, warp::Error>>,
        B: Buf,
    {
        let mut stream = std::pin::pin!(stream);
        let mut body = BytesMut::new();
        let mut room: Option<OwnedSemaphorePermit> = None;
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
            let wanted = size.saturating_sub(OWN_BYTES).div_ceil(BLOCK);
            let has = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            if wanted > has {
                let more = u32::try_from(wanted - has).unwrap_or(u32::MAX);
                let more = Arc::clone(&self.0)
                    .try_acquire_many_owned(more)
                    .map_err(|_| Problem::busy("busy", "too many large bodies are arriving", 30))?;
                match &mut room {
                    Some(room) => room.merge(more),
                    None => room = Some(more),
                }
            }
            while part.has_remaining() {
                let chunk = part.chunk();
                body.extend_from_slice(chunk);
                let taken = chunk.len();
                part.advance(taken);
            }
        }
        Ok(Body { bytes: body.freeze(), _room: room })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn parts(count: usize) -> impl Stream<Item = Result<Bytes, warp::Error>> {
        stream::iter((0..count).map(|_| Ok(Bytes::from_static(&[b'x'; 1024]))))
    }

    #[tokio::test]
    async fn large_bodies_are_sent_away_when_there_is_no_room_and_small_ones_never() {
        let room = Room::default();
        let read = async |kib: usize| room.read(parts(kib), ACTIVITY_BYTES, ACTIVITY_TIME).await;
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
        assert!((6 << 20..=9 << 20).contains(&kept), "{kept} bytes");
        for _ in 0..100 {
            held.push(read(8).await.unwrap());
        }
        drop(held);
        assert_eq!(read(256).await.unwrap().len(), ACTIVITY_BYTES);
        assert_eq!(read(257).await.unwrap_err().code, "too-large");
        assert_eq!(room.0.available_permits(), ROOM);
    }
}
