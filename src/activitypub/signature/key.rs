//! Keys that sign and verify. A key is parsed once; its own type, never a header, decides the algorithm.

use std::fmt;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::rsa::{Padding, Rsa, RsaRef};
use openssl::sign::{RsaPssSaltlen, Signer, Verifier};
use thiserror::Error;

use super::pkcs1::{self, Digest};
use super::{Algorithm, SignatureProblem};

/// Smallest RSA modulus accepted, in bits.
pub const MIN_RSA_BITS: u32 = 2048;
/// Largest RSA modulus accepted, in bits: beyond it, one verification costs too much.
pub const MAX_RSA_BITS: u32 = 4096;
/// Longest RSA exponent accepted, in bits: that of 65537, which everybody uses. Every bit more makes each verification
/// longer.
const MAX_EXPONENT_BITS: i32 = 17;
/// Longest PEM or multibase text read, in bytes; a 4096-bit public key needs 800.
const MAX_KEY_TEXT: usize = 16 * 1024;

/// Why a key is not usable. Never holds any part of the key.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// The text is no key of a known form.
    #[error("the key is not readable: expected {0}")]
    Unreadable(&'static str),
    /// Neither RSA nor Ed25519 (Ed25519 only as a public key).
    #[error("the key is of an unsupported type; RSA of {MIN_RSA_BITS} bits is understood by everybody")]
    Type,
    /// RSA modulus too small or too large.
    #[error("the RSA key has {0} bits, accepted are {MIN_RSA_BITS} to {MAX_RSA_BITS}")]
    Bits(u32),
    /// Key with a shape that makes forging easy: exponent 1 or even, Ed25519 point of small order, parts that do not fit; or
    /// one that makes verifying slow: an exponent beyond 65537.
    #[error("the key is mathematically unsafe")]
    Unsafe,
    /// OpenSSL failed where it should not.
    #[error("the cryptography library failed: {0}")]
    Library(String),
}

impl From<ErrorStack> for KeyError {
    fn from(error: ErrorStack) -> Self {
        Self::Library(error.to_string())
    }
}

/// Our RSA key. Cheap to clone; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct PrivateKey(Arc<PKey<Private>>);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

impl PrivateKey {
    /// A new RSA-2048 key with exponent 65537: the only kind that every peer verifies. Takes some 100 ms of CPU.
    ///
    /// # Errors
    /// [`KeyError::Library`] if OpenSSL has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self(Arc::new(PKey::from_rsa(Rsa::generate(MIN_RSA_BITS)?)?)))
    }

    /// Reads PKCS#1 (`BEGIN RSA PRIVATE KEY`, Owncast's form) or PKCS#8 (`BEGIN PRIVATE KEY`), not encrypted.
    ///
    /// # Errors
    /// [`KeyError`] by what is wrong with it.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let unreadable =
            KeyError::Unreadable("an unencrypted RSA private key in PEM form (PKCS#1 or PKCS#8)");
        if pem.len() > MAX_KEY_TEXT {
            return Err(unreadable);
        }
        // The callback answers for an encrypted key; without it OpenSSL would ask on the terminal.
        let key = PKey::private_key_from_pem_callback(pem.as_bytes(), |_| Ok(0)).map_err(|_| unreadable)?;
        if key.id() != Id::RSA {
            return Err(KeyError::Type);
        }
        let rsa = key.rsa()?;
        check_rsa(&rsa)?;
        if !rsa.check_key().unwrap_or(false) {
            return Err(KeyError::Unsafe);
        }
        Ok(Self(Arc::new(key)))
    }

    /// The key as PKCS#8 PEM. A secret: write it to its own file and nowhere else.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn to_pem(&self) -> Result<String, KeyError> {
        text(self.0.private_key_to_pem_pkcs8()?)
    }

    /// The public half as SPKI PEM (`BEGIN PUBLIC KEY`, `\n` line ends): the form of `publicKeyPem` for everybody.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn public_pem(&self) -> Result<String, KeyError> {
        text(self.0.public_key_to_pem()?)
    }

    /// RSA PKCS#1 v1.5 with SHA-256 over `data`.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(Signer::new(MessageDigest::sha256(), &self.0)?.sign_oneshot_to_vec(data)?)
    }
}

