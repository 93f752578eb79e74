//! A set of paths: what a manager owns. A tree, because paths share their beginnings; `fieldsV1` is the same tree in JSON.
//!
//! See `structured-merge-diff/fieldpath/{set,serialize}.go`.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::element::Element;
use super::place::Place;

/// What a path is written with in an object that stands for a member which has children.
const SELF: &str = ".";

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// In the order of their elements, none twice, none empty.
    nodes: Vec<Node>,
}

/// The paths that begin with one element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The element they begin with.
    pub element: Element,
    /// The path of this element alone is in the set.
    pub member: bool,
    /// Longer paths.
    pub children: Set,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

impl Set {
    /// A set of these nodes, in any order; those of one element become one.
    pub fn of(mut nodes: Vec<Node>) -> Self {
        nodes.retain(|node| !node.is_empty());
        nodes.sort_by(|one, two| one.element.cmp(&two.element));
        nodes.dedup_by(|twice, first| {
            let same = twice.element == first.element;
            if same {
                first.member |= twice.member;
                first.children = first.children.union(&twice.children);
            }
            same
        });
        Self { nodes }
    }

    /// The path of these fields alone.
    pub fn path(fields: &[&str]) -> Self {
        match fields {
            [] => Self::default(),
            [first, rest @ ..] => {
                let element = Element::Field((*first).to_owned());
                Self { nodes: vec![Node { element, member: rest.is_empty(), children: Self::path(rest) }] }
            }
        }
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What begins with `element`.
    pub fn get(&self, element: &Element) -> Option<&Node> {
        let found = self.nodes.binary_search_by(|node| node.element.cmp(element));
        found.ok().map(|at| &self.nodes[at])
    }

    /// Whether every path of `other` is in it.
    pub fn contains(&self, other: &Self) -> bool {
        other.difference(self).is_empty()
    }

    /// What is in either.
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, |one, two| match (one, two) {
            (Some(one), Some(two)) => (one.member || two.member, one.children.union(&two.children)),
            (Some(only), None) | (None, Some(only)) => (only.member, only.children.clone()),
            (None, None) => (false, Self::default()),
        })
    }

    /// What is in both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |one, two| match (one, two) {
            (Some(one), Some(two)) => (one.member && two.member, one.children.intersection(&two.children)),
            (_, _) => (false, Self::default()),
        })
    }

    /// What is not in `other`. A path in `other` takes nothing from longer ones.
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, |one, two| match (one, two) {
            (Some(one), Some(two)) => (one.member && !two.member, one.children.difference(&two.children)),
            (Some(one), None) => (one.member, one.children.clone()),
            (None, _) => (false, Self::default()),
        })
    }

    /// What is not in `other` and does not begin with a path in `other`.
    pub fn without(&self, other: &Self) -> Self {
        self.zip(other, |one, two| match (one, two) {
            (Some(_), Some(two)) if two.member => (false, Self::default()),
            (Some(one), Some(two)) => (one.member, one.children.without(&two.children)),
            (Some(one), None) => (one.member, one.children.clone()),
            (None, _) => (false, Self::default()),
        })
    }

    /// What lies on or below one of these paths, whose steps are names of fields or `*` for any step.
    pub fn below(&self, paths: &[&[&str]]) -> Self {
        if paths.iter().any(|path| path.is_empty()) {
            return self.clone();
        }
        let matches = |step: &str, element: &Element| step == "*" || matches!(element, Element::Field(name) if name == step);
        let kept = self.nodes.iter().filter_map(|node| {
            let rest: Vec<&[&str]> = paths.iter().filter(|path| matches(path[0], &node.element)).map(|path| &path[1..]).collect();
            (!rest.is_empty()).then(|| Node { element: node.element.clone(), member: node.member, children: node.children.below(&rest) })
        });
        Self::of(kept.collect())
    }

    /// The same set, in which every field of a struct on the way to a member is a member too (`EnsureNamedFieldsAreMembers`).
    pub fn with_named_fields(&self, place: Place) -> Self {
        let named = |node: &Node| {
            let (is_field, inner) = match &node.element {
                Element::Field(name) => (place.is_struct_field(name), place.field(name)),
                Element::Key(_) => (false, place.item()),
                Element::Value(_) | Element::Index(_) => (false, Place::Nowhere),
            };
            let member = node.member || (is_field && !node.children.is_empty());
            Node { element: node.element.clone(), member, children: node.children.with_named_fields(inner) }
        };
        Self { nodes: self.nodes.iter().map(named).collect() }
    }

    /// Every path, as messages show it: at each step first the members, then what is below.
    pub fn paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.list(String::new(), &mut all);
        all
    }

    fn list(&self, prefix: String, all: &mut Vec<String>) {
        all.extend(self.nodes.iter().filter(|node| node.member).map(|node| format!("{prefix}{}", node.element)));
        for node in &self.nodes {
            node.children.list(format!("{prefix}{}", node.element), all);
        }
    }

    /// `fieldsV1`
    pub fn to_fields(&self) -> Value {
        Value::Object(self.entries(false))
    }

    fn entries(&self, is_member: bool) -> Map<String, Value> {
        let mut map = Map::new();
        if is_member && !self.is_empty() {
            map.insert(SELF.to_owned(), Value::Object(Map::new()));
        }
        map.extend(self.nodes.iter().map(|node| (node.element.text(), Value::Object(node.children.entries(node.member)))));
        map
    }

    /// From `fieldsV1`.
    pub fn from_fields(fields: &Value) -> Result<Self, String> {
        match fields {
            Value::Null => Ok(Self::default()),
            Value::Object(map) => Ok(Self::read(map)?.1),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err("fieldsV1 is no object".to_owned()),
        }
    }

    /// Whether the path to this object is a member, and what is below it.
    fn read(map: &Map<String, Value>) -> Result<(bool, Self), String> {
        let mut nodes: Vec<Node> = Vec::with_capacity(map.len());
        for (key, inner) in map.iter().filter(|(key, _)| *key != SELF) {
            let Some(element) = Element::parse(key)? else { continue };
            let (member, children) = match inner {
                Value::Object(inner) => Self::read(inner)?,
                Value::Null => (true, Self::default()),
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => return Err(format!("{key} in fieldsV1 is no object")),
            };
            nodes.push(Node { element, member, children });
        }
        let set = Self::of(nodes);
        Ok((map.contains_key(SELF) || set.is_empty(), set))
    }

    /// Both sets side by side: `join` says for each element whether it is a member and what is below.
    fn zip(&self, other: &Self, join: impl Fn(Option<&Node>, Option<&Node>) -> (bool, Self)) -> Self {
        let (mut ones, mut twos) = (self.nodes.iter().peekable(), other.nodes.iter().peekable());
        let mut nodes = Vec::new();
        loop {
            let order = match (ones.peek(), twos.peek()) {
                (None, None) => return Self { nodes },
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(two)) => one.element.cmp(&two.element),
            };
            let one = if order == Ordering::Greater { None } else { ones.next() };
            let two = if order == Ordering::Less { None } else { twos.next() };
            let (member, children) = join(one, two);
            if let Some(node) = one.or(two).filter(|_| member || !children.is_empty()) {
                nodes.push(Node { element: node.element.clone(), member, children });
            }
        }
    }
}
