//! What a write cannot change, and so nobody comes to own by it: `ResetFieldsStrategy` of Kubernetes' registries, and the metadata that
//! the server writes.

use std::sync::LazyLock;

use super::set::Set;

/// What is left out of a set, or all that is kept of it. Paths are names of fields; `*` is any step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resets {
    /// These, and what is below them.
    Out(&'static [&'static [&'static str]]),
    /// All but these, and what is below them.
    AllBut(&'static [&'static [&'static str]]),
}

const SPEC: &[&str] = &["spec"];
const STATUS: &[&str] = &["status"];
const METADATA: &[&str] = &["metadata"];

impl Resets {
    /// Of a write to a resource (`pods`, `deployments.apps`) or its subresource. Most have the same two rules.
    pub fn of(group_resource: &str, subresource: &str) -> Self {
        match (group_resource, subresource) {
            // its rule names a version that is none (`networking/v1`), so that nothing is reset
            ("servicecidrs.networking.k8s.io", _) => Self::Out(&[]),
            ("certificatesigningrequests.certificates.k8s.io", "") => Self::Out(&[SPEC, STATUS]),
            ("certificatesigningrequests.certificates.k8s.io", "status") => Self::Out(&[SPEC, &["status", "conditions"]]),
            ("certificatesigningrequests.certificates.k8s.io", "approval") => Self::Out(&[SPEC, &["status", "certificate"]]),
            ("namespaces", "finalize") => Self::Out(&[STATUS]),
            ("pods", "status") => Self::Out(&[SPEC, &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]]),
            ("pods", "ephemeralcontainers") => Self::AllBut(&[&["spec", "ephemeralContainers"]]),
            ("pods", "resize") => Self::AllBut(&[
                &["spec", "containers", "*", "resources"],
                &["spec", "containers", "*", "resizePolicy"],
                &["spec", "initContainers", "*", "resources"],
                &["spec", "initContainers", "*", "resizePolicy"],
            ]),
            ("deployments.apps", "status") => Self::Out(&[SPEC, &["metadata", "labels"]]),
            (
                "validatingadmissionpolicies.admissionregistration.k8s.io"
                | "resourceclaims.resource.k8s.io"
                | "devicetaintrules.resource.k8s.io"
                | "volumeattachments.storage.k8s.io"
                | "flowschemas.flowcontrol.apiserver.k8s.io"
                | "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io"
                | "storageversionmigrations.storagemigration.k8s.io"
                | "customresourcedefinitions.apiextensions.k8s.io"
                | "apiservices.apiregistration.k8s.io",
                "status",
            ) => Self::Out(&[METADATA, SPEC]),
            (_, "status") => Self::Out(&[SPEC]),
            (_, "") => Self::Out(&[STATUS]),
            (_, _) => Self::Out(&[]),
        }
    }

    /// Whether a field of the object itself, and all below it, is left out.
    pub fn leaves_out(self, field: &str) -> bool {
        match self {
            Self::Out(paths) => paths.contains(&&[field][..]),
            Self::AllBut(paths) => !paths.iter().any(|path| path.first() == Some(&field)),
        }
    }

    /// What may be owned of a set.
    pub fn keep(self, set: Set) -> Set {
        match self {
            Self::Out([]) => set,
            Self::Out(paths) => paths.iter().fold(set, |set, path| set.without(&Set::path(path))),
            Self::AllBut(paths) => set.below(paths),
        }
    }
}

/// The fields of `metadata` that the server writes (`NewStripMetaManager`).
pub const SYSTEM_METADATA: [&str; 9] =
    ["name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"];

static SYSTEM: LazyLock<Set> = LazyLock::new(|| {
    let own = ["apiVersion", "kind", "metadata"].iter().map(|field| Set::path(&[field]));
    own.chain(SYSTEM_METADATA.iter().map(|field| Set::path(&["metadata", field]))).fold(Set::default(), |all, one| all.union(&one))
});

/// A set without what is never owned: type and system metadata.
pub fn without_system_fields(set: &Set) -> Set {
    set.difference(&SYSTEM)
}