/// RSA PSS with SHA-512 and a salt of its length.
fn verifies_pss(key: &PKey<Public>, data: &[u8], signature: &[u8]) -> Result<bool, ErrorStack> {
    let mut verifier = Verifier::new(MessageDigest::sha512(), key)?;
    verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
    verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    verifier.set_rsa_mgf1_md(MessageDigest::sha512())?;
    verifier.verify_oneshot(signature, data)
}

/// A stranger's key, checked to be of a kind that can prove something. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey(Arc<Checked>);

struct Checked {
    key: PKey<Public>,
    /// The same, if it is one of RSA.
    rsa: Option<Rsa<Public>>,
    /// What stands for it.
    digest: [u8; 32],
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {} bits)", self.kind(), self.0.key.bits())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key.public_eq(&other.0.key)
    }
}

impl Eq for PublicKey {}

impl PublicKey {
    /// Reads `publicKeyPem`: SPKI (RSA or Ed25519) or PKCS#1 (`BEGIN RSA PUBLIC KEY`).
    ///
    /// # Errors
    /// [`KeyError`] by what is wrong with it.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let unreadable = KeyError::Unreadable("a public key in PEM form");
        // A colon is in the headers of an encrypted PEM alone: OpenSSL would ask the terminal for its pass phrase.
        if pem.len() > MAX_KEY_TEXT || pem.contains(':') {
            return Err(unreadable);
        }
        let key = PKey::public_key_from_pem(pem.as_bytes())
            .or_else(|_| Rsa::public_key_from_pem_pkcs1(pem.as_bytes()).and_then(PKey::from_rsa))
            .map_err(|_| unreadable)?;
        Self::checked(key)
    }

    /// Reads `publicKeyMultibase` of a Multikey (FEP-521a): Ed25519 in base58btc, `z6Mk…`.
    ///
    /// # Errors
    /// [`KeyError`] by what is wrong with it.
    pub fn from_multibase(multibase: &str) -> Result<Self, KeyError> {
        let unreadable = KeyError::Unreadable("an Ed25519 Multikey (z6Mk…)");
        let bytes = multibase.strip_prefix('z').and_then(base58).ok_or(unreadable.clone())?;
        let raw = bytes.strip_prefix(&[0xed, 0x01]).ok_or(KeyError::Type)?;
        Self::checked(PKey::public_key_from_raw_bytes(raw, Id::ED25519).map_err(|_| unreadable)?)
    }

    fn checked(key: PKey<Public>) -> Result<Self, KeyError> {
        let mut rsa = None;
        match key.id() {
            Id::RSA => check_rsa(rsa.insert(key.rsa()?))?,
            Id::ED25519 if is_small_order(&key.raw_public_key()?) => return Err(KeyError::Unsafe),
            Id::ED25519 => {}
            _ => return Err(KeyError::Type),
        }
        let digest = openssl::sha::sha256(&key.public_key_to_der()?);
        Ok(Self(Arc::new(Checked { key, rsa, digest })))
    }

    /// The same for the same key, in whatever form it was read, and another one for any other.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }

    /// The key as SPKI PEM, for storing; [`PublicKey::from_pem`] reads it back.
    ///
    /// # Errors
    /// [`KeyError::Library`].
    pub fn to_pem(&self) -> Result<String, KeyError> {
        text(self.0.key.public_key_to_pem()?)
    }

    fn kind(&self) -> &'static str {
        if self.0.rsa.is_some() { "RSA" } else { "Ed25519" }
    }

    /// Whether `signature` is this key's over `data`. The hint can only narrow what the key's type allows: RSA is
    /// PKCS#1 v1.5 with SHA-256, for `hs2019` and `rsa-sha512` also with SHA-512, and PSS for `rsa-pss-sha512` alone;
    /// Ed25519 is Ed25519.
    ///
    /// # Errors
    /// [`SignatureProblem::AlgorithmMismatch`] or [`SignatureProblem::Mismatch`].
    pub fn verify(&self, hint: Algorithm, data: &[u8], signature: &[u8]) -> Result<(), SignatureProblem> {
        let Checked { key, rsa, .. } = &*self.0;
        let pkcs1 = |rsa: &RsaRef<Public>, digests: &[Digest]| pkcs1::verifies(rsa, digests, data, signature);
        let good = match (rsa, hint) {
            (Some(rsa), Algorithm::RsaSha256 | Algorithm::RsaV15Sha256 | Algorithm::Unstated) => {
                pkcs1(rsa, &[Digest::Sha256])
            }
            (Some(rsa), Algorithm::Hs2019 | Algorithm::RsaSha512) => {
                pkcs1(rsa, &[Digest::Sha256, Digest::Sha512])
            }
            (Some(_), Algorithm::RsaPssSha512) => verifies_pss(key, data, signature).unwrap_or(false),
            (None, Algorithm::Ed25519 | Algorithm::Hs2019 | Algorithm::Unstated) => {
                let verified = Verifier::new_without_digest(key);
                verified.and_then(|mut verifier| verifier.verify_oneshot(signature, data)).unwrap_or(false)
            }
            _ => {
                return Err(SignatureProblem::AlgorithmMismatch { algorithm: hint.name(), key: self.kind() });
            }
        };
        if good { Ok(()) } else { Err(SignatureProblem::Mismatch) }
    }
}

