//! HTTP message signatures: digests, keys and the cavage draft, without any IO.
//!
//! Incoming: [`precheck`] does everything that needs no network and yields an [`Unverified`]; only
//! [`Unverified::verify`] with the fetched [`PublicKey`] says that the signature is good. Outgoing: [`sign_request`].
//! The scheme is draft-cavage-http-signatures-12 in the form that every known peer verifies.

mod cavage;
pub mod digest;
mod key;
mod policy;
mod problem;
mod sign;
#[cfg(test)]
mod tests;

pub use key::{Algorithm, KeyError, MAX_RSA_BITS, MIN_RSA_BITS, PrivateKey, PublicKey};
pub use policy::{CLOCK_AHEAD, CLOCK_BEHIND, Unverified, precheck};
pub use problem::SignatureProblem;
pub use sign::{SignError, sign_request};
