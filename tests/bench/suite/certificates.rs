//! Certificates of servers at loopback addresses, chained as certbot's are: an authority, one between, one per server;
//! all P-256, as most servers have.

use std::net::Ipv4Addr;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{AlpnError, Ssl, SslContext, SslMethod, SslMode, select_next_proto};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder, X509Ref};

/// Who issues them.
pub struct Authority {
    root: X509,
    between: X509,
    between_key: PKey<Private>,
    /// One key for all servers: what a client does with each is the same.
    server_key: PKey<Private>,
}

impl Authority {
    /// A new one.
    pub fn new() -> anyhow::Result<Authority> {
        let (root_key, between_key) = (key()?, key()?);
        let root = certificate("Bench Root", None, &root_key, &root_key, Kind::Issuer)?;
        let between = certificate("Bench Intermediate", Some(&root), &between_key, &root_key, Kind::Issuer)?;
        Ok(Authority { root, between, between_key, server_key: key()? })
    }

    /// What clients are to trust.
    pub fn pem(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.root.to_pem()?)
    }

    /// The certificate of a server at this address.
    pub fn server(&self, address: Ipv4Addr) -> anyhow::Result<X509> {
        let name = address.to_string();
        certificate(&name, Some(&self.between), &self.server_key, &self.between_key, Kind::Server(address))
    }

    /// What all servers share; `h2`: they offer HTTP/2.
    pub fn context(&self, h2: bool) -> anyhow::Result<SslContext> {
        let mut context = SslContext::builder(SslMethod::tls_server())?;
        context.set_mode(SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER);
        if h2 {
            context.set_alpn_select_callback(|_, offered| {
                select_next_proto(b"\x02h2", offered).ok_or(AlpnError::NOACK)
            });
        }
        context.add_extra_chain_cert(self.between.clone())?;
        Ok(context.build())
    }

    /// The far side of one connection to the server with this certificate.
    pub fn session(&self, context: &SslContext, certificate: &X509Ref) -> anyhow::Result<Ssl> {
        let mut ssl = Ssl::new(context)?;
        ssl.set_certificate(certificate)?;
        ssl.set_private_key(&self.server_key)?;
        Ok(ssl)
    }
}

enum Kind {
    Issuer,
    Server(Ipv4Addr),
}

fn key() -> anyhow::Result<PKey<Private>> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

/// Without an issuer it is its own.
fn certificate(
    name: &str,
    issuer: Option<&X509>,
    key: &PKey<Private>,
    signer: &PKey<Private>,
    kind: Kind,
) -> anyhow::Result<X509> {
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
    let subject = subject.build();
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(120, MsbOption::MAYBE_ZERO, false)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&subject)?;
    builder.set_issuer_name(issuer.map_or(&*subject, |issuer| issuer.subject_name()))?;
    builder.set_pubkey(key)?;
    let (from, until) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(30)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    match kind {
        Kind::Issuer => {
            builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
            builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        }
        Kind::Server(address) => {
            let mut names = SubjectAlternativeName::new();
            let names = names.ip(&address.to_string()).build(&builder.x509v3_context(None, None))?;
            builder.append_extension(names)?;
        }
    }
    builder.sign(signer, MessageDigest::sha256())?;
    Ok(builder.build())
}
