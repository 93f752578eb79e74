//! Endpoints, network policies, ingresses and address management. See `pkg/printers/internalversion/printers.go`.

use serde_json::{Value, json};

use super::small::{Generation, NOTHING, Small, each};
use crate::kinds::json::{default, default_text, has, int, is_empty, items, object_at, text};
use crate::kinds::labels::format_selector;
use crate::kinds::table::{age, name};

/// Endpoints.
pub const ENDPOINTS: Small = Small {
    columns: "endpoints",
    cells: |object, now| vec![name(object), endpoints(object).into(), age(object, now)],
    fill: |object| {
        for subset in each(object, "subsets") {
            for port in each(subset, "ports") {
                default_text(port, "protocol", "TCP");
            }
        }
    },
    create_on_update: true,
    warn: |_| vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()],
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

/// Endpoint slices.
pub const ENDPOINT_SLICE: Small = Small {
    columns: "endpointslices.v1.discovery.k8s.io",
    cells: |object, now| {
        let ports: Vec<String> =
            items(&object["ports"]).iter().map(|port| if has(port, "port") { int(&port["port"]).to_string() } else { "*".to_owned() }).collect();
        let addresses = items(&object["endpoints"]).iter().flat_map(|one| items(&one["addresses"])).map(|one| text(one).to_owned()).collect::<Vec<_>>();
        let shown = abridged(&ports, "<unset>");
        vec![name(object), text(&object["addressType"]).into(), shown.into(), abridged(&addresses, "<unset>").into(), age(object, now)]
    },
    fill: |object| {
        for port in each(object, "ports") {
            default(port, "name", "");
            default_text(port, "protocol", "TCP");
        }
    },
    generation: Generation::Counts,
    ..NOTHING
};

/// Network policies.
pub const NETWORK_POLICY: Small = Small {
    columns: "networkpolicies.v1.networking.k8s.io",
    cells: |object, now| vec![name(object), format_selector(&object["spec"]["podSelector"]).into(), age(object, now)],
    fill: |object| {
        let outgoing = has(&object["spec"], "egress");
        let Some(spec) = object_at(object, "spec") else { return };
        if is_empty(&spec["policyTypes"]) {
            spec["policyTypes"] = if outgoing { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        }
        for rules in ["ingress", "egress"] {
            for rule in each(spec, rules) {
                for port in each(rule, "ports") {
                    default_text(port, "protocol", "TCP");
                }
            }
        }
    },
    generation: Generation::Counts,
    ..NOTHING
};

/// Ingress classes.
pub const INGRESS_CLASS: Small = Small {
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
    generation: Generation::Counts,
    ..NOTHING
};

/// Ingresses.
pub const INGRESS: Small = Small {
    columns: "ingresses.v1.networking.k8s.io",
    cells: |object, now| {
        let spec = &object["spec"];
        let class = if text(&spec["ingressClassName"]).is_empty() {
            text(&object["metadata"]["annotations"]["kubernetes.io/ingress.class"])
        } else {
            text(&spec["ingressClassName"])
        };
        let hosts: Vec<String> = items(&spec["rules"]).iter().map(|rule| text(&rule["host"]).to_owned()).filter(|host| !host.is_empty()).collect();
        let hosts = match hosts.as_slice() {
            [] => "*".to_owned(),
            [first, second, third, more @ ..] if !more.is_empty() => format!("{first},{second},{third} + {} more...", more.len()),
            some => some.join(","),
        };
        let addresses: Vec<&str> = items(&object["status"]["loadBalancer"]["ingress"])
            .iter()
            .map(|one| if text(&one["ip"]).is_empty() { text(&one["hostname"]) } else { text(&one["ip"]) })
            .collect();
        let ports = if is_empty(&spec["tls"]) { "80" } else { "80, 443" };
        vec![name(object), if class.is_empty() { "<none>" } else { class }.into(), hosts.into(), addresses.join(",").into(), ports.into(), age(object, now)]
    },
    generation: Generation::Counts,
    ..NOTHING
};

/// IP addresses.
pub const IP_ADDRESS: Small = Small {
    columns: "ipaddresses.v1.networking.k8s.io",
    cells: |object, _| {
        let parent = &object["spec"]["parentRef"];
        let mut shown = String::new();
        if !text(&parent["group"]).is_empty() {
            shown.push_str(&format!("{}.", text(&parent["group"])));
        }
        let parts = [text(&parent["resource"]), text(&parent["namespace"]), text(&parent["name"])];
        shown.push_str(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"));
        vec![name(object), shown.into()]
    },
    ..NOTHING
};

/// Ranges of service addresses.
pub const SERVICE_CIDR: Small = Small {
    columns: "servicecidrs.v1.networking.k8s.io",
    cells: |object, now| {
        let cidrs: Vec<&str> = items(&object["spec"]["cidrs"]).iter().map(text).collect();
        vec![name(object), cidrs.join(",").into(), age(object, now)]
    },
    ..NOTHING
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_abridged() {
        let all: Vec<String> = "abcde".chars().map(String::from).collect();
        assert_eq!(abridged(&all[..3], "-"), "a,b,c");
        assert_eq!(abridged(&all, "-"), "a,b,c + 2 more...");
    }
}
