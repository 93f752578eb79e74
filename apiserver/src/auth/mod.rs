//! Who a caller is ([`Authenticator`]) and what the caller may do ([`authorize`], [`node`], [`rbac`]). Service accounts have a [`token`].

pub mod authorize;
pub mod bound;
pub mod node;
pub mod rbac;
pub mod token;

use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;
use x509_parser::prelude::{FromDer, X509Certificate};

use std::sync::OnceLock;

use self::token::Tokens;
use crate::store::Store;

/// Knows the cluster's CA and says who holds a certificate.
pub struct Authenticator {
    ca: Vec<u8>,
    tokens: OnceLock<(Tokens, Store)>,
}

impl Authenticator {
    /// Trusts certificates that this CA signed (DER).
    pub fn new(ca_der: &[u8]) -> Result<Self, String> {
        X509Certificate::from_der(ca_der).map_err(|why| format!("the certificate authority: {why}"))?;
        Ok(Self { ca: ca_der.to_vec(), tokens: OnceLock::new() })
    }

    /// The caller behind a connection: its client certificate (DER, the leaf), if it sent one, and its `Authorization` header.
    /// An unknown certificate or any bearer token that is not ours is a `401` Status; no credentials at all are [`UserInfo::anonymous`].
    /// `now`: seconds since the epoch.
    pub fn authenticate(&self, peer: Option<&[u8]>, authorization: Option<&str>, now: i64) -> Result<UserInfo, Status> {
        match (peer, authorization) {
            (Some(der), _) => self.certificate(der, now),
            (None, Some(header)) => header.strip_prefix("Bearer ").and_then(|token| self.token(token.trim(), now)).ok_or_else(unauthorized),
            (None, None) => Ok(UserInfo::anonymous()),
        }
    }

    /// Whom a certificate names. Its chain is one link: the CA signed it, it is in its time, and it is one of a client.
    fn certificate(&self, der: &[u8], now: i64) -> Result<UserInfo, Status> {
        let (_, ca) = X509Certificate::from_der(&self.ca).map_err(|_| unauthorized())?;
        let (_, leaf) = X509Certificate::from_der(der).map_err(|_| unauthorized())?;
        let validity = leaf.validity();
        let in_time = validity.not_before.timestamp() <= now && now <= validity.not_after.timestamp();
        let for_clients = match leaf.extended_key_usage() {
            Ok(Some(usage)) => usage.value.client_auth || usage.value.any,
            Ok(None) => false,
            Err(_) => false, // an extension that cannot be read allows nothing
        };
        if leaf.issuer() != ca.subject() || !in_time || !for_clients || !self.signed(&leaf, &ca) {
            return Err(unauthorized());
        }
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().ok().map(str::to_owned);
        let name = leaf.subject().iter_common_name().next().and_then(text).ok_or_else(unauthorized)?;
        let mut groups: Vec<String> = leaf.subject().iter_organization().filter_map(text).collect();
        groups.push("system:authenticated".to_owned());
        Ok(UserInfo { name, groups, ..UserInfo::default() })
    }

    fn signed(&self, leaf: &X509Certificate<'_>, ca: &X509Certificate<'_>) -> bool {
        signature::verify(leaf, ca)
    }

    /// Believes the tokens that this key signs, of accounts that are in the store. Once, at start.
    pub fn believe(&self, tokens: Tokens, store: Store) {
        // A second call changes nothing: there is one key a cluster.
        let _ = self.tokens.set((tokens, store));
    }

    /// Whose bearer token this is, if it is one of a service account that still exists.
    pub fn token(&self, token: &str, now: i64) -> Option<UserInfo> {
        let (tokens, store) = self.tokens.get()?;
        tokens.read(token, now, store)
    }

    /// Who signs tokens, once there is a key.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.tokens.get().map(|(tokens, _)| tokens)
    }
}

/// `401 Unauthorized`
pub fn unauthorized() -> Status {
    Status::failure(401, "Unauthorized", "Unauthorized")
}

/// Signatures, checked by ring through rustls: ECDSA P-256 with SHA-256, which is what this cluster's keys make.
mod signature {
    use rustls_pki_types::alg_id;
    use x509_parser::prelude::X509Certificate;

    /// Whether `ca`'s key signed `leaf`.
    pub fn verify(leaf: &X509Certificate<'_>, ca: &X509Certificate<'_>) -> bool {
        let key = ca.public_key().subject_public_key.data.as_ref();
        verify_p256(key, leaf.tbs_certificate.as_ref(), leaf.signature_value.data.as_ref())
    }

    /// Whether the private half of `key` (an uncompressed point) signed `message`; the signature in DER.
    pub fn verify_p256(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let provider = rustls::crypto::ring::default_provider();
        provider.signature_verification_algorithms.all.iter().any(|one| {
            one.signature_alg_id().as_ref() == alg_id::ECDSA_SHA256.as_ref()
                && one.public_key_alg_id().as_ref() == alg_id::ECDSA_P256.as_ref()
                && one.verify_signature(key, message, signature).is_ok()
        })
    }
}
