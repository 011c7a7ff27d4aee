//! Assembly: configuration, store, listeners, tasks, orderly stop.

pub mod board;
pub mod effective;
