//! Between `autoscaling/v1`, which knows only CPU, and `v2`: what `v1` has no field for travels in annotations.
//! See `pkg/apis/autoscaling/v1/conversion.go`, `pkg/apis/autoscaling/helpers.go`.

use serde_json::{Map, Value, json};

use crate::kinds::json::{has, is_empty, items, object_at, present_mut, remove, set, text};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// A metric of mean CPU utilization.
pub fn cpu_metric(percent: i64) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}})
}

/// `DropRoundTripHorizontalPodAutoscalerAnnotations`: `v2` has fields for them.
pub fn drop_annotations(object: &mut Value) {
    let Some(metadata) = present_mut(object, "metadata") else { return };
    let Some(annotations) = present_mut(metadata, "annotations") else { return };
    for key in [
        METRICS,
        CURRENT_METRICS,
        CONDITIONS,
        BEHAVIOR,
        "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
        "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
    ] {
        remove(annotations, key);
    }
    if is_empty(annotations) {
        remove(metadata, "annotations");
    }
}

/// Fields in the order of the Go struct, without those that are not there: annotations are compared as text.
fn ordered(fields: &[(&str, String)]) -> String {
    let shown: Vec<String> = fields.iter().filter(|(_, value)| value != "null").map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", shown.join(","))
}

fn list(parts: Vec<String>) -> String {
    format!("[{}]", parts.join(","))
}

/// A `v2` autoscaler as `v1` shows it.
pub fn to_v1(mut object: Value) -> Value {
    drop_annotations(&mut object);
    let (spec, status) = (object["spec"].clone(), object["status"].clone());
    let metrics = items(&spec["metrics"]);
    let is_cpu = |metric: &&Value| text(&metric["type"]) == "Resource" && text(&metric["resource"]["name"]) == "cpu";
    let plain = |metric: &&Value| is_cpu(metric) && has(&metric["resource"]["target"], "averageUtilization");
    let others: Vec<String> = metrics.iter().filter(|metric| !plain(metric)).map(metric_to_v1).collect();
    let mut annotations: Vec<(&str, String)> = Vec::new();
    if !others.is_empty() {
        annotations.push((METRICS, list(others)));
    }
    let current = items(&status["currentMetrics"]);
    if !current.is_empty() {
        annotations.push((CURRENT_METRICS, list(current.iter().map(status_to_v1).collect())));
    }
    if has(&spec, "behavior") {
        annotations.push((BEHAVIOR, behavior_text(&spec["behavior"])));
    }
    if !is_empty(&status["conditions"]) {
        annotations.push((CONDITIONS, list(items(&status["conditions"]).iter().map(condition_text).collect())));
    }
    if !annotations.is_empty()
        && let Some(map) = object_at(&mut object, "metadata").and_then(|metadata| object_at(metadata, "annotations"))
    {
        annotations.into_iter().for_each(|(key, value)| set(map, key, value));
    }
    let mut seen = Map::new();
    for key in ["scaleTargetRef", "minReplicas", "maxReplicas"] {
        spec.get(key).map(|value| seen.insert(key.to_owned(), value.clone()));
    }
    if let Some(metric) = metrics.iter().find(plain) {
        seen.insert("targetCPUUtilizationPercentage".to_owned(), metric["resource"]["target"]["averageUtilization"].clone());
    }
    set(&mut object, "spec", Value::Object(seen));
    let mut seen = json!({"currentReplicas": 0, "desiredReplicas": 0});
    for key in ["observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas"] {
        if has(&status, key) {
            set(&mut seen, key, status[key].clone());
        }
    }
    if let Some(cpu) = current.iter().filter(is_cpu).rfind(|metric| has(&metric["resource"]["current"], "averageUtilization")) {
        set(&mut seen, "currentCPUUtilizationPercentage", cpu["resource"]["current"]["averageUtilization"].clone());
    }
    set(&mut object, "status", seen);
    object
}

