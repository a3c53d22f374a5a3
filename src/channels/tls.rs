//! One TLS for everything that leaves this process: rustls on ring, the platform's roots and a connection's own.

use super::ChannelError;
use rustls::{
    ClientConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use std::sync::Arc;

/// Makes ring the process's provider, so that clients built without one (reqwest, kube) work. Calling it again does nothing.
pub fn install() {
    if CryptoProvider::get_default().is_none() {
        // Only a race with another first caller can refuse it, and that one installed the same.
        let _ = ring::default_provider().install_default();
    }
}

/// Verifies servers by the platform's roots plus those in `ca` (PEM, one or more certificates).
pub(super) fn client_config(ca: Option<&str>) -> Result<Arc<ClientConfig>, ChannelError> {
    let provider = Arc::new(ring::default_provider());
    let extra = match ca {
        None => Vec::new(),
        Some(pem) => {
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            found.ok().filter(|certificates| !certificates.is_empty()).ok_or_else(|| {
                ChannelError::settings("`ca` holds no certificate", "put one or more PEM blocks BEGIN CERTIFICATE … there")
            })?
        }
    };
    let unusable =
        |_| ChannelError::settings("no usable root certificates", "install ca-certificates, or give the server's root in `ca`");
    let verifier = Verifier::new_with_extra_roots(extra, provider.clone()).map_err(unusable)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous() // the method's name for "own verifier"; ours is the platform's
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}
