//! The table of types: what every built-in message looks like in JSON, in protobuf and to a patch.
//!
//! It is read from `data/types.tsv` (see `data/README.md` for its columns and how it is rewritten), each type when it is first asked
//! for: a cluster sees a tenth of them, and the rest would only be in memory. A [`Type`] keeps its fields flattened, as JSON shows them; [`Type::wire`] keeps the nesting of inlined Go structs, as protobuf shows them.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use serde_json::Value;

use super::Gvk;

pub(super) static TABLE: &str = include_str!("data/types.tsv");
static TYPES: LazyLock<Types> = LazyLock::new(|| Types::read(TABLE));

/// The table of built-in types.
pub fn types() -> &'static Types {
    &TYPES
}

/// Where a type stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeId(u16);

/// What one value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any Go type whose kind is string.
    String,
    /// `bool`
    Bool,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `float64`
    Double,
    /// `[]byte`: base64 in JSON.
    Bytes,
    /// `metav1.Time`: RFC 3339 in whole seconds, UTC.
    Time,
    /// `metav1.MicroTime`: RFC 3339 with six digits, UTC.
    MicroTime,
    /// `resource.Quantity`.
    Quantity,
    /// `intstr.IntOrString`.
    IntOrString,
    /// `runtime.RawExtension`: any JSON.
    Raw,
    /// `metav1.FieldsV1`: any JSON.
    FieldsV1,
    /// `apiextensions.JSON`: any JSON.
    Json,
    /// `apiextensions.JSONSchemaPropsOrBool`.
    SchemaOrBool,
    /// `apiextensions.JSONSchemaPropsOrArray`.
    SchemaOrArray,
    /// `apiextensions.JSONSchemaPropsOrStringArray`.
    SchemaOrStrings,
    /// Another type of the table.
    Message(TypeId),
}

/// How many values a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One.
    One,
    /// A list.
    List,
    /// A map with string keys.
    Map,
    /// A map of lists of strings (`map[string]ExtraValue`).
    MapOfLists,
}

/// What Go's JSON encoder prints for a field that was never set.
#[derive(Clone, Debug, PartialEq)]
pub enum Unset {
    /// Nothing.
    Omitted,
    /// This value: `null`, `""`, `0`, `{}` …
    Printed(Value),
}

/// A field as JSON shows it.
#[derive(Clone, Debug)]
pub struct Field {
    /// `containerPort`
    pub name: &'static str,
    /// What each value is.
    pub kind: Kind,
    /// One value, a list, a map.
    pub shape: Shape,
    /// `*v1.Probe`, `[]v1.Container`, `map[string]string`: the Go type that error messages name.
    pub go_type: &'static str,
    /// Names of the inlined Go structs between the type and the field (`ProbeHandler`); they show in error messages only.
    pub embeds: Vec<&'static str>,
    /// The Go field is a pointer: a zero that is set is kept.
    pub pointer: bool,
    /// `omitempty`
    pub omit_empty: bool,
    /// `omitzero`
    pub omit_zero: bool,
    /// OpenAPI lists it as required.
    pub required: bool,
    /// The protobuf tag; 0 if the field is not on the wire.
    pub tag: u32,
    /// What is printed if it is not set.
    pub unset: Unset,
    /// OpenAPI's default, as JSON text; empty if there is none.
    pub default: &'static str,
    /// The values OpenAPI allows.
    pub enumeration: Vec<&'static str>,
    /// `atomic`, `set`, `map` or empty: `x-kubernetes-list-type`.
    pub list_type: &'static str,
    /// `x-kubernetes-list-map-keys`.
    pub list_map_keys: Vec<&'static str>,
    /// `merge`, `replace`, `retainKeys`, comma separated: the struct tag that strategic merge reads.
    pub patch_strategy: &'static str,
    /// The key by which strategic merge finds an element.
    pub merge_key: &'static str,
    /// `atomic` or empty: `x-kubernetes-map-type`.
    pub map_type: &'static str,
}

impl Field {
    /// The patch strategy is one of a comma-separated list.
    pub fn has_strategy(&self, strategy: &str) -> bool {
        self.patch_strategy.split(',').any(|one| one == strategy)
    }

    /// A set value is not printed if it is the zero of its Go type.
    pub fn drops_zero(&self) -> bool {
        self.omit_empty && !self.pointer
    }
}

/// What stands under a protobuf tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The field with this index in [`Type::fields`].
    Field(usize),
    /// An inlined Go struct, a message of its own on the wire.
    Embed(TypeId),
}

/// A message.
#[derive(Clone, Debug)]
pub struct Type {
    /// `io.k8s.api.core.v1.Pod`, as OpenAPI names it.
    pub name: &'static str,
    /// `v1.Pod`, as Go names it.
    pub go_type: &'static str,
    /// The kinds that are this type; a group and version of `*` stand for every one.
    pub gvks: Vec<Gvk>,
    /// Its fields in the order of the Go struct, inlined structs flattened.
    pub fields: Vec<Field>,
    /// By protobuf tag, ascending.
    pub wire: Vec<(u32, Wire)>,
    /// `x-kubernetes-map-type` of the whole type: `atomic` or empty.
    pub map_type: &'static str,
    /// `x-kubernetes-unions` as JSON text; empty if there are none.
    pub unions: &'static str,
    /// Indexes of `fields` ordered by name.
    by_name: Vec<u16>,
    /// Indexes of the fields that are printed even if they are not set.
    always: Vec<u16>,
}

