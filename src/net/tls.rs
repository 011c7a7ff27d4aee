//! TLS as it is spoken to strangers.

use std::path::Path;

use native_tls::{Certificate, Protocol, TlsConnector};

use super::error::NetError;

/// Reads the system's authorities, and those in the PEM file `extra_ca`. To be shared: they take megabytes.
///
/// The system's come from its bundle. Where there is none they are looked up in its folder of certificates, which OpenSSL
/// then searches at every handshake for the certificates between, which are never there.
///
/// HTTP/2 is offered, and nothing below TLS 1.2.
///
/// # Errors
/// [`NetError::Client`] if the extra authorities cannot be read or TLS cannot start.
pub(crate) fn connector(extra_ca: Option<&Path>) -> Result<TlsConnector, NetError> {
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12)).request_alpns(&["h2", "http/1.1"]);
    let bundle = openssl_probe::probe().cert_file.and_then(|path| std::fs::read(path).ok());
    let bundle = bundle.and_then(|pem| Certificate::stack_from_pem(&pem).ok()).unwrap_or_default();
    builder.disable_built_in_roots(!bundle.is_empty());
    for certificate in bundle {
        builder.add_root_certificate(certificate);
    }
    if let Some(path) = extra_ca {
        let unusable = |what: String| NetError::Client(format!("{}: {what}", path.display()));
        let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let bundle = Certificate::stack_from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
        if bundle.is_empty() {
            return Err(unusable("no certificate in PEM form in this file".to_owned()));
        }
        for certificate in bundle {
            builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|error| NetError::Client(error.to_string()))
}