fn check_rsa<T: openssl::pkey::HasPublic>(rsa: &RsaRef<T>) -> Result<(), KeyError> {
    let bits = u32::try_from(rsa.n().num_bits()).unwrap_or(0);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err(KeyError::Bits(bits));
    }
    // e = 1 makes every signature its own message; a huge one makes verifying slow.
    let e = rsa.e();
    if !(2..=MAX_EXPONENT_BITS).contains(&e.num_bits()) || !e.is_bit_set(0) || !rsa.n().is_bit_set(0) {
        return Err(KeyError::Unsafe);
    }
    Ok(())
}

/// The points of small order of curve 25519 in each encoding, sign bit cleared: under such a key one signature fits
/// many messages.
fn is_small_order(raw: &[u8]) -> bool {
    let edge = |low: u8, rest: u8, top: u8| {
        let mut point = [rest; 32];
        point[0] = low;
        point[31] = top;
        point
    };
    const EIGHTH: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let mut point = raw.to_vec();
    if let Some(last) = point.last_mut() {
        *last &= 0x7f;
    }
    let simple = [
        edge(0, 0, 0),
        edge(1, 0, 0),
        edge(0xec, 0xff, 0x7f),
        edge(0xed, 0xff, 0x7f),
        edge(0xee, 0xff, 0x7f),
    ];
    simple.iter().chain(&EIGHTH).any(|bad| bad[..] == point[..])
}