/// A `v1` autoscaler as it is stored. Annotations that cannot be read are dropped, as Kubernetes does.
pub fn from_v1(mut object: Value) -> Value {
    let (spec, status) = (object["spec"].clone(), object["status"].clone());
    let read = |key: &str| object["metadata"]["annotations"][key].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let mut metrics: Vec<Value> = read(METRICS).map(|list| items(&list).iter().map(metric_from_v1).collect()).unwrap_or_default();
    if let Some(percent) = spec["targetCPUUtilizationPercentage"].as_i64() {
        metrics.push(cpu_metric(percent));
    }
    if metrics.is_empty() {
        metrics.push(cpu_metric(80));
    }
    let behavior = read(BEHAVIOR).map(|behavior| behavior_value(&behavior)).filter(|behavior| !is_empty(behavior));
    let current: Option<Vec<Value>> = read(CURRENT_METRICS).map(|list| items(&list).iter().map(status_from_v1).collect());
    let conditions = read(CONDITIONS).filter(|list| !is_empty(list));
    drop_annotations(&mut object);
    let mut stored = Map::new();
    for key in ["scaleTargetRef", "minReplicas", "maxReplicas"] {
        spec.get(key).map(|value| stored.insert(key.to_owned(), value.clone()));
    }
    stored.insert("metrics".to_owned(), Value::Array(metrics));
    behavior.map(|behavior| stored.insert("behavior".to_owned(), behavior));
    set(&mut object, "spec", Value::Object(stored));
    let mut stored = json!({"desiredReplicas": 0, "currentMetrics": null});
    for key in ["observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas"] {
        if has(&status, key) && (key != "currentReplicas" || status[key] != 0) {
            set(&mut stored, key, status[key].clone());
        }
    }
    if let Some(percent) = status["currentCPUUtilizationPercentage"].as_i64() {
        set(&mut stored, "currentMetrics", json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}}]));
    }
    if let Some(current) = current {
        set(&mut stored, "currentMetrics", current);
    }
    if let Some(conditions) = conditions {
        set(&mut stored, "conditions", conditions);
    }
    set(&mut object, "status", stored);
    object
}

fn metric_to_v1(metric: &Value) -> String {
    let kind = metric["type"].to_string();
    let (name, selector) = (|source: &Value| source["metric"]["name"].to_string(), |source: &Value| source["metric"]["selector"].to_string());
    let target = |source: &Value, key: &str| source["target"][key].to_string();
    let zero = |shown: String| if shown == "null" { "\"0\"".to_owned() } else { shown };
    let (object, pods) = (&metric["object"], &metric["pods"]);
    let (resource, container, external) = (&metric["resource"], &metric["containerResource"], &metric["external"]);
    let of = |source: &Value, fields: &[(&str, String)]| if source.is_null() { "null".to_owned() } else { ordered(fields) };
    ordered(&[
        ("type", kind),
        (
            "object",
            of(
                object,
                &[
                    ("target", reference(&object["describedObject"])),
                    ("metricName", name(object)),
                    ("targetValue", zero(target(object, "value"))),
                    ("selector", selector(object)),
                    ("averageValue", target(object, "averageValue")),
                ],
            ),
        ),
        ("pods", of(pods, &[("metricName", name(pods)), ("targetAverageValue", zero(target(pods, "averageValue"))), ("selector", selector(pods))])),
        (
            "resource",
            of(
                resource,
                &[
                    ("name", resource["name"].to_string()),
                    ("targetAverageUtilization", target(resource, "averageUtilization")),
                    ("targetAverageValue", target(resource, "averageValue")),
                ],
            ),
        ),
        (
            "containerResource",
            of(
                container,
                &[
                    ("name", container["name"].to_string()),
                    ("targetAverageUtilization", target(container, "averageUtilization")),
                    ("targetAverageValue", target(container, "averageValue")),
                    ("container", container["container"].to_string()),
                ],
            ),
        ),
        (
            "external",
            of(
                external,
                &[
                    ("metricName", name(external)),
                    ("metricSelector", selector(external)),
                    ("targetValue", target(external, "value")),
                    ("targetAverageValue", target(external, "averageValue")),
                ],
            ),
        ),
    ])
}

fn reference(object: &Value) -> String {
    ordered(&[
        ("kind", Value::from(text(&object["kind"])).to_string()),
        ("name", Value::from(text(&object["name"])).to_string()),
        ("apiVersion", object["apiVersion"].to_string()),
    ])
}

