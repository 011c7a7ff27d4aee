//! Pure ActivityPub: what is emitted, what is understood, and HTTP signatures.

pub mod html;
pub mod json;
pub mod signature;
pub mod vocab;
