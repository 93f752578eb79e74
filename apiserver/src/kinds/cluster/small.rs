//! Kinds whose rules are a few lines: leases, endpoints, priority classes, service accounts, roles, storage, and the like.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::error::FieldError;
use crate::kinds::json::{default, default_text, entries, flag, has, int, is_empty, items, object_at, set, text};
use crate::kinds::labels::format_selector;
use crate::kinds::name as names;
use crate::kinds::table::{age, columns, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// A kind told by values: what differs from [`crate::kinds::Plain`].
#[derive(Clone, Copy)]
pub struct Small {
    columns: &'static str,
    cells: fn(&Value, i64) -> Vec<Value>,
    fill: fn(&mut Value),
    faults: fn(&Value) -> Vec<FieldError>,
    changed: fn(&Value, &Value) -> Vec<FieldError>,
    names: fn(&str, bool) -> Vec<String>,
    status: fn(&mut Value),
    create_on_update: bool,
    unconditional: bool,
    generation: bool,
    fields: &'static [&'static str],
    warn: &'static str,
}

const NOTHING: Small = Small {
    columns: "",
    cells: |object, _| vec![name(object), object["metadata"]["creationTimestamp"].clone()],
    fill: |_| {},
    faults: |_| Vec::new(),
    changed: |_, _| Vec::new(),
    names: names::dns_subdomain,
    status: |_| {},
    create_on_update: false,
    unconditional: true,
    generation: false,
    fields: &[],
    warn: "",
};

impl Strategy for Small {
    fn default(&self, object: &mut Value) {
        (self.fill)(object);
    }
    fn prepare_for_create(&self, object: &mut Value, _context: &Context) {
        (self.status)(object);
    }
    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        (self.faults)(object)
    }
    fn validate_update(&self, object: &Value, old: &Value, _context: &Context) -> Vec<FieldError> {
        let mut errors = (self.changed)(object, old);
        errors.extend((self.faults)(object));
        errors
    }
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        (self.names)(name, prefix)
    }
    fn warnings(&self, _object: &Value, _old: Option<&Value>, _context: &Context) -> Vec<String> {
        if self.warn.is_empty() { Vec::new() } else { vec![self.warn.to_owned()] }
    }
    fn columns(&self) -> Vec<Column> {
        columns(self.columns)
    }
    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        (self.cells)(object, now)
    }
    fn create_on_update(&self) -> bool {
        self.create_on_update
    }
    fn unconditional_update(&self) -> bool {
        self.unconditional
    }
    fn has_generation(&self) -> bool {
        self.generation
    }
    fn raises_generation(&self, object: &Value, old: &Value) -> bool {
        let content = |of: &Value| -> Vec<(String, Value)> {
            entries(of).filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status")).map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        content(object) != content(old)
    }
    fn selectable_fields(&self) -> &'static [&'static str] {
        self.fields
    }
}

/// The rules of one of these kinds.
pub fn strategy(group_resource: &str) -> Option<Arc<dyn Strategy>> {
    let small = match group_resource {
        "leases.coordination.k8s.io" => LEASE,
        "endpoints" => ENDPOINTS,
        "endpointslices.discovery.k8s.io" => ENDPOINT_SLICE,
        "priorityclasses.scheduling.k8s.io" => PRIORITY_CLASS,
        "serviceaccounts" => SERVICE_ACCOUNT,
        "roles.rbac.authorization.k8s.io" => role("roles.v1.rbac.authorization.k8s.io"),
        "clusterroles.rbac.authorization.k8s.io" => role("clusterroles.v1.rbac.authorization.k8s.io"),
        "rolebindings.rbac.authorization.k8s.io" => binding("rolebindings.v1.rbac.authorization.k8s.io"),
        "clusterrolebindings.rbac.authorization.k8s.io" => binding("clusterrolebindings.v1.rbac.authorization.k8s.io"),
        "limitranges" => Small { columns: "limitranges", create_on_update: true, ..NOTHING },
        "resourcequotas" => RESOURCE_QUOTA,
        "runtimeclasses.node.k8s.io" => RUNTIME_CLASS,
        "storageclasses.storage.k8s.io" => STORAGE_CLASS,
        "persistentvolumes" => VOLUME,
        "persistentvolumeclaims" => CLAIM,
        "networkpolicies.networking.k8s.io" => NETWORK_POLICY,
        "ingressclasses.networking.k8s.io" => INGRESS_CLASS,
        "csinodes.storage.k8s.io" => Small {
            columns: "csinodes.v1.storage.k8s.io",
            cells: |object, now| vec![name(object), items(&object["spec"]["drivers"]).len().into(), age(object, now)],
            ..NOTHING
        },
        _ => return None, // a kind of its own file, or a plain one
    };
    Some(Arc::new(small))
}

