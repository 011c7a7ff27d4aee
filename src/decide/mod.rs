//! Pure decisions: a view of the store, an event and the time in, changes out.
//!
//! Every function here writes into a [`Draft`](crate::model::Draft) and runs on the store's writer, so that what it
//! reads cannot change before what it writes is applied.

pub mod abandon;
pub mod adopt;
pub mod blocks;
pub mod delivered;
pub mod engage;
pub mod engaged;
pub mod follow;
pub mod followers;
pub mod gone;
pub mod hosts;
pub mod moment;
pub mod profile;
pub mod publish;
pub mod redeliver;
pub mod refusals;
pub mod reports;
pub mod revisit;
pub mod rules;
pub mod schedule;
pub mod schemes;
pub mod seen;
pub mod shares;
pub mod stream;
pub mod sweep;
pub mod takeover;
pub mod waiting;
pub mod wishes;

pub use moment::Moment;
pub use rules::Rules;

#[cfg(test)]
mod tests;
