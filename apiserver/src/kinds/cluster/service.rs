//! Services: defaults, what a change of type clears, and their row. Addresses and ports are allocated by admission.
//! See `pkg/apis/core/v1/defaults.go`, `pkg/registry/core/service/strategy.go`.

use serde_json::{Value, json};

use crate::error::FieldError;
use crate::kinds::check;
use crate::kinds::json::{default, default_text, has, int, is_empty, items, object_at, remove, text};
use crate::kinds::labels::{format_labels, validate_labels};
use crate::kinds::name as names;
use crate::kinds::path::Path;
use crate::kinds::table::{age, columns, name};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of services.
pub struct Service;

impl Strategy for Service {
    fn default(&self, object: &mut Value) {
        let Some(spec) = object_at(object, "spec") else { return };
        default_text(spec, "sessionAffinity", "None");
        default_text(spec, "type", "ClusterIP");
        match text(&spec["sessionAffinity"]) {
            "None" => drop(remove(spec, "sessionAffinityConfig")),
            "ClientIP" if int(&spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]) == 0 => {
                spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 10_800}});
            }
            _ => {} // refused by validation, or complete
        }
        for port in super::small::each(spec, "ports") {
            default_text(port, "protocol", "TCP");
            if port["targetPort"].is_null() || port["targetPort"] == 0 || port["targetPort"] == "" {
                port["targetPort"] = port["port"].clone();
            }
        }
        if is_externally_accessible(spec) {
            default_text(spec, "externalTrafficPolicy", "Cluster");
        }
        if text(&spec["type"]) != "ExternalName" {
            default_text(spec, "internalTrafficPolicy", "Cluster");
        }
        if text(&spec["type"]) == "LoadBalancer" {
            default(spec, "allocateLoadBalancerNodePorts", true);
        }
    }

    fn prepare_for_update(&self, object: &mut Value, old: &Value, context: &Context) {
        if context.subresource.is_empty() {
            drop_type_dependent(object, old);
        }
    }

    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        validate(&object["spec"])
    }

    fn validate_update(&self, object: &Value, old: &Value, context: &Context) -> Vec<FieldError> {
        if !context.subresource.is_empty() {
            return Vec::new();
        }
        let mut errors = Vec::new();
        let (new, had) = (&object["spec"], &old["spec"]);
        let (ip, before) = (text(&new["clusterIP"]), text(&had["clusterIP"]));
        if needs_address(had) && needs_address(new) && !before.is_empty() && ip != before {
            errors.push(FieldError::invalid("spec.clusterIPs[0]", new["clusterIPs"].clone(), "primary clusterIP can not be unset"));
            if !ip.is_empty() {
                errors.pop();
                errors.push(FieldError::invalid("spec.clusterIPs[0]", ip, "field is immutable"));
            }
        }
        errors.extend(validate(new));
        errors
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_1035_label(name, prefix)
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>, _context: &Context) -> Vec<String> {
        let mut all = Vec::new();
        let spec = &object["spec"];
        if text(&spec["clusterIP"]) == "None" && !is_empty(&spec["externalIPs"]) {
            all.push("spec.externalIPs is ignored for headless services".to_owned());
        }
        if text(&spec["trafficDistribution"]) == "PreferClose" {
            all.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned());
        }
        all
    }

    fn columns(&self) -> Vec<Column> {
        columns("services")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        let spec = &object["spec"];
        let address = items(&spec["clusterIPs"]).first().map_or_else(|| text(&spec["clusterIP"]), text);
        let address = if address.is_empty() { "<none>" } else { address };
        vec![
            name(object),
            text(&spec["type"]).into(),
            address.into(),
            external_address(object).into(),
            ports(spec).into(),
            age(object, now),
            format_labels(&spec["selector"]).into(),
        ]
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["spec.clusterIP", "spec.type"]
    }
}

fn needs_address(spec: &Value) -> bool {
    text(&spec["type"]) != "ExternalName"
}

fn is_externally_accessible(spec: &Value) -> bool {
    matches!(text(&spec["type"]), "LoadBalancer" | "NodePort") || (text(&spec["type"]) == "ClusterIP" && !is_empty(&spec["externalIPs"]))
}

fn needs_node_ports(spec: &Value) -> bool {
    text(&spec["type"]) == "NodePort" || (text(&spec["type"]) == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != false)
}

fn needs_health_check(spec: &Value) -> bool {
    text(&spec["type"]) == "LoadBalancer" && text(&spec["externalTrafficPolicy"]) == "Local"
}

