//! Assembly: configuration, store, listeners, tasks, orderly stop.
