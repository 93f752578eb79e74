//! The paths of an object: what a manager owns who applies it. See `structured-merge-diff/typed/tofieldset.go`.

use serde_json::Value;

use super::element::Element;
use super::lists::by_step;
use super::place::{Atom, Place, Relation};
use super::set::{Node, Set};

/// Every path of `value`, which was validated.
pub fn fields_of(place: Place, value: &Value) -> Set {
    walk(place, value).1
}

/// Whether the value itself is a member, and what is below it.
fn walk(place: Place, value: &Value) -> (bool, Set) {
    match (place.atom(Some(value)), value) {
        (Atom::Scalar(_) | Atom::Map { atomic: true } | Atom::List(Relation::Atomic), _) => (true, Set::default()),
        (Atom::Map { atomic: false }, Value::Object(map)) => {
            let nodes = map.iter().map(|(key, inner)| {
                let (member, children) = walk(place.field(key), inner);
                let nothing = inner.is_null() || inner.as_object().is_some_and(serde_json::Map::is_empty);
                let member = member || nothing || !place.is_struct_field(key);
                Node { element: Element::Field(key.clone()), member, children }
            });
            (false, Set::of(nodes.collect()))
        }
        (Atom::List(relation), Value::Array(items)) => (false, of_items(place, relation, items)),
        (Atom::Map { .. } | Atom::List(_) | Atom::Nothing, _) => (false, Set::default()),
    }
}

/// Each element is a member; what comes twice is one without children.
fn of_items(place: Place, relation: Relation, items: &[Value]) -> Set {
    let found = by_step(place, relation, items).unwrap_or_default(); // what cannot be told apart has been refused by validation
    let node = |(element, items): (Element, Vec<&Value>)| {
        let children = if let [item] = items[..] { walk(place.item(), item).1 } else { Set::default() };
        Node { element, member: true, children }
    };
    Set::of(found.into_iter().map(node).collect())
}
