//! Kinds that shape the API server itself: certificates, aggregated APIs, custom resources, admission, flow control.

use base64::Engine;
use serde_json::{Value, json};

use super::small::{Generation, NOTHING, Small, each};
use crate::error::FieldError;
use crate::kinds::check;
use crate::kinds::json::{default, default_text, has, int, is_empty, items, object_at, set, text};
use crate::kinds::name as names;
use crate::kinds::path::Path;
use crate::kinds::table::{age, human_duration, name};

/// Certificate requests: what a client may say of itself is what the server knows of it.
pub const CSR: Small = Small {
    columns: "certificatesigningrequests.v1.certificates.k8s.io",
    cells: |object, now| {
        let spec = &object["spec"];
        let requested = if has(spec, "expirationSeconds") { human_duration(int(&spec["expirationSeconds"])) } else { "<none>".to_owned() };
        let mut conditions: Vec<&str> = items(&object["status"]["conditions"]).iter().map(|one| text(&one["type"])).collect();
        conditions.retain(|one| matches!(*one, "Approved" | "Denied" | "Failed"));
        let mut state = if conditions.is_empty() { "Pending".to_owned() } else { conditions.join(",") };
        if !is_empty(&object["status"]["certificate"]) {
            state.push_str(",Issued");
        }
        vec![name(object), age(object, now), text(&spec["signerName"]).into(), text(&spec["username"]).into(), requested.into(), state.into()]
    },
    create: |object, context| {
        let Some(spec) = object_at(object, "spec") else { return };
        for key in ["uid", "extra"] {
            crate::kinds::json::remove(spec, key);
        }
        set(spec, "username", context.user.as_str());
        set(spec, "groups", context.groups.clone());
    },
    change: |object, old, context| {
        if context.subresource.is_empty() {
            object["spec"] = old["spec"].clone();
        }
        if context.subresource == "approval" {
            let conditions = object["status"].get("conditions").cloned();
            object["status"] = old["status"].clone();
            let Some(status) = object_at(object, "status") else { return };
            match conditions {
                Some(conditions) => set(status, "conditions", conditions),
                None => drop(crate::kinds::json::remove(status, "conditions")),
            }
            let Some(status) = object.get_mut("status") else { return };
            for condition in each(status, "conditions") {
                default_text(condition, "status", "True");
                default_text(condition, "lastUpdateTime", &context.now);
                default_text(condition, "lastTransitionTime", &context.now);
            }
        }
    },
    changed: |object, old| {
        let of = |object: &Value| items(&object["status"]["conditions"]).iter().map(|one| text(&one["type"]).to_owned()).collect::<Vec<_>>();
        let (new, had) = (of(object), of(old));
        let mut errors = Vec::new();
        for kind in ["Approved", "Denied", "Failed"] {
            if had.iter().any(|one| one == kind) && !new.iter().any(|one| one == kind) {
                let why = format!("updates may not remove a condition of type {kind:?}");
                errors.push(FieldError::forbidden("status.conditions", why));
            }
        }
        if new.iter().any(|one| one == "Approved") && new.iter().any(|one| one == "Denied") {
            errors.push(FieldError::invalid("status.conditions", "Denied", "Approved and Denied conditions are mutually exclusive"));
        }
        errors
    },
    faults: csr_faults,
    fields: &["spec.signerName"],
    ..NOTHING
};

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// `validateCertificateSigningRequest`
fn csr_faults(object: &Value) -> Vec<FieldError> {
    let (spec, path) = (&object["spec"], Path::new("spec"));
    let mut errors = Vec::new();
    let request = text(&spec["request"]);
    let pem = base64::engine::general_purpose::STANDARD.decode(request).unwrap_or_default(); // the schema lets base64 only through
    if !String::from_utf8_lossy(&pem).trim_start().starts_with("-----BEGIN CERTIFICATE REQUEST-----") {
        errors.push(FieldError::invalid(path.child("request"), request, "PEM block type must be CERTIFICATE REQUEST"));
    }
    if is_empty(&spec["usages"]) {
        errors.push(FieldError::required(path.child("usages"), ""));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, usage) in items(&spec["usages"]).iter().map(text).enumerate() {
        check::one_of(usage, USAGES, &path.child("usages").index(index), &mut errors);
        if !seen.insert(usage) {
            errors.push(FieldError::duplicate(path.child("usages").index(index), usage));
        }
    }
    let signer = text(&spec["signerName"]);
    let valid = signer.split_once('/').is_some_and(|(domain, rest)| domain.contains('.') && names::is_subdomain(domain) && !rest.is_empty());
    if signer.is_empty() {
        errors.push(FieldError::required(path.child("signerName"), ""));
    } else if !valid {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path.child("signerName"), signer, why));
    }
    if has(spec, "expirationSeconds") && int(&spec["expirationSeconds"]) < 600 {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid(path.child("expirationSeconds"), spec["expirationSeconds"].clone(), why));
    }
    errors
}

