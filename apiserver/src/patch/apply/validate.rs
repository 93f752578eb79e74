//! Whether a value fits a place, in the words of `structured-merge-diff/typed/validate.go`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::lists::step;
use super::place::{Atom, Place, Relation, Scalar};
use crate::schema::print;
use crate::schema::scalar::quote;

/// Every fault of `value`, each with its path; `twice`: elements of a list may come twice.
pub fn validate(place: Place, value: &Value, twice: bool) -> Result<(), String> {
    let mut faults = Vec::new();
    Checker { twice, faults: &mut faults }.check(place, value, "");
    match faults.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n{}", many.iter().map(|one| format!("  {one}")).collect::<Vec<_>>().join("\n"))),
    }
}

/// What is wrong with a scalar; nothing if it is not there.
pub fn scalar_fault(scalar: Scalar, value: Option<&Value>) -> Option<String> {
    let value = value?;
    match (scalar, value) {
        (_, Value::Null) | (Scalar::Number, Value::Number(_)) | (Scalar::Text, Value::String(_)) | (Scalar::Flag, Value::Bool(_)) => None,
        (Scalar::Any, Value::Number(_) | Value::String(_) | Value::Bool(_)) => None,
        (Scalar::Number, other) => Some(format!("expected numeric (int or float), got {}", print::go_type(other))),
        (Scalar::Text, other) => Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(other))),
        (Scalar::Flag, other) => Some(format!("expected boolean, got &{{{}}}", print::value(other))),
        (Scalar::Any, other) => Some(format!("expected any scalar, got &{{{}}}", print::value(other))),
    }
}

/// `%#v`
fn go_syntax(value: &Value) -> String {
    let all = |values: Vec<String>| values.join(", ");
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quote(text),
        Value::Array(items) => format!("[]interface {{}}{{{}}}", all(items.iter().map(go_syntax).collect())),
        Value::Object(map) => {
            format!("map[string]interface {{}}{{{}}}", all(map.iter().map(|(key, value)| format!("{}:{}", quote(key), go_syntax(value))).collect()))
        }
    }
}

struct Checker<'a> {
    twice: bool,
    faults: &'a mut Vec<String>,
}

impl Checker<'_> {
    fn fault(&mut self, path: &str, why: &str) {
        self.faults.push(if path.is_empty() { why.to_owned() } else { format!("{path}: {why}") });
    }

    fn check(&mut self, place: Place, value: &Value, path: &str) {
        match (place.atom(Some(value)), value) {
            (Atom::Scalar(scalar), _) => {
                if let Some(fault) = scalar_fault(scalar, Some(value)) {
                    self.fault(path, &fault);
                }
            }
            (Atom::Map { .. } | Atom::List(_), Value::Null) => {}
            (Atom::Map { .. }, Value::Object(map)) => {
                for (key, inner) in map {
                    let (at, path) = (place.field(key), format!("{path}.{key}"));
                    if matches!(at, Place::Nowhere) {
                        return self.fault(&path, "field not declared in schema");
                    }
                    self.check(at, inner, &path);
                }
            }
            (Atom::Map { .. }, other) => self.fault(path, &format!("expected map, got &{{{}}}", print::value(other))),
            (Atom::List(relation), Value::Array(items)) => self.items(place, relation, items, path),
            (Atom::List(_), other) => self.fault(path, &format!("expected list, got &{{{}}}", print::value(other))),
            (Atom::Nothing, _) => self.fault(path, "schema error: invalid atom: inlined"),
        }
    }

    fn items(&mut self, place: Place, relation: Relation, items: &[Value], path: &str) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let at = match relation {
                Relation::Atomic => format!("{path}[{index}]"),
                Relation::Set | Relation::Map(_) => match step(place, relation, item) {
                    Err(why) => return self.fault(path, &format!("element {index}: {why}")),
                    Ok(step) => {
                        let at = format!("{path}{step}");
                        if seen.contains(&step) && !self.twice {
                            self.fault(path, &format!("duplicate entries for key {step}"));
                        }
                        seen.insert(step);
                        at
                    }
                },
            };
            self.check(place.item(), item, &at);
        }
    }
}
