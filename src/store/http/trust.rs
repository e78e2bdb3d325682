//! Which certificates are trusted, and the messages about those that are not.
//!
//! A certificate is trusted when it leads to a root: one of the machine's, or one of the bundle that the user names.
//! What stands in the bundle byte for byte is trusted as itself too, so that the certificate that a server made for
//! itself can be named without an authority; its name and its time are checked as those of any other.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::invalid;
use crate::files;
use crate::store::{Error, ErrorKind, Result};

/// How to encrypt: which certificates to trust is for the bundle to say, or the machine's where there is none.
pub(super) fn tls_config(bundle: Option<Bundle>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let fail =
        |error: Box<dyn std::error::Error + Send + Sync>| invalid("TLS cannot be set up").with_source(Some(error));
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(error.into()))?;
    let Some(bundle) = bundle else {
        return Ok(builder.with_root_certificates(machine_roots()?).with_no_client_auth());
    };
    let verifier = Named::new(bundle, provider).map_err(|error| fail(error.into()))?;
    // "Dangerous" is any verifier of one's own; this one asks the usual one first.
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

fn machine_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let source = found.errors.into_iter().next().map(|error| error.into());
        let message = "this machine has no root certificates; install ca-certificates or set ca-bundle";
        return Err(invalid(message).with_source(source));
    }
    Ok(roots)
}

/// The largest bundle of certificates: a hundred times what machines trust.
const MOST_BUNDLE_BYTES: u64 = 32 << 20;

/// The certificates that the user names.
pub(super) struct Bundle {
    roots: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl Bundle {
    /// Reads a PEM file.
    pub(super) fn read(path: &Path) -> Result<Bundle> {
        let fail =
            |what: &str| invalid(format!("the certificates in {} {what}; set ca-bundle to a PEM file", path.display()));
        let pem = files::read(path, MOST_BUNDLE_BYTES);
        let pem = pem.map_err(|error| fail(&format!("cannot be read: {error}")).with_source(Some(error.into())))?.bytes;
        let certificates: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = certificates.map_err(|error| fail("are not PEM").with_source(Some(error.into())))?;
        let mut roots = RootCertStore::empty();
        // Bundles hold relics that no longer parse; the others still count.
        roots.add_parsable_certificates(certificates.iter().cloned());
        if roots.is_empty() { Err(fail("are none")) } else { Ok(Bundle { roots, certificates }) }
    }
}

/// Trusts what leads to a root of the bundle, and what stands in the bundle itself.
#[derive(Debug)]
struct Named {
    usual: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Named {
    fn new(
        bundle: Bundle,
        provider: Arc<CryptoProvider>,
    ) -> std::result::Result<Self, rustls::server::VerifierBuilderError> {
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(bundle.roots), provider).build()?;
        Ok(Named { usual, certificates: bundle.certificates })
    }
}

/// Whether a certificate was refused for nothing but who has signed it. Its time and its purposes are looked at before
/// that, and any other fault would have been named.
fn lacks_only_an_issuer(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let is_named = self.certificates.iter().any(|certificate| certificate == end_entity);
        // What else the server sends has no part in trusting a certificate that is named itself.
        let intermediates = if is_named { &[] } else { intermediates };
        match self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(error) if is_named && lacks_only_an_issuer(&error) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Why the certificate of `authority` is refused, and what to do about that.
pub(super) fn refusal(error: &CertificateError, authority: &str) -> Error {
    use CertificateError::*;
    let renew = "renew it, or set this machine's clock if that is wrong";
    let vouch = "set ca-bundle to a PEM file with the certificate of that authority, or with the server's own";
    let (what, cure) = match error {
        ExpiredContext { not_after, .. } => (format!("has expired on {}", date(*not_after)), renew.to_owned()),
        Expired => ("has expired".to_owned(), renew.to_owned()),
        NotValidYetContext { not_before, .. } => {
            (format!("is not valid before {}", date(*not_before)), "set this machine's clock if it is wrong".to_owned())
        }
        NotValidYet => ("is not valid yet".to_owned(), "set this machine's clock if it is wrong".to_owned()),
        NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
            (
                format!("is for other names: {}", names.join(", ")),
                "set endpoint to one of them, or addressing=path if only the name with the bucket in front is missing"
                    .to_owned(),
            )
        }
        NotValidForNameContext { .. } | NotValidForName => {
            ("is for another name".to_owned(), "set endpoint to the name that it is for".to_owned())
        }
        UnknownIssuer => ("is signed by an authority that is not trusted".to_owned(), vouch.to_owned()),
        Other(other) if matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) => (
            "is self-signed and not trusted".to_owned(),
            "set ca-bundle to a PEM file with this certificate".to_owned(),
        ),
        other => (format!("is refused ({other})"), "install a valid certificate on the server".to_owned()),
    };
    Error::new(ErrorKind::Invalid, format!("the certificate of {authority} {what}; {cure}"))
}

/// The name within `DnsName("host")` or `IpAddress(1.2.3.4)`, as rustls writes them.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

/// The day, as in 2026-05-01.
fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).strftime("%Y-%m-%d").to_string()
}
