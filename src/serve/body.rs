//! Reading a request's body: bounded in bytes and in time, whatever its length header says.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::StatusCode;

use super::answer::Problem;

/// The largest activity taken; peers' limits are of this size or smaller.
pub const ACTIVITY_BYTES: usize = 256 * 1024;
/// Time for an activity's body.
pub const ACTIVITY_TIME: Duration = Duration::from_secs(10);
/// Time for a form's body.
pub const FORM_TIME: Duration = Duration::from_secs(5);

/// Reads a whole body of at most `limit` bytes within `time`.
pub async fn read<S, B>(stream: S, limit: usize, time: Duration) -> Result<Bytes, Problem>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let reading = async {
        let mut stream = std::pin::pin!(stream);
        let mut body = BytesMut::new();
        while let Some(part) = stream.next().await {
            let mut part = part.map_err(|_| {
                Problem::new(StatusCode::BAD_REQUEST, "body-broken", "the body ended before it was complete")
            })?;
            if body.len() + part.remaining() > limit {
                return Err(Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too-large",
                    format!("bodies of up to {limit} bytes are taken here"),
                ));
            }
            while part.has_remaining() {
                let chunk = part.chunk();
                body.extend_from_slice(chunk);
                let taken = chunk.len();
                part.advance(taken);
            }
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(time, reading).await.unwrap_or_else(|_| {
        Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "too-slow",
            format!("the body did not come within {} seconds", time.as_secs()),
        ))
    })
}
