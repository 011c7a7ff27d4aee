//! A certificate authority of the test's own.

use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

/// An authority, and a certificate of it for 127.0.0.1 and localhost.
pub struct Authority {
    /// The authority's certificate (PEM).
    pub pem: Vec<u8>,
    /// The same as a file.
    pub file: PathBuf,
    /// The server's certificate.
    pub chain: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes both, as files in `folder`.
    pub fn new(folder: &Path) -> Authority {
        let root_key = key();
        let mut root = blank("The authority of a test", &root_key);
        root.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        root.append_extension(KeyUsage::new().critical().key_cert_sign().build().unwrap()).unwrap();
        let name = root_name("The authority of a test");
        root.set_issuer_name(&name).unwrap();
        root.sign(&root_key, MessageDigest::sha256()).unwrap();
        let root = root.build();

        let leaf_key = key();
        let mut leaf = blank("localhost", &leaf_key);
        let mut names = SubjectAlternativeName::new();
        let names = names.ip("127.0.0.1").dns("localhost");
        let names = names.build(&leaf.x509v3_context(Some(&root), None)).unwrap();
        leaf.append_extension(names).unwrap();
        leaf.append_extension(ExtendedKeyUsage::new().server_auth().build().unwrap()).unwrap();
        leaf.set_issuer_name(root.subject_name()).unwrap();
        leaf.sign(&root_key, MessageDigest::sha256()).unwrap();

        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let pem = root.to_pem().unwrap();
        Authority {
            file: write("authority.pem", &pem),
            chain: write("chain.pem", &leaf.build().to_pem().unwrap()),
            key: write("key.pem", &leaf_key.private_key_to_pem_pkcs8().unwrap()),
            pem,
        }
    }
}

fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn root_name(name: &str) -> openssl::x509::X509Name {
    let mut builder = X509NameBuilder::new().unwrap();
    builder.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    builder.build()
}

/// A certificate that wants an issuer and a signature.
fn blank(name: &str, key: &PKey<Private>) -> X509Builder {
    let mut certificate = X509::builder().unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(127, MsbOption::MAYBE_ZERO, false).unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    certificate.set_subject_name(&root_name(name)).unwrap();
    certificate.set_pubkey(key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(60).unwrap()).unwrap();
    certificate
}
