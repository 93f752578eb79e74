//! Reading `data/types.tsv`: lines into types, inlined structs flattened, what is printed when unset worked out.
//!
//! The file is part of the program and a test reads it, so a line that cannot be understood is a mistake of ours: it panics.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::Gvk;
use super::{Field, Kind, Shape, Type, TypeId, Types, Unset, Wire};

/// A line below a type's: its own field, or a struct that it inlines.
enum Row {
    Field(Box<Field>),
    /// Go name, place, tag.
    Embed(&'static str, TypeId, u32),
}

impl Types {
    /// Reads the table.
    pub(super) fn read(table: &'static str) -> Self {
        let by_name = places(table);
        let mut all: Vec<(Type, Vec<Row>)> = Vec::with_capacity(by_name.len());
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&'static str> = line.split('\t').collect();
            let column = |index: usize| columns.get(index).copied().unwrap_or("");
            if column(0) == "T" {
                all.push((type_row(column(1), column(2), column(3), column(4), column(5)), Vec::new()));
                continue;
            }
            let Some((_, rows)) = all.last_mut() else { panic!("types.tsv: a field before any type: {line}") };
            match column(0) {
                "F" => rows.push(Row::Field(Box::new(field_row(&column, &by_name)))),
                "E" => rows.push(Row::Embed(column(1), place(&by_name, column(2)), number(column(3)))),
                "M" => rows.extend(["kind", "apiVersion"].map(|name| Row::Field(Box::new(type_meta(name))))),
                other => panic!("types.tsv: unknown row {other:?}"),
            }
        }
        let mut flat: Vec<Type> = (0..all.len()).map(|index| flatten(&all, index)).collect();
        for index in 0..flat.len() {
            settle(&mut flat, index);
        }
        let mut by_gvk = BTreeMap::new();
        for (index, one) in flat.iter().enumerate() {
            for gvk in &one.gvks {
                by_gvk.insert((gvk.group.clone(), gvk.version.clone(), gvk.kind.clone()), id(index));
            }
        }
        let schema_props = place(&by_name, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
        Self { all: flat, by_name, by_gvk, schema_props }
    }
}

fn id(index: usize) -> TypeId {
    TypeId(u16::try_from(index).unwrap_or_else(|_| panic!("types.tsv: more than {} types", u16::MAX)))
}

fn places(table: &'static str) -> BTreeMap<&'static str, TypeId> {
    let heads = table.lines().filter_map(|line| line.strip_prefix("T\t"));
    heads.enumerate().map(|(index, line)| (line.split('\t').next().unwrap_or(line), id(index))).collect()
}

fn place(by_name: &BTreeMap<&'static str, TypeId>, name: &str) -> TypeId {
    *by_name.get(name).unwrap_or_else(|| panic!("types.tsv: no type {name:?}"))
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("types.tsv: not a tag: {text:?}"))
}

fn list(text: &'static str) -> Vec<&'static str> {
    text.split(',').filter(|one| !one.is_empty()).collect()
}

fn type_row(name: &'static str, go_type: &'static str, gvks: &'static str, map_type: &'static str, unions: &'static str) -> Type {
    let gvk = |text: &str| {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Gvk { group: part(), version: part(), kind: part() }
    };
    let gvks = list(gvks).into_iter().map(gvk).collect();
    Type { name, go_type, gvks, fields: Vec::new(), wire: Vec::new(), map_type, unions, by_name: Vec::new(), always: Vec::new() }
}

fn type_meta(name: &'static str) -> Field {
    let mut field = plain(name, Kind::String, Shape::One, "string");
    field.omit_empty = true;
    field.embeds = vec!["TypeMeta"];
    field
}

fn plain(name: &'static str, kind: Kind, shape: Shape, go_type: &'static str) -> Field {
    Field {
        name,
        kind,
        shape,
        go_type,
        embeds: Vec::new(),
        pointer: false,
        omit_empty: false,
        omit_zero: false,
        required: false,
        tag: 0,
        unset: Unset::Omitted,
        default: "",
        enumeration: Vec::new(),
        list_type: "",
        list_map_keys: Vec::new(),
        patch_strategy: "",
        merge_key: "",
        map_type: "",
    }
}

fn field_row(column: &dyn Fn(usize) -> &'static str, by_name: &BTreeMap<&'static str, TypeId>) -> Field {
    let kind = match column(2) {
        "string" => Kind::String,
        "bool" => Kind::Bool,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "time" => Kind::Time,
        "microtime" => Kind::MicroTime,
        "quantity" => Kind::Quantity,
        "intorstring" => Kind::IntOrString,
        "raw" => Kind::Raw,
        "fieldsv1" => Kind::FieldsV1,
        "json" => Kind::Json,
        "schemaorbool" => Kind::SchemaOrBool,
        "schemaorarray" => Kind::SchemaOrArray,
        "schemaorstrings" => Kind::SchemaOrStrings,
        "message" => Kind::Message(place(by_name, column(4))),
        other => panic!("types.tsv: unknown kind {other:?}"),
    };
    let shape = match column(3) {
        "one" => Shape::One,
        "list" => Shape::List,
        "map" => Shape::Map,
        "map-of-list" => Shape::MapOfLists,
        other => panic!("types.tsv: unknown shape {other:?}"),
    };
    let flag = |letter: char| column(6).contains(letter);
    Field {
        pointer: flag('p'),
        omit_empty: flag('e'),
        omit_zero: flag('z'),
        required: flag('r'),
        tag: number(column(7)),
        default: column(8),
        enumeration: list(column(9)),
        list_type: column(10),
        list_map_keys: list(column(11)),
        patch_strategy: column(12),
        merge_key: column(13),
        map_type: column(14),
        ..plain(column(1), kind, shape, column(5))
    }
}

/// A type with the fields of the structs that it inlines, and its wire form.
fn flatten(all: &[(Type, Vec<Row>)], index: usize) -> Type {
    let (head, rows) = &all[index];
    let mut flat = head.clone();
    for row in rows {
        match row {
            Row::Field(field) => {
                if field.tag != 0 {
                    flat.wire.push((field.tag, Wire::Field(flat.fields.len())));
                }
                flat.fields.push((**field).clone());
            }
            Row::Embed(name, inner, tag) => {
                flat.wire.push((*tag, Wire::Embed(*inner)));
                for mut field in flatten(all, usize::from(inner.0)).fields {
                    field.embeds.insert(0, name);
                    flat.fields.push(field);
                }
            }
        }
    }
    flat.wire.sort_by_key(|(tag, _)| *tag);
    flat.by_name = (0..flat.fields.len()).map(|at| id(at).0).collect();
    flat.by_name.sort_by_key(|at| flat.fields[usize::from(*at)].name);
    flat
}

/// Works out what is printed for the fields of this type that are not set. Go has no endless structs, so this ends.
fn settle(all: &mut Vec<Type>, index: usize) {
    if !all[index].always.is_empty() {
        return;
    }
    for at in 0..all[index].fields.len() {
        let field = &all[index].fields[at];
        let inner = match (field.shape, field.kind, field.pointer) {
            (Shape::One, Kind::Message(inner), false) => Some(usize::from(inner.0)),
            _ => None,
        };
        if let Some(inner) = inner {
            settle(all, inner);
        }
        let unset = unset(&all[index].fields[at], inner.map(|inner| all[inner].zero()));
        if matches!(unset, Unset::Printed(_)) {
            all[index].always.push(id(at).0);
        }
        all[index].fields[at].unset = unset;
    }
}

fn unset(field: &Field, message: Option<Value>) -> Unset {
    let nilable = field.pointer || field.shape != Shape::One || field.kind == Kind::Bytes;
    if nilable {
        return if field.omit_empty { Unset::Omitted } else { Unset::Printed(Value::Null) };
    }
    if field.omit_zero || (field.omit_empty && is_scalar(field.kind)) {
        return Unset::Omitted;
    }
    Unset::Printed(match field.kind {
        Kind::String => json!(""),
        Kind::Bool | Kind::SchemaOrBool => json!(false),
        Kind::Int32 | Kind::Int64 | Kind::Double | Kind::IntOrString => json!(0),
        Kind::Quantity => json!("0"),
        Kind::Message(_) => message.unwrap_or(Value::Null),
        Kind::Time | Kind::MicroTime | Kind::Raw | Kind::FieldsV1 | Kind::Json | Kind::SchemaOrArray | Kind::SchemaOrStrings | Kind::Bytes => Value::Null,
    })
}

/// Go's encoder knows when these are empty; a struct never is.
fn is_scalar(kind: Kind) -> bool {
    matches!(kind, Kind::String | Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Double)
}