const LEASE: Small = Small {
    columns: "leases.v1.coordination.k8s.io",
    cells: |object, now| vec![name(object), text(&object["spec"]["holderIdentity"]).into(), age(object, now)],
    create_on_update: true,
    unconditional: false,
    ..NOTHING
};

const ENDPOINTS: Small = Small {
    columns: "endpoints",
    cells: |object, now| vec![name(object), endpoints(object).into(), age(object, now)],
    fill: |object| {
        for subset in object["subsets"].as_array_mut().into_iter().flatten() {
            for port in subset["ports"].as_array_mut().into_iter().flatten() {
                default_text(port, "protocol", "TCP");
            }
        }
    },
    create_on_update: true,
    warn: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ..NOTHING
};

/// `formatEndpoints`: three of them, and how many more.
fn endpoints(object: &Value) -> String {
    let mut all = Vec::new();
    for subset in items(&object["subsets"]) {
        for address in items(&subset["addresses"]).iter().map(|one| text(&one["ip"])) {
            if is_empty(&subset["ports"]) {
                all.push(address.to_owned());
            }
            all.extend(items(&subset["ports"]).iter().map(|port| format!("{address}:{}", int(&port["port"]))));
        }
    }
    abridged(&all, "<none>")
}

fn abridged(all: &[String], none: &str) -> String {
    match all {
        [] => none.to_owned(),
        [first, second, third, more @ ..] if !more.is_empty() => format!("{first},{second},{third} + {} more...", more.len()),
        some => some.join(","),
    }
}

const ENDPOINT_SLICE: Small = Small {
    columns: "endpointslices.v1.discovery.k8s.io",
    cells: |object, now| {
        let ports: Vec<String> = items(&object["ports"]).iter().map(|port| if has(port, "port") { int(&port["port"]).to_string() } else { "*".to_owned() }).collect();
        let addresses = items(&object["endpoints"]).iter().flat_map(|one| items(&one["addresses"])).map(|one| text(one).to_owned()).collect::<Vec<_>>();
        let shown = abridged(&ports, "<unset>");
        vec![name(object), text(&object["addressType"]).into(), shown.into(), abridged(&addresses, "<unset>").into(), age(object, now)]
    },
    fill: |object| {
        for port in object["ports"].as_array_mut().into_iter().flatten() {
            default(port, "name", "");
            default_text(port, "protocol", "TCP");
        }
    },
    generation: true,
    ..NOTHING
};

const PRIORITY_CLASS: Small = Small {
    columns: "priorityclasses.v1.scheduling.k8s.io",
    cells: |object, now| {
        vec![
            name(object),
            int(&object["value"]).into(),
            flag(&object["globalDefault"]).into(),
            age(object, now),
            text(&object["preemptionPolicy"]).into(),
        ]
    },
    fill: |object| default_text(object, "preemptionPolicy", "PreemptLowerPriority"),
    faults: |object| {
        let named = text(&object["metadata"]["name"]);
        let value = int(&object["value"]);
        let system = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
        let mut errors = Vec::new();
        if named.starts_with("system-") {
            if !system.contains(&(named, value)) {
                let why = if system.iter().any(|(known, _)| *known == named) {
                    format!("value of {named} PriorityClass must be {}", system.iter().find(|(known, _)| *known == named).map_or(0, |(_, value)| *value))
                } else {
                    format!("{named} is not a known system priority class")
                };
                let why = format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}");
                errors.push(FieldError::forbidden("metadata.name", why));
            }
        } else if value > 1_000_000_000 {
            errors.push(FieldError::forbidden("value", "maximum allowed value of a user defined priority is 1000000000"));
        }
        let policy = text(&object["preemptionPolicy"]);
        if !policy.is_empty() && !matches!(policy, "PreemptLowerPriority" | "Never") {
            errors.push(FieldError::not_supported("preemptionPolicy", policy, &["PreemptLowerPriority", "Never"]));
        }
        errors
    },
    changed: |object, old| {
        let mut errors = Vec::new();
        if object["value"] != old["value"] {
            errors.push(FieldError::forbidden("value", "may not be changed in an update."));
        }
        if object["preemptionPolicy"] != old["preemptionPolicy"] {
            errors.push(FieldError::invalid("preemptionPolicy", object["preemptionPolicy"].clone(), "field is immutable"));
        }
        errors
    },
    generation: true,
    ..NOTHING
};

const SERVICE_ACCOUNT: Small = Small { columns: "serviceaccounts", cells: |object, now| vec![name(object), age(object, now)], ..NOTHING };

fn role(columns: &'static str) -> Small {
    Small { columns, names: names::path_segment, create_on_update: true, faults: role_faults, ..NOTHING }
}

