//! Probes and lifecycle hooks: what is asked of a container. See `validateProbe`, `validateHandler`, `validateLifecycle`.

use serde_json::Value;

use crate::error::FieldError;
use crate::kinds::check::{nonnegative, one_of, required};
use crate::kinds::json::{has, int, is_empty, items, text};
use crate::kinds::name;
use crate::kinds::path::Path;

/// Every handler, in the order in which they are checked; a probe has no `sleep`, a hook no `grpc`.
const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// The three probes of a container.
pub fn probes(container: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if !has(container, key) {
            continue;
        }
        let (probe, at) = (&container[key], path.child(key));
        check_probe(probe, &at, out);
        if key == "readinessProbe" {
            if has(probe, "terminationGracePeriodSeconds") {
                let told = "must not be set for readinessProbes";
                let value = probe["terminationGracePeriodSeconds"].clone();
                out.push(FieldError::invalid(at.child("terminationGracePeriodSeconds"), value, told));
            }
        } else if int(&probe["successThreshold"]) != 1 {
            out.push(FieldError::invalid(at.child("successThreshold"), int(&probe["successThreshold"]), "must be 1"));
        }
    }
}

fn check_probe(probe: &Value, path: &Path, out: &mut Vec<FieldError>) {
    handler(probe, &HANDLERS[..4], None, path, out);
    for key in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        nonnegative(probe, key, path, out);
    }
    if let Some(seconds) = probe["terminationGracePeriodSeconds"].as_i64()
        && seconds <= 0
    {
        out.push(FieldError::invalid(path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0"));
    }
}

/// `validateLifecycle`; `spec` is the pod's, for its grace period and operating system.
pub fn lifecycle(container: &Value, spec: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let hooks = &container["lifecycle"];
    let grace = spec["terminationGracePeriodSeconds"].as_i64();
    for key in ["postStart", "preStop"] {
        if has(hooks, key) {
            handler(&hooks[key], &["exec", "httpGet", "tcpSocket", "sleep"], grace, &path.child(key), out);
        }
    }
    if has(hooks, "stopSignal") && !has(spec, "os") {
        out.push(FieldError::forbidden(path.child("stopSignal"), "may not be set for containers with empty `spec.os.name`"));
    }
}

fn handler(object: &Value, kinds: &[&str], grace: Option<i64>, path: &Path, out: &mut Vec<FieldError>) {
    let mut found = 0;
    for key in kinds.iter().filter(|key| has(object, key)) {
        let (action, at) = (&object[*key], path.child(key));
        found += 1;
        if found > 1 {
            out.push(FieldError::forbidden(at, "may not specify more than 1 handler type"));
            continue;
        }
        match *key {
            "exec" => {
                if is_empty(&action["command"]) {
                    out.push(FieldError::required(at.child("command"), ""));
                }
            }
            "httpGet" => http_get(action, &at, out),
            "sleep" => sleep(action, grace, &at, out),
            _ => port(&action["port"], &at.child("port"), out), // tcpSocket, grpc
        }
    }
    if found == 0 {
        out.push(FieldError::required(path, "must specify a handler type"));
    }
}

fn http_get(action: &Value, path: &Path, out: &mut Vec<FieldError>) {
    required(text(&action["path"]), &path.child("path"), out);
    port(&action["port"], &path.child("port"), out);
    one_of(text(&action["scheme"]), &["HTTP", "HTTPS"], &path.child("scheme"), out);
    for header in items(&action["httpHeaders"]) {
        let called = text(&header["name"]);
        crate::kinds::check::faults(called, &path.child("httpHeaders"), name::http_header(called), out);
    }
}

fn sleep(action: &Value, grace: Option<i64>, path: &Path, out: &mut Vec<FieldError>) {
    let seconds = int(&action["seconds"]);
    if let Some(grace) = grace
        && !(0..=grace).contains(&seconds)
    {
        let told = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        out.push(FieldError::invalid(path, seconds, told));
    }
}

/// `ValidatePortNumOrName`.
pub fn port(port: &Value, path: &Path, out: &mut Vec<FieldError>) {
    match port {
        Value::String(called) => crate::kinds::check::faults(called, path, name::port_name(called), out),
        other => {
            let number = int(other);
            out.extend(name::port_number(number).into_iter().map(|fault| FieldError::invalid(path, number, fault)));
        }
    }
}
