//! TLS 1.2 and 1.3 by rustls. Certificate and key are read again when they change, so a renewed certificate needs no restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::settings::Tls;
use crate::service::pipeline::lock;

/// A certificate with its key, as the files have it.
#[derive(Debug)]
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    /// When the files were changed that `current` was read from.
    stamps: Mutex<[Option<SystemTime>; 2]>,
}

impl Identity {
    /// Reads the files that the settings name; `None` if they name none.
    ///
    /// # Errors
    /// If they cannot be read, or do not belong together.
    pub fn open(tls: &Tls) -> Result<Option<Arc<Identity>>> {
        let (Some(certificate), Some(key)) = (tls.certificate.clone(), tls.key.clone()) else {
            return Ok(None);
        };
        let stamps = Mutex::new([changed_at(&certificate), changed_at(&key)]);
        let current = RwLock::new(Arc::new(read(&certificate, &key)?));
        Ok(Some(Arc::new(Identity { certificate, key, current, stamps })))
    }

    /// What turns connections into encrypted ones.
    ///
    /// # Errors
    /// If the protocol's settings do not fit each other.
    pub fn acceptor(self: &Arc<Identity>) -> Result<TlsAcceptor> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again if they have changed. What is wrong changes nothing.
    pub fn keep_fresh(&self) {
        match self.look_again() {
            Ok(false) => {}
            Ok(true) => tracing::info!("a new certificate is used"),
            Err(error) => {
                tracing::error!(error = %format!("{error:#}"), "the certificate before it stays in use");
            }
        }
    }

    /// Reads the files again if they have changed; whether they have.
    fn look_again(&self) -> Result<bool> {
        let now = [changed_at(&self.certificate), changed_at(&self.key)];
        if now == *lock(&self.stamps) {
            return Ok(false);
        }
        // One file may be written before the other: what does not fit is tried again.
        let new = read(&self.certificate, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        *lock(&self.stamps) = now;
        Ok(true)
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey> {
    let of = |what: &str, path: &Path| format!("{what}: {}", path.display());
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.with_context(|| of("tls.certificate", certificate))?;
    anyhow::ensure!(!chain.is_empty(), "{} has no certificate in PEM", of("tls.certificate", certificate));
    let signer = PrivateKeyDer::from_pem_file(key).with_context(|| of("tls.key", key))?;
    let signer = any_supported_type(&signer).with_context(|| of("tls.key", key))?;
    let both = CertifiedKey::new(chain, signer);
    both.keys_match().with_context(|| of("tls.key does not belong to tls.certificate", key))?;
    Ok(both)
}