/// `dropTypeDependentFields`: what the old type needed, the new one does not, and the client has not touched.
fn drop_type_dependent(object: &mut Value, old: &Value) {
    let (Some(new), had) = (object_at(object, "spec"), &old["spec"]) else { return };
    let clear = |spec: &mut Value, keys: &[&str]| {
        for key in keys {
            if spec[*key] == had[*key] {
                remove(spec, key);
            }
        }
    };
    if needs_address(had) && !needs_address(new) {
        clear(new, &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]);
    }
    if needs_node_ports(had) && !needs_node_ports(new) {
        let numbers =
            |spec: &Value| items(&spec["ports"]).iter().map(|port| int(&port["nodePort"])).filter(|port| *port != 0).collect::<std::collections::BTreeSet<_>>();
        if numbers(new).is_subset(&numbers(had)) {
            for port in super::small::each(new, "ports") {
                remove(port, "nodePort");
            }
        }
    }
    if needs_health_check(had) && !needs_health_check(new) {
        clear(new, &["healthCheckNodePort"]);
    }
    if text(&had["type"]) == "LoadBalancer" && text(&new["type"]) != "LoadBalancer" {
        clear(new, &["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
        object["status"]["loadBalancer"] = json!({});
    }
    let Some(new) = object_at(object, "spec") else { return };
    if is_externally_accessible(had) && !is_externally_accessible(new) && new["externalTrafficPolicy"] == had["externalTrafficPolicy"] {
        remove(new, "externalTrafficPolicy");
    }
}

/// The most common faults of `ValidateService`.
fn validate(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let kind = text(&spec["type"]);
    let headless = text(&spec["clusterIP"]) == "None";
    if is_empty(&spec["ports"]) && !headless && kind != "ExternalName" {
        errors.push(FieldError::required(path.child("ports"), ""));
    }
    match kind {
        "LoadBalancer" if headless => {
            errors.push(FieldError::invalid(path.child("clusterIPs").index(0), "None", "may not be set to 'None' for LoadBalancer services"));
        }
        "NodePort" if headless => {
            errors.push(FieldError::invalid(path.child("clusterIPs").index(0), "None", "may not be set to 'None' for NodePort services"));
        }
        "ExternalName" => {
            if !is_empty(&spec["clusterIPs"]) {
                errors.push(FieldError::forbidden(path.child("clusterIPs"), "may not be set for ExternalName services"));
            }
            let external = text(&spec["externalName"]).trim_end_matches('.');
            if external.is_empty() {
                errors.push(FieldError::required(path.child("externalName"), ""));
            } else {
                errors.extend(names::subdomain(external).into_iter().map(|why| FieldError::invalid(path.child("externalName"), external, why)));
            }
        }
        "ClusterIP" | "LoadBalancer" | "NodePort" => {}
        other => {
            let known = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
            errors.push(FieldError::not_supported(path.child("type"), other, &known));
        }
    }
    let alone = items(&spec["ports"]).len() == 1;
    let mut seen = std::collections::BTreeSet::new();
    for (index, port) in items(&spec["ports"]).iter().enumerate() {
        validate_port(port, alone, &path.child("ports").index(index), &mut seen, &mut errors);
    }
    if has(spec, "selector") {
        errors.extend(validate_labels(&spec["selector"], &path.child("selector")));
    }
    match text(&spec["sessionAffinity"]) {
        "" => errors.push(FieldError::required(path.child("sessionAffinity"), "")),
        "ClientIP" | "None" => {}
        other => errors.push(FieldError::not_supported(path.child("sessionAffinity"), other, &["ClientIP", "None"])),
    }
    policies(spec, kind, &path, &mut errors);
    let mut numbers = std::collections::BTreeSet::new();
    for (index, port) in items(&spec["ports"]).iter().enumerate() {
        if !numbers.insert((text(&port["protocol"]).to_owned(), int(&port["port"]))) {
            let shown = json!({"protocol": port["protocol"], "port": port["port"]});
            errors.push(FieldError::duplicate(path.child("ports").index(index), shown));
        }
        if int(&port["nodePort"]) != 0 && matches!(kind, "ClusterIP" | "ExternalName") {
            let why = format!("may not be used when `type` is '{kind}'");
            errors.push(FieldError::forbidden(path.child("ports").index(index).child("nodePort"), why));
        }
    }
    errors
}

/// Who may be reached from where: external addresses, source ranges, traffic policies.
fn policies(spec: &Value, kind: &str, path: &Path, errors: &mut Vec<FieldError>) {
    for (index, ip) in items(&spec["externalIPs"]).iter().map(text).enumerate() {
        let path = path.child("externalIPs").index(index);
        if check::parse_ip(ip).is_none() {
            check::ip(ip, &path, errors);
        } else {
            errors.extend(super::network::special(ip).into_iter().map(|why| FieldError::invalid(&path, ip, why)));
        }
    }
    for (index, range) in items(&spec["loadBalancerSourceRanges"]).iter().map(text).enumerate() {
        super::network::cidr(range, &path.child("LoadBalancerSourceRanges").index(index), errors);
    }
    let policy = text(&spec["externalTrafficPolicy"]);
    if !policy.is_empty() {
        if !is_externally_accessible(spec) {
            errors.push(FieldError::invalid(path.child("externalTrafficPolicy"), policy, "may only be set for externally-accessible services"));
        } else {
            check::one_of(policy, &["Cluster", "Local"], &path.child("externalTrafficPolicy"), errors);
        }
    }
    let health = int(&spec["healthCheckNodePort"]);
    if health != 0 && !needs_health_check(spec) {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(FieldError::invalid(path.child("healthCheckNodePort"), health, why));
    }
    if has(spec, "internalTrafficPolicy") {
        check::one_of(text(&spec["internalTrafficPolicy"]), &["Cluster", "Local"], &path.child("internalTrafficPolicy"), errors);
    } else if kind != "ExternalName" {
        errors.push(FieldError::required(path.child("internalTrafficPolicy"), ""));
    }
    let spread = text(&spec["trafficDistribution"]);
    if !spread.is_empty() && !matches!(spread, "PreferClose" | "PreferSameZone" | "PreferSameNode") {
        let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        errors.push(FieldError::not_supported_as_listed(path.child("trafficDistribution"), spread, &known));
    }
}

fn validate_port(port: &Value, alone: bool, path: &Path, seen: &mut std::collections::BTreeSet<String>, errors: &mut Vec<FieldError>) {
    let named = text(&port["name"]);
    if named.is_empty() {
        if !alone {
            errors.push(FieldError::required(path.child("name"), ""));
        }
    } else {
        errors.extend(names::label(named).into_iter().map(|why| FieldError::invalid(path.child("name"), named, why)));
        if !seen.insert(named.to_owned()) {
            errors.push(FieldError::duplicate(path.child("name"), named));
        }
    }
    let number = int(&port["port"]);
    errors.extend(names::port_number(number).into_iter().map(|why| FieldError::invalid(path.child("port"), number, why)));
    match text(&port["protocol"]) {
        "" => errors.push(FieldError::required(path.child("protocol"), "")),
        "TCP" | "UDP" | "SCTP" => {}
        other => errors.push(FieldError::not_supported(path.child("protocol"), other, &["SCTP", "TCP", "UDP"])),
    }
    let target = &port["targetPort"];
    let faults = match target.as_str() {
        Some(text) => names::port_name(text),
        None => names::port_number(int(target)),
    };
    errors.extend(faults.into_iter().map(|why| FieldError::invalid(path.child("targetPort"), target.clone(), why)));
}

/// `getServiceExternalIP`
fn external_address(object: &Value) -> String {
    let spec = &object["spec"];
    let mut all: Vec<&str> = items(&spec["externalIPs"]).iter().map(text).collect();
    match text(&spec["type"]) {
        "ExternalName" => return text(&spec["externalName"]).to_owned(),
        "LoadBalancer" => {
            let ingress = items(&object["status"]["loadBalancer"]["ingress"]).iter();
            let mut given: Vec<&str> = ingress.map(|one| if text(&one["ip"]).is_empty() { text(&one["hostname"]) } else { text(&one["ip"]) }).collect();
            given.retain(|one| !one.is_empty());
            if all.is_empty() && given.is_empty() {
                return "<pending>".to_owned();
            }
            given.append(&mut all);
            all = given;
        }
        _ => {} // external addresses only
    }
    if all.is_empty() { "<none>".to_owned() } else { all.join(",") }
}

/// `makePortString`: `80/TCP,443:30443/TCP`
fn ports(spec: &Value) -> String {
    let shown = |port: &Value| match int(&port["nodePort"]) {
        0 => format!("{}/{}", int(&port["port"]), text(&port["protocol"])),
        node => format!("{}:{node}/{}", int(&port["port"]), text(&port["protocol"])),
    };
    let all: Vec<String> = items(&spec["ports"]).iter().map(shown).collect();
    if all.is_empty() { "<none>".to_owned() } else { all.join(",") }
}
