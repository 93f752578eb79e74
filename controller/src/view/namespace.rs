//! Namespaces, and the two objects that each of them is given.

use serde::Deserialize;

use super::meta::{Labels, Meta};

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Its name.
    pub metadata: Meta,
    /// Its finalizers.
    pub spec: NamespaceSpec,
    /// Its phase.
    pub status: NamespaceStatus,
    /// What is said of it.
    #[serde(skip)]
    pub not_implemented: Option<Box<str>>,
}

/// `core/v1.NamespaceSpec`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NamespaceSpec {
    /// `kubernetes` until its content is gone.
    pub finalizers: Vec<String>,
}

/// `core/v1.NamespaceStatus`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NamespaceStatus {
    /// `Active` or `Terminating`.
    pub phase: String,
    /// How its deletion goes.
    pub conditions: Vec<super::replicas::Condition>,
}

/// A service account: only that it is there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ServiceAccount {
    /// Its name.
    pub metadata: Meta,
}

/// A ConfigMap: the whole of `kube-root-ca.crt`, only the metadata of others.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CaBundle {
    /// Its namespace.
    pub metadata: Meta,
    /// `ca.crt` and nothing else.
    pub data: Labels,
}
