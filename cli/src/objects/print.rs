//! Server-side tables as text, as kubectl prints them.

use crate::say::say;
use serde_json::Value;

/// Prints a `meta.k8s.io/v1 Table`; `prefix`: the kind is written before each name. Answers whether there was a row.
pub fn table(table: &Value, wide: bool, with_namespace: bool, prefix: Option<String>) -> bool {
    let lines = lines(table, wide, with_namespace, prefix.as_deref());
    if lines.len() < 2 {
        return false;
    }
    lines.iter().for_each(|line| say!("{line}"));
    if prefix.is_some() {
        say!();
    }
    true
}

fn lines(table: &Value, wide: bool, with_namespace: bool, prefix: Option<&str>) -> Vec<String> {
    let none = Vec::new();
    let columns = table["columnDefinitions"].as_array().unwrap_or(&none);
    let shown: Vec<usize> = (0..columns.len()).filter(|at| wide || columns[*at]["priority"].as_i64().unwrap_or(0) == 0).collect();
    let mut header: Vec<String> = shown.iter().map(|at| columns[*at]["name"].as_str().unwrap_or_default().to_uppercase()).collect();
    if with_namespace {
        header.insert(0, "NAMESPACE".to_owned());
    }
    let mut rows = vec![header];
    for row in table["rows"].as_array().unwrap_or(&none) {
        let mut cells: Vec<String> = shown.iter().map(|at| cell(&row["cells"][*at])).collect();
        if let (Some(prefix), Some(name)) = (prefix, cells.first_mut()) {
            *name = format!("{prefix}/{name}");
        }
        if with_namespace {
            cells.insert(0, cell(&row["object"]["metadata"]["namespace"]));
        }
        rows.push(cells);
    }
    aligned(&rows)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}   ")).collect();
        cells.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up() {
        let table_of = json!({
            "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Ready", "priority": 0}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["web-1", "1/1", "10.0.0.1"], "object": {"metadata": {"namespace": "default"}}}],
        });
        assert_eq!(lines(&table_of, false, false, None), ["NAME    READY", "web-1   1/1"]);
        assert_eq!(lines(&table_of, true, true, Some("pod"))[1], "default     pod/web-1   1/1     10.0.0.1");
    }
}
