//! One description of every built-in type, and all that is read off it: strict decoding, protobuf, patches, OpenAPI.
//!
//! The description is a table of facts, `data/types.tsv`, read into [`types()`]. Follow a body: [`decode`] checks its syntax
//! ([`syntax`]), asks what it calls itself, and decodes it as that type (`json`, [`protobuf`], `yaml` on top of `json`) into the
//! *canonical* value: what Go would print after decoding it, so that later stages never meet a null, a missing struct or two
//! spellings of one quantity ([`scalar`]). [`canonicalize`] does the same to what a patch made. [`openapi`] prints the table for kubectl.

use serde_json::Value;

mod cursor;
mod decode;
mod json;
pub mod openapi;
pub mod print;
pub mod protobuf;
pub mod scalar;
pub mod syntax;
mod types;
mod yaml;

pub use decode::{ContentType, canonicalize, decode, decode_options, unconvertible};
pub use json::read_any;
pub use types::{Field, Kind, Shape, Type, TypeId, Types, Unset, Wire, types};
pub use yaml::read as read_yaml;

/// Group, version and kind of an object. `group` is empty for core.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gvk {
    /// `apps`
    pub group: String,
    /// `v1`
    pub version: String,
    /// `Deployment`
    pub kind: String,
}

impl Gvk {
    /// From `apps/v1` and `Deployment`.
    pub fn parse(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    /// `apps/v1`
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// What to do with unknown and duplicate fields: the `fieldValidation` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and say so in `Warning:` headers (the default of the API).
    #[default]
    Warn,
    /// Refuse the request (what kubectl asks for).
    Strict,
}

/// A decoded body.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Group, version and kind that the body names.
    pub gvk: Gvk,
    /// The object in the canonical form: what Go would marshal after decoding it (no nulls, no empty optional values, zero values where Go keeps them).
    pub object: Value,
    /// `unknown field "spec.foo"`, `duplicate field "spec.bar"`: empty under [`FieldValidation::Ignore`].
    pub warnings: Vec<String>,
}
