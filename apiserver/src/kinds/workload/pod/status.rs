//! What a kubelet may say of a pod. See `ValidatePodStatusUpdate`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::validate::annotation_updates;
use crate::error::FieldError;
use crate::kinds::check::{faults, in_range, ip, ip_warning, one_of, parse_ip, qualified};
use crate::kinds::json::{has, int, is_empty, items, text};
use crate::kinds::name;
use crate::kinds::path::Path;

/// The faults of a write of `/status`.
pub fn update(pod: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    annotation_updates(pod, old, &mut out);
    let (status, before, path) = (&pod["status"], &old["status"], Path::new("status"));
    conditions(status, &path.child("conditions"), &mut out);
    nominated(pod, old, &path.child("nominatedNodeName"), &mut out);
    if int(&status["observedGeneration"]) < 0 {
        out.push(FieldError::invalid(path.child("observedGeneration"), int(&status["observedGeneration"]), "must be a non-negative integer"));
    }
    if text(&status["qosClass"]) != text(&before["qosClass"]) {
        out.push(FieldError::invalid(path.child("qosClass"), text(&status["qosClass"]), name::IMMUTABLE));
    }
    for (list, containers) in [("containerStatuses", "containers"), ("initContainerStatuses", "initContainers"), ("ephemeralContainerStatuses", "")] {
        transitions(status, before, list, &old["spec"], containers, &path.child(list), &mut out);
    }
    claims(pod, &path.child("resourceClaimStatuses"), &mut out);
    addresses(status, before, "podIPs", &path, &mut out);
    host_addresses(status, before, &path, &mut out);
    for list in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] {
        users(pod, list, &path.child(list), &mut out);
    }
    for (list, containers) in [("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")] {
        allocated(pod, list, containers, &path.child(list), &mut out);
    }
    for (index, container) in items(&status["ephemeralContainerStatuses"]).iter().enumerate() {
        if !is_empty(&container["allocatedResourcesStatus"]) {
            let at = path.child("ephemeralContainerStatuses").index(index).child("allocatedResourcesStatus");
            out.push(FieldError::forbidden(at, "must not be specified in container status"));
        }
    }
    out
}

/// Addresses that are accepted, but not as they should be written.
pub fn warnings(pod: &Value) -> Vec<String> {
    let list = |key: &'static str| {
        let all = items(&pod["status"][key]).iter().enumerate();
        all.filter_map(move |(index, one)| ip_warning(text(&one["ip"]), &Path::new("status").child(key).index(index).child("ip")))
    };
    list("podIPs").chain(list("hostIPs")).collect()
}

fn conditions(status: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for (index, condition) in items(&status["conditions"]).iter().enumerate() {
        let (at, generation) = (path.index(index), int(&condition["observedGeneration"]));
        if generation < 0 {
            out.push(FieldError::invalid(at.child("observedGeneration"), generation, "must be a non-negative integer"));
        }
        let kind = text(&condition["type"]);
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            qualified(kind, &at.child("Type"), out);
        }
    }
}

fn nominated(pod: &Value, old: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let node = text(&pod["status"]["nominatedNodeName"]);
    if node.is_empty() || node == text(&old["status"]["nominatedNodeName"]) {
        return;
    }
    faults(node, path, name::subdomain(node), out);
    if !is_empty(&old["spec"]["nodeName"]) {
        out.push(FieldError::forbidden(path, "may not be set on pods that are already bound to a node"));
    }
}

/// A container that is over stays over, unless its restart policy lets it run again.
fn transitions(status: &Value, before: &Value, list: &str, spec: &Value, containers: &str, path: &Path, out: &mut Vec<FieldError>) {
    for (index, old) in items(&before[list]).iter().enumerate() {
        let ended = &old["state"]["terminated"];
        if ended.is_null() {
            continue;
        }
        let called = text(&old["name"]);
        let runs_again = items(&status[list]).iter().any(|new| text(&new["name"]) == called && !has(&new["state"], "terminated"));
        let container = items(&spec[containers]).iter().find(|container| text(&container["name"]) == called);
        if runs_again && !container.is_some_and(|container| should_restart(container, spec, int(&ended["exitCode"]))) {
            out.push(FieldError::forbidden(path.index(index).child("state"), "may not be transitioned to non-terminated state"));
        }
    }
}

/// `ContainerShouldRestart`: by the container's rules, its own policy, or the pod's. See `pkg/api/v1/pod/util.go`.
fn should_restart(container: &Value, spec: &Value, exit_code: i64) -> bool {
    let policy = |policy: &str| match policy {
        "Always" => true,
        "OnFailure" => exit_code != 0,
        _ => false,
    };
    if !has(container, "restartPolicy") {
        return policy(text(&spec["restartPolicy"]));
    }
    let matches = |rule: &Value| {
        let codes = &rule["exitCodes"];
        let listed = items(&codes["values"]).iter().any(|code| int(code) == exit_code);
        text(&rule["action"]) == "Restart" && if text(&codes["operator"]) == "NotIn" { !listed } else { listed }
    };
    items(&container["restartPolicyRules"]).iter().any(matches) || policy(text(&container["restartPolicy"]))
}

fn claims(pod: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, status) in items(&pod["status"]["resourceClaimStatuses"]).iter().enumerate() {
        let (called, at) = (text(&status["name"]), path.index(index).child("name"));
        if !items(&pod["spec"]["resourceClaims"]).iter().any(|claim| text(&claim["name"]) == called) {
            out.push(FieldError::invalid(&at, called, "must match the name of an entry in `spec.resourceClaims`"));
        }
        if !seen.insert(called) {
            out.push(FieldError::duplicate(&at, called));
        }
        if has(status, "resourceClaimName") {
            let claim = text(&status["resourceClaimName"]);
            faults(claim, &at, name::subdomain(claim), out);
        }
    }
}