/// base58btc, for texts of a Multikey's length.
fn base58(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    if text.len() > 128 {
        return None;
    }
    let mut little = Vec::new();
    for symbol in text.bytes() {
        let mut carry = ALPHABET.iter().position(|&known| known == symbol)?;
        for byte in &mut little {
            carry += usize::from(*byte) * 58;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        while carry > 0 {
            little.push((carry & 0xff) as u8);
            carry >>= 8;
        }
    }
    little.extend(text.bytes().take_while(|&symbol| symbol == b'1').map(|_| 0));
    little.reverse();
    Some(little)
}

fn text(pem: Vec<u8>) -> Result<String, KeyError> {
    String::from_utf8(pem).map_err(|error| KeyError::Library(error.to_string()))
}

#[cfg(test)]
mod tests {
    use openssl::bn::BigNum;

    use super::*;

    fn spki(bits: u32, e: u32) -> String {
        let n = Rsa::generate(bits).unwrap().n().to_owned().unwrap();
        let rsa = Rsa::from_public_components(n, BigNum::from_u32(e).unwrap()).unwrap();
        String::from_utf8(rsa.public_key_to_pem().unwrap()).unwrap()
    }

    #[test]
    fn a_key_that_asks_for_a_pass_phrase_is_refused_unread() {
        let headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n";
        for name in ["PUBLIC KEY", "RSA PUBLIC KEY"] {
            let pem = format!("-----BEGIN {name}-----\n{headers}AAAA\n-----END {name}-----\n");
            assert!(matches!(PublicKey::from_pem(&pem), Err(KeyError::Unreadable(_))));
        }
    }

    #[test]
    fn our_key_survives_both_pem_forms() {
        let key = PrivateKey::generate().unwrap();
        let pkcs1 = String::from_utf8(key.0.rsa().unwrap().private_key_to_pem().unwrap()).unwrap();
        assert!(
            pkcs1.contains("BEGIN RSA PRIVATE KEY") && key.to_pem().unwrap().contains("BEGIN PRIVATE KEY")
        );
        for pem in [pkcs1, key.to_pem().unwrap()] {
            let again = PrivateKey::from_pem(&pem).unwrap();
            assert_eq!(again.public_pem().unwrap(), key.public_pem().unwrap());
            assert_eq!(again.sign(b"x").unwrap(), key.sign(b"x").unwrap());
        }
        assert!(key.public_pem().unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert_eq!(format!("{key:?}"), "PrivateKey(redacted)");
        let public = PublicKey::from_pem(&key.public_pem().unwrap()).unwrap();
        assert_eq!(PublicKey::from_pem(&public.to_pem().unwrap()).unwrap(), public);
        assert_eq!(format!("{public:?}"), "PublicKey(RSA, 2048 bits)");
    }

    #[test]
    fn unusable_private_keys_are_refused_without_a_prompt() {
        let small = Rsa::generate(1024).unwrap();
        let encrypted = Rsa::generate(2048)
            .unwrap()
            .private_key_to_pem_passphrase(openssl::symm::Cipher::aes_128_cbc(), b"secret")
            .unwrap();
        let ed = PKey::generate_ed25519().unwrap().private_key_to_pem_pkcs8().unwrap();
        let pem = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(
            PrivateKey::from_pem(&pem(small.private_key_to_pem().unwrap())).unwrap_err(),
            KeyError::Bits(1024)
        );
        assert!(matches!(PrivateKey::from_pem(&pem(encrypted)), Err(KeyError::Unreadable(_))));
        assert_eq!(PrivateKey::from_pem(&pem(ed)).unwrap_err(), KeyError::Type);
        assert!(matches!(PrivateKey::from_pem("no key"), Err(KeyError::Unreadable(_))));
    }

    #[test]
    fn weak_public_keys_are_refused() {
        assert_eq!(PublicKey::from_pem(&spki(512, 65537)).unwrap_err(), KeyError::Bits(512));
        assert_eq!(PublicKey::from_pem(&spki(1024, 65537)).unwrap_err(), KeyError::Bits(1024));
        assert_eq!(PublicKey::from_pem(&spki(2048, 1)).unwrap_err(), KeyError::Unsafe);
        assert_eq!(PublicKey::from_pem(&spki(2048, 4)).unwrap_err(), KeyError::Unsafe);
        assert_eq!(PublicKey::from_pem(&spki(2048, 0x2_0001)).unwrap_err(), KeyError::Unsafe);
        assert_eq!(PublicKey::from_pem(&spki(2048, u32::MAX)).unwrap_err(), KeyError::Unsafe);
        assert!(PublicKey::from_pem(&spki(2048, 3)).is_ok());
        // What makes it long is enough: it need not be a product of primes.
        let wide = |bits: i32| {
            let mut n = BigNum::new().unwrap();
            n.set_bit(bits - 1).and_then(|()| n.set_bit(0)).unwrap();
            let rsa = Rsa::from_public_components(n, BigNum::from_u32(65537).unwrap()).unwrap();
            PublicKey::from_pem(&String::from_utf8(rsa.public_key_to_pem().unwrap()).unwrap())
        };
        assert!(wide(4096).is_ok());
        assert_eq!(wide(4097).unwrap_err(), KeyError::Bits(4097));
        let ec = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
        let ec = PKey::from_ec_key(openssl::ec::EcKey::generate(&ec).unwrap()).unwrap();
        let pem = String::from_utf8(ec.public_key_to_pem().unwrap()).unwrap();
        assert_eq!(PublicKey::from_pem(&pem).unwrap_err(), KeyError::Type);
        for raw in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one[31] = 0x80;
            one
        }] {
            let key = PKey::public_key_from_raw_bytes(&raw, Id::ED25519).unwrap();
            assert_eq!(PublicKey::checked(key).unwrap_err(), KeyError::Unsafe);
        }
        let long = "x".repeat(MAX_KEY_TEXT + 1);
        assert!(matches!(PublicKey::from_pem(&long), Err(KeyError::Unreadable(_))));
    }

    #[test]
    fn pkcs1_public_keys_are_read() {
        let rsa = Rsa::generate(2048).unwrap();
        let pem = String::from_utf8(rsa.public_key_to_pem_pkcs1().unwrap()).unwrap();
        assert!(pem.contains("BEGIN RSA PUBLIC KEY") && PublicKey::from_pem(&pem).is_ok());
    }

    #[test]
    fn the_keys_type_decides() {
        let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let public = PublicKey::from_pem(&text(rsa.public_key_to_pem().unwrap()).unwrap()).unwrap();
        let with = |digest| Signer::new(digest, &rsa).unwrap().sign_oneshot_to_vec(b"m").unwrap();
        let (short, long, sha1) =
            (with(MessageDigest::sha256()), with(MessageDigest::sha512()), with(MessageDigest::sha1()));
        let mut signer = Signer::new(MessageDigest::sha512(), &rsa).unwrap();
        signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
        signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
        let pss = signer.sign_oneshot_to_vec(b"m").unwrap();
        for (hint, short_ok, long_ok) in [
            (Algorithm::Unstated, true, false),
            (Algorithm::RsaSha256, true, false),
            (Algorithm::RsaSha512, true, true),
            (Algorithm::Hs2019, true, true),
            (Algorithm::Ed25519, false, false),
            (Algorithm::RsaV15Sha256, true, false),
            (Algorithm::RsaPssSha512, false, false),
        ] {
            let pss_ok = hint == Algorithm::RsaPssSha512;
            assert_eq!(public.verify(hint, b"m", &pss).is_ok(), pss_ok, "{hint:?}");
            assert_eq!(public.verify(hint, b"m", &short).is_ok(), short_ok, "{hint:?}");
            assert_eq!(public.verify(hint, b"m", &long).is_ok(), long_ok, "{hint:?}");
            assert!(public.verify(hint, b"m", &sha1).is_err() && public.verify(hint, b"n", &short).is_err());
        }
        let ed = PKey::generate_ed25519().unwrap();
        let public = PublicKey::from_pem(&text(ed.public_key_to_pem().unwrap()).unwrap()).unwrap();
        let signature = Signer::new_without_digest(&ed).unwrap().sign_oneshot_to_vec(b"m").unwrap();
        for hint in [Algorithm::Unstated, Algorithm::Hs2019, Algorithm::Ed25519] {
            assert_eq!(public.verify(hint, b"m", &signature), Ok(()));
        }
        for hint in
            [Algorithm::RsaSha256, Algorithm::RsaSha512, Algorithm::RsaV15Sha256, Algorithm::RsaPssSha512]
        {
            assert_eq!(public.verify(hint, b"m", &signature).unwrap_err().code(), "algorithm-mismatch");
        }
    }

    #[test]
    fn a_multikey_is_read() {
        // FEP-8b32's published example key.
        let key = PublicKey::from_multibase("z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2").unwrap();
        assert_eq!(format!("{key:?}"), "PublicKey(Ed25519, 256 bits)");
        for bad in ["", "z", "z0", "m6Mk", "z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbT", "z1111"] {
            assert!(PublicKey::from_multibase(bad).is_err(), "{bad}");
        }
        assert_eq!(base58("StV1DL6CwTryKyV").unwrap(), b"hello world");
        assert_eq!(base58("112").unwrap(), [0, 0, 1]);
    }
    proptest::proptest! {
        #[test]
        fn any_text_ends_in_a_verdict(text in "\\PC{0,60}", symbols in "[1-9A-HJ-NP-Za-km-z]{0,60}", base64 in "[A-Za-z0-9+/=\n]{0,200}") {
            let _ = (PublicKey::from_pem(&text), PublicKey::from_multibase(&text));
            let _ = (PublicKey::from_multibase(&format!("z{symbols}")), PublicKey::from_multibase(&format!("z6Mk{symbols}")));
            for kind in ["PUBLIC KEY", "RSA PUBLIC KEY", "PRIVATE KEY", "CERTIFICATE"] {
                let pem = format!("-----BEGIN {kind}-----\n{base64}\n-----END {kind}-----\n");
                let _ = (PublicKey::from_pem(&pem), PrivateKey::from_pem(&pem));
            }
        }
    }
}
