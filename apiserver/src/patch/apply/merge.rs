//! What an applied object makes of the live one: its values win, what it does not mention stays. See `structured-merge-diff/typed/merge.go`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::element::Element;
use super::lists::step;
use super::place::{Atom, Place, Relation};

/// The live object with the applied one merged into it. Both were validated.
pub fn merge(place: Place, live: &Value, applied: &Value) -> Value {
    walk(place, Some(live), Some(applied)).unwrap_or(Value::Null)
}

/// At least one side is there. Nothing comes out of empty maps and lists.
fn walk(place: Place, live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    let leaf = || applied.or(live).cloned();
    match place.atom(applied.or(live)) {
        Atom::Scalar(_) | Atom::Map { atomic: true } | Atom::List(Relation::Atomic) | Atom::Nothing => leaf(),
        Atom::Map { atomic: false } => {
            let (before, after) = (live.and_then(Value::as_object), applied.and_then(Value::as_object));
            if before.is_none_or(Map::is_empty) && after.is_none_or(Map::is_empty) {
                return leaf();
            }
            let none = Map::new();
            let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
            let added = after.keys().filter(|key| !before.contains_key(*key));
            let keys = before.keys().chain(added);
            let merged: Map<String, Value> = keys.filter_map(|key| Some((key.clone(), walk(place.field(key), before.get(key), after.get(key))?))).collect();
            (!merged.is_empty()).then_some(Value::Object(merged))
        }
        Atom::List(relation) => {
            let (before, after) = (live.and_then(Value::as_array), applied.and_then(Value::as_array));
            if before.is_none_or(Vec::is_empty) && after.is_none_or(Vec::is_empty) {
                return leaf();
            }
            let merged = items(place, relation, before.map_or(&[], Vec::as_slice), after.map_or(&[], Vec::as_slice));
            (!merged.is_empty()).then_some(Value::Array(merged))
        }
    }
}

/// The elements of a list with their steps; what cannot be told apart has been refused by validation.
fn indexed(place: Place, relation: Relation, list: &[Value]) -> Vec<(Element, &Value)> {
    list.iter().filter_map(|item| Some((step(place, relation, item).ok()?, item))).collect()
}

/// Applied elements keep their order, live ones stay where they stood between those that both sides have (`visitListItems`).
fn items(place: Place, relation: Relation, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let (live, applied) = (indexed(place, relation, live), indexed(place, relation, applied));
    let mut had: BTreeMap<&Element, Option<&Value>> = BTreeMap::new();
    for (step, item) in &live {
        // of elements that are there twice none is merged with the applied one
        had.entry(step).and_modify(|twice| *twice = None).or_insert(Some(*item));
    }
    let wanted: BTreeMap<&Element, &Value> = applied.iter().map(|(step, item)| (step, *item)).collect();
    let mut shared = applied.iter().map(|(step, _)| step).filter(|step| had.contains_key(step));
    let mut next_shared = shared.next();
    let mut merged = Vec::with_capacity(live.len().max(applied.len()));
    let mut done: BTreeSet<&Element> = BTreeSet::new();
    let (mut l, mut a) = (0, 0);
    while l < live.len() || a < applied.len() {
        if let (Some((have, _)), Some((want, item))) = (live.get(l), applied.get(a)) {
            if have == want {
                done.insert(want);
                merged.extend(walk(place.item(), had.get(have).copied().flatten(), Some(item)));
                (l, a) = (l + 1, a + 1);
                next_shared = shared.next();
                continue;
            }
            if wanted.contains_key(have) && next_shared.is_some_and(|next| next != have) {
                l += 1; // shared, but another one comes first
                continue;
            }
        }
        if let Some((have, item)) = live.get(l) {
            if !wanted.contains_key(have) {
                merged.extend(walk(place.item(), Some(item), None));
                l += 1;
                continue;
            }
            if done.contains(have) {
                l += 1;
            }
        }
        if let Some((want, item)) = applied.get(a) {
            done.insert(want);
            merged.extend(walk(place.item(), had.get(want).copied().flatten(), Some(item)));
            a += 1;
            if next_shared == Some(want) {
                next_shared = shared.next();
            }
        }
    }
    merged
}
