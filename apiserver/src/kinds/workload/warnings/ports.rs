//! Ports of one pod that collide. See `warningsForPodSpecAndMeta` in `pkg/api/pod/warnings.go`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kinds::json::{int, items, text};
use crate::kinds::path::Path;
use crate::kinds::workload::podspec::visit_containers;

/// One sentence a collision: first of numbers, then of names.
pub fn clashes(spec: &Value, path: &Path) -> Vec<String> {
    let ports: Vec<(&Value, Path)> = visit_containers(spec, path)
        .into_iter()
        .flat_map(|(container, at)| {
            let list = items(&container["ports"]).iter().enumerate();
            list.map(move |(index, port)| (port, at.child("ports").index(index))).collect::<Vec<_>>()
        })
        .collect();
    let mut told = Vec::new();
    let mut numbers: BTreeMap<(i64, &str), Vec<(&Value, &Path)>> = BTreeMap::new();
    for (port, at) in &ports {
        let (host, address) = (int(&port["hostPort"]), text(&port["hostIP"]));
        if !address.is_empty() && host == 0 {
            told.push(format!(
                "{at}: hostIP set without hostPort: {{Name:{} HostPort:{host} ContainerPort:{} Protocol:{} HostIP:{address}}}",
                text(&port["name"]),
                int(&port["containerPort"]),
                text(&port["protocol"])
            ));
        }
        let others = numbers.entry((int(&port["containerPort"]), text(&port["protocol"]))).or_default();
        told.extend(others.iter().filter_map(|(other, place)| clash(port, other).map(|how| format!("{at}: {how} port definition with {place}"))));
        others.push((port, at));
    }
    let mut names: BTreeMap<&str, &Path> = BTreeMap::new();
    for (port, at) in ports.iter().filter(|(port, _)| !text(&port["name"]).is_empty()) {
        let called = text(&port["name"]);
        match names.get(called) {
            Some(other) => {
                told.push(format!("{at}: duplicate port name {called:?} with {other}, services and probes that select ports by name will use {other}"))
            }
            None => drop(names.insert(called, at)),
        }
    }
    told
}

fn clash(port: &Value, other: &Value) -> Option<&'static str> {
    let (host, host_of_other) = (int(&port["hostPort"]), int(&other["hostPort"]));
    let (address, address_of_other) = (text(&port["hostIP"]), text(&other["hostIP"]));
    if address == address_of_other && host == host_of_other {
        Some("duplicate")
    } else if host == 0 || host_of_other == 0 {
        Some("overlapping")
    } else if host == host_of_other && address.is_empty() != address_of_other.is_empty() {
        Some("dangerously ambiguous")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_names() {
        let spec = json!({"containers": [
            {"ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}]},
            {"ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "UDP"}]}]});
        assert_eq!(
            clashes(&spec, &Path::new("spec")),
            [
                "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
                "spec.containers[1].ports[0]: duplicate port name \"http\" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]",
            ]
        );
    }
}