fn role_faults(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let namespaced = object["kind"] == "Role";
    for (index, rule) in items(&object["rules"]).iter().enumerate() {
        let path = crate::kinds::path::Path::new("rules").index(index);
        if is_empty(&rule["verbs"]) {
            errors.push(FieldError::required(path.child("verbs"), "verbs must contain at least one value"));
        }
        if !is_empty(&rule["nonResourceURLs"]) {
            if namespaced {
                let why = "namespaced rules cannot apply to non-resource URLs";
                errors.push(FieldError::invalid(path.child("nonResourceURLs"), rule["nonResourceURLs"].clone(), why));
            }
            if ["apiGroups", "resources", "resourceNames"].iter().any(|key| !is_empty(&rule[*key])) {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(FieldError::invalid(path.child("nonResourceURLs"), rule["nonResourceURLs"].clone(), why));
            }
            continue;
        }
        if is_empty(&rule["apiGroups"]) {
            errors.push(FieldError::required(path.child("apiGroups"), "resource rules must supply at least one api group"));
        }
        if is_empty(&rule["resources"]) {
            errors.push(FieldError::required(path.child("resources"), "resource rules must supply at least one resource"));
        }
    }
    errors
}

fn binding(columns: &'static str) -> Small {
    Small {
        columns,
        names: names::path_segment,
        create_on_update: true,
        fill: |object| {
            if let Some(role) = object_at(object, "roleRef") {
                default_text(role, "apiGroup", "rbac.authorization.k8s.io");
            }
            for subject in object["subjects"].as_array_mut().into_iter().flatten() {
                if matches!(text(&subject["kind"]), "User" | "Group") {
                    default_text(subject, "apiGroup", "rbac.authorization.k8s.io");
                }
            }
        },
        changed: |object, old| {
            if object["roleRef"] == old["roleRef"] {
                return Vec::new();
            }
            vec![FieldError::invalid("roleRef", object["roleRef"].clone(), "cannot change roleRef")]
        },
        cells: |object, now| {
            let of = |kind: &str| {
                let all = items(&object["subjects"]).iter().filter(|one| one["kind"] == kind);
                let shown: Vec<String> = all
                    .map(|one| if kind == "ServiceAccount" { format!("{}/{}", text(&one["namespace"]), text(&one["name"])) } else { text(&one["name"]).to_owned() })
                    .collect();
                shown.join(", ")
            };
            let role = format!("{}/{}", text(&object["roleRef"]["kind"]), text(&object["roleRef"]["name"]));
            vec![name(object), role.into(), age(object, now), of("User").into(), of("Group").into(), of("ServiceAccount").into()]
        },
        ..NOTHING
    }
}

const RESOURCE_QUOTA: Small = Small {
    columns: "resourcequotas",
    cells: |object, now| {
        let status = &object["status"];
        let shown = |limits: bool| {
            let all = entries(&status["hard"]).filter(|(key, _)| key.starts_with("limits.") == limits);
            let pairs: Vec<String> = all.map(|(key, hard)| format!("{key}: {}/{}", if has(&status["used"], key) { text(&status["used"][key]) } else { "0" }, text(hard))).collect();
            pairs.join(", ")
        };
        vec![name(object), shown(false).into(), shown(true).into(), age(object, now)]
    },
    ..NOTHING
};

const RUNTIME_CLASS: Small = Small {
    columns: "runtimeclasses.v1.node.k8s.io",
    cells: |object, now| vec![name(object), text(&object["handler"]).into(), age(object, now)],
    create_on_update: true,
    changed: |object, old| {
        if object["handler"] == old["handler"] { Vec::new() } else { vec![FieldError::invalid("handler", object["handler"].clone(), "field is immutable")] }
    },
    ..NOTHING
};

const STORAGE_CLASS: Small = Small {
    columns: "storageclasses.v1.storage.k8s.io",
    cells: |object, now| {
        let default = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
        let marked = default.iter().any(|key| object["metadata"]["annotations"][*key] == "true");
        let shown = if marked { format!("{} (default)", text(&object["metadata"]["name"])) } else { text(&object["metadata"]["name"]).to_owned() };
        vec![
            shown.into(),
            text(&object["provisioner"]).into(),
            text(&object["reclaimPolicy"]).into(),
            text(&object["volumeBindingMode"]).into(),
            flag(&object["allowVolumeExpansion"]).into(),
            age(object, now),
        ]
    },
    fill: |object| {
        default_text(object, "reclaimPolicy", "Delete");
        default_text(object, "volumeBindingMode", "Immediate");
    },
    ..NOTHING
};

