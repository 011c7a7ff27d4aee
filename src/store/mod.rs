//! The embedded database behind one writer.
