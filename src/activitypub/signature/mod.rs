//! HTTP message signatures: digests, keys, the cavage draft and RFC 9421, without any IO.
//!
//! Incoming: [`precheck`] does everything that needs no network and yields an [`Unverified`]; only
//! [`Unverified::verify`] with the fetched [`PublicKey`] says that the signature is good. Outgoing: [`sign_request`], in
//! the form of draft-cavage-http-signatures-12 that every known peer verifies, and [`sign_request_rfc9421`] for those
//! that refuse it; [`Challenge`] is what one of them asks for.

mod algorithm;
mod cavage;
mod challenge;
pub mod digest;
mod fields;
mod key;
mod pkcs1;
mod policy;
mod problem;
mod rfc9421;
mod sign;
#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use challenge::Challenge;
pub use key::{KeyError, MAX_RSA_BITS, MIN_RSA_BITS, PrivateKey, PublicKey};
pub use policy::{CLOCK_AHEAD, CLOCK_BEHIND, Unverified, precheck};
pub use problem::SignatureProblem;
pub use sign::{Form, Message, Scheme, SignError, SignRequest, sign_request, sign_request_rfc9421};
