//! `metadata`: what the server fills in, what it keeps, and what may be in it.
//!
//! See `apiserver/pkg/registry/rest/{create,update,meta}.go` and `apimachinery/pkg/api/validation/objectmeta.go`.

use serde_json::{Map, Value, json};

use super::resource::Resource;
use crate::error::FieldError;
use crate::kinds::json::{entries, flag, int, items, text};
use crate::kinds::path::Path;
use crate::kinds::{labels, name};

/// Characters of generated names: no vowels, no look-alikes (`util/rand`).
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// `metadata`, made if it is not there.
pub fn of(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    match &mut object["metadata"] {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => unreachable!("made an object above"),
    }
}

/// A string member of `metadata`, or "".
pub fn get<'a>(object: &'a Value, key: &str) -> &'a str {
    text(&object["metadata"][key])
}

/// Whether somebody asked for the object's deletion.
pub fn is_deleting(object: &Value) -> bool {
    !get(object, "deletionTimestamp").is_empty()
}

/// `FillObjectMetaSystemFields`, generated name and what a client may not set on create.
pub fn prepare_for_create(object: &mut Value, now: &str, uid: String, random: u64) {
    let metadata = of(object);
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
        metadata.remove(key);
    }
    metadata.insert("creationTimestamp".to_owned(), Value::from(now));
    metadata.insert("uid".to_owned(), Value::from(uid));
    generate_name(metadata, random);
}

/// Gives an object with only a `generateName` a name. Called again after a collision, with the name removed.
pub fn generate_name(metadata: &mut Map<String, Value>, random: u64) {
    let prefix = metadata.get("generateName").map_or("", text).to_owned();
    if prefix.is_empty() || !metadata.get("name").map_or("", text).is_empty() {
        return;
    }
    let base: String = prefix.chars().take(58).collect();
    metadata.insert("name".to_owned(), Value::from(format!("{base}{}", suffix(random))));
}

/// Five random characters, as behind every generated name.
pub fn suffix(mut random: u64) -> String {
    let mut letters = String::with_capacity(5);
    for _ in 0..5 {
        letters.push(char::from(ALPHABET[(random % 27) as usize]));
        random /= 27;
    }
    letters
}

/// Puts back what an update may not change; `old` is stored. See `BeforeUpdate`.
pub fn prepare_for_update(object: &mut Value, old: &Value) {
    let metadata = of(object);
    metadata.remove("selfLink");
    for key in ["generation", "creationTimestamp"] {
        match &old["metadata"][key] {
            Value::Null => metadata.remove(key),
            kept => metadata.insert(key.to_owned(), kept.clone()),
        };
    }
    if metadata.get("uid").map_or("", text).is_empty() {
        metadata.insert("uid".to_owned(), old["metadata"]["uid"].clone());
    }
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        if !old["metadata"][key].is_null() {
            metadata.insert(key.to_owned(), old["metadata"][key].clone());
        }
    }
}

/// `ValidateObjectMetaAccessor`, with the kind's own rule for names.
pub fn validate(object: &Value, resource: &Resource) -> Vec<FieldError> {
    validate_with(object, resource.namespaced, |name, prefix| resource.strategy.validate_name(name, prefix))
}

fn validate_with(object: &Value, namespaced: bool, rule: impl Fn(&str, bool) -> Vec<String>) -> Vec<FieldError> {
    let metadata = &object["metadata"];
    let path = Path::new("metadata");
    let mut errors = Vec::new();
    let named = text(&metadata["name"]);
    let prefix = text(&metadata["generateName"]);
    if !prefix.is_empty() {
        errors.extend(rule(prefix, true).into_iter().map(|why| FieldError::invalid(path.child("generateName"), prefix, why)));
    }
    if named.is_empty() {
        errors.push(FieldError::required(path.child("name"), "name or generateName is required"));
    } else {
        errors.extend(rule(named, false).into_iter().map(|why| FieldError::invalid(path.child("name"), named, why)));
    }
    let namespace = text(&metadata["namespace"]);
    if !namespaced && !namespace.is_empty() {
        errors.push(FieldError::forbidden(path.child("namespace"), "not allowed on this type"));
    } else if namespaced && namespace.is_empty() {
        errors.push(FieldError::required(path.child("namespace"), ""));
    } else if namespaced {
        errors.extend(name::dns_label(namespace, false).into_iter().map(|why| FieldError::invalid(path.child("namespace"), namespace, why)));
    }
    if int(&metadata["generation"]) < 0 {
        errors.push(FieldError::invalid(path.child("generation"), metadata["generation"].clone(), "must be greater than or equal to 0"));
    }
    errors.extend(labels::validate_labels(&metadata["labels"], &path.child("labels")));
    errors.extend(labels::validate_annotations(&metadata["annotations"], &path.child("annotations")));
    errors.extend(owner_references(&metadata["ownerReferences"], &path.child("ownerReferences")));
    errors.extend(finalizers(&metadata["finalizers"], &path.child("finalizers")));
    errors.extend(managed_fields(&metadata["managedFields"], &path.child("managedFields")));
    errors
}

/// Every fault of changed metadata. As in Kubernetes the generic registry checks it, and then each kind's validation checks the
/// change again, so that a fault is told once in the message and several times in `causes`.
pub fn validate_update(object: &Value, old: &Value, resource: &Resource) -> Vec<FieldError> {
    let mut errors = validate_with(object, resource.namespaced, name::path_segment);
    let changed = validate_change(object, old);
    errors.extend(changed.iter().cloned());
    errors.extend(changed);
    errors
}

