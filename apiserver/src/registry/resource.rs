//! What discovery says of a resource, and the registration that everything else is read off.

use std::sync::Arc;

use super::strategy::Strategy;
use crate::schema::Gvk;

/// How a resource is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the store.
    Stored,
    /// Answered, never stored: `subjectaccessreviews`, `tokenreviews`, `bindings`, `componentstatuses`.
    Virtual,
    /// Another server answers (aggregated APIs; later).
    Proxied,
}

/// One served resource. Static facts come from `kinds/api-resources.tsv`.
#[derive(Clone)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    /// Every version served, the preferred one first.
    pub versions: Vec<String>,
    /// The version objects are stored in (of `group`).
    pub storage_version: String,
    /// `pods`
    pub plural: String,
    /// `pod`
    pub singular: String,
    /// `Pod`
    pub kind: String,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// `po`
    pub short_names: Vec<String>,
    /// `all`
    pub categories: Vec<String>,
    /// `create`, `delete`, `deletecollection`, `get`, `list`, `patch`, `update`, `watch`
    pub verbs: Vec<String>,
    /// Subresources.
    pub subresources: Vec<Subresource>,
    /// Stored or answered.
    pub storage: Storage,
    /// The kind's rules.
    pub strategy: Arc<dyn Strategy>,
}

/// One subresource of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// `status`, `scale`, `log`
    pub name: String,
    /// Group, version and kind of its body where they are not the resource's own: `autoscaling/v1 Scale`.
    pub group: String,
    /// See `group`; empty where it is the resource's own.
    pub version: String,
    /// `Pod`, `Scale`, `Eviction`
    pub kind: String,
    /// Its verbs.
    pub verbs: Vec<String>,
}

impl Resource {
    /// `pods`, `deployments.apps`: the resource's part of a store key.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The resource's part of a store key. Events of both groups are one collection.
    pub fn storage_key(&self) -> String {
        if self.plural == "events" { self.plural.clone() } else { self.group_resource() }
    }

    /// Whether a deletion answers the object instead of a Status (`ReturnDeletedObject` in `pkg/registry/*/storage`).
    pub fn answers_deleted_object(&self) -> bool {
        RETURNS_DELETED.contains(&self.group_resource().as_str())
    }

    /// Whether a deletion that does not say otherwise leaves what the object owns (`DefaultGarbageCollectionPolicy`).
    pub fn orphans_by_default(&self) -> bool {
        matches!(self.group_resource().as_str(), "jobs.batch" | "replicationcontrollers")
    }

    /// Whether the resource has this subresource.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|one| one.name == name)
    }

    /// Group, version and kind in `version`.
    pub fn gvk(&self, version: &str) -> Gvk {
        Gvk { group: self.group.clone(), version: version.to_owned(), kind: self.kind.clone() }
    }

    /// `v1`, `apps/v1`
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }
}

/// Kinds whose deletion answers the object.
const RETURNS_DELETED: &[&str] = &[
    "pods",
    "services",
    "serviceaccounts",
    "podtemplates",
    "resourcequotas",
    "namespaces",
    "persistentvolumes",
    "persistentvolumeclaims",
    "storageclasses.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "csidrivers.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "volumeattributesclasses.storage.k8s.io",
    "deviceclasses.resource.k8s.io",
    "resourceclaims.resource.k8s.io",
    "resourceclaimtemplates.resource.k8s.io",
    "resourceslices.resource.k8s.io",
];

/// The table of every built-in resource.
const TABLE: &str = include_str!("../kinds/api-resources.tsv");

/// Every built-in resource, in the order of the table.
pub fn builtin() -> Vec<Resource> {
    let mut all: Vec<Resource> = Vec::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.starts_with("group\t")) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [group, version, plural, kind, singular, namespaced, short, categories, verbs, subresources, stored, preferred] = cells[..] else {
            continue; // a test counts the lines
        };
        if let Some(known) = all.iter_mut().find(|one| one.group == group && one.plural == plural) {
            let at = if preferred == "yes" { 0 } else { known.versions.len() };
            known.versions.insert(at, version.to_owned());
            continue;
        }
        let group_resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let (storage_group, storage_version) = stored.rsplit_once('/').unwrap_or(("", stored));
        // Stored as another group's kind (events) or as a version that is not served: the served version is kept.
        let storage_version = if storage_group == group && storage_version.starts_with('v') { storage_version } else { version };
        let list = |text: &str| text.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        all.push(Resource {
            group: group.to_owned(),
            versions: vec![version.to_owned()],
            storage_version: if matches!(group, "storage.k8s.io" | "apiextensions.k8s.io") { "v1".to_owned() } else { storage_version.to_owned() },
            plural: plural.to_owned(),
            singular: singular.to_owned(),
            kind: kind.to_owned(),
            namespaced: namespaced == "true",
            short_names: list(short),
            categories: list(categories),
            verbs: list(verbs),
            subresources: subresources.split("; ").filter_map(|text| read_subresource(text, group, version)).collect(),
            storage: if stored.is_empty() { Storage::Virtual } else { Storage::Stored },
            strategy: crate::kinds::strategy(&group_resource),
        });
    }
    all
}

/// `scale=autoscaling/v1.Scale(get patch update)`
fn read_subresource(text: &str, group: &str, version: &str) -> Option<Subresource> {
    let (name, rest) = text.split_once('=')?;
    let (kind, verbs) = rest.strip_suffix(')')?.split_once('(')?;
    let (gv, kind) = kind.rsplit_once('.').unwrap_or(("", kind));
    let (sub_group, sub_version) = match gv.split_once('/') {
        Some((sub_group, sub_version)) => (sub_group, sub_version),
        None if kind == "Scale" => ("autoscaling", "v1"),
        None => (group, version),
    };
    let own = gv.is_empty() && kind != "Scale";
    Some(Subresource {
        name: name.to_owned(),
        group: if own { String::new() } else { sub_group.to_owned() },
        version: if own { String::new() } else { sub_version.to_owned() },
        kind: kind.to_owned(),
        verbs: verbs.split(' ').map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_served() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#') && !line.starts_with("group\t")).count();
        let all = builtin();
        assert_eq!(all.iter().map(|one| one.versions.len()).sum::<usize>(), lines);
        let find = |key: &str| all.iter().find(|one| one.group_resource() == key).unwrap();
        let scaler = find("horizontalpodautoscalers.autoscaling");
        assert_eq!((scaler.versions.as_slice(), scaler.storage_version.as_str()), (["v2".to_owned(), "v1".to_owned()].as_slice(), "v2"));
        let scale = find("deployments.apps").subresource("scale").unwrap();
        assert_eq!((scale.group.as_str(), scale.version.as_str(), scale.kind.as_str()), ("autoscaling", "v1", "Scale"));
        assert_eq!(find("pods").subresource("eviction").unwrap().group, "policy");
        assert_eq!(find("tokenreviews.authentication.k8s.io").storage, Storage::Virtual);
        assert_eq!(find("events.events.k8s.io").storage_key(), "events");
        for one in &all {
            assert!(one.versions.contains(&one.storage_version), "{} {}", one.group_resource(), one.storage_version);
        }
    }
}