/// `GetAccessModesAsString`
fn access_modes(modes: &Value) -> String {
    let known = [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let shown: Vec<&str> = known.iter().filter(|(mode, _)| items(modes).iter().any(|one| one == mode)).map(|(_, short)| *short).collect();
    shown.join(",")
}

fn terminating<'a>(object: &'a Value, phase: &'a str) -> &'a str {
    if object["metadata"]["deletionTimestamp"].is_null() { phase } else { "Terminating" }
}

fn unset(value: &Value) -> &str {
    if text(value).is_empty() { "<unset>" } else { text(value) }
}

const VOLUME: Small = Small {
    columns: "persistentvolumes",
    cells: |object, now| {
        let (spec, status) = (&object["spec"], &object["status"]);
        let claim = if spec["claimRef"].is_null() { String::new() } else { format!("{}/{}", text(&spec["claimRef"]["namespace"]), text(&spec["claimRef"]["name"])) };
        vec![
            name(object),
            text(&spec["capacity"]["storage"]).into(),
            access_modes(&spec["accessModes"]).into(),
            text(&spec["persistentVolumeReclaimPolicy"]).into(),
            terminating(object, text(&status["phase"])).into(),
            claim.into(),
            text(&spec["storageClassName"]).into(),
            unset(&spec["volumeAttributesClassName"]).into(),
            text(&status["reason"]).into(),
            age(object, now),
            unset(&spec["volumeMode"]).into(),
        ]
    },
    fill: |object| {
        if let Some(spec) = object_at(object, "spec") {
            default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
            default_text(spec, "volumeMode", "Filesystem");
            if let Some(path) = spec.get_mut("hostPath") {
                default(path, "type", "");
            }
        }
    },
    status: |object| set(object, "status", json!({"phase": "Pending"})),
    ..NOTHING
};

const CLAIM: Small = Small {
    columns: "persistentvolumeclaims",
    cells: |object, now| {
        let (spec, status) = (&object["spec"], &object["status"]);
        let bound = !text(&spec["volumeName"]).is_empty();
        let (capacity, modes) = if bound { (text(&status["capacity"]["storage"]), access_modes(&status["accessModes"])) } else { ("", String::new()) };
        vec![
            name(object),
            terminating(object, text(&status["phase"])).into(),
            text(&spec["volumeName"]).into(),
            capacity.into(),
            modes.into(),
            text(&spec["storageClassName"]).into(),
            unset(&spec["volumeAttributesClassName"]).into(),
            age(object, now),
            unset(&spec["volumeMode"]).into(),
        ]
    },
    fill: |object| {
        if let Some(spec) = object_at(object, "spec") {
            default_text(spec, "volumeMode", "Filesystem");
        }
    },
    status: |object| set(object, "status", json!({"phase": "Pending"})),
    fields: &["name"],
    ..NOTHING
};

const NETWORK_POLICY: Small = Small {
    columns: "networkpolicies.v1.networking.k8s.io",
    cells: |object, now| vec![name(object), format_selector(&object["spec"]["podSelector"]).into(), age(object, now)],
    fill: |object| {
        let outgoing = has(&object["spec"], "egress");
        let Some(spec) = object_at(object, "spec") else { return };
        if is_empty(&spec["policyTypes"]) {
            spec["policyTypes"] = if outgoing { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        }
        for rules in ["ingress", "egress"] {
            for rule in spec[rules].as_array_mut().into_iter().flatten() {
                for port in rule["ports"].as_array_mut().into_iter().flatten() {
                    default_text(port, "protocol", "TCP");
                }
            }
        }
    },
    generation: true,
    ..NOTHING
};

const INGRESS_CLASS: Small = Small {
    columns: "ingressclasses.v1.networking.k8s.io",
    cells: |object, now| {
        let parameters = &object["spec"]["parameters"];
        let shown = if parameters.is_null() {
            "<none>".to_owned()
        } else {
            let group = if text(&parameters["apiGroup"]).is_empty() { String::new() } else { format!(".{}", text(&parameters["apiGroup"])) };
            format!("{}{group}/{}", text(&parameters["kind"]), text(&parameters["name"]))
        };
        vec![name(object), text(&object["spec"]["controller"]).into(), shown.into(), age(object, now)]
    },
    generation: true,
    ..NOTHING
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_cell_for_each_column() {
        for one in crate::registry::resource::builtin() {
            let object = json!({"kind": one.kind, "metadata": {"name": "n", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}, "status": {}});
            assert_eq!(one.strategy.row(&object, 0).len(), one.strategy.columns().len(), "{}", one.group_resource());
        }
    }

    #[test]
    fn long_lists_are_abridged() {
        let all: Vec<String> = "abcde".chars().map(String::from).collect();
        assert_eq!(abridged(&all[..3], "-"), "a,b,c");
        assert_eq!(abridged(&all, "-"), "a,b,c + 2 more...");
    }
}
