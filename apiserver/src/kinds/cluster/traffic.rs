//! What is wrong with a NetworkPolicy, an IngressClass, an EndpointSlice.
//!
//! See `pkg/apis/networking/validation/validation.go`, `pkg/apis/discovery/validation/validation.go`.

use std::net::IpAddr;

use serde_json::Value;

use super::network::{cidr, special};
use crate::error::FieldError;
use crate::kinds::check;
use crate::kinds::json::{has, items, text};
use crate::kinds::labels::validate_selector;
use crate::kinds::name as names;
use crate::kinds::path::Path;

/// `ValidateNetworkPolicySpec`
pub fn policy(object: &Value) -> Vec<FieldError> {
    let (spec, path) = (&object["spec"], Path::new("spec"));
    let mut errors = validate_selector(&spec["podSelector"], &path.child("podSelector"));
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(&spec[rules]).iter().enumerate() {
            let path = path.child(rules).index(index);
            for (index, port) in items(&rule["ports"]).iter().enumerate() {
                policy_port(port, &path.child("ports").index(index), &mut errors);
            }
            for (index, one) in items(&rule[peers]).iter().enumerate() {
                peer(one, &path.child(peers).index(index), &mut errors);
            }
        }
    }
    let types = items(&spec["policyTypes"]);
    if types.len() > 2 {
        errors.push(FieldError::invalid(path.child("policyTypes"), spec["policyTypes"].clone(), "may not specify more than two policyTypes"));
        return errors;
    }
    for (index, one) in types.iter().map(text).enumerate() {
        if !matches!(one, "Ingress" | "Egress") {
            errors.push(FieldError::not_supported_as_listed(path.child("policyTypes").index(index), one, &["Ingress", "Egress"]));
        }
    }
    errors
}

fn policy_port(port: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let protocol = text(&port["protocol"]);
    if has(port, "protocol") && !matches!(protocol, "TCP" | "UDP" | "SCTP") {
        errors.push(FieldError::not_supported_as_listed(path.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]));
    }
    let (number, end) = (&port["port"], port["endPort"].as_i64());
    match (number.as_i64(), number.as_str()) {
        (Some(first), _) => {
            errors.extend(names::port_number(first).into_iter().map(|why| FieldError::invalid(path.child("port"), first, why)));
            let Some(end) = end else { return };
            if end < first {
                errors.push(FieldError::invalid(path.child("endPort"), first, "must be greater than or equal to `port`"));
            }
            errors.extend(names::port_number(end).into_iter().map(|why| FieldError::invalid(path.child("endPort"), end, why)));
        }
        (None, Some(named)) => {
            if let Some(end) = end {
                errors.push(FieldError::invalid(path.child("endPort"), end, "may not be specified when `port` is non-numeric"));
            }
            errors.extend(names::port_name(named).into_iter().map(|why| FieldError::invalid(path.child("port"), named, why)));
        }
        (None, None) => {
            if let Some(end) = end {
                errors.push(FieldError::invalid(path.child("endPort"), end, "may not be specified when `port` is not specified"));
            }
        }
    }
}

fn peer(peer: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let mut count = 0;
    for key in ["podSelector", "namespaceSelector"].into_iter().filter(|key| has(peer, key)) {
        count += 1;
        errors.extend(validate_selector(&peer[key], &path.child(key)));
    }
    if has(peer, "ipBlock") {
        count += 1;
        block(&peer["ipBlock"], &path.child("ipBlock"), errors);
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a peer"));
    } else if count > 1 && has(peer, "ipBlock") {
        errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
    }
}

fn block(block: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let whole = text(&block["cidr"]);
    if whole.is_empty() {
        return errors.push(FieldError::required(path.child("cidr"), ""));
    }
    cidr(whole, &path.child("cidr"), errors);
    let Some(range) = range(whole) else { return };
    for (index, except) in items(&block["except"]).iter().map(text).enumerate() {
        let path = path.child("except").index(index);
        cidr(except, &path, errors);
        let Some(inner) = self::range(except) else { continue };
        let within = inner.0 >= range.0 && inner.0 <= range.1 && inner.2 > range.2;
        if !within {
            errors.push(FieldError::invalid(path, except, "must be a strict subset of `cidr`"));
        }
    }
}

/// First and last address of a range as numbers, and the length of its prefix.
fn range(text: &str) -> Option<(u128, u128, u32)> {
    let (address, bits) = text.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    let (number, width) = match check::parse_ip(address)? {
        IpAddr::V4(four) => (u128::from(u32::from(four)), 32_u32),
        IpAddr::V6(six) => (u128::from(six), 128),
    };
    let host = width.checked_sub(bits)?;
    let mask = 1_u128.checked_shl(host).map_or(u128::MAX, |size| size - 1);
    Some((number & !mask, number | mask, bits))
}

