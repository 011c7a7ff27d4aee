//! Verifying RSA signatures of PKCS#1 v1.5.

use openssl::pkey::Public;
use openssl::rsa::{Padding, RsaRef};

use super::MAX_RSA_BITS;
use super::digest::{sha256, sha512};

/// What stands in front of a digest of SHA-256 in a signature of PKCS#1 v1.5 (RFC 8017, section 9.2).
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];
/// The same for SHA-512.
const SHA512_INFO: [u8; 19] = [
    0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00,
    0x04, 0x40,
];

/// A digest whose signature counts.
#[derive(Clone, Copy)]
pub(super) enum Digest {
    Sha256,
    Sha512,
}

impl Digest {
    /// Whether this is all that a signature holds if it is over `data`.
    fn is(self, opened: &[u8], data: &[u8]) -> bool {
        let (info, digest): (_, &[u8]) = match self {
            Self::Sha256 => (SHA256_INFO, &sha256(data)),
            Self::Sha512 => (SHA512_INFO, &sha512(data)),
        };
        opened.strip_prefix(&info) == Some(digest)
    }
}

/// RSA PKCS#1 v1.5 as OpenSSL's own verification does it: the signature is opened, its padding checked, and what it holds
/// must be the digest and nothing else. Its general interface looks up the algorithms anew for each signature, which takes
/// a third of the time.
pub(super) fn verifies(key: &RsaRef<Public>, digests: &[Digest], data: &[u8], signature: &[u8]) -> bool {
    let mut opened = [0; MAX_RSA_BITS as usize / 8];
    // A shorter one would be the same signature in another form.
    if key.size() as usize != signature.len() || signature.len() > opened.len() {
        return false;
    }
    let Ok(length) = key.public_decrypt(signature, &mut opened, Padding::PKCS1) else { return false };
    let opened = opened.get(..length).unwrap_or_default();
    digests.iter().any(|digest| digest.is(opened, data))
}

#[cfg(test)]
mod tests {
    use openssl::hash::MessageDigest;
    use openssl::pkey::{PKey, Private};
    use openssl::rsa::Rsa;
    use openssl::sign::Signer;

    use super::*;

    fn public(key: &RsaRef<Private>) -> Rsa<Public> {
        Rsa::from_public_components(key.n().to_owned().unwrap(), key.e().to_owned().unwrap()).unwrap()
    }

    #[test]
    fn a_signature_holds_the_digest_and_nothing_else() {
        let rsa = Rsa::generate(2048).unwrap();
        let public = public(&rsa);
        let digest = sha256(b"m");
        let info = [&SHA256_INFO[..], &digest].concat();
        let made = |block: &[u8], padding| {
            let mut signature = vec![0; 256];
            rsa.private_encrypt(block, &mut signature, padding).unwrap();
            signature
        };
        let good = |signature: &[u8]| verifies(&public, &[Digest::Sha256], b"m", signature);
        let padded = |kind: u8, fill: u8, filled: usize, rest: &[u8]| {
            let mut block = [&[0, kind], &vec![fill; filled][..], &[0], rest].concat();
            block.resize(256, 0x5a);
            made(&block, Padding::NONE)
        };
        let right = made(&info, Padding::PKCS1);
        assert!(good(&right) && good(&padded(1, 0xff, 202, &info)));
        // Something behind it, less filling, another filling, another kind of block, no filling at all.
        assert!(!good(&padded(1, 0xff, 201, &info)) && !good(&padded(1, 0xff, 8, &info)));
        assert!(!good(&padded(1, 0xfe, 202, &info)) && !good(&padded(2, 0xff, 202, &info)));
        assert!(
            !good(&padded(1, 0xff, 0, &info)) && !good(&made(&[&info[..], &[0]].concat(), Padding::PKCS1))
        );
        // The digest without its algorithm, with another one's, or cut off.
        assert!(!good(&made(&digest, Padding::PKCS1)) && !good(&made(&info[..50], Padding::PKCS1)));
        let other = [&SHA512_INFO[..], &digest].concat();
        assert!(!good(&made(&other, Padding::PKCS1)) && !good(&made(&[], Padding::PKCS1)));
        // Of another length than the key's: zeroes in front are the same number.
        assert!(
            !good(&[&[0], &right[..]].concat()) && !good(&right[1..]) && !good(&[]) && !good(&[0xff; 256])
        );
        assert!(!good(&[0xff; 600]));
    }

    #[test]
    fn a_signature_without_its_first_zero_is_another_one() {
        let rsa = Rsa::generate(2048).unwrap();
        let (public, key) = (public(&rsa), PKey::from_rsa(rsa).unwrap());
        let signed = |n: u32| {
            let data = n.to_be_bytes();
            let made =
                Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(&data).unwrap();
            (data, made)
        };
        let (data, signature) = (0..).map(signed).find(|(_, signature)| signature[0] == 0).unwrap();
        assert!(verifies(&public, &[Digest::Sha256], &data, &signature));
        assert!(!verifies(&public, &[Digest::Sha256], &data, &signature[1..]));
    }
}
