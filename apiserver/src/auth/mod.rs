//! Who a caller is ([`authenticate`]) and what the caller may do.

use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;

/// Knows the cluster's CA and says who holds a certificate.
pub struct Authenticator {}

impl Authenticator {
    /// Trusts certificates that this CA signed (DER).
    pub fn new(_ca_der: &[u8]) -> Result<Self, String> {
        Ok(Self {})
    }

    /// The caller behind a connection: its client certificate (DER, the leaf), if it sent one, and its `Authorization` header.
    /// An unknown certificate or any bearer token that is not ours is a `401` Status; no credentials at all are [`UserInfo::anonymous`].
    /// `now`: seconds since the epoch.
    pub fn authenticate(&self, _peer: Option<&[u8]>, _authorization: Option<&str>, _now: i64) -> Result<UserInfo, Status> {
        Ok(UserInfo::anonymous())
    }
}