/// At most one address of each family; those that were there may stay as they are.
fn addresses(status: &Value, before: &Value, key: &str, path: &Path, out: &mut Vec<FieldError>) {
    let at = path.child(key);
    let list = items(&status[key]);
    let old: Vec<&str> = items(&before[key]).iter().map(|one| text(&one["ip"])).collect();
    for (index, address) in list.iter().map(|one| text(&one["ip"])).enumerate() {
        if !old.contains(&address) {
            ip(address, &at.index(index), out);
        }
    }
    if list.len() < 2 {
        return;
    }
    let families: BTreeSet<bool> = list.iter().filter_map(|one| parse_ip(text(&one["ip"]))).map(|address| address.is_ipv6()).collect();
    if families.len() < 2 || list.len() > 2 {
        let shown: Vec<String> = list.iter().map(|one| format!("{{\"IP\":{}}}", one["ip"])).collect();
        let told = "may specify no more than one IP for each IP family";
        out.push(FieldError::invalid_shown(at, format!("[{}]", shown.join(",")), told));
    }
}

fn host_addresses(status: &Value, before: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let Some(first) = items(&status["hostIPs"]).first().map(|one| text(&one["ip"])) else { return };
    if first != text(&status["hostIP"]) {
        out.push(FieldError::invalid(path.child("hostIPs").index(0).child("ip"), first, "must be equal to `hostIP`"));
    }
    addresses(status, before, "hostIPs", path, out);
}

fn users(pod: &Value, list: &str, path: &Path, out: &mut Vec<FieldError>) {
    for (index, container) in items(&pod["status"][list]).iter().enumerate() {
        let user = &container["user"]["linux"];
        if user.is_null() {
            continue;
        }
        let at = path.index(index).child("user").child("linux");
        if text(&pod["spec"]["os"]["name"]) == "windows" {
            out.push(FieldError::forbidden(at, "cannot be set for a windows pod"));
            continue;
        }
        for key in ["uid", "gid"] {
            in_range(user, key, 0, i64::from(i32::MAX), &at, out);
        }
        for (number, group) in items(&user["supplementalGroups"]).iter().map(int).enumerate() {
            let at = at.child("supplementalGroups").index(number);
            out.extend(name::user_id(group).into_iter().map(|fault| FieldError::invalid(&at, group, fault)));
        }
    }
}

/// `validateContainerStatusAllocatedResourcesStatus`.
fn allocated(pod: &Value, list: &str, containers: &str, path: &Path, out: &mut Vec<FieldError>) {
    for (index, status) in items(&pod["status"][list]).iter().enumerate() {
        let container = items(&pod["spec"][containers]).iter().find(|container| text(&container["name"]) == text(&status["name"]));
        for (number, resource) in items(&status["allocatedResourcesStatus"]).iter().enumerate() {
            let at = path.index(index).child("allocatedResourcesStatus").index(number);
            if let Some(told) = container.and_then(|container| unknown_resource(container, text(&resource["name"]))) {
                out.push(FieldError::invalid(at.child("name"), text(&resource["name"]), told));
            }
            let mut seen = BTreeSet::new();
            for (place, health) in items(&resource["resources"]).iter().enumerate() {
                let at = at.child("resources").index(place);
                one_of(text(&health["health"]), &["Healthy", "Unhealthy", "Unknown"], &at.child("health"), out);
                if !seen.insert(text(&health["resourceID"])) {
                    out.push(FieldError::duplicate(at.child("resourceID"), text(&health["resourceID"])));
                }
            }
        }
    }
}

fn unknown_resource(container: &Value, resource: &str) -> Option<&'static str> {
    let resources = &container["resources"];
    if !resource.starts_with("claim:") {
        return (!has(&resources["requests"], resource)).then_some("must match one of the container's resource requests");
    }
    let known = |claim: &Value| match text(&claim["request"]) {
        "" => format!("claim:{}", text(&claim["name"])) == resource,
        request => format!("claim:{}/{request}", text(&claim["name"])) == resource,
    };
    let told = "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty";
    (!items(&resources["claims"]).iter().any(known)).then_some(told)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(spec: Value, new: Value, old: Value) -> Vec<String> {
        let pod = |status: Value| json!({"metadata": {}, "spec": spec, "status": status});
        update(&pod(new), &pod(old)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_over_stays_over() {
        let ended = json!({"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 1}}}]});
        let running = json!({"containerStatuses": [{"name": "c", "state": {"running": {}}}]});
        let spec = |policy: &str| json!({"restartPolicy": policy, "containers": [{"name": "c"}]});
        assert_eq!(
            told(spec("Never"), running.clone(), ended.clone()),
            ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
        );
        for policy in ["Always", "OnFailure"] {
            assert!(told(spec(policy), running.clone(), ended.clone()).is_empty());
        }
    }

    #[test]
    fn addresses_and_class() {
        let two = json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "podIP": "10.0.0.1"});
        assert_eq!(
            told(json!({}), two, json!({})),
            ["status.podIPs: Invalid value: [{\"IP\":\"10.0.0.1\"},{\"IP\":\"10.0.0.2\"}]: may specify no more than one IP for each IP family"]
        );
        assert_eq!(
            told(json!({}), json!({"qosClass": "Burstable"}), json!({"qosClass": "BestEffort"})),
            ["status.qosClass: Invalid value: \"Burstable\": field is immutable"]
        );
    }
}
