//! What a service account's token is bound to: it is believed only while that object is there.
//!
//! See `pkg/serviceaccount/claims.go` (`Claims`, `Validate`) and `pkg/registry/core/serviceaccount/storage/token.go`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::kinds::json::text;
use crate::registry::meta;
use crate::store::Store;

/// How long a pod or Secret that was told to go still counts: `ClaimsSkew` and a minute of grace, in seconds.
const LEEWAY: i64 = 60;

/// One object that a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its uid; empty where the object was not there.
    pub uid: String,
}

/// The kinds that a token can be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pod of the account's namespace.
    Pod,
    /// A Secret of the account's namespace.
    Secret,
    /// A node; beside a pod it is told and not checked.
    Node,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Pod, Self::Secret, Self::Node];

    /// The kind that an object reference names.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let core = api_version.split_once('/').is_none();
        Self::ALL.into_iter().find(|known| core && known.name() == kind)
    }

    /// `Pod`
    pub fn name(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Secret => "Secret",
            Self::Node => "Node",
        }
    }

    /// `pods`
    pub fn resource(self) -> &'static str {
        match self {
            Self::Pod => "pods",
            Self::Secret => "secrets",
            Self::Node => "nodes",
        }
    }

    fn claim(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Secret => "secret",
            Self::Node => "node",
        }
    }

    /// Where its objects live.
    pub fn namespace(self, of_account: &str) -> &str {
        match self {
            Self::Pod | Self::Secret => of_account,
            Self::Node => "",
        }
    }
}

/// Adds what a token is bound to to its private claims.
pub fn write(bound: &[Bound], claims: &mut Map<String, Value>) {
    for one in bound {
        claims.insert(one.kind.claim().to_owned(), json!({"name": one.name, "uid": one.uid}));
    }
}

/// What the private claims of a token tell about its bearer: `ServiceAccountInfo.UserInfo`. Of a Secret nothing is told.
pub fn extra(claims: &Value) -> BTreeMap<String, Vec<String>> {
    let kinds = [Kind::Pod, Kind::Node].into_iter();
    let told =
        kinds.flat_map(|kind| ["name", "uid"].map(|part| (format!("authentication.kubernetes.io/{}-{part}", kind.claim()), text(&claims[kind.claim()][part]))));
    told.filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key, vec![value.to_owned()])).collect()
}

/// Whether all that the private claims of a token name is still there at `now` (seconds since the epoch).
pub fn holds(claims: &Value, namespace: &str, now: i64, store: &Store) -> bool {
    let named = |kind: Kind| Some(&claims[kind.claim()]).filter(|reference| reference.is_object());
    Kind::ALL.into_iter().filter(|kind| *kind != Kind::Node || named(Kind::Pod).is_none()).all(|kind| {
        let Some(reference) = named(kind) else { return true };
        let Some(found) = store.find(kind.resource(), kind.namespace(namespace), text(&reference["name"])) else { return false };
        let object: Value = serde_json::from_slice(&found.json).unwrap_or_default(); // the registry wrote it: it parses
        let going = crate::kinds::table::parse_time(meta::get(&object, "deletionTimestamp")).is_some_and(|since| since + LEEWAY < now);
        object["metadata"]["uid"] == reference["uid"] && !going
    })
}
