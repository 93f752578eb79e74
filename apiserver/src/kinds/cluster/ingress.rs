//! What is wrong with an Ingress. See `pkg/apis/networking/validation/validation.go` (`ValidateIngressCreate`).

use std::net::IpAddr;

use serde_json::Value;

use crate::error::FieldError;
use crate::kinds::json::{has, int, is_empty, items, text};
use crate::kinds::name as names;
use crate::kinds::path::Path;

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Every fault of an Ingress. Whether it is new is not known here: the annotation is compared wherever both are there.
pub fn faults(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &object["spec"];
    let path = Path::new("spec");
    if is_empty(&spec["rules"]) && !has(spec, "defaultBackend") {
        let why = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid_shown(&path, "null", why));
    }
    if has(spec, "defaultBackend") {
        backend(&spec["defaultBackend"], &path.child("defaultBackend"), &mut errors);
    }
    for (index, rule) in items(&spec["rules"]).iter().enumerate() {
        let path = path.child("rules").index(index);
        host(text(&rule["host"]), &path.child("host"), &mut errors);
        if has(rule, "http") && is_empty(&rule["http"]["paths"]) {
            errors.push(FieldError::required(path.child("http").child("paths"), ""));
        }
        for (index, one) in items(&rule["http"]["paths"]).iter().enumerate() {
            http_path(one, &path.child("http").child("paths").index(index), &mut errors);
        }
    }
    for (index, tls) in items(&spec["tls"]).iter().enumerate() {
        let path = path.child("tls").index(index);
        for (index, host) in items(&tls["hosts"]).iter().map(text).enumerate() {
            let wrong = if host.contains('*') { names::wildcard_subdomain(host) } else { names::subdomain(host) };
            errors.extend(wrong.into_iter().map(|why| FieldError::invalid(path.child("hosts").index(index), host, why)));
        }
        let secret = text(&tls["secretName"]);
        if !secret.is_empty() {
            errors.extend(names::dns_subdomain(secret, false).into_iter().map(|why| FieldError::invalid(path.child("secretName"), secret, why)));
        }
    }
    let class = text(&spec["ingressClassName"]);
    if has(spec, "ingressClassName") {
        errors.extend(names::dns_subdomain(class, false).into_iter().map(|why| FieldError::invalid(path.child("ingressClassName"), class, why)));
        let annotated = &object["metadata"]["annotations"][CLASS_ANNOTATION];
        if annotated.as_str().is_some_and(|annotated| annotated != class) {
            let path = Path::new("annotations").child(CLASS_ANNOTATION);
            errors.insert(0, FieldError::invalid(path, annotated.clone(), "must match `ingressClassName` when both are specified"));
        }
    }
    errors
}

fn host(host: &str, path: &Path, errors: &mut Vec<FieldError>) {
    if host.is_empty() {
        return;
    }
    if host.parse::<IpAddr>().is_ok() {
        return errors.push(FieldError::invalid(path, host, "must be a DNS name, not an IP address"));
    }
    let wrong = if host.contains('*') { names::wildcard_subdomain(host) } else { names::subdomain(host) };
    errors.extend(wrong.into_iter().map(|why| FieldError::invalid(path, host, why)));
}

fn http_path(one: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let at = text(&one["path"]);
    match text(&one["pathType"]) {
        _ if !has(one, "pathType") => errors.push(FieldError::required(path.child("pathType"), "pathType must be specified")),
        "Exact" | "Prefix" => {
            if !at.starts_with('/') {
                errors.push(FieldError::invalid(path.child("path"), at, "must be an absolute path"));
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|part| at.contains(part)) {
                errors.push(FieldError::invalid(path.child("path"), at, format!("must not contain '{part}'")));
            }
            for end in ["/..", "/."].into_iter().filter(|end| at.ends_with(end)) {
                errors.push(FieldError::invalid(path.child("path"), at, format!("cannot end with '{end}'")));
            }
        }
        "ImplementationSpecific" => {
            if !at.is_empty() && !at.starts_with('/') {
                errors.push(FieldError::invalid(path.child("path"), at, "must be an absolute path"));
            }
        }
        other => errors.push(FieldError::not_supported(path.child("pathType"), other, &["Exact", "ImplementationSpecific", "Prefix"])),
    }
    backend(&one["backend"], &path.child("backend"), errors);
}

fn backend(backend: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let (service, resource) = (&backend["service"], &backend["resource"]);
    match (has(backend, "service"), has(backend, "resource")) {
        (true, true) => return errors.push(FieldError::invalid(path, "", "cannot set both resource and service backends")),
        (false, false) => return errors.push(FieldError::invalid(path, "", "resource or service backend is required")),
        (false, true) => {
            for key in ["kind", "name"].into_iter().filter(|key| text(&resource[*key]).is_empty()) {
                errors.push(FieldError::required(path.child("resource").child(key), ""));
            }
            return;
        }
        (true, false) => {}
    }
    let name = text(&service["name"]);
    let at = path.child("service").child("name");
    if name.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else {
        errors.extend(names::dns_1035_label(name, false).into_iter().map(|why| FieldError::invalid(&at, name, why)));
    }
    let (number, named) = (int(&service["port"]["number"]), text(&service["port"]["name"]));
    match (number != 0, !named.is_empty()) {
        (true, true) => errors.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
        (false, true) => {
            let at = path.child("service").child("port").child("name");
            errors.extend(names::port_name(named).into_iter().map(|why| FieldError::invalid(&at, named, why)));
        }
        (true, false) => {
            let at = path.child("service").child("port").child("number");
            errors.extend(names::port_number(number).into_iter().map(|why| FieldError::invalid(&at, number, why)));
        }
        (false, false) => errors.push(FieldError::required(path, "port name or number is required")),
    }
}
