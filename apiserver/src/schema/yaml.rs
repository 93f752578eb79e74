//! YAML bodies: turned into JSON first, as `sigs.k8s.io/yaml` does, and then decoded as JSON.
//!
//! Kubernetes reads YAML 1.1: a plain `on`, `yes` or `y` is a boolean (as a key it becomes `"true"`), `0777` is octal, `<<` merges.
//! So scalars are resolved here, from the parser's events, which know what was quoted.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use yaml_rust2::parser::{Event, MarkedEventReceiver, Parser, Tag};
use yaml_rust2::scanner::{Marker, TScalarStyle};

mod resolve;

use resolve::{plain, tagged};

/// More values than this come only from aliases upon aliases.
const MAX_NODES: usize = 1_000_000;

/// A body as JSON text.
#[derive(Debug, PartialEq)]
pub(super) struct Converted {
    /// The first document.
    pub(super) json: Vec<u8>,
    /// `yaml: unmarshal errors: …` for keys that come twice, as the strict converter says it.
    pub(super) duplicates: Option<String>,
}

/// Reads the first document as it stands; besides it `yaml: unmarshal errors: …` for keys that come twice. The error is a sentence.
pub fn read(body: &[u8]) -> Result<(Value, Option<String>), String> {
    let converted = to_json(body)?;
    let value = serde_json::from_slice(&converted.json).map_err(|wrong| wrong.to_string())?;
    Ok((value, converted.duplicates))
}

/// Reads the first document; the error is a sentence.
pub(super) fn to_json(body: &[u8]) -> Result<Converted, String> {
    let text = std::str::from_utf8(body).map_err(|_| "yaml: invalid leading UTF-8 octet".to_owned())?;
    let mut reader = Reader::default();
    Parser::new_from_str(text.trim_start_matches('\u{feff}')).load(&mut reader, false).map_err(|wrong| told(wrong.marker().line(), wrong.info()))?;
    if let Some(fault) = reader.fault {
        return Err(fault);
    }
    let json = serde_json::to_vec(&reader.document).map_err(|wrong| wrong.to_string())?;
    let duplicates = (!reader.duplicates.is_empty()).then(|| format!("yaml: unmarshal errors:\n{}", reader.duplicates.join("\n")));
    Ok(Converted { json, duplicates })
}

/// A syntax error as Go's parser tells it: without what it was doing, and in grammar (not in tokens) with the line before.
fn told(line: usize, info: &str) -> String {
    let problem = info.split_once(", ").filter(|_| info.starts_with("while ")).map_or(info, |(_, problem)| problem);
    let missing = if problem.starts_with("expected ") { "did not find " } else { "" };
    let grammar = ["a flow ", "a block ", "a node"].iter().any(|what| info.strip_prefix("while parsing ").is_some_and(|rest| rest.starts_with(what)));
    match line.saturating_sub(usize::from(grammar)) {
        0 => format!("yaml: {missing}{problem}"),
        line => format!("yaml: line {line}: {missing}{problem}"),
    }
}

/// A collection that is being read.
enum Open {
    List { anchor: usize, items: Vec<Value> },
    Map { anchor: usize, entries: Map<String, Value>, merged: Map<String, Value>, key: Option<Key> },
}

enum Key {
    Named(String),
    /// `<<`
    Merge,
}

#[derive(Default)]
struct Reader {
    document: Value,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Value, usize)>,
    nodes: usize,
    duplicates: Vec<String>,
    fault: Option<String>,
}

impl MarkedEventReceiver for Reader {
    fn on_event(&mut self, event: Event, mark: Marker) {
        if self.fault.is_some() {
            return;
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag.as_ref(), mark),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((value, size)) => {
                    self.nodes += size;
                    self.value(value, 0, mark);
                }
                None => self.fault = Some("yaml: unknown anchor referenced".to_owned()),
            },
            Event::SequenceStart(anchor, _) => self.open.push(Open::List { anchor, items: Vec::new() }),
            Event::MappingStart(anchor, _) => self.open.push(Open::Map { anchor, entries: Map::new(), merged: Map::new(), key: None }),
            Event::SequenceEnd | Event::MappingEnd => self.close(mark),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart | Event::DocumentEnd => {}
        }
        if self.nodes > MAX_NODES {
            self.fault = Some("yaml: document contains excessive aliasing".to_owned());
        }
        if self.open.len() > super::syntax::MAX_DEPTH {
            self.fault = Some("yaml: exceeded max depth".to_owned());
        }
    }
}

impl Reader {
    fn scalar(&mut self, text: String, style: TScalarStyle, anchor: usize, tag: Option<&Tag>, mark: Marker) {
        let merges = style == TScalarStyle::Plain && text == "<<";
        if merges && let Some(Open::Map { key: key @ None, .. }) = self.open.last_mut() {
            *key = Some(Key::Merge);
            return;
        }
        let value = match (tag, style) {
            (Some(tag), _) => tagged(&tag.suffix, text),
            (None, TScalarStyle::Plain) => plain(text),
            (None, _) => Ok(Value::String(text)),
        };
        match value {
            Ok(value) => self.value(value, anchor, mark),
            Err(fault) => self.fault = Some(fault),
        }
    }

    /// A value that is whole: a key, an element, or the document.
    fn value(&mut self, value: Value, anchor: usize, mark: Marker) {
        self.nodes += 1;
        if anchor > 0 {
            let size = count(&value);
            self.anchors.insert(anchor, (value.clone(), size));
        }
        match self.open.last_mut() {
            None => self.document = value,
            Some(Open::List { items, .. }) => items.push(value),
            Some(Open::Map { entries, merged, key, .. }) => match key.take() {
                None => match named(value) {
                    Ok(name) => {
                        if entries.contains_key(&name) {
                            self.duplicates.push(format!("  line {}: key {} already set in map", mark.line(), super::scalar::quote(&name)));
                        }
                        *key = Some(Key::Named(name));
                    }
                    Err(fault) => self.fault = Some(fault),
                },
                Some(Key::Named(name)) => {
                    entries.insert(name, value);
                }
                Some(Key::Merge) => {
                    if let Err(fault) = merge(merged, value) {
                        self.fault = Some(fault);
                    }
                }
            },
        }
    }

    fn close(&mut self, mark: Marker) {
        match self.open.pop() {
            Some(Open::List { anchor, items }) => self.value(Value::Array(items), anchor, mark),
            Some(Open::Map { anchor, entries, merged, .. }) => {
                let mut whole = merged;
                whole.extend(entries);
                self.value(Value::Object(whole), anchor, mark);
            }
            None => {}
        }
    }
}

/// Values of `<<`: one map or a list of them; the earlier wins, and the map's own keys win over all.
fn merge(merged: &mut Map<String, Value>, value: Value) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                merged.entry(key).or_insert(value);
            }
            Ok(())
        }
        Value::Array(list) => list.into_iter().try_for_each(|one| if one.is_object() { merge(merged, one) } else { Err(wants_map()) }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(wants_map()),
    }
}

fn wants_map() -> String {
    "yaml: map merge requires map or sequence of maps as the value".to_owned()
}

/// A key as JSON has it: always a string.
fn named(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null => Err("unsupported map key of type: %!s(<nil>), key: <nil>, value: <nil>".to_owned()),
        Value::Array(_) | Value::Object(_) => Err(format!("yaml: invalid map key: {value}")),
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(count).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(count).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

#[cfg(test)]
mod tests;
