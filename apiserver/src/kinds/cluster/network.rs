//! Endpoints, network policies, ingresses and address management. See `pkg/printers/internalversion/printers.go`.

use serde_json::{Value, json};

use super::small::{Generation, NOTHING, Small, each};
use crate::error::FieldError;
use crate::kinds::check;
use crate::kinds::json::{default, default_text, has, int, is_empty, items, object_at, text};
use crate::kinds::labels::format_selector;
use crate::kinds::path::Path;
use crate::kinds::table::{age, name};

/// `IsValidCIDRForLegacyField`
pub fn cidr(value: &str, path: &Path, out: &mut Vec<FieldError>) {
    let valid = value.split_once('/').is_some_and(|(address, bits)| {
        let most = if address.contains(':') { 128 } else { 32 };
        check::parse_ip(address).is_some() && bits.parse::<u32>().is_ok_and(|bits| bits <= most)
    });
    if !valid {
        out.push(FieldError::invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
    }
}

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
    faults: endpoints_faults,
    create_on_update: true,
    ..NOTHING
};

/// `ValidateEndpointsCreate`
fn endpoints_faults(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, subset) in items(&object["subsets"]).iter().enumerate() {
        let path = Path::new("subsets").index(index);
        if is_empty(&subset["addresses"]) && is_empty(&subset["notReadyAddresses"]) {
            errors.push(FieldError::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for list in ["addresses", "notReadyAddresses"] {
            for (index, address) in items(&subset[list]).iter().enumerate() {
                endpoint_address(address, &path.child(list).index(index), &mut errors);
            }
        }
        let several = items(&subset["ports"]).len() > 1;
        for (index, port) in items(&subset["ports"]).iter().enumerate() {
            let path = path.child("ports").index(index);
            let named = text(&port["name"]);
            if several && named.is_empty() {
                errors.push(FieldError::required(path.child("name"), ""));
            } else if !named.is_empty() {
                check::label(named, &path.child("name"), &mut errors);
            }
            let number = int(&port["port"]);
            errors.extend(crate::kinds::name::port_number(number).into_iter().map(|why| FieldError::invalid(path.child("port"), number, why)));
            check::one_of(text(&port["protocol"]), &["SCTP", "TCP", "UDP"], &path.child("protocol"), &mut errors);
        }
    }
    errors
}

fn endpoint_address(address: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let ip = text(&address["ip"]);
    check::ip(ip, &path.child("ip"), errors);
    if !text(&address["hostname"]).is_empty() {
        check::label(text(&address["hostname"]), &path.child("hostname"), errors);
    }
    if check::parse_ip(ip).is_none() {
        errors.push(FieldError::invalid(path.child("ip"), ip, "must be a valid IP address"));
    }
    errors.extend(special(ip).into_iter().map(|why| FieldError::invalid(path.child("ip"), ip, why)));
}

/// `ValidateEndpointIP`: addresses that mean something on every machine are nobody's endpoint.
pub fn special(ip: &str) -> Vec<&'static str> {
    let Some(address) = check::parse_ip(ip) else { return Vec::new() };
    let mut all = Vec::new();
    if address.is_unspecified() {
        all.push("may not be unspecified (0.0.0.0 or ::)");
    }
    if address.is_loopback() {
        all.push("may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let local = match address {
        std::net::IpAddr::V4(four) => four.is_link_local(),
        std::net::IpAddr::V6(six) => (six.segments()[0] & 0xffc0) == 0xfe80,
    };
    if local {
        all.push("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    let multicast = match address {
        std::net::IpAddr::V4(four) => four.octets()[..3] == [224, 0, 0],
        std::net::IpAddr::V6(six) => (six.segments()[0] & 0xff0f) == 0xff02,
    };
    if multicast {
        all.push("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
    all
}

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
    faults: super::traffic::slice,
    changed: super::traffic::slice_change,
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
    faults: super::traffic::policy,
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
    fill: |object| {
        if let Some(parameters) = object.get_mut("spec").and_then(|spec| spec.get_mut("parameters")) {
            default_text(parameters, "scope", "Cluster");
        }
    },
    faults: super::traffic::ingress_class,
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
    faults: super::ingress::faults,
    generation: Generation::Counts,
    ..NOTHING
};

/// IP addresses.
pub const IP_ADDRESS: Small = Small {
    columns: "ipaddresses.v1.networking.k8s.io",
    cells: |object, now| {
        let parent = &object["spec"]["parentRef"];
        let mut shown = String::new();
        if !text(&parent["group"]).is_empty() {
            shown.push_str(&format!("{}.", text(&parent["group"])));
        }
        let parts = [text(&parent["resource"]), text(&parent["namespace"]), text(&parent["name"])];
        shown.push_str(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"));
        vec![name(object), shown.into(), age(object, now)]
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
