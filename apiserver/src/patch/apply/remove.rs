//! An object without the values at some paths. See `structured-merge-diff/typed/remove.go`.

use serde_json::{Map, Value};

use super::element::Element;
use super::lists::step;
use super::place::{Atom, Place, Relation};
use super::set::{Node, Set};

/// `value` without what is at these paths; `null` where nothing is left.
pub fn remove(place: Place, value: &Value, gone: &Set) -> Value {
    match (place.atom(Some(value)), value) {
        (Atom::Scalar(_), scalar) => scalar.clone(),
        (Atom::List(relation @ (Relation::Set | Relation::Map(_))), Value::Array(items)) => {
            let kept = items.iter().filter_map(|item| match step(place, relation, item) {
                Ok(element) => kept(gone.get(&element), place.item(), item),
                Err(_) => Some(item.clone()), // what cannot be told apart has been refused by validation
            });
            or_null(Value::Array(kept.collect()))
        }
        (Atom::Map { atomic: false }, Value::Object(map)) => {
            let kept: Map<String, Value> =
                map.iter().filter_map(|(key, inner)| Some((key.clone(), kept(gone.get(&Element::Field(key.clone())), place.field(key), inner)?))).collect();
            or_null(Value::Object(kept))
        }
        (Atom::List(_) | Atom::Map { .. } | Atom::Nothing, _) => Value::Null,
    }
}

/// What is left of a value, if it is not removed itself.
fn kept(gone: Option<&Node>, place: Place, value: &Value) -> Option<Value> {
    match gone {
        None => Some(value.clone()),
        Some(node) if node.member => None,
        Some(node) => Some(remove(place, value, &node.children)),
    }
}

fn or_null(value: Value) -> Value {
    if crate::kinds::json::is_empty(&value) { Value::Null } else { value }
}
