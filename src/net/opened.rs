//! When a connection was last opened: whoever takes one is in reach, however long the answer takes.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use tower::{Layer, Service};

/// Shared by all that dial; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Opened(Arc<Mutex<Option<Instant>>>);

impl Opened {
    /// When one was opened last, its TLS included.
    pub(super) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl<S> Layer<S> for Opened {
    type Service = Watched<S>;

    fn layer(&self, dials: S) -> Watched<S> {
        Watched { dials, opened: self.clone() }
    }
}

/// Dials, and notes when that succeeds.
#[derive(Clone, Debug)]
pub(super) struct Watched<S> {
    dials: S,
    opened: Opened,
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.dials.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (dialling, opened) = (self.dials.call(request), self.opened.clone());
        Box::pin(async move {
            let connection = dialling.await?;
            opened.now();
            Ok(connection)
        })
    }
}