/// `ValidateIngressClassSpec`
pub fn ingress_class(object: &Value) -> Vec<FieldError> {
    let path = Path::new("spec");
    let mut errors = Vec::new();
    let controller = text(&object["spec"]["controller"]);
    let at = path.child("controller");
    if controller.len() > 250 {
        errors.push(FieldError::too_long(&at, 250));
    }
    match controller.split_once('/') {
        _ if controller.is_empty() => errors.push(FieldError::required(&at, "")),
        Some((host, rest)) if !host.is_empty() && !rest.is_empty() => {
            errors.extend(names::subdomain(host).into_iter().map(|why| FieldError::invalid(&at, host, why)));
        }
        Some(_) | None => errors.push(FieldError::invalid(&at, controller, "must be a domain-prefixed path (such as \"acme.io/foo\")")),
    }
    let parameters = &object["spec"]["parameters"];
    if !parameters.is_null() {
        let path = path.child("parameters");
        for key in ["kind", "name"].into_iter().filter(|key| text(&parameters[*key]).is_empty()) {
            errors.push(FieldError::required(path.child(key), ""));
        }
        let scope = text(&parameters["scope"]);
        match scope {
            _ if !has(parameters, "scope") => errors.push(FieldError::required(path.child("scope"), "")),
            "Cluster" if has(parameters, "namespace") => {
                errors.push(FieldError::forbidden(path.child("namespace"), "`parameters.scope` is set to 'Cluster'"));
            }
            "Namespace" if text(&parameters["namespace"]).is_empty() => {
                errors.push(FieldError::required(path.child("namespace"), "`parameters.scope` is set to 'Namespace'"));
            }
            "Cluster" | "Namespace" => {}
            other => errors.push(FieldError::not_supported(path.child("scope"), other, &["Cluster", "Namespace"])),
        }
    }
    errors
}

/// `ValidateEndpointSlice`
pub fn slice(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let family = text(&object["addressType"]);
    if family.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else {
        check::one_of(family, &["FQDN", "IPv4", "IPv6"], &Path::new("addressType"), &mut errors);
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, port) in items(&object["ports"]).iter().enumerate() {
        let path = Path::new("ports").index(index);
        let named = text(&port["name"]);
        if !named.is_empty() {
            check::label(named, &path.child("name"), &mut errors);
        }
        if !seen.insert(named) {
            errors.push(FieldError::duplicate(path.child("name"), named));
        }
        check::one_of(text(&port["protocol"]), &["SCTP", "TCP", "UDP"], &path.child("protocol"), &mut errors);
        if has(port, "appProtocol") {
            check::qualified(text(&port["appProtocol"]), &path.child("appProtocol"), &mut errors);
        }
    }
    let endpoints = items(&object["endpoints"]);
    if endpoints.len() > 1000 {
        errors.push(FieldError::too_many("endpoints", endpoints.len(), 1000));
        return errors;
    }
    for (index, one) in endpoints.iter().enumerate() {
        endpoint(one, family, &Path::new("endpoints").index(index), &mut errors);
    }
    errors
}

/// The address family of a slice never changes.
pub fn slice_change(object: &Value, old: &Value) -> Vec<FieldError> {
    if object["addressType"] == old["addressType"] {
        return Vec::new();
    }
    vec![FieldError::invalid("addressType", object["addressType"].clone(), "field is immutable")]
}

fn endpoint(endpoint: &Value, family: &str, path: &Path, errors: &mut Vec<FieldError>) {
    let at = path.child("addresses");
    let addresses = items(&endpoint["addresses"]);
    if addresses.is_empty() {
        errors.push(FieldError::required(&at, "must contain at least 1 address"));
    } else if addresses.len() > 100 {
        errors.push(FieldError::too_many(&at, addresses.len(), 100));
    }
    for (index, address) in addresses.iter().map(text).enumerate() {
        let here = at.index(index);
        match (family, check::parse_ip(address)) {
            ("IPv4" | "IPv6", None) => check::ip(address, &here, errors),
            ("IPv4", Some(IpAddr::V6(_))) => errors.push(FieldError::invalid(&at, address, "must be an IPv4 address")),
            ("IPv6", Some(IpAddr::V4(_))) => errors.push(FieldError::invalid(&at, address, "must be an IPv6 address")),
            ("IPv4" | "IPv6", Some(_)) => errors.extend(special(address).into_iter().map(|why| FieldError::invalid(&here, address, why))),
            ("FQDN", _) => errors.extend(names::subdomain(address).into_iter().map(|why| FieldError::invalid(&here, address, why))),
            _ => {} // a family that is no family has been told
        }
    }
    let node = text(&endpoint["nodeName"]);
    if has(endpoint, "nodeName") {
        errors.extend(names::dns_subdomain(node, false).into_iter().map(|why| FieldError::invalid(path.child("nodeName"), node, why)));
    }
    if has(endpoint, "hostname") {
        check::label(text(&endpoint["hostname"]), &path.child("hostname"), errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn policies_name_what_is_wrong() {
        let object = json!({"spec": {"podSelector": {}, "policyTypes": ["Sideways"], "ingress": [{
            "ports": [{"port": 80, "endPort": 70}, {"port": "web", "endPort": 5}],
            "from": [{}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16", "10.0.0.0/8"]}}],
        }]}});
        let told: Vec<String> = policy(&object).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`",
                "spec.ingress[0].ports[1].endPort: Invalid value: 5: may not be specified when `port` is non-numeric",
                "spec.ingress[0].from[0]: Required value: must specify a peer",
                "spec.ingress[0].from[1].ipBlock.except[1]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
                "spec.ingress[0].from[1].ipBlock.except[2]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`",
                "spec.policyTypes[0]: Unsupported value: \"Sideways\": supported values: \"Ingress\", \"Egress\"",
            ]
        );
    }

    #[test]
    fn slices_hold_addresses_of_their_family() {
        let object = json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["::1"]}, {"addresses": []}], "ports": [{"name": "", "protocol": "TCP"}]});
        let told: Vec<String> = slice(&object).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "endpoints[1].addresses: Invalid value: \"::1\": must be an IPv4 address",
                "endpoints[2].addresses: Required value: must contain at least 1 address"
            ]
        );
    }
}
