//! Are two pod templates the same? See `EqualIgnoreHash` in `pkg/controller/deployment/util/deployment_util.go`.

use serde_json::Value;

use crate::view::replicas::Template;

/// The label that tells one template's pods from another's: `apps.DefaultDeploymentUniqueLabelKey`.
pub const HASH_LABEL: &str = "pod-template-hash";

/// The template as a value; what cannot be parsed was never stored, so it counts as empty.
pub fn parse(template: &Template) -> Value {
    serde_json::from_str(template.json.get()).unwrap_or(Value::Null)
}

/// Whether two templates ask for the same pods: all but the hash label, an absent list being an empty one.
pub fn same(one: &Value, other: &Value) -> bool {
    comparable(one) == comparable(other)
}

fn comparable(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH_LABEL);
    }
    prune(&mut template);
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| !value.as_object().is_some_and(serde_json::Map::is_empty));
    }
    if template["metadata"].as_object().is_some_and(serde_json::Map::is_empty) {
        template["metadata"].take();
    }
    template
}

/// Removes nulls and empty lists: `Semantic.DeepEqual` takes nil and empty for equal.
fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|_, value| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn compares_as_kubernetes_does() {
        let base = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
        let cases = [
            (json!({"metadata": {"labels": {"app": "a", HASH_LABEL: "x"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}), true),
            (
                json!({"metadata": {"labels": {"app": "a"}, "annotations": {}, "creationTimestamp": null}, "spec": {"volumes": [], "containers": [{"name": "c", "image": "i:1"}]}}),
                true,
            ),
            (json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i:2"}]}}), false),
            (
                json!({"metadata": {"labels": {"app": "a"}, "annotations": {"restartedAt": "now"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}),
                false,
            ),
            (json!({"metadata": {"labels": {"app": "a"}}, "spec": {"hostNetwork": true, "containers": [{"name": "c", "image": "i:1"}]}}), false),
        ];
        for (other, expected) in cases {
            assert_eq!(same(&base, &other), expected, "{other}");
        }
    }
}
