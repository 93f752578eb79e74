//! Small pods and nodes for tests.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::view::{NodeView, PodView};

/// A pod `default/name` with this spec.
pub fn pod(name: &str, spec: Value) -> Arc<PodView> {
    labelled(name, &[], spec)
}

/// A pod with labels.
pub fn labelled(name: &str, labels: &[(&str, &str)], mut spec: Value) -> Arc<PodView> {
    if spec["containers"].is_null() {
        spec["containers"] = json!([{"name": "c", "image": "i"}]);
    }
    spec["schedulerName"] = json!("default-scheduler");
    let labels: serde_json::Map<String, Value> = labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let pod = json!({"metadata": {"namespace": "default", "name": name, "uid": format!("uid-{name}"), "labels": labels}, "spec": spec});
    Arc::new(PodView::of(&serde_json::from_value(pod).expect("a pod")))
}

/// A pod that asks for this much CPU.
pub fn asking(name: &str, cpu: &str) -> Arc<PodView> {
    pod(name, json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]}))
}

/// A node of 4 CPUs, 8 GiB and 110 pods; `more` is merged into the object's top level.
pub fn node(name: &str, more: Value) -> Arc<NodeView> {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
    });
    merge(&mut node, more);
    Arc::new(NodeView::of(&serde_json::from_value(node).expect("a node")))
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}
