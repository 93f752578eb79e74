//! Types as OpenAPI schemas, with the extensions that kubectl reads.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::Gvk;
use super::super::types::{Field, Kind, Shape, Type, types};
use super::{Dialect, docs};

const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
const FIELDS_V1: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const RAW: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";
const JSON: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON";
const OR_BOOL: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool";
const OR_ARRAY: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray";
const OR_STRINGS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray";
/// The body of a PATCH, whatever its kind.
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// The schemas of these kinds and of all that they hold, by name. Kinds without a type are left out.
pub(super) fn of(kinds: &[Gvk], dialect: Dialect) -> Map<String, Value> {
    let mut writer = Writer { dialect, kinds, out: Map::new(), met: BTreeSet::new() };
    for gvk in kinds {
        if let Some(as_type) = types().of(gvk) {
            writer.add(as_type);
        }
    }
    let patch = json!({"description": "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body.", "type": "object"});
    writer.out.insert(PATCH.to_owned(), patch);
    writer.out
}

/// A reference to a schema.
pub(super) fn reference(name: &str, dialect: Dialect) -> Value {
    let place = match dialect {
        Dialect::V2 => "#/definitions/",
        Dialect::V3 => "#/components/schemas/",
    };
    json!({ "$ref": format!("{place}{name}") })
}

struct Writer<'a> {
    dialect: Dialect,
    kinds: &'a [Gvk],
    out: Map<String, Value>,
    met: BTreeSet<&'static str>,
}

