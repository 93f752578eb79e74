//! The store: every version of every object, one global revision, and the watches that follow it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

/// The cluster's clock: each committed write has the next one. `metadata.resourceVersion` is its decimal form.
pub type Revision = u64;

/// Where an object lives. Ordered as lists are: by resource, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Group-resource: `pods`, `deployments.apps`.
    pub resource: Arc<str>,
    /// Empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
}

/// An object's JSON without its resourceVersion, and where that goes: the writer splices `"resourceVersion":"N"` followed, if
/// `comma`, by a comma, in at byte `at` when it assigns the revision.
#[derive(Clone, Debug)]
pub struct Body {
    /// The JSON text.
    pub json: Vec<u8>,
    /// The byte just after the `{` of `metadata`.
    pub at: usize,
    /// Whether another member of `metadata` follows.
    pub comma: bool,
}

/// What must hold of the stored object for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is none.
    Absent,
    /// It is there at exactly this revision.
    At(Revision),
}

/// What a write does.
#[derive(Clone, Debug)]
pub enum Op {
    /// Create or replace.
    Put(Body),
    /// Remove; the body is the last state, which watchers get with the revision of the deletion.
    Delete(Body),
}

/// One write of a commit.
#[derive(Clone, Debug)]
pub struct Write {
    /// Which object.
    pub key: Key,
    /// Precondition.
    pub expect: Expect,
    /// What to do.
    pub op: Op,
    /// May be acknowledged from memory and persisted within 10 s (a Lease renewal that changes nothing but its time).
    pub lazy: bool,
}

/// What selectors and watch indexes read of an object, taken from its JSON once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// The fields that field selectors of this resource may name (`spec.nodeName`, `status.phase` …), with their values.
    pub fields: BTreeMap<&'static str, String>,
}
