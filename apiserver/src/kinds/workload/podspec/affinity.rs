//! Where a pod may or should run: affinity, spread, tolerations. See `validateAffinity`, `validateTopologySpreadConstraints`, `ValidateTolerations`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::error::FieldError;
use crate::kinds::check::{faults, one_of, positive};
use crate::kinds::json::{entries, has, int, is_empty, items, text};
use crate::kinds::labels::{validate_key, validate_selector};
use crate::kinds::name;
use crate::kinds::path::Path;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// `validateAffinity`.
pub fn affinity(affinity: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let node = &affinity["nodeAffinity"];
    if !node.is_null() {
        let at = path.child("nodeAffinity");
        if has(node, REQUIRED) {
            node_selector(&node[REQUIRED], &at.child(REQUIRED), out);
        }
        for (index, term) in items(&node[PREFERRED]).iter().enumerate() {
            let at = at.child(PREFERRED).index(index);
            weight(term, &at, out);
            node_term(&term["preference"], true, &at.child("preference"), out);
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let rules = &affinity[kind];
        let at = path.child(kind);
        for (index, term) in items(&rules[REQUIRED]).iter().enumerate() {
            pod_term(term, &at.child(REQUIRED).index(index), out);
        }
        for (index, term) in items(&rules[PREFERRED]).iter().enumerate() {
            let at = at.child(PREFERRED).index(index);
            weight(term, &at, out);
            pod_term(&term["podAffinityTerm"], &at.child("podAffinityTerm"), out);
        }
    }
}

fn weight(term: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let weight = int(&term["weight"]);
    if !(1..=100).contains(&weight) {
        out.push(FieldError::invalid(path.child("weight"), weight, "must be in the range 1-100"));
    }
}

/// `ValidateNodeSelector`.
pub fn node_selector(selector: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let at = path.child("nodeSelectorTerms");
    if is_empty(&selector["nodeSelectorTerms"]) {
        out.push(FieldError::required(&at, "must have at least one node selector term"));
    }
    for (index, term) in items(&selector["nodeSelectorTerms"]).iter().enumerate() {
        node_term(term, false, &at.index(index), out);
    }
}

/// `ValidateNodeSelectorTerm`; in preferences, values need not be label values.
pub fn node_term(term: &Value, any_value: bool, path: &Path, out: &mut Vec<FieldError>) {
    for (index, requirement) in items(&term["matchExpressions"]).iter().enumerate() {
        node_requirement(requirement, any_value, &path.child("matchExpressions").index(index), out);
    }
    for (index, requirement) in items(&term["matchFields"]).iter().enumerate() {
        field_requirement(requirement, &path.child("matchFields").index(index), out);
    }
}

fn node_requirement(requirement: &Value, any_value: bool, path: &Path, out: &mut Vec<FieldError>) {
    let values = items(&requirement["values"]);
    let at = path.child("values");
    match text(&requirement["operator"]) {
        "In" | "NotIn" if values.is_empty() => {
            out.push(FieldError::required(&at, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            out.push(FieldError::forbidden(&at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        "Gt" | "Lt" if values.len() != 1 => {
            out.push(FieldError::required(&at, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => out.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
    }
    out.extend(validate_key(text(&requirement["key"]), &path.child("key")));
    if !any_value {
        for (index, value) in values.iter().enumerate() {
            faults(text(value), &at.index(index), name::label_value(text(value)), out);
        }
    }
}

fn field_requirement(requirement: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let values = items(&requirement["values"]);
    match text(&requirement["operator"]) {
        "In" | "NotIn" if values.len() != 1 => {
            let told = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            out.push(FieldError::required(path.child("values"), told));
        }
        "In" | "NotIn" => {}
        other => out.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
    }
    let key = text(&requirement["key"]);
    if key != "metadata.name" {
        out.push(FieldError::invalid(path.child("key"), key, "not a valid field selector key"));
        return;
    }
    for (index, value) in values.iter().enumerate() {
        faults(text(value), &path.child("values").index(index), name::subdomain(text(value)), out);
    }
}

fn pod_term(term: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for key in ["labelSelector", "namespaceSelector"] {
        out.extend(validate_selector(&term[key], &path.child(key)));
    }
    for namespace in items(&term["namespaces"]).iter().map(text) {
        faults(namespace, &path.child("namespace"), name::label(namespace), out);
    }
    label_keys(term, path, out);
    let topology = text(&term["topologyKey"]);
    if topology.is_empty() {
        out.push(FieldError::required(path.child("topologyKey"), "can not be empty"));
    }
    out.extend(validate_key(topology, &path.child("topologyKey")));
}

/// `ValidateMatchLabelKeysAndMismatchLabelKeys`: runs after the keys were merged into the selector.
fn label_keys(object: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let selector = &object["labelSelector"];
    for key in ["matchLabelKeys", "mismatchLabelKeys"] {
        let at = path.child(key);
        if is_empty(&object[key]) {
            continue;
        }
        if selector.is_null() {
            out.push(FieldError::forbidden(at, "must not be specified when labelSelector is not set"));
            continue;
        }
        for (index, label) in items(&object[key]).iter().enumerate() {
            out.extend(validate_key(text(label), &at.index(index)));
        }
    }
    let matched: BTreeMap<&str, usize> = items(&object["matchLabelKeys"]).iter().enumerate().map(|(index, key)| (text(key), index)).collect();
    let mut selected: BTreeSet<&str> = entries(&selector["matchLabels"]).map(|(key, _)| key.as_str()).collect();
    for expression in items(&selector["matchExpressions"]) {
        let key = text(&expression["key"]);
        if let Some(index) = matched.get(key)
            && selected.contains(key)
        {
            out.push(FieldError::invalid(path.index(*index), key, "exists in both matchLabelKeys and labelSelector"));
        }
        selected.insert(key);
    }
    for (index, key) in items(&object["matchLabelKeys"]).iter().enumerate() {
        if items(&object["mismatchLabelKeys"]).contains(key) {
            let at = path.child("matchLabelKeys").index(index);
            out.push(FieldError::invalid(at, text(key), "exists in both matchLabelKeys and mismatchLabelKeys"));
        }
    }
}

/// `validateTopologySpreadConstraints`.
pub fn spread(constraints: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let constraints = items(constraints);
    for (index, constraint) in constraints.iter().enumerate() {
        let at = path.index(index);
        positive(int(&constraint["maxSkew"]), &at.child("maxSkew"), out);
        let (topology, action) = (text(&constraint["topologyKey"]), text(&constraint["whenUnsatisfiable"]));
        if topology.is_empty() {
            out.push(FieldError::required(at.child("topologyKey"), "can not be empty"));
        }
        one_of(action, &["DoNotSchedule", "ScheduleAnyway"], &at.child("whenUnsatisfiable"), out);
        let same = |other: &Value| text(&other["topologyKey"]) == topology && text(&other["whenUnsatisfiable"]) == action;
        if constraints[index + 1..].iter().any(same) {
            let at = at.child("{topologyKey, whenUnsatisfiable}");
            out.push(FieldError::duplicate(at, format!("{{{topology}, {action}}}")));
        }
        if let Some(domains) = constraint["minDomains"].as_i64() {
            positive(domains, &at.child("minDomains"), out);
            if action != "DoNotSchedule" {
                let told = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                out.push(FieldError::invalid(at.child("minDomains"), domains, told));
            }
        }
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if has(constraint, key) {
                one_of(text(&constraint[key]), &["Honor", "Ignore"], &at.child(key), out);
            }
        }
        label_keys(constraint, &at, out);
        out.extend(validate_selector(&constraint["labelSelector"], &at.child("labelSelector")));
    }
}

/// `ValidateTolerations`.
pub fn tolerations(tolerations: &Value, path: &Path, out: &mut Vec<FieldError>) {
    for (index, toleration) in items(tolerations).iter().enumerate() {
        let at = path.index(index);
        let (key, operator) = (text(&toleration["key"]), text(&toleration["operator"]));
        let (value, effect) = (text(&toleration["value"]), text(&toleration["effect"]));
        if !key.is_empty() {
            out.extend(validate_key(key, &at.child("key")));
        }
        if key.is_empty() && operator != "Exists" {
            let told = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            out.push(FieldError::invalid(at.child("operator"), operator, told));
        }
        if has(toleration, "tolerationSeconds") && effect != "NoExecute" {
            out.push(FieldError::invalid(at.child("effect"), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"));
        }
        let of_operator = at.child("operator");
        match operator {
            "Equal" | "" => {
                let told = name::label_value(value);
                if !told.is_empty() {
                    out.push(FieldError::invalid(of_operator, value, told.join(";")));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    out.push(FieldError::invalid(of_operator, value, "value must be empty when `operator` is 'Exists'"));
                }
            }
            "Lt" | "Gt" => {
                out.push(FieldError::not_supported_as_listed(of_operator, operator, &["Equal", "Exists", "Lt", "Gt"]));
            }
            other => out.push(FieldError::not_supported_as_listed(of_operator, other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            taint_effect(effect, &at.child("effect"), out);
        }
    }
}

/// `validateTaintEffect` of an effect that is there.
pub fn taint_effect(effect: &str, path: &Path, out: &mut Vec<FieldError>) {
    let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    if !effects.contains(&effect) {
        out.push(FieldError::not_supported_as_listed(path, effect, &effects));
    }
}
