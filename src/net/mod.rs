//! The one outgoing HTTP client and the guard of the addresses it may dial.
