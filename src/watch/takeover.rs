//! Owncast's own go-live message: one post for each stream, and never a text lost.

use super::{Memory, Setback, Watcher};
use crate::config::Config;
use crate::decide::takeover::{Step, Wish, step};
use crate::decide::wishes;
use crate::model::Draft;
use crate::model::facts::{Facts, Identity};

impl Watcher {
    /// Does what is due about Owncast's go-live message, once the identity is settled: before that nobody would post.
    /// A refusal of Owncast is said and waits for the next look; the stream is watched all the same.
    pub(super) async fn keep_one_post(&self, memory: &mut Memory, config: &Config) -> Result<(), Setback> {
        if self.effective.borrow().addresses().is_none() || self.store.read(wishes::restored).await?.is_some()
        {
            return Ok(());
        }
        let wish = Wish { take: config.owncast.take_over_go_live_message, posts: config.go_live.enabled };
        let (facts, stored): (Facts, Identity) = self.store.read(|view| (view.meta(), view.meta())).await?;
        let kept = stored.taken_message.as_deref();
        let done = match step(wish, facts.federation_enabled, &facts.go_live_message, kept) {
            Step::Nothing => Ok(()),
            Step::Take if self.observer.is_some() => {
                self.foresee_takeover(&facts.go_live_message);
                Ok(())
            }
            Step::GiveBack(text) if self.observer.is_some() => {
                self.foresee_return(&text);
                Ok(())
            }
            Step::Take => self.take_over(config).await,
            Step::GiveBack(text) => self.give_back(&text).await,
            Step::Forget => {
                tracing::info!(target: "herald::watch", "the go-live message is the one that stands in Owncast again");
                self.keep_text(None, None).await
            }
        };
        match done {
            Err(Setback::Owncast(error)) => {
                let problem = error.to_string();
                if memory.take_over_problem.as_ref() != Some(&problem) {
                    tracing::warn!(target: "herald::owncast", %error, "Owncast's go-live message could not be changed; it is tried again");
                }
                memory.take_over_problem = Some(problem);
            }
            other => {
                memory.take_over_problem = None;
                other?;
            }
        }
        self.republish().await?;
        Ok(())
    }

    /// Keeps the text, which is on disk here before it is gone there.
    async fn take_over(&self, config: &Config) -> Result<(), Setback> {
        // What stands there now, not some seconds ago: the operator may be typing.
        let text = self.api.server_config().await?.federation.go_live_message;
        if text.trim().is_empty() {
            return self.keep_field(String::new()).await;
        }
        self.keep_text(Some(text.clone()), None).await?;
        self.api.set_go_live_message("").await?;
        self.keep_field(String::new()).await?;
        let why = if config.go_live.message.is_some() {
            "kept Owncast's go-live message and emptied it there, so that followers do not get two posts; the text of [go-live] message is posted"
        } else {
            "took over Owncast's go-live message, and emptied it there so that followers do not get two posts"
        };
        tracing::info!(target: "herald::watch", text, "{why}");
        Ok(())
    }

    /// Puts the text back before it is forgotten here.
    async fn give_back(&self, text: &str) -> Result<(), Setback> {
        let field = self.api.server_config().await?.federation.go_live_message;
        if field.trim().is_empty() {
            self.api.set_go_live_message(text).await?;
            tracing::info!(target: "herald::watch", text, "put the go-live message back into Owncast");
            return self.keep_text(None, Some(text.to_owned())).await;
        }
        self.keep_text(None, Some(field)).await
    }

    async fn keep_field(&self, field: String) -> Result<(), Setback> {
        let kept = self.store.read(|view| view.meta::<Identity>().taken_message).await?;
        self.keep_text(kept, Some(field)).await
    }

    /// Writes the text kept here and, where it is known, what now stands in Owncast's field.
    async fn keep_text(&self, kept: Option<String>, field: Option<String>) -> Result<(), Setback> {
        self.store
            .commit(move |view| {
                let mut draft = Draft::new(view);
                draft.put_meta(&Identity { taken_message: kept, ..view.meta() });
                if let Some(field) = field {
                    draft.put_meta(&Facts { go_live_message: field, ..view.meta() });
                }
                (draft.into_changes(), ())
            })
            .await?;
        Ok(())
    }
}
