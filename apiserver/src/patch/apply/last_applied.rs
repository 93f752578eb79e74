//! The annotation that `kubectl apply` writes without `--server-side`, and what kubectl's server-side apply makes of it.
//!
//! See `apimachinery/pkg/util/managedfields/internal/{lastappliedmanager,lastappliedupdater,lastapplied}.go`.

use serde_json::Value;

use super::compare::compare;
use super::fields::fields_of;
use super::set::Set;
use super::validate::validate;
use super::{Scope, all_of};

/// The manager for whom the annotation is followed.
pub const KUBECTL: &str = "kubectl";

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotations may have this many bytes together (`TotalAnnotationSizeLimitB`).
const MOST_BYTES: usize = 256 << 10;

/// The paths that the annotation names and that are still as it says.
pub fn owned(scope: &Scope<'_>, live: &Value) -> Option<Set> {
    let last: Value = serde_json::from_str(annotation(live)?).ok()?;
    if last["apiVersion"] != scope.gvk.api_version().as_str() || last["kind"] != scope.gvk.kind.as_str() {
        return None;
    }
    let place = scope.own_place();
    validate(place, live, false).ok()?;
    validate(place, &last, false).ok()?;
    let changed = all_of(&compare(place, &last, live).ok()?);
    Some(fields_of(place, &last).difference(&changed))
}

fn annotation(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][ANNOTATION].as_str().filter(|text| !text.is_empty())
}

/// The annotation, where there is one, says what was applied now; it goes where it would be too long.
pub fn follow(object: &mut Value, wanted: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut said = wanted.clone();
    if let Some(annotations) = said.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations")).and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    let Some(annotations) = object["metadata"]["annotations"].as_object_mut() else { return };
    // as Go's encoder escapes them; outside of strings JSON has none of these
    let text = format!("{said}\n").replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let others: usize = annotations.iter().filter(|(key, _)| *key != ANNOTATION).map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if others + ANNOTATION.len() + text.len() > MOST_BYTES {
        annotations.remove(ANNOTATION);
    } else {
        annotations.insert(ANNOTATION.to_owned(), Value::from(text));
    }
}
