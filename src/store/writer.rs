//! The one thread that decides and writes.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::disk::Disk;
use super::tap::Taps;
use super::{Signals, StoreError};
use crate::model::{Changes, Draft, View};

/// Decisions merged into one batch at most: bounds the latency of the first of them.
const GROUP: usize = 512;

type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Decision = Box<dyn FnOnce(&dyn View) -> (Changes, Answer) + Send>;

/// A decision waiting for its turn, together with whom to tell once it is durable.
pub(super) struct Command(Decision);

impl Command {
    pub(super) fn new<R, F>(decision: F, answer: oneshot::Sender<Result<R, StoreError>>) -> Self
    where
        R: Send + 'static,
        F: FnOnce(&dyn View) -> (Changes, R) + Send + 'static,
    {
        Command(Box::new(move |view| {
            let (changes, result) = decision(view);
            let tell: Answer = Box::new(move |written| {
                // Nobody listens any more when the asking task was cancelled; the change stands all the same.
                let _ = answer.send(written.map(|()| result));
            });
            (changes, tell)
        }))
    }
}

pub(super) struct Writer {
    pub(super) disk: Arc<Disk>,
    pub(super) queue: mpsc::Receiver<Command>,
    pub(super) signals: Arc<Signals>,
    pub(super) taps: Arc<Taps>,
}

impl Writer {
    /// Works until every handle is dropped or the disk fails.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            if !self.group(first) {
                self.signals.failed.send_replace(true);
                return;
            }
        }
    }

    /// Decides what waits, writes it as one batch, answers. False when the disk failed.
    fn group(&mut self, first: Command) -> bool {
        let mut group = Draft::new(&*self.disk);
        let mut answers = Vec::new();
        let mut next = Some(first);
        while let Some(Command(decide)) = next {
            let (changes, answer) = decide(group.view());
            group.add(changes);
            answers.push(answer);
            next = if answers.len() < GROUP && group.len() < GROUP * 4 {
                self.queue.try_recv().ok()
            } else {
                None
            };
        }
        let writes = group.into_changes().into_writes();
        let kinds: Vec<u8> = writes.iter().filter_map(|(key, _)| key.first().copied()).collect();
        let tapped = self.taps.are_open().then(|| writes.clone());
        // A decision made on a failed read must not stand.
        let outcome = match self.disk.fault() {
            Some(fault) => Err(fault),
            None if writes.is_empty() => Ok(()),
            None => self.disk.apply(writes).map_err(|cause| match cause {
                StoreError::Disk(why) => why,
                other => other.to_string(),
            }),
        };
        match outcome {
            Ok(()) => {
                if let Some(writes) = tapped {
                    self.taps.written(&writes);
                }
                if !kinds.is_empty() {
                    self.signals.written(kinds.into_iter());
                }
                answers.into_iter().for_each(|answer| answer(Ok(())));
                true
            }
            Err(cause) => {
                tracing::error!(target: "herald::store", cause, "the disk failed; the store is closed");
                answers.into_iter().for_each(|answer| answer(Err(StoreError::Disk(cause.clone()))));
                false
            }
        }
    }
}
