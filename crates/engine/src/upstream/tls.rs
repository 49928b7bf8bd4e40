//! How TLS is spoken with members: who is trusted, whom a certificate has to be of, and who this server is. The protocol
//! is rustls's.

use crate::os_error::without_number;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName as Name, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What is spoken over TLS (RFC 7301): members that would speak HTTP/2, too, are told so.
const ALPN: &[u8] = b"http/1.1";

/// Whom a certificate has to be of: a name in the DNS, or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(Name<'static>);

impl ServerName {
    /// Reads a name, with a dot at its end or without, or an address.
    pub fn read(text: &str) -> Option<ServerName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        Name::try_from(text.to_owned()).ok().map(ServerName)
    }
}

/// What an operator says of TLS with the members of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of those who are trusted, in place of the system's: a file in PEM (RFC 7468).
    pub ca: Option<PathBuf>,
    /// The certificate, with those that lead to a trusted one, and the key by which this server says who it is.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether anybody is trusted.
    pub trusts_all: bool,
}

/// How TLS is spoken with the members of an upstream. The files are read when that is first needed, or asked for.
#[derive(Debug, Default)]
pub struct TlsTerms {
    files: TlsFiles,
    /// In place of that which each address has.
    server_name: Option<ServerName>,
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl TlsTerms {
    /// These terms.
    pub fn new(files: TlsFiles, server_name: Option<ServerName>) -> TlsTerms {
        TlsTerms { files, server_name, config: OnceLock::new() }
    }

    /// What the files say.
    ///
    /// # Errors
    /// A sentence: which of them cannot be used, and why.
    pub fn config(&self) -> Result<&Arc<ClientConfig>, &str> {
        self.config.get_or_init(|| read(&self.files)).as_ref().map_err(String::as_str)
    }

    /// The beginning of a session with a server whose address has this name.
    ///
    /// # Errors
    /// As of `config`.
    pub fn begin(&self, server_name: &ServerName) -> Result<ClientConnection, String> {
        let ServerName(name) = self.server_name.as_ref().unwrap_or(server_name).clone();
        ClientConnection::new(self.config()?.clone(), name).map_err(|error| error.to_string())
    }
}

/// Reads what TLS needs.
fn read(files: &TlsFiles) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let builder = if files.trusts_all {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustsAll(provider)))
    } else {
        let roots = files.ca.as_deref().map_or_else(system_roots, roots)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_webpki_verifier(verifier.map_err(|error| error.to_string())?)
    };
    let mut config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates("client_certificate", certificate)?;
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| unfit("client_key", "a private key in PEM", key, &error))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| {
                format!("client_key: expected the key of client_certificate, got {}: {error}", quoted(key))
            })?
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// The certificates of a file.
fn certificates(setting: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    const EXPECTED: &str = "a file of certificates in PEM";
    let failed = |error: &PemError| unfit(setting, EXPECTED, file, error);
    let read: Vec<_> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(|error| failed(&error))?;
    if read.is_empty() { Err(failed(&PemError::NoItemsFound)) } else { Ok(read) }
}

fn unfit(setting: &str, expected: &str, file: &Path, error: &PemError) -> String {
    let why = match error {
        PemError::Io(error) => without_number(&error.to_string()).into_owned(),
        PemError::NoItemsFound => "there is none in it".to_owned(),
        error => error.to_string(),
    };
    format!("{setting}: expected {expected}, got {}: {why}", quoted(file))
}

fn quoted(file: &Path) -> String {
    format!("{:?}", file.to_string_lossy())
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", file)? {
        roots.add(certificate).map_err(|error| {
            format!("ca: expected certificates that can be trusted, got one in {} that is none: {error}", quoted(file))
        })?;
    }
    Ok(roots)
}

/// Whom the system trusts, or SSL_CERT_FILE and SSL_CERT_DIR say.
fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        return Err(format!(
            "ca: expected certificates of those whom the system trusts, such as Debian's package ca-certificates, \
             got none{why}; name a file of them"
        ));
    }
    Ok(roots)
}

/// Takes any certificate: the operator has said so, and was warned. That the other end has its key is still proved.
#[derive(Debug)]
struct TrustsAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &Name<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
