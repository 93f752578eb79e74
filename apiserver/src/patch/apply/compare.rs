//! What changed between two states of an object, as sets of paths. See `structured-merge-diff/typed/compare.go`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::element::Element;
use super::lists::by_step;
use super::place::{Atom, Place, Relation};
use super::set::{Node, Set};
use super::validate::scalar_fault;

/// The paths that differ.
#[derive(Debug, Default, PartialEq)]
pub struct Difference {
    /// Added, or there before with another value.
    pub written: Set,
    /// Not there any more.
    pub removed: Set,
}

/// What a change from `old` to `new` writes and removes. An object in which a list cannot be told apart is an error.
pub fn compare(place: Place, old: &Value, new: &Value) -> Result<Difference, String> {
    let found = walk(place, Some(old), Some(new))?;
    Ok(Difference { written: Set::of(found.written.below), removed: Set::of(found.removed.below) })
}

/// What was found at a place and below it.
#[derive(Default)]
struct Found {
    written: Branch,
    removed: Branch,
}

#[derive(Default)]
struct Branch {
    member: bool,
    below: Vec<Node>,
}

impl Found {
    fn leaf(old: Option<&Value>, new: Option<&Value>) -> Self {
        let mut found = Self::default();
        found.removed.member = new.is_none();
        found.written.member = new.is_some() && old != new;
        found
    }

    /// Takes over what was found below `element`.
    fn take(&mut self, element: &Element, inner: Self) {
        for (branch, inner) in [(&mut self.written, inner.written), (&mut self.removed, inner.removed)] {
            if inner.member || !inner.below.is_empty() {
                branch.below.push(Node { element: element.clone(), member: inner.member, children: Set::of(inner.below) });
            }
        }
    }
}

/// At least one side is there.
fn walk(place: Place, old: Option<&Value>, new: Option<&Value>) -> Result<Found, String> {
    if old == new {
        return Ok(Found::default());
    }
    let mut found = match (place.atom(old), place.atom(new)) {
        (atom, _) if new.is_none() => at(place, atom, old, new)?,
        (before, after) if old.is_some() && std::mem::discriminant(&before) != std::mem::discriminant(&after) => {
            let mut found = at(place, before, old, new)?;
            let other = at(place, after, old, new)?;
            found.written.member |= other.written.member;
            found.written.below.extend(other.written.below);
            found.removed.below.extend(other.removed.below);
            found
        }
        (_, atom) => at(place, atom, old, new)?,
    };
    found.written.member |= old.is_none();
    found.removed.member |= new.is_none();
    Ok(found)
}

fn at(place: Place, atom: Atom, old: Option<&Value>, new: Option<&Value>) -> Result<Found, String> {
    match atom {
        Atom::Scalar(scalar) => match (scalar_fault(scalar, old), scalar_fault(scalar, new)) {
            (Some(_), Some(fault)) => Err(fault),
            (_, _) => Ok(Found::leaf(old, new)),
        },
        Atom::Map { atomic } => {
            let (before, after) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            if atomic || (before.is_none_or(Map::is_empty) && after.is_none_or(Map::is_empty)) {
                return Ok(Found::leaf(old, new));
            }
            entries(place, before.unwrap_or(&Map::new()), after.unwrap_or(&Map::new()))
        }
        Atom::List(relation) => {
            let (before, after) = (old.and_then(Value::as_array), new.and_then(Value::as_array));
            let empty = before.is_none_or(Vec::is_empty) && after.is_none_or(Vec::is_empty);
            if empty || matches!(relation, Relation::Atomic) {
                return Ok(Found::leaf(old, new));
            }
            items(place, relation, before.map_or(&[], Vec::as_slice), after.map_or(&[], Vec::as_slice))
        }
        Atom::Nothing => Err("schema error: invalid atom: inlined".to_owned()),
    }
}

fn entries(place: Place, old: &Map<String, Value>, new: &Map<String, Value>) -> Result<Found, String> {
    let mut found = Found::default();
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    for key in new.keys().chain(gone) {
        let (before, after) = (old.get(key), new.get(key));
        if before != after {
            found.take(&Element::Field(key.clone()), walk(place.field(key), before, after)?);
        }
    }
    Ok(found)
}

/// An element that is there twice is one value with the other of its step.
fn items(place: Place, relation: Relation, old: &[Value], new: &[Value]) -> Result<Found, String> {
    let (before, after) = (by_step(place, relation, old)?, by_step(place, relation, new)?);
    let steps: BTreeSet<&Element> = before.keys().chain(after.keys()).collect();
    let mut found = Found::default();
    for step in steps {
        let (ones, twos) = (before.get(step).map_or(&[][..], Vec::as_slice), after.get(step).map_or(&[][..], Vec::as_slice));
        let inner = match (ones, twos) {
            ([] | [_], [] | [_]) => walk(place.item(), ones.first().copied(), twos.first().copied())?,
            ([_, _, ..], [_, _, ..]) => {
                let mut inner = Found::default();
                inner.written.member = ones != twos;
                inner
            }
            ([_, _, ..], _) => {
                let mut inner = twos.first().map_or(Ok(Found::default()), |new| walk(place.item(), None, Some(new)))?;
                inner.removed.member = true;
                inner
            }
            (_, [_, _, ..]) => {
                let mut inner = ones.first().map_or(Ok(Found::default()), |old| walk(place.item(), Some(old), None))?;
                inner.written.member = true;
                inner
            }
        };
        found.take(step, inner);
    }
    Ok(found)
}