/// Aggregated APIs.
pub const API_SERVICE: Small = Small {
    columns: "apiservices.v1.apiregistration.k8s.io",
    cells: |object, now| {
        let service = &object["spec"]["service"];
        let shown = if service.is_null() { "Local".to_owned() } else { format!("{}/{}", text(&service["namespace"]), text(&service["name"])) };
        let available = items(&object["status"]["conditions"]).iter().find(|one| one["type"] == "Available");
        let state = match available {
            Some(condition) if condition["status"] == "True" => "True".to_owned(),
            Some(condition) if text(&condition["reason"]).is_empty() => text(&condition["status"]).to_owned(),
            Some(condition) => format!("{} ({})", text(&condition["status"]), text(&condition["reason"])),
            None => "Unknown".to_owned(),
        };
        vec![name(object), shown.into(), state.into(), age(object, now)]
    },
    fill: |object| {
        if let Some(service) = object.get_mut("spec").and_then(|spec| spec.get_mut("service")) {
            default(service, "port", 443);
        }
    },
    create: |object, context| {
        if object["spec"]["service"].is_null() {
            let condition = json!({
                "type": "Available",
                "status": "True",
                "lastTransitionTime": context.now,
                "reason": "Local",
                "message": "Local APIServices are always available",
            });
            object["status"] = json!({"conditions": [condition]});
        }
    },
    ..NOTHING
};

/// Definitions of custom resources. What they define is not served yet.
pub const CRD: Small = Small {
    columns: "customresourcedefinitions.v1.apiextensions.k8s.io",
    fill: |object| {
        let Some(spec) = object_at(object, "spec") else { return };
        default_text(spec, "scope", "Namespaced");
        if let Some(names) = object_at(spec, "names") {
            let kind = text(&names["kind"]).to_owned();
            default_text(names, "singular", &kind.to_lowercase());
            default_text(names, "listKind", &format!("{kind}List"));
        }
        if spec["conversion"].is_null() {
            spec["conversion"] = json!({"strategy": "None"});
        }
    },
    create: |object, _| {
        let stored = items(&object["spec"]["versions"]).iter().find(|one| one["storage"] == true).map(|one| one["name"].clone());
        object["status"] = json!({
            "conditions": null,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": stored.into_iter().collect::<Vec<Value>>(),
        });
    },
    generation: Generation::Counts,
    ..NOTHING
};

/// Webhooks that change objects.
pub const MUTATING: Small = Small { columns: "mutatingwebhookconfigurations.v1.admissionregistration.k8s.io", ..VALIDATING };

/// Webhooks that check objects.
pub const VALIDATING: Small = Small {
    columns: "validatingwebhookconfigurations.v1.admissionregistration.k8s.io",
    cells: |object, now| vec![name(object), items(&object["webhooks"]).len().into(), age(object, now)],
    fill: |object| {
        let mutating = object["kind"] == "MutatingWebhookConfiguration";
        for hook in each(object, "webhooks") {
            default_text(hook, "failurePolicy", "Fail");
            default_text(hook, "matchPolicy", "Equivalent");
            default(hook, "namespaceSelector", json!({}));
            default(hook, "objectSelector", json!({}));
            default(hook, "timeoutSeconds", 10);
            if mutating {
                default_text(hook, "reinvocationPolicy", "Never");
            }
            if let Some(service) = hook.get_mut("clientConfig").and_then(|config| config.get_mut("service")) {
                default(service, "port", 443);
            }
            for rule in each(hook, "rules") {
                default_text(rule, "scope", "*");
            }
        }
    },
    generation: Generation::Counts,
    ..NOTHING
};

fn match_resources(matching: &mut Value) {
    default_text(matching, "matchPolicy", "Equivalent");
    default(matching, "namespaceSelector", json!({}));
    default(matching, "objectSelector", json!({}));
    for rules in ["resourceRules", "excludeResourceRules"] {
        for rule in each(matching, rules) {
            default_text(rule, "scope", "*");
        }
    }
}

