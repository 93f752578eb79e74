//! Reading `data/types.tsv`: where each type begins, and, once it is asked for, its lines: inlined structs flattened, what is printed when
//! unset worked out.
//!
//! The file is part of the program and a test reads all of it, so a line that cannot be understood is a mistake of ours: it panics.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::super::Gvk;
use super::{Field, Kind, Shape, Type, TypeId, Types, Unset, Wire};

impl Types {
    /// Finds the types of the table, and reads none of them.
    pub(super) fn read(table: &'static str) -> Self {
        let blocks = blocks(table);
        let (mut by_name, mut by_gvk) = (BTreeMap::new(), BTreeMap::new());
        for (index, block) in blocks.iter().enumerate() {
            let head = columns(block.lines().next().unwrap_or(""));
            by_name.insert(head(1), id(index));
            for gvk in list(head(3)) {
                by_gvk.insert(parts(gvk), id(index));
            }
        }
        let schema_props = place(&by_name, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
        Self { all: blocks.iter().map(|_| OnceLock::new()).collect(), blocks, by_name, by_gvk, schema_props }
    }

    /// Reads the lines of one type, after those of what it holds by value. Go has no endless structs, so this ends.
    pub(super) fn read_type(&self, block: &'static str) -> Type {
        let mut lines = block.lines().filter(|line| !line.starts_with('#'));
        let mut one = type_row(&columns(lines.next().unwrap_or("")));
        for line in lines {
            let column = columns(line);
            match column(0) {
                "F" => add(&mut one, field_row(&column, &self.by_name)),
                "E" => {
                    let inner = place(&self.by_name, column(2));
                    one.wire.push((number(column(3)), Wire::Embed(inner)));
                    for field in &self.get(inner).fields {
                        let mut field = field.clone();
                        field.embeds.insert(0, column(1));
                        one.fields.push(field);
                    }
                }
                "M" => ["kind", "apiVersion"].into_iter().for_each(|name| add(&mut one, type_meta(name))),
                other => panic!("types.tsv: unknown row {other:?}"),
            }
        }
        one.wire.sort_by_key(|(tag, _)| *tag);
        one.by_name = (0..one.fields.len()).map(|at| id(at).0).collect();
        one.by_name.sort_by_key(|at| one.fields[usize::from(*at)].name);
        for (at, field) in one.fields.iter_mut().enumerate() {
            let inner = match (field.shape, field.kind, field.pointer) {
                (Shape::One, Kind::Message(inner), false) => Some(self.get(inner).zero()),
                _ => None,
            };
            field.unset = unset(field, inner);
            if matches!(field.unset, Unset::Printed(_)) {
                one.always.push(id(at).0);
            }
        }
        one.fields.shrink_to_fit();
        one
    }
}

/// The lines of each type.
fn blocks(table: &'static str) -> Vec<&'static str> {
    let later = table.match_indices("\nT\t").map(|(at, _)| at + 1);
    let starts: Vec<usize> = table.starts_with("T\t").then_some(0).into_iter().chain(later).collect();
    let ends = starts.iter().skip(1).copied().chain([table.len()]);
    starts.iter().zip(ends).map(|(start, end)| &table[*start..end]).collect()
}

/// The columns of a line; those that it does not have are empty.
fn columns(line: &'static str) -> impl Fn(usize) -> &'static str {
    let columns: Vec<&'static str> = line.split('\t').collect();
    move |index| columns.get(index).copied().unwrap_or("")
}

/// Group, version and kind.
fn parts(gvk: &'static str) -> (&'static str, &'static str, &'static str) {
    let mut parts = gvk.splitn(3, '/');
    let mut part = || parts.next().unwrap_or_default();
    (part(), part(), part())
}

fn add(to: &mut Type, field: Field) {
    if field.tag != 0 {
        to.wire.push((field.tag, Wire::Field(to.fields.len())));
    }
    to.fields.push(field);
}

fn id(index: usize) -> TypeId {
    TypeId(u16::try_from(index).unwrap_or_else(|_| panic!("types.tsv: more than {} types", u16::MAX)))
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

fn type_row(column: &impl Fn(usize) -> &'static str) -> Type {
    let owned = |(group, version, kind): (&str, &str, &str)| Gvk { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() };
    let gvks = list(column(3)).into_iter().map(|gvk| owned(parts(gvk))).collect();
    let (name, go_type, map_type, unions) = (column(1), column(2), column(4), column(5));
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

fn field_row(column: &impl Fn(usize) -> &'static str, by_name: &BTreeMap<&'static str, TypeId>) -> Field {
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