/// `ValidateObjectMetaAccessorUpdate`.
fn validate_change(object: &Value, old: &Value) -> Vec<FieldError> {
    let (new, old) = (&object["metadata"], &old["metadata"]);
    let path = Path::new("metadata");
    let mut errors = Vec::new();
    if !old["deletionTimestamp"].is_null() {
        let mut extra: Vec<&str> =
            items(&new["finalizers"]).iter().map(text).filter(|one| !items(&old["finalizers"]).iter().any(|had| text(had) == *one)).collect();
        extra.sort_unstable();
        extra.dedup();
        if !extra.is_empty() {
            let shown: Vec<String> = extra.iter().map(|one| format!("{one:?}")).collect();
            let why = format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}", shown.join(", "));
            errors.push(FieldError::forbidden(path.child("finalizers"), why));
        }
    }
    if text(&new["resourceVersion"]).is_empty() {
        errors.push(FieldError::invalid(path.child("resourceVersion"), "", "must be specified for an update"));
    }
    if int(&new["generation"]) < int(&old["generation"]) {
        errors.push(FieldError::invalid(path.child("generation"), new["generation"].clone(), "must not be decremented"));
    }
    for key in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if new[key] != old[key] {
            errors.push(FieldError::invalid(path.child(key), new[key].clone(), "field is immutable"));
        }
    }
    errors.extend(labels::validate_labels(&new["labels"], &path.child("labels")));
    errors.extend(labels::validate_annotations(&new["annotations"], &path.child("annotations")));
    errors.extend(owner_references(&new["ownerReferences"], &path.child("ownerReferences")));
    errors.extend(managed_fields(&new["managedFields"], &path.child("managedFields")));
    errors
}

fn owner_references(references: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controller: Option<String> = None;
    for one in items(references) {
        let (api_version, kind) = (text(&one["apiVersion"]), text(&one["kind"]));
        let version = api_version.rsplit_once('/').map_or(api_version, |(_, version)| version);
        if version.is_empty() {
            errors.push(FieldError::invalid(path.child("apiVersion"), api_version, "version must not be empty"));
        }
        for key in ["kind", "name", "uid"] {
            if text(&one[key]).is_empty() {
                errors.push(FieldError::invalid(path.child(key), "", "must not be empty"));
            }
        }
        if (api_version, kind) == ("v1", "Event") {
            errors.push(FieldError::invalid(path, one.clone(), "/v1, Kind=Event is disallowed from being an owner"));
        }
        if flag(&one["controller"]) {
            let this = format!("{kind}/{}", text(&one["name"]));
            match &controller {
                Some(first) => {
                    let why = format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}");
                    errors.push(FieldError::invalid(path, references.clone(), why));
                }
                None => controller = Some(this),
            }
        }
    }
    errors
}

fn finalizers(all: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for one in items(all).iter().map(text) {
        errors.extend(name::qualified(one).into_iter().map(|why| FieldError::invalid(path, one, why)));
    }
    let has = |wanted: &str| items(all).iter().any(|one| text(one) == wanted);
    if has("orphan") && has("foregroundDeletion") {
        errors.push(FieldError::invalid(path, all.clone(), "finalizer orphan and foregroundDeletion cannot be both set"));
    }
    errors
}

fn managed_fields(all: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, one) in items(all).iter().enumerate() {
        let path = path.index(index);
        let operation = text(&one["operation"]);
        if !matches!(operation, "Apply" | "Update") {
            errors.push(FieldError::invalid(path.child("operation"), operation, "must be `Apply` or `Update`"));
        }
        let kind = text(&one["fieldsType"]);
        if !kind.is_empty() && kind != "FieldsV1" {
            errors.push(FieldError::invalid(path.child("fieldsType"), kind, "must be `FieldsV1`"));
        }
    }
    errors
}

/// The labels of an object.
pub fn labels_of(object: &Value) -> std::collections::BTreeMap<String, String> {
    entries(&object["metadata"]["labels"]).map(|(key, value)| (key.clone(), text(value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_generated_within_63_characters() {
        let mut object = json!({"metadata": {"generateName": "x".repeat(80)}});
        prepare_for_create(&mut object, "2026-01-01T00:00:00Z", "u".to_owned(), 123_456_789);
        assert_eq!(get(&object, "name").len(), 63);
        let mut named = json!({"metadata": {"generateName": "p-", "name": "given", "resourceVersion": "7", "selfLink": "/x"}});
        prepare_for_create(&mut named, "2026-01-01T00:00:00Z", "u".to_owned(), 1);
        assert_eq!(named, json!({"metadata": {"generateName": "p-", "name": "given", "creationTimestamp": "2026-01-01T00:00:00Z", "uid": "u"}}));
    }

    #[test]
    fn identity_survives_an_update() {
        let old = json!({"metadata": {"name": "a", "uid": "u", "creationTimestamp": "t", "generation": 2, "deletionTimestamp": "d"}});
        let mut new = json!({"metadata": {"name": "a", "generation": 9, "creationTimestamp": "z", "resourceVersion": "5"}});
        prepare_for_update(&mut new, &old);
        assert_eq!(validate_change(&new, &old), Vec::new());
        new["metadata"]["uid"] = json!("v");
        new["metadata"]["finalizers"] = json!(["b/c", "a/b"]);
        let told: Vec<String> = validate_change(&new, &old).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"a/b\", \"b/c\"}",
                "metadata.uid: Invalid value: \"v\": field is immutable"
            ]
        );
    }

    #[test]
    fn two_controllers_are_one_too_many() {
        let references = json!([
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "1", "controller": true},
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "b", "uid": "2", "controller": true},
            {"apiVersion": "", "kind": "X", "name": "", "uid": "3"},
        ]);
        assert_eq!(owner_references(&references, &Path::new("o")).len(), 3);
    }
}
