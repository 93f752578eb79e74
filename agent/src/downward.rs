//! The downward API: what a pod may be told of itself, by `fieldRef` and `resourceFieldRef`, in variables and files.

use crate::pod;
use k8s_openapi::api::core::v1::{Container, ObjectFieldSelector, Pod, ResourceFieldSelector};
use skiff_proto::quantity::Quantity;
use skiff_proto::quote::quote;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What a pod's node knows beyond the pod's object.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The node's address.
    pub node_ip: Ipv4Addr,
    /// The pod's address.
    pub pod_ip: Option<Ipv4Addr>,
    /// What the node has to give: the limit of a container without one.
    pub allocatable: BTreeMap<String, Quantity>,
}

/// The value of a field of the pod (`fieldpath.ExtractFieldPathAsString` and `podFieldSelectorRuntimeValue`).
pub fn field(pod: &Pod, selector: &ObjectFieldSelector, facts: &Facts) -> Result<String, String> {
    let id = pod::id(pod);
    let spec = pod::spec(pod);
    let path = selector.field_path.as_str();
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let entries = match map {
            "metadata.labels" => &pod.metadata.labels,
            "metadata.annotations" => &pod.metadata.annotations,
            _ => return Err(format!("fieldPath \"{path}\" does not support subscript")),
        };
        return Ok(entries.as_ref().and_then(|entries| entries.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => id.name,
        "metadata.namespace" => id.namespace,
        "metadata.uid" => id.uid,
        "metadata.labels" => format_map(pod.metadata.labels.as_ref()),
        "metadata.annotations" => format_map(pod.metadata.annotations.as_ref()),
        "spec.nodeName" => spec.node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => facts.node_ip.to_string(),
        "status.podIP" | "status.podIPs" => facts.pod_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// `key="value"` a line, by key (`fieldpath.FormatMap`; values are quoted as Go's `%q`).
fn format_map(entries: Option<&BTreeMap<String, String>>) -> String {
    let lines = entries.into_iter().flatten().map(|(key, value)| format!("{key}={}", quote(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// The value of a container's resource (`resource.ExtractContainerResourceValue`): in units of the divisor, rounded up.
pub fn resource(container: &Container, selector: &ResourceFieldSelector, facts: &Facts) -> Result<String, String> {
    let resources = container.resources.as_ref();
    let (list, name) = selector.resource.split_once('.').unwrap_or((&selector.resource, ""));
    let of_node = || facts.allocatable.get(name).copied().unwrap_or(Quantity::ZERO);
    let value = match list {
        "limits" => pod::limit(resources, name).filter(|limit| !limit.is_zero()).unwrap_or_else(of_node),
        "requests" => pod::request(resources, name).unwrap_or(Quantity::ZERO),
        _ => return Err(format!("unsupported container resource : {}", selector.resource)),
    };
    let divisor = selector.divisor.as_ref().map(pod::quantity).filter(|divisor| !divisor.is_zero()).unwrap_or(Quantity::from_units(1));
    let (value, divisor) = (value.nanos(), divisor.nanos());
    Ok((value / divisor + i128::from(value % divisor > 0)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_and_resources() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"a": "1", "b": "say \"hi\"\n"}, "annotations": {"k.io/x": "v"}},
            "spec": {"nodeName": "node-1", "serviceAccountName": "sa", "containers": [{"name": "c", "resources":
                {"limits": {"memory": "64Mi"}, "requests": {"cpu": "250m"}}}]}
        }))
        .unwrap();
        let facts = Facts {
            node_ip: Ipv4Addr::new(10, 0, 0, 11),
            pod_ip: Some(Ipv4Addr::new(10, 0, 1, 5)),
            allocatable: [("cpu".to_owned(), Quantity::from_units(2))].into(),
        };
        let cases = [
            ("metadata.name", "p"),
            ("metadata.labels", "a=\"1\"\nb=\"say \\\"hi\\\"\\n\""),
            ("metadata.labels['a']", "1"),
            ("metadata.annotations['k.io/x']", "v"),
            ("metadata.annotations['none']", ""),
            ("spec.nodeName", "node-1"),
            ("status.podIP", "10.0.1.5"),
            ("status.hostIP", "10.0.0.11"),
        ];
        for (path, expected) in cases {
            let selector = ObjectFieldSelector { field_path: path.into(), api_version: None };
            assert_eq!(field(&pod, &selector, &facts).as_deref(), Ok(expected), "{path}");
        }
        let cases = [
            ("limits.memory", "1Mi", "64"),
            ("limits.memory", "", "67108864"),
            ("limits.cpu", "", "2"),
            ("requests.cpu", "1m", "250"),
            ("requests.cpu", "", "1"),
        ];
        for (name, divisor, expected) in cases {
            let divisor = Some(divisor).filter(|divisor| !divisor.is_empty());
            let selector: ResourceFieldSelector = serde_json::from_value(json!({"resource": name, "divisor": divisor})).unwrap();
            assert_eq!(resource(&pod::regular_containers(&pod)[0], &selector, &facts).as_deref(), Ok(expected), "{name}");
        }
    }
}