/// Admission policies.
pub const POLICY: Small = Small {
    columns: "validatingadmissionpolicies.v1.admissionregistration.k8s.io",
    cells: |object, now| {
        let param = &object["spec"]["paramKind"];
        let shown = if param.is_null() { "<unset>".to_owned() } else { format!("{}/{}", text(&param["apiVersion"]), text(&param["kind"])) };
        vec![name(object), items(&object["spec"]["validations"]).len().into(), shown.into(), age(object, now)]
    },
    fill: |object| {
        let Some(spec) = object_at(object, "spec") else { return };
        default_text(spec, "failurePolicy", "Fail");
        if let Some(matching) = spec.get_mut("matchConstraints") {
            match_resources(matching);
        }
    },
    generation: Generation::Counts,
    ..NOTHING
};

/// Bindings of admission policies.
pub const POLICY_BINDING: Small = Small {
    columns: "validatingadmissionpolicybindings.v1.admissionregistration.k8s.io",
    cells: |object, now| {
        let param = &object["spec"]["paramRef"];
        let shown = match (param.is_null(), text(&param["namespace"])) {
            (true, _) => "<unset>".to_owned(),
            (false, "") if has(param, "selector") => crate::kinds::labels::format_selector(&param["selector"]),
            (false, "") => format!("*/{}", text(&param["name"])),
            (false, namespace) => format!("{namespace}/{}", text(&param["name"])),
        };
        vec![name(object), text(&object["spec"]["policyName"]).into(), shown.into(), age(object, now)]
    },
    fill: |object| {
        if let Some(matching) = object.get_mut("spec").and_then(|spec| spec.get_mut("matchResources")) {
            match_resources(matching);
        }
    },
    generation: Generation::Counts,
    ..NOTHING
};

/// Flow schemas.
pub const FLOW_SCHEMA: Small = Small {
    columns: "flowschemas.v1.flowcontrol.apiserver.k8s.io",
    cells: |object, now| {
        let spec = &object["spec"];
        let method = if spec["distinguisherMethod"].is_null() { "<none>" } else { text(&spec["distinguisherMethod"]["type"]) };
        let dangling = items(&object["status"]["conditions"]).iter().find(|one| one["type"] == "Dangling");
        vec![
            name(object),
            text(&spec["priorityLevelConfiguration"]["name"]).into(),
            int(&spec["matchingPrecedence"]).into(),
            method.into(),
            age(object, now),
            dangling.map_or("?", |one| text(&one["status"])).into(),
        ]
    },
    fill: |object| {
        let Some(spec) = object_at(object, "spec") else { return };
        if int(&spec["matchingPrecedence"]) == 0 {
            spec["matchingPrecedence"] = json!(1000);
        }
    },
    generation: Generation::Counts,
    ..NOTHING
};

/// Priority levels.
pub const PRIORITY_LEVEL: Small = Small {
    columns: "prioritylevelconfigurations.v1.flowcontrol.apiserver.k8s.io",
    cells: |object, now| {
        let spec = &object["spec"];
        let (limited, queuing) = (&spec["limited"], &spec["limited"]["limitResponse"]["queuing"]);
        let number = |value: &Value| if value.is_null() { "<none>".to_owned() } else { int(value).to_string() };
        vec![
            name(object),
            text(&spec["type"]).into(),
            number(&limited["nominalConcurrencyShares"]).into(),
            number(&queuing["queues"]).into(),
            number(&queuing["handSize"]).into(),
            number(&queuing["queueLengthLimit"]).into(),
            age(object, now),
        ]
    },
    fill: |object| {
        let Some(spec) = object.get_mut("spec") else { return };
        if let Some(limited) = spec.get_mut("limited") {
            default(limited, "nominalConcurrencyShares", 30);
            default(limited, "lendablePercent", 0);
            if let Some(queuing) = limited.get_mut("limitResponse").and_then(|response| response.get_mut("queuing")) {
                for (key, value) in [("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)] {
                    if int(&queuing[key]) == 0 {
                        queuing[key] = json!(value);
                    }
                }
            }
        }
        if let Some(exempt) = spec.get_mut("exempt") {
            default(exempt, "nominalConcurrencyShares", 0);
            default(exempt, "lendablePercent", 0);
        }
    },
    generation: Generation::Counts,
    ..NOTHING
};
