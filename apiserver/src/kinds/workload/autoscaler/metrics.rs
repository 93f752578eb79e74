//! The cell of an autoscaler's targets: `cpu: 40%/80%, memory: <unknown>/100Mi + 1 more...`.
//! See `formatHPAMetrics` in `pkg/printers/internalversion/printers.go`.

use serde_json::Value;

use crate::kinds::json::{has, items, text};

/// At most two metrics are shown.
const SHOWN: usize = 2;

/// What is, of what is wanted, for each metric.
pub fn format(specs: &Value, statuses: &Value) -> String {
    let specs = items(specs);
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let shown: Vec<String> = specs.iter().take(SHOWN).enumerate().map(|(index, spec)| one(spec, &statuses[index])).collect();
    let list = shown.join(", ");
    if specs.len() > SHOWN { format!("{list} + {} more...", specs.len() - SHOWN) } else { list }
}

fn one(spec: &Value, status: &Value) -> String {
    match text(&spec["type"]) {
        "External" => ratio(&spec["external"], &status["external"]),
        "Object" => ratio(&spec["object"], &status["object"]),
        "Pods" => {
            let wanted = amount(&spec["pods"]["target"]["averageValue"]);
            format!("{}/{wanted}", current(&status["pods"], "averageValue"))
        }
        "Resource" => resource(&spec["resource"], &status["resource"]),
        "ContainerResource" => resource(&spec["containerResource"], &status["containerResource"]),
        _ => "<unknown type>".to_owned(),
    }
}

/// A value, or an average over pods.
fn ratio(source: &Value, status: &Value) -> String {
    let target = &source["target"];
    if !has(target, "averageValue") {
        return format!("{}/{}", current(status, "value"), amount(&target["value"]));
    }
    let average = &status["current"]["averageValue"];
    let shown = if average.is_null() { "<unknown>".to_owned() } else { amount(average) };
    format!("{shown}/{} (avg)", amount(&target["averageValue"]))
}

fn resource(source: &Value, status: &Value) -> String {
    let (called, target) = (text(&source["name"]), &source["target"]);
    if has(target, "averageValue") {
        return format!("{called}: {}/{}", current(status, "averageValue"), amount(&target["averageValue"]));
    }
    let percent = |value: &Value, none: &str| value.as_i64().map_or(none.to_owned(), |value| format!("{value}%"));
    format!("{called}: {}/{}", percent(&status["current"]["averageUtilization"], "<unknown>"), percent(&target["averageUtilization"], "<auto>"))
}

fn current(status: &Value, key: &str) -> String {
    if status.is_null() { "<unknown>".to_owned() } else { amount(&status["current"][key]) }
}

/// A quantity; Go prints one that is not there as `<nil>`.
fn amount(value: &Value) -> String {
    value.as_str().unwrap_or("<nil>").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn targets() {
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
        let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "100Mi"}}});
        let requests = json!({"type": "Object", "object": {"target": {"type": "Value", "value": "1k"}}});
        assert_eq!(format(&json!([cpu]), &json!([{"resource": {"name": "cpu", "current": {"averageUtilization": 40}}}])), "cpu: 40%/80%");
        assert_eq!(format(&json!([memory, requests, cpu]), &Value::Null), "memory: <unknown>/100Mi, <unknown>/1k + 1 more...");
        assert_eq!(format(&Value::Null, &Value::Null), "<none>");
    }
}
