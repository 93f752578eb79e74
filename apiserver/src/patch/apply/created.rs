//! Who owns a new object: its maker owns all that he set. The same as [`super::updated`] says of an object made of nothing, but written in one
//! walk as the text that is stored, because most writes of a busy cluster are creations.

use serde_json::{Map, Value};

use super::lists::step;
use super::place::{Atom, Place, Relation};
use super::resets::SYSTEM_METADATA;
use super::{Scope, updated};
use crate::schema::{Unset, types};

/// A member that has children.
const ITSELF: &[u8] = b"\".\":{}";

/// `metadata.managedFields` of a new object (in the request's version), as JSON text; nothing for an object that cannot be compared.
/// `object` loses its own list.
pub fn created(scope: &Scope<'_>, object: &mut Value, manager: &str) -> Option<Vec<u8>> {
    if object["metadata"].get("managedFields").is_some() {
        let managers = updated(scope, None, object, manager)?; // who brings a list of managers is rare
        return serde_json::to_vec(&managers).ok();
    }
    let (of, members) = (types().of(scope.gvk)?, object.as_object()?);
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"[{\"apiVersion\":");
    text(&mut out, &scope.gvk.api_version());
    out.extend_from_slice(b",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{");
    let start = out.len();
    for (key, value) in members.iter().filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind") && !scope.resets.leaves_out(key)) {
        let unset = of.field(key).and_then(|field| match &field.unset {
            Unset::Printed(zero) => Some(zero),
            Unset::Omitted => None,
        });
        let place = Place::Object(of).field(key);
        if key == "metadata" {
            let was = Was { there: true, had: None };
            named(&mut out, start, key, |out| entries(out, place, was, value.as_object()?, |key| !SYSTEM_METADATA.contains(&key)))?;
        } else {
            named(&mut out, start, key, |out| node(out, place, unset, value))?;
        }
    }
    if out.len() == start {
        return None; // nothing was set: nobody owns anything
    }
    out.extend_from_slice(b"},\"manager\":");
    text(&mut out, if manager.is_empty() { "unknown" } else { manager });
    out.extend_from_slice(b",\"operation\":\"Update\",");
    if !scope.subresource.is_empty() {
        out.extend_from_slice(b"\"subresource\":");
        text(&mut out, scope.subresource);
        out.push(b',');
    }
    out.extend_from_slice(b"\"time\":");
    text(&mut out, scope.now);
    out.extend_from_slice(b"}]");
    Some(out)
}

/// What an inner function wrote: something belongs to the maker, or nothing does. `None`: the object cannot be compared, or is none.
type Wrote = Option<bool>;

fn text(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text); // a string into a Vec: cannot fail
}

/// Writes `"f:key":{…}` behind what stands in the object that began at `start`; nothing if nothing is inside.
fn named(out: &mut Vec<u8>, start: usize, key: &str, inside: impl FnOnce(&mut Vec<u8>) -> Wrote) -> Wrote {
    let before = out.len();
    comma(out, start);
    if key.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.extend_from_slice(b"\"f:");
        out.extend_from_slice(key.as_bytes());
        out.push(b'"');
    } else {
        text(out, &format!("f:{key}"));
    }
    braced(out, before, inside)
}

fn comma(out: &mut Vec<u8>, start: usize) {
    if out.len() > start {
        out.push(b',');
    }
}

/// `:{…}`, or back to `before`.
fn braced(out: &mut Vec<u8>, before: usize, inside: impl FnOnce(&mut Vec<u8>) -> Wrote) -> Wrote {
    out.extend_from_slice(b":{");
    let wrote = inside(out);
    if wrote == Some(true) {
        out.push(b'}');
    } else {
        out.truncate(before);
    }
    wrote
}

/// What is inside the braces of a place that was `old` in an object of which nothing is set.
fn node(out: &mut Vec<u8>, place: Place, old: Option<&Value>, new: &Value) -> Wrote {
    if old == Some(new) {
        return Some(false);
    }
    match (place.atom(Some(new)), new) {
        (Atom::Map { atomic: false }, Value::Object(map)) if !map.is_empty() => {
            entries(out, place, Was { there: old.is_some(), had: old.and_then(Value::as_object) }, map, |_| true)
        }
        (Atom::List(relation @ (Relation::Set | Relation::Map(_))), Value::Array(list)) if !list.is_empty() => items(out, place, relation, old.is_some(), list),
        (Atom::Nothing, _) => None,
        (Atom::Scalar(_) | Atom::Map { .. } | Atom::List(_), _) => Some(true),
    }
}

/// A map or struct in an object of which nothing is set.
#[derive(Clone, Copy)]
struct Was<'a> {
    /// Go prints it even so.
    there: bool,
    /// With these entries.
    had: Option<&'a Map<String, Value>>,
}

fn entries(out: &mut Vec<u8>, place: Place, was: Was<'_>, map: &Map<String, Value>, owned: impl Fn(&str) -> bool) -> Wrote {
    let start = out.len();
    if !was.there {
        out.extend_from_slice(ITSELF);
    }
    for (key, value) in map.iter().filter(|(key, _)| owned(key)) {
        let old = was.had.and_then(|had| had.get(key));
        named(out, start, key, |out| node(out, place.field(key), old, value))?;
    }
    Some(out.len() > start)
}

/// Elements of a list that was empty; what is there twice is one without anything below it.
fn items(out: &mut Vec<u8>, place: Place, relation: Relation, was_there: bool, list: &[Value]) -> Wrote {
    let start = out.len();
    if !was_there {
        out.extend_from_slice(ITSELF);
    }
    let mut steps = Vec::with_capacity(list.len());
    for item in list {
        steps.push((step(place, relation, item).ok()?.text(), item));
    }
    steps.sort_by(|one, two| one.0.cmp(&two.0));
    for same in steps.chunk_by(|one, two| one.0 == two.0) {
        let before = out.len();
        comma(out, start);
        text(out, &same[0].0);
        braced(out, before, |out| if same.len() > 1 { Some(true) } else { node(out, place.item(), None, same[0].1) })?;
    }
    Some(true)
}
