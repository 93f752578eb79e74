//! The cluster's certificate authority and the certificates it signed, as files in `DATA/pki`, and the kubeconfig of the administrator.
//!
//! Everything is made at the first start and made again when it would soon expire, so that nobody renews by hand.
//! Names and organizations are Kubernetes' (`kubeadm`'s): who a certificate's holder is, is read off its subject by [`auth`](crate::auth).

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use skiff_proto::identity::UserInfo;

const DAY: u64 = 24 * 3600;
/// How long the authority's own certificate holds.
const CA_DAYS: u64 = 3650;
/// How long the others hold.
const LEAF_DAYS: u64 = 365;
/// A certificate that holds no longer than this is made again.
const RENEW_DAYS: u64 = 90;

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A certificate or key cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A file does not hold what it should.
    #[error("{path} is damaged: {why}; remove the folder to start afresh")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Whose certificate it is and what it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// File name without extension: `admin`, `scheduler`, `node-1`.
    pub file: String,
    /// The user's name.
    pub common_name: String,
    /// The user's group, or nothing.
    pub organization: String,
    /// Names it serves under; empty: a client only.
    pub dns_names: Vec<String>,
    /// Addresses it serves under.
    pub addresses: Vec<IpAddr>,
}

impl Subject {
    /// The administrator: a member of `system:masters`.
    pub fn admin() -> Self {
        Self::client("admin", "admin", UserInfo::MASTERS)
    }

    /// The scheduler.
    pub fn scheduler() -> Self {
        Self::client("scheduler", UserInfo::SCHEDULER, "")
    }

    /// The controllers' manager.
    pub fn controller() -> Self {
        Self::client("controller", UserInfo::CONTROLLER, "")
    }

    /// A node's agent: it serves under its node's name, and calls as `system:node:<name>`.
    pub fn node(name: &str) -> Self {
        Self { dns_names: vec![name.to_owned()], ..Self::client(name, &format!("system:node:{name}"), UserInfo::NODES) }
    }

    /// The API server: serves under these addresses besides loopback, and calls agents as `kube-apiserver`.
    pub fn apiserver(addresses: &[IpAddr]) -> Self {
        let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
        let mut all = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1u16]), IpAddr::from([10, 96, 0, 1])];
        all.extend(addresses.iter().filter(|address| !address.is_unspecified()));
        all.sort_unstable();
        all.dedup();
        Self { dns_names: names.map(str::to_owned).to_vec(), addresses: all, ..Self::client("apiserver", "kube-apiserver", "") }
    }

    fn client(file: &str, common_name: &str, organization: &str) -> Self {
        Self { file: file.to_owned(), common_name: common_name.to_owned(), organization: organization.to_owned(), dns_names: Vec::new(), addresses: Vec::new() }
    }
}

/// The authority of one cluster.
pub struct Pki {
    folder: PathBuf,
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
    now: u64,
}

impl Pki {
    /// Opens `DATA/pki`, making the authority if there is none. `now`: seconds since the epoch.
    pub fn open(data_dir: &Path, now: u64) -> Result<Self, PkiError> {
        let folder = data_dir.join("pki");
        std::fs::create_dir_all(&folder).map_err(|source| PkiError::Io { path: folder.clone(), source })?;
        let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
        if !(certificate.exists() && key.exists()) {
            let pair = KeyPair::generate()?;
            let made = ca_params(now).self_signed(&pair)?;
            write(&key, pair.serialize_pem().as_bytes(), 0o600)?;
            write(&certificate, made.pem().as_bytes(), 0o644)?;
        }
        let ca_pem = read(&certificate)?;
        let pair = KeyPair::from_pem(&read(&key)?).map_err(|error| PkiError::Damaged { path: key, why: error.to_string() })?;
        Ok(Self { folder, ca_pem, issuer: Issuer::new(ca_params(now), pair), now })
    }