/// An object without its nulls.
fn present(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.into_iter().filter(|(_, inner)| !inner.is_null()).map(|(key, inner)| (key, present(inner))).collect()),
        other => other,
    }
}

fn metric_from_v1(metric: &Value) -> Value {
    let identifier = |source: &Value, selector: &str| json!({"name": source["metricName"], "selector": source[selector]});
    let by = |average: &Value| if average.is_null() { "Value" } else { "AverageValue" };
    let mut found = json!({"type": metric["type"]});
    let (object, pods, external) = (&metric["object"], &metric["pods"], &metric["external"]);
    if !object.is_null() {
        let target = json!({"type": by(&object["averageValue"]), "value": object["targetValue"], "averageValue": object["averageValue"]});
        set(&mut found, "object", json!({"describedObject": object["target"], "metric": identifier(object, "selector"), "target": target}));
    }
    if !pods.is_null() {
        let target = json!({"type": "AverageValue", "averageValue": pods["targetAverageValue"]});
        set(&mut found, "pods", json!({"metric": identifier(pods, "selector"), "target": target}));
    }
    for key in ["resource", "containerResource"] {
        let source = &metric[key];
        if source.is_null() {
            continue;
        }
        let kind = if has(source, "targetAverageUtilization") { "Utilization" } else { "AverageValue" };
        let target = json!({"type": kind, "averageUtilization": source["targetAverageUtilization"], "averageValue": source["targetAverageValue"]});
        set(&mut found, key, json!({"name": source["name"], "container": source["container"], "target": target}));
    }
    if !external.is_null() {
        let kind = if has(external, "targetValue") { "Value" } else { "AverageValue" };
        let target = json!({"type": kind, "value": external["targetValue"], "averageValue": external["targetAverageValue"]});
        set(&mut found, "external", json!({"metric": identifier(external, "metricSelector"), "target": target}));
    }
    present(found)
}

fn status_to_v1(metric: &Value) -> String {
    let current = |source: &Value, key: &str| source["current"][key].to_string();
    let zero = |shown: String| if shown == "null" { "\"0\"".to_owned() } else { shown };
    let of = |source: &Value, fields: &[(&str, String)]| if source.is_null() { "null".to_owned() } else { ordered(fields) };
    let (object, pods) = (&metric["object"], &metric["pods"]);
    let (resource, container, external) = (&metric["resource"], &metric["containerResource"], &metric["external"]);
    let (name, selector) = (|source: &Value| source["metric"]["name"].to_string(), |source: &Value| source["metric"]["selector"].to_string());
    ordered(&[
        ("type", metric["type"].to_string()),
        (
            "object",
            of(
                object,
                &[
                    ("target", reference(&object["describedObject"])),
                    ("metricName", name(object)),
                    ("currentValue", zero(current(object, "value"))),
                    ("selector", selector(object)),
                    ("averageValue", current(object, "averageValue")),
                ],
            ),
        ),
        ("pods", of(pods, &[("metricName", name(pods)), ("currentAverageValue", zero(current(pods, "averageValue"))), ("selector", selector(pods))])),
        (
            "resource",
            of(
                resource,
                &[
                    ("name", resource["name"].to_string()),
                    ("currentAverageUtilization", current(resource, "averageUtilization")),
                    ("currentAverageValue", zero(current(resource, "averageValue"))),
                ],
            ),
        ),
        (
            "containerResource",
            of(
                container,
                &[
                    ("name", container["name"].to_string()),
                    ("currentAverageUtilization", current(container, "averageUtilization")),
                    ("currentAverageValue", zero(current(container, "averageValue"))),
                    ("container", container["container"].to_string()),
                ],
            ),
        ),
        (
            "external",
            of(
                external,
                &[
                    ("metricName", name(external)),
                    ("metricSelector", selector(external)),
                    ("currentValue", zero(current(external, "value"))),
                    ("currentAverageValue", current(external, "averageValue")),
                ],
            ),
        ),
    ])
}

