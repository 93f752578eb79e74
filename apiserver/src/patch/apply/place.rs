//! What the table of types says of a place in an object, as merging by path needs it: a scalar, a struct, a map or a list, and whether
//! its parts are owned one by one or all together.
//!
//! The same rules as `kube-openapi/pkg/schemaconv`, which makes Kubernetes' merge schema of its OpenAPI documents.

use serde_json::Value;

use crate::schema::{Field, Kind, Shape, Type, types};

/// A place in an object of a built-in type.
#[derive(Clone, Copy)]
pub enum Place {
    /// A whole object.
    Object(&'static Type),
    /// Everything that a field holds.
    Field(&'static Field),
    /// One value of a field that holds a list or a map.
    Element(&'static Field),
    /// A string in a list in a map (`map[string]ExtraValue`).
    Inner(&'static Field),
    /// Any JSON, owned as a whole.
    Whole,
    /// Any JSON, whose maps are owned entry by entry.
    Deduced,
    /// Where nothing is declared.
    Nowhere,
}

/// What a place holds.
#[derive(Clone, Copy)]
pub enum Atom {
    /// One scalar.
    Scalar(Scalar),
    /// A struct or a map.
    Map {
        /// Owned as a whole.
        atomic: bool,
    },
    /// A list.
    List(Relation),
    /// Nothing may stand here.
    Nothing,
}

/// Which scalars may stand in a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// A string.
    Text,
    /// A number.
    Number,
    /// A boolean.
    Flag,
    /// Any of them.
    Any,
}

/// How the elements of a list belong together.
#[derive(Clone, Copy)]
pub enum Relation {
    /// The list is one value.
    Atomic,
    /// Each value is there once.
    Set,
    /// Each element is known by the values of these fields.
    Map(&'static [&'static str]),
}

impl Place {
    /// What the place holds. `value` is what stands there: where several sorts may, it decides.
    pub fn atom(self, value: Option<&Value>) -> Atom {
        match self {
            Self::Object(of) => Atom::Map { atomic: of.map_type == "atomic" },
            Self::Field(field) => match field.shape {
                Shape::One => of_one(field, value),
                Shape::List => Atom::List(relation(field)),
                Shape::Map | Shape::MapOfLists => Atom::Map { atomic: field.map_type == "atomic" },
            },
            Self::Element(field) if field.shape == Shape::MapOfLists => Atom::List(Relation::Atomic),
            Self::Element(field) => of_kind(field.kind, value),
            Self::Inner(_) => Atom::Scalar(Scalar::Text),
            Self::Whole => untyped(value, true),
            Self::Deduced => untyped(value, false),
            Self::Nowhere => Atom::Nothing,
        }
    }

    /// The place of an entry of the struct or map here.
    pub fn field(self, name: &str) -> Self {
        match self.structure() {
            Some(of) if of.fields.is_empty() => Self::Deduced,
            Some(of) => of.field(name).map_or(Self::Nowhere, Self::Field),
            None => match self {
                Self::Field(field) if matches!(field.shape, Shape::Map | Shape::MapOfLists) => Self::Element(field),
                Self::Field(field) | Self::Element(field) => of_any(field.kind),
                Self::Whole => Self::Whole,
                Self::Deduced => Self::Deduced,
                Self::Object(_) | Self::Inner(_) | Self::Nowhere => Self::Nowhere,
            },
        }
    }

    /// Whether the struct here has a field of this name (the entries of maps are no fields).
    pub fn is_struct_field(self, name: &str) -> bool {
        self.structure().is_some_and(|of| of.position(name).is_some())
    }

    /// The place of an element of the list here.
    pub fn item(self) -> Self {
        match self {
            Self::Field(field) if field.shape == Shape::List => Self::Element(field),
            Self::Element(field) if field.shape == Shape::MapOfLists => Self::Inner(field),
            Self::Field(field) | Self::Element(field) => match of_any(field.kind) {
                Self::Nowhere => Self::Nowhere,
                _ => Self::Whole, // lists of no type have elements of no type
            },
            Self::Whole | Self::Deduced => Self::Whole,
            Self::Object(_) | Self::Inner(_) | Self::Nowhere => Self::Nowhere,
        }
    }

    /// The struct here, if it is one.
    fn structure(self) -> Option<&'static Type> {
        match self {
            Self::Object(of) => Some(of),
            Self::Field(field) => (field.shape == Shape::One).then(|| message(field.kind)).flatten(),
            Self::Element(field) => (field.shape != Shape::MapOfLists).then(|| message(field.kind)).flatten(),
            Self::Inner(_) | Self::Whole | Self::Deduced | Self::Nowhere => None,
        }
    }
}

fn message(kind: Kind) -> Option<&'static Type> {
    if let Kind::Message(id) = kind { Some(types().get(id)) } else { None }
}

/// The default of a field that is one of a list's keys, as JSON.
pub fn key_default(list: Place, key: &str) -> Option<Value> {
    let default = list.item().structure()?.field(key)?.default;
    if default.is_empty() { None } else { serde_json::from_str(default).ok() }
}

fn of_one(field: &'static Field, value: Option<&Value>) -> Atom {
    match (of_kind(field.kind, value), field.map_type) {
        (Atom::Map { .. }, "atomic") => Atom::Map { atomic: true },
        (Atom::Map { .. }, "granular") => Atom::Map { atomic: false },
        (atom, _) => atom,
    }
}

fn of_kind(kind: Kind, value: Option<&Value>) -> Atom {
    match kind {
        Kind::String | Kind::Bytes => Atom::Scalar(Scalar::Text),
        Kind::Bool => Atom::Scalar(Scalar::Flag),
        Kind::Int32 | Kind::Int64 | Kind::Double => Atom::Scalar(Scalar::Number),
        Kind::Time | Kind::MicroTime | Kind::Quantity | Kind::IntOrString => Atom::Scalar(Scalar::Any),
        Kind::Message(id) => Atom::Map { atomic: types().get(id).map_type == "atomic" },
        Kind::FieldsV1 => Atom::Map { atomic: false },
        Kind::Raw => untyped(value, true),
        Kind::Json | Kind::SchemaOrBool | Kind::SchemaOrArray | Kind::SchemaOrStrings => untyped(value, false),
    }
}

/// The place of the entries of a value that is no struct.
fn of_any(kind: Kind) -> Place {
    match kind {
        Kind::Raw => Place::Whole,
        Kind::FieldsV1 | Kind::Json | Kind::SchemaOrBool | Kind::SchemaOrArray | Kind::SchemaOrStrings => Place::Deduced,
        Kind::String | Kind::Bytes | Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Double => Place::Nowhere,
        Kind::Time | Kind::MicroTime | Kind::Quantity | Kind::IntOrString | Kind::Message(_) => Place::Nowhere,
    }
}

/// A value of any sort: `__untyped_atomic_` and `__untyped_deduced_`.
fn untyped(value: Option<&Value>, atomic: bool) -> Atom {
    match value {
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => Atom::Scalar(Scalar::Any),
        Some(Value::Array(_)) => Atom::List(Relation::Atomic),
        Some(Value::Object(_) | Value::Null) | None => Atom::Map { atomic },
    }
}

/// `getListElementRelationship`
fn relation(field: &'static Field) -> Relation {
    match field.list_type {
        "map" => Relation::Map(&field.list_map_keys),
        "set" => Relation::Set,
        "" if field.has_strategy("merge") && field.merge_key.is_empty() => Relation::Set,
        "" if field.has_strategy("merge") => Relation::Map(std::slice::from_ref(&field.merge_key)),
        _ => Relation::Atomic, // said so, or not said
    }
}