impl Writer<'_> {
    fn add(&mut self, as_type: &'static Type) {
        if !self.met.insert(as_type.name) {
            return;
        }
        let mut schema = Map::new();
        put(&mut schema, "description", docs::of(as_type.name, "").map(Value::String));
        schema.insert("type".to_owned(), json!("object"));
        let properties: Map<String, Value> = as_type.fields.iter().map(|field| (field.name.to_owned(), self.property(as_type, field))).collect();
        if !properties.is_empty() {
            schema.insert("properties".to_owned(), Value::Object(properties));
        }
        let mut required: Vec<&str> = as_type.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        required.sort_unstable();
        put(&mut schema, "required", (!required.is_empty()).then(|| json!(required)));
        let gvks = self.gvks(as_type);
        put(&mut schema, "x-kubernetes-group-version-kind", (!gvks.is_empty()).then_some(Value::Array(gvks)));
        put(&mut schema, "x-kubernetes-map-type", text(as_type.map_type));
        put(&mut schema, "x-kubernetes-unions", serde_json::from_str::<Value>(as_type.unions).ok()); // empty for most
        self.out.insert(as_type.name.to_owned(), Value::Object(schema));
    }

    /// The kinds that a type is; a type of every group and version (options) is named for those of this document.
    fn gvks(&self, as_type: &Type) -> Vec<Value> {
        let shown = |gvk: &Gvk| json!({"group": gvk.group, "kind": gvk.kind, "version": gvk.version});
        if as_type.gvks.iter().any(|gvk| gvk.group == "*") {
            return self.kinds.iter().filter(|gvk| gvk.kind == as_type.short_name()).map(shown).collect();
        }
        as_type.gvks.iter().map(shown).collect()
    }

    fn property(&mut self, parent: &'static Type, field: &'static Field) -> Value {
        let mut property = match field.shape {
            Shape::One => self.value(field.kind),
            Shape::List => Map::from_iter([("type".to_owned(), json!("array")), ("items".to_owned(), self.element(field, field.kind))]),
            Shape::Map => Map::from_iter([("type".to_owned(), json!("object")), ("additionalProperties".to_owned(), self.element(field, field.kind))]),
            Shape::MapOfLists => {
                let items = json!({"type": "array", "items": {"type": "string", "default": ""}});
                Map::from_iter([("type".to_owned(), json!("object")), ("additionalProperties".to_owned(), items)])
            }
        };
        let description = docs::of(parent.name, field.name);
        let default: Option<Value> = serde_json::from_str(field.default).ok(); // empty for most
        if self.dialect == Dialect::V3 && property.contains_key("$ref") && (description.is_some() || default.is_some()) {
            // beside a reference nothing else counts, so it is wrapped
            property = Map::from_iter([("allOf".to_owned(), json!([property]))]);
        }
        put(&mut property, "description", description);
        put(&mut property, "default", default);
        if field.shape == Shape::One && !field.enumeration.is_empty() {
            property.insert("enum".to_owned(), json!(field.enumeration));
        }
        put(&mut property, "x-kubernetes-list-type", text(field.list_type));
        put(&mut property, "x-kubernetes-list-map-keys", (!field.list_map_keys.is_empty()).then(|| json!(field.list_map_keys)));
        put(&mut property, "x-kubernetes-patch-strategy", text(field.patch_strategy));
        put(&mut property, "x-kubernetes-patch-merge-key", text(field.merge_key));
        put(&mut property, "x-kubernetes-map-type", text(field.map_type));
        Value::Object(property)
    }

    fn element(&mut self, field: &'static Field, kind: Kind) -> Value {
        let mut element = self.value(kind);
        let message = matches!(kind, Kind::Message(_));
        if element.contains_key("$ref") && message && self.dialect == Dialect::V3 && field.shape == Shape::List {
            element = Map::from_iter([("allOf".to_owned(), json!([element])), ("default".to_owned(), json!({}))]);
        }
        if kind == Kind::String {
            element.insert("default".to_owned(), json!(""));
            if !field.enumeration.is_empty() {
                element.insert("enum".to_owned(), json!(field.enumeration));
            }
        }
        Value::Object(element)
    }

    fn value(&mut self, kind: Kind) -> Map<String, Value> {
        let plain = |value: Value| match value {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let v3 = self.dialect == Dialect::V3;
        match kind {
            Kind::String => plain(json!({"type": "string"})),
            Kind::Bool => plain(json!({"type": "boolean"})),
            Kind::Int32 => plain(json!({"type": "integer", "format": "int32"})),
            Kind::Int64 => plain(json!({"type": "integer", "format": "int64"})),
            Kind::Double => plain(json!({"type": "number", "format": "double"})),
            Kind::Bytes => plain(json!({"type": "string", "format": "byte"})),
            Kind::Time => self.scalar(TIME, json!({"type": "string", "format": "date-time"})),
            Kind::MicroTime => self.scalar(MICRO_TIME, json!({"type": "string", "format": "date-time"})),
            Kind::Quantity if v3 => self.scalar(QUANTITY, json!({"oneOf": [{"type": "string"}, {"type": "number"}]})),
            Kind::Quantity => self.scalar(QUANTITY, json!({"type": "string"})),
            Kind::IntOrString if v3 => self.scalar(INT_OR_STRING, json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})),
            Kind::IntOrString => self.scalar(INT_OR_STRING, json!({"type": "string", "format": "int-or-string"})),
            Kind::Raw => self.scalar(RAW, json!({"type": "object"})),
            Kind::FieldsV1 => self.scalar(FIELDS_V1, json!({"type": "object"})),
            Kind::Json => self.scalar(JSON, json!({})),
            Kind::SchemaOrBool => self.scalar(OR_BOOL, json!({})),
            Kind::SchemaOrArray => self.scalar(OR_ARRAY, json!({})),
            Kind::SchemaOrStrings => self.scalar(OR_STRINGS, json!({})),
            Kind::Message(id) => {
                let inner = types().get(id);
                self.add(inner);
                plain(reference(inner.name, self.dialect))
            }
        }
    }

    /// A reference to a named schema that is no type of the table.
    fn scalar(&mut self, name: &'static str, schema: Value) -> Map<String, Value> {
        if self.met.insert(name) {
            let mut schema = schema;
            if let (Value::Object(map), Some(description)) = (&mut schema, docs::of(name, "")) {
                map.insert("description".to_owned(), Value::String(description));
            }
            self.out.insert(name.to_owned(), schema);
        }
        match reference(name, self.dialect) {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value.into());
    }
}

fn text(value: &str) -> Option<&str> {
    (!value.is_empty()).then_some(value)
}