fn status_from_v1(metric: &Value) -> Value {
    let identifier = |source: &Value, selector: &str| json!({"name": source["metricName"], "selector": source[selector]});
    let mut found = json!({"type": metric["type"]});
    let (object, pods, external) = (&metric["object"], &metric["pods"], &metric["external"]);
    if !object.is_null() {
        let current = json!({"value": object["currentValue"], "averageValue": object["averageValue"]});
        set(&mut found, "object", json!({"describedObject": object["target"], "metric": identifier(object, "selector"), "current": current}));
    }
    if !pods.is_null() {
        set(&mut found, "pods", json!({"metric": identifier(pods, "selector"), "current": {"averageValue": pods["currentAverageValue"]}}));
    }
    for key in ["resource", "containerResource"] {
        let source = &metric[key];
        if !source.is_null() {
            let current = json!({"averageUtilization": source["currentAverageUtilization"], "averageValue": source["currentAverageValue"]});
            set(&mut found, key, json!({"name": source["name"], "container": source["container"], "current": current}));
        }
    }
    if !external.is_null() {
        let current = json!({"value": external["currentValue"], "averageValue": external["currentAverageValue"]});
        set(&mut found, "external", json!({"metric": identifier(external, "metricSelector"), "current": current}));
    }
    present(found)
}

fn condition_text(condition: &Value) -> String {
    let fields = ["type", "status", "lastTransitionTime", "reason", "message"];
    ordered(&fields.map(|key| (key, condition[key].to_string())))
}

/// Scaling rules as Go prints its internal structs: with their own field names.
fn behavior_text(behavior: &Value) -> String {
    let policy = |policy: &Value| format!("{{\"Type\":{},\"Value\":{},\"PeriodSeconds\":{}}}", policy["type"], policy["value"], policy["periodSeconds"]);
    let rules = |rules: &Value| {
        if rules.is_null() {
            return "null".to_owned();
        }
        let policies = if rules["policies"].is_null() { "null".to_owned() } else { list(items(&rules["policies"]).iter().map(policy).collect()) };
        format!(
            "{{\"StabilizationWindowSeconds\":{},\"SelectPolicy\":{},\"Policies\":{policies},\"Tolerance\":{}}}",
            rules["stabilizationWindowSeconds"], rules["selectPolicy"], rules["tolerance"]
        )
    };
    format!("{{\"ScaleUp\":{},\"ScaleDown\":{}}}", rules(&behavior["scaleUp"]), rules(&behavior["scaleDown"]))
}

fn behavior_value(behavior: &Value) -> Value {
    let policy = |policy: &Value| json!({"type": policy["Type"], "value": policy["Value"], "periodSeconds": policy["PeriodSeconds"]});
    let rules = |rules: &Value| {
        if rules.is_null() {
            return Value::Null;
        }
        let policies = if rules["Policies"].is_null() { Value::Null } else { Value::Array(items(&rules["Policies"]).iter().map(policy).collect()) };
        json!({"stabilizationWindowSeconds": rules["StabilizationWindowSeconds"], "selectPolicy": rules["SelectPolicy"], "policies": policies, "tolerance": rules["Tolerance"]})
    };
    present(json!({"scaleUp": rules(&behavior["ScaleUp"]), "scaleDown": rules(&behavior["ScaleDown"])}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_v1_cannot_say_is_in_annotations() {
        let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}}});
        let stored = json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "minReplicas": 1, "metrics": [memory, cpu_metric(60)],
            "behavior": {"scaleUp": {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}], "stabilizationWindowSeconds": 0}}},
            "status": {"desiredReplicas": 2, "currentReplicas": 2, "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 40, "averageValue": "1"}}}],
                "conditions": [{"type": "AbleToScale", "status": "True"}]}});
        let seen = to_v1(stored.clone());
        assert_eq!(seen["spec"], json!({"maxReplicas": 3, "minReplicas": 1, "targetCPUUtilizationPercentage": 60}));
        assert_eq!(seen["metadata"]["annotations"][METRICS], "[{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"targetAverageUtilization\":70}}]");
        assert_eq!(seen["status"]["currentCPUUtilizationPercentage"], 40);
        assert_eq!(from_v1(seen), stored);
    }
}
