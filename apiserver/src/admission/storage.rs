//! `StorageObjectInUseProtection` and `DefaultStorageClass`.
//!
//! See `plugin/pkg/admission/storage/{storageobjectinuseprotection,storageclass/setdefault}/admission.go`.

use serde_json::{Value, json};

use crate::kinds::json::{has, items, text};
use crate::registry::call::Call;
use crate::registry::meta;
use crate::store::Store;

/// Marks of the default class, the old one too.
const MARKS: [&str; 2] = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// What is in use is not removed before it is let go: a controller takes the finalizer off.
pub fn protect(object: &mut Value, finalizer: &str) {
    if items(&object["metadata"]["finalizers"]).iter().any(|one| one == finalizer) {
        return;
    }
    match object["metadata"]["finalizers"].as_array_mut() {
        Some(all) => all.push(json!(finalizer)),
        None => object["metadata"]["finalizers"] = json!([finalizer]),
    }
}

/// Whether a claim is mounted by a pod that has not ended, or a volume is bound to a claim.
pub fn in_use(call: &Call<'_>, object: &Value) -> bool {
    let name = meta::get(object, "name");
    match call.resource.storage_key().as_str() {
        "persistentvolumeclaims" => call.server.store.list("pods", Some(call.namespace())).items.iter().any(|version| {
            let pod: Value = serde_json::from_slice(&version.json).unwrap_or_default(); // the registry wrote it: it parses
            let over = matches!(text(&pod["status"]["phase"]), "Succeeded" | "Failed");
            !over && crate::auth::node::references(&pod["spec"], "persistentvolumeclaims", name)
        }),
        "persistentvolumes" => text(&object["status"]["phase"]) == "Bound",
        _ => false, // nothing else is looked after
    }
}

/// A claim that names no class gets the default one: of several the newest, then the first by name.
pub fn default_class(store: &Store, claim: &mut Value) {
    let named = has(&claim["spec"], "storageClassName") || !claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].is_null();
    if named {
        return;
    }
    let listing = store.list("storageclasses.storage.k8s.io", None);
    let classes = listing.items.iter().filter_map(|version| serde_json::from_slice::<Value>(&version.json).ok()); // the registry wrote them
    let defaults = classes.filter(|class| MARKS.iter().any(|mark| class["metadata"]["annotations"][*mark] == "true"));
    let newest = defaults.min_by_key(|class| {
        let created = crate::kinds::table::parse_time(meta::get(class, "creationTimestamp")).unwrap_or(0);
        (std::cmp::Reverse(created), meta::get(class, "name").to_owned())
    });
    if let Some(class) = newest {
        claim["spec"]["storageClassName"] = class["metadata"]["name"].clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protection_is_put_on_once() {
        let mut claim = json!({"metadata": {}});
        protect(&mut claim, "a/b");
        protect(&mut claim, "a/b");
        assert_eq!(claim["metadata"]["finalizers"], json!(["a/b"]));
    }
}