    /// The authority's certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The authority's certificate, decoded.
    pub fn ca_der(&self) -> Result<CertificateDer<'static>, PkiError> {
        let damaged = |error: rustls_pki_types::pem::Error| PkiError::Damaged { path: self.folder.join("ca.crt"), why: error.to_string() };
        CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).map_err(damaged)
    }

    /// Certificate and key of `subject` as PEM: what is on disk if it still holds and says the same, else new ones.
    pub fn ensure(&self, subject: &Subject) -> Result<Pair, PkiError> {
        let (certificate, key) = (self.folder.join(format!("{}.crt", subject.file)), self.folder.join(format!("{}.key", subject.file)));
        if certificate.exists() && key.exists() {
            let pair = Pair { certificate: read(&certificate)?, key: read(&key)? };
            if pair.serves(subject, self.now) {
                return Ok(pair);
            }
        }
        let pair = KeyPair::generate()?;
        let made = self.sign(subject, &pair)?;
        let pair = Pair { certificate: made.pem(), key: pair.serialize_pem() };
        write(&key, pair.key.as_bytes(), 0o600)?;
        write(&certificate, pair.certificate.as_bytes(), 0o644)?;
        Ok(pair)
    }

    fn sign(&self, subject: &Subject, pair: &KeyPair) -> Result<Certificate, PkiError> {
        let mut params = CertificateParams::new(subject.dns_names.clone())?;
        params.subject_alt_names.extend(subject.addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name = DistinguishedName::new();
        if !subject.organization.is_empty() {
            params.distinguished_name.push(DnType::OrganizationName, subject.organization.as_str());
        }
        params.distinguished_name.push(DnType::CommonName, subject.common_name.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if !subject.dns_names.is_empty() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, self.now, LEAF_DAYS);
        Ok(params.signed_by(pair, &self.issuer)?)
    }
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Pair {
    /// Decoded, for rustls.
    pub fn decoded(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| error.to_string())?;
        Ok((chain, key))
    }

    /// Whether the certificate still holds for a while, for all that `subject` names.
    fn serves(&self, subject: &Subject, now: u64) -> bool {
        let Ok((chain, _)) = self.decoded() else { return false };
        let Some((_, parsed)) = chain.first().and_then(|der| x509_parser::parse_x509_certificate(der).ok()) else { return false };
        let fresh = parsed.validity().not_after.timestamp() > i64::try_from(now + RENEW_DAYS * DAY).unwrap_or(i64::MAX);
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        if let Ok(Some(extension)) = parsed.subject_alternative_name() {
            for name in &extension.value.general_names {
                match name {
                    x509_parser::extensions::GeneralName::DNSName(name) => names.push((*name).to_owned()),
                    x509_parser::extensions::GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                    _ => {} // kinds of names that we never write
                }
            }
        }
        fresh && subject.dns_names.iter().all(|name| names.contains(name)) && subject.addresses.iter().all(|one| addresses.contains(one))
    }
}

/// The address in a certificate: 4 or 16 bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// What the authority's certificate says. The same at each start, so that what is signed later names the same issuer.
fn ca_params(now: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "skiff");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    set_validity(&mut params, now, CA_DAYS);
    params
}

/// From an hour ago (clocks differ) for so many days.
fn set_validity(params: &mut CertificateParams, now: u64, days: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now.saturating_sub(3600));
    params.not_after = epoch + Duration::from_secs(now + days * DAY);
}

/// A kubeconfig whose only context, `skiff`, reaches `server` as the administrator, everything embedded.
pub fn kubeconfig(server: &str, ca_pem: &str, admin: &Pair) -> String {
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: skiff\n  cluster:\n    server: {server}\n    certificate-authority-data: {}\n\
         users:\n- name: skiff-admin\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n\
         contexts:\n- name: skiff\n  context:\n    cluster: skiff\n    user: skiff-admin\ncurrent-context: skiff\n",
        encode(ca_pem),
        encode(&admin.certificate),
        encode(&admin.key)
    )
}

/// Writes [`kubeconfig`] to `DATA/kubeconfig`.
pub fn write_kubeconfig(data_dir: &Path, server: &str, ca_pem: &str, admin: &Pair) -> Result<PathBuf, PkiError> {
    let path = data_dir.join("kubeconfig");
    write(&path, kubeconfig(server, ca_pem, admin).as_bytes(), 0o600)?;
    Ok(path)
}

fn read(path: &Path) -> Result<String, PkiError> {
    std::fs::read_to_string(path).map_err(|source| PkiError::Io { path: path.to_owned(), source })
}

/// Replaces a file whole: a reader sees the old or the new one, never half of one.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), PkiError> {
    use std::os::unix::fs::OpenOptionsExt;
    let fault = |source| PkiError::Io { path: path.to_owned(), source };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside).map_err(fault)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(fault)?;
    std::fs::rename(&beside, path).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_780_000_000;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("skiff-pki-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path); // mostly there is none
        path
    }

    #[test]
    fn certificates_are_kept_until_they_soon_expire_or_must_say_more() {
        let data = folder("kept");
        let pki = Pki::open(&data, NOW).unwrap();
        let first = pki.ensure(&Subject::apiserver(&[])).unwrap();
        let again = Pki::open(&data, NOW).unwrap();
        assert_eq!(again.ca_pem(), pki.ca_pem());
        assert_eq!(again.ensure(&Subject::apiserver(&[])).unwrap().certificate, first.certificate);
        let more = again.ensure(&Subject::apiserver(&[[10, 40, 0, 1].into()])).unwrap();
        assert_ne!(more.certificate, first.certificate, "a new address");
        let later = Pki::open(&data, NOW + 300 * DAY).unwrap();
        assert_ne!(later.ensure(&Subject::apiserver(&[])).unwrap().certificate, more.certificate, "65 days left");
        std::fs::remove_dir_all(&data).unwrap();
    }

    #[test]
    fn a_node_is_named_as_kubernetes_names_it() {
        let data = folder("node");
        let pair = Pki::open(&data, NOW).unwrap().ensure(&Subject::node("node-1")).unwrap();
        let (chain, _) = pair.decoded().unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
        assert_eq!(parsed.subject().to_string(), "O=system:nodes, CN=system:node:node-1");
        assert_eq!(parsed.issuer().to_string(), "CN=skiff");
        std::fs::remove_dir_all(&data).unwrap();
    }
}