impl Type {
    /// The field of this JSON name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.position(name).map(|index| &self.fields[index])
    }

    /// Where the field of this JSON name stands in `fields`.
    pub fn position(&self, name: &str) -> Option<usize> {
        let found = self.by_name.binary_search_by(|index| self.fields[usize::from(*index)].name.cmp(name));
        found.ok().map(|at| usize::from(self.by_name[at]))
    }

    /// `Pod`: the Go name without its package.
    pub fn short_name(&self) -> &'static str {
        self.go_type.rsplit_once('.').map_or(self.go_type, |(_, name)| name)
    }

    /// The fields that are printed even if they are not set.
    pub fn always(&self) -> impl Iterator<Item = (&Field, &Value)> {
        self.always.iter().filter_map(|index| {
            let field = &self.fields[usize::from(*index)];
            match &field.unset {
                Unset::Printed(value) => Some((field, value)),
                Unset::Omitted => None,
            }
        })
    }

    /// What Go prints for a value of this type of which nothing is set.
    pub fn zero(&self) -> Value {
        Value::Object(self.always().map(|(field, value)| (field.name.to_owned(), value.clone())).collect())
    }
}

/// The table of types.
#[derive(Debug)]
pub struct Types {
    /// The lines of each type.
    blocks: Vec<&'static str>,
    /// Those that were asked for.
    all: Vec<OnceLock<Type>>,
    by_name: BTreeMap<&'static str, TypeId>,
    /// By group, version and kind.
    by_gvk: BTreeMap<(&'static str, &'static str, &'static str), TypeId>,
    schema_props: TypeId,
}

impl Types {
    /// The type at this place.
    pub fn get(&self, id: TypeId) -> &Type {
        let at = usize::from(id.0);
        self.all[at].get_or_init(|| self.read_type(self.blocks[at]))
    }

    /// By OpenAPI name: `io.k8s.api.core.v1.Pod`.
    pub fn named(&self, name: &str) -> Option<&Type> {
        self.by_name.get(name).map(|id| self.get(*id))
    }

    /// By group, version and kind. Options (`DeleteOptions` …) are known in every group and version.
    pub fn of(&self, gvk: &Gvk) -> Option<&Type> {
        self.id_of(gvk).map(|id| self.get(id))
    }

    /// `JSONSchemaProps`, which the unions of `apiextensions` hold.
    pub(super) fn schema_props(&self) -> TypeId {
        self.schema_props
    }

    /// Every type, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Type> {
        self.by_name.values().map(|id| self.get(*id))
    }

    fn id_of(&self, gvk: &Gvk) -> Option<TypeId> {
        let find = |group, version| self.by_gvk.get(&(group, version, gvk.kind.as_str())).copied();
        find(gvk.group.as_str(), gvk.version.as_str()).or_else(|| find("*", "*"))
    }
}

mod read;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Resources;
    use crate::schema::{ContentType, FieldValidation, decode, protobuf};

    /// Every kind that can be asked for, and its list.
    fn served() -> Vec<Gvk> {
        let mut all = Vec::new();
        for one in Resources::builtin().all() {
            for version in &one.versions {
                let mut add = |kind: String| all.push(Gvk { group: one.group.clone(), version: version.clone(), kind });
                add(one.kind.clone());
                if one.verbs.iter().any(|verb| verb == "list") {
                    add(format!("{}List", one.kind));
                }
            }
        }
        all
    }

    #[test]
    fn every_line_is_understood() {
        assert_eq!(types().iter().count(), TABLE.lines().filter(|line| line.starts_with("T\t")).count());
        for one in types().iter() {
            assert!(std::ptr::eq(one, types().named(one.name).unwrap()));
        }
    }

    #[test]
    fn every_served_kind_has_a_type() {
        let missing: Vec<Gvk> = served().into_iter().filter(|gvk| types().of(gvk).is_none()).collect();
        assert_eq!(missing, []);
    }

    #[test]
    fn what_nothing_was_set_in_is_canonical() {
        for gvk in served() {
            let mut zero = types().of(&gvk).unwrap().zero();
            zero["apiVersion"] = gvk.api_version().into();
            zero["kind"] = gvk.kind.clone().into();
            let json = decode(zero.to_string().as_bytes(), ContentType::Json, Some(&gvk), FieldValidation::Strict).unwrap();
            assert_eq!(json.object, zero);
            let wire = protobuf::encode(&gvk, &zero).unwrap();
            assert_eq!(decode(&wire, ContentType::Protobuf, Some(&gvk), FieldValidation::Strict).unwrap().object, zero);
        }
    }

    #[test]
    fn knows_what_go_says_of_a_field() {
        let pod = types().named("io.k8s.api.core.v1.PodSpec").unwrap();
        let containers = pod.field("containers").unwrap();
        assert_eq!((containers.go_type, containers.merge_key, containers.tag), ("[]v1.Container", "name", 2));
        assert!(containers.required && !containers.omit_empty && containers.has_strategy("merge"));
        assert_eq!(pod.field("nope").map(|field| field.name), None);
        let options = Gvk::parse("apps/v1", "DeleteOptions");
        assert_eq!(types().of(&options).unwrap().short_name(), "DeleteOptions");
        let probe = types().named("io.k8s.api.core.v1.Probe").unwrap();
        assert_eq!(probe.field("httpGet").unwrap().embeds, ["ProbeHandler"]);
    }
}
