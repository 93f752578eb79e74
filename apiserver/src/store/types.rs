//! What callers and the store say to each other: keys, writes, expectations, and what may be wrong with them.

use std::collections::BTreeMap;
use std::fmt;
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

impl Key {
    /// A key of its own strings.
    pub fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self { resource: resource.into(), namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { write!(f, "{}/{}", self.resource, self.name) } else { write!(f, "{}/{}/{}", self.resource, self.namespace, self.name) }
    }
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

impl Body {
    /// The final bytes of the object at `revision`: made once, shared by everyone who reads it.
    pub fn splice(&self, revision: Revision) -> Bytes {
        const MEMBER: &str = "\"resourceVersion\":\"";
        // 20 digits are the most a u64 has; the quote and the comma follow.
        let mut bytes = Vec::with_capacity(self.json.len() + MEMBER.len() + digits(revision) + 2);
        let (head, tail) = self.json.split_at(self.at.min(self.json.len()));
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(MEMBER.as_bytes());
        bytes.extend_from_slice(revision.to_string().as_bytes());
        bytes.push(b'"');
        if self.comma {
            bytes.push(b',');
        }
        bytes.extend_from_slice(tail);
        Bytes::from(bytes)
    }
}

fn digits(revision: Revision) -> usize {
    revision.checked_ilog10().unwrap_or(0) as usize + 1
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
    /// May be acknowledged from memory and persisted within 10 s (a Lease renewal that changes nothing but its time). Only a replacement
    /// can be; a commit is lazy if all of its writes are.
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

/// Reads attributes from JSON: what the store must know of kinds, which is nothing. The registry implements it.
pub trait Describe: Send + Sync {
    /// The attributes of an object of `resource` (`pods`, `deployments.apps`). Called at most once a version, when first asked for.
    fn attributes(&self, resource: &str, json: &[u8]) -> Attributes;
}

/// Why a commit did not happen. Nothing of it did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// [`Expect::Absent`], and there is one.
    #[error("{0} already exists")]
    Exists(Key),
    /// [`Expect::At`], and there is none.
    #[error("{0} not found")]
    Missing(Key),
    /// [`Expect::At`] another revision than the stored one. Read again and retry.
    #[error("{key} is at revision {have}")]
    Conflict {
        /// Which object.
        key: Key,
        /// Its revision now.
        have: Revision,
    },
    /// The disk failed, or the store is closed. Not to be retried at once; whether a write that was in flight survives is unknown.
    #[error("the store cannot write: {0}")]
    Unavailable(String),
    /// An object is larger than [`super::Options::max_object`].
    #[error("the object has {size} bytes; at most {limit} can be stored")]
    TooLarge {
        /// Bytes.
        size: usize,
        /// Bytes.
        limit: usize,
    },
}

/// Why the store did not open.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or the database in it.
    #[error(transparent)]
    Disk(#[from] super::DiskError),
    /// The writer's thread.
    #[error("the store's thread did not start: {0}")]
    Thread(std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_spliced_in_where_it_belongs() {
        for (json, at, comma, revision, expected) in [
            (r#"{"metadata":{"name":"a"}}"#, 13, true, 7, r#"{"metadata":{"resourceVersion":"7","name":"a"}}"#),
            (r#"{"metadata":{}}"#, 13, false, u64::MAX, r#"{"metadata":{"resourceVersion":"18446744073709551615"}}"#),
        ] {
            let body = Body { json: json.as_bytes().to_vec(), at, comma };
            assert_eq!(body.splice(revision), expected.as_bytes());
        }
    }

    #[test]
    fn digits_are_counted() {
        for number in [0, 1, 9, 10, 99, 100, u64::MAX] {
            assert_eq!(digits(number), number.to_string().len());
        }
    }
}
