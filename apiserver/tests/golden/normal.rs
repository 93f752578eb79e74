//! Replaces what may differ between two runs by marks: uids, revisions, times of about now, names and addresses that a server made up, ages in tables.
//!
//! The recorded answers went through the same rules (`tests/golden/README.md`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::place::{at_mut, find, pick, remove};
use super::python;
use super::step::Step;

/// The letters that generated names end in.
const SUFFIX: &str = "[bcdfghjklmnpqrstvwxz2456789]{5}\\b";
/// `generateName` is cut to this before the suffix.
const PREFIX: usize = 58;
/// Two days, in seconds: what is nearer to now than this is of now.
const NEAR: i64 = 2 * 86_400;

static UUID: LazyLock<Regex> = LazyLock::new(|| regex(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"));
static TIME: LazyLock<Regex> = LazyLock::new(|| regex(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"));
static AGE: LazyLock<Regex> = LazyLock::new(|| regex(r"^(\d+[a-z])+$"));
/// Numbers and texts that a server chooses, where they occur inside sentences.
static SENTENCES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        (r"(resource version: \d+) \(\d+\)", "${1} (<rv>)"),
        (r"(Too large resource version: \d+, current:) \d+", "${1} <rv>"),
        (r"(ResourceVersion in (?:precondition|object meta):) \d+", "${1} <rv>"),
        (r"(range of valid IPs is) [0-9a-f.:/]+", "${1} <cidr>"),
        (r#"(?s)(Invalid value: )"\{.*\}": "#, r#"${1}"<object>": "#),
        (r"(ResourceVersion in record) \(\d+\)", "${1} (<rv>)"),
        (r#"( in scheme) "[^"]*""#, r#"${1} "<scheme>""#),
        (r"(, Key:) [^\s,]+,", "${1} <key>,"),
        (r"(?s)\n@@ -\d.*", "\n<diff>"),
        (r#"(?m)^(\s*resourceVersion:) "\d+""#, r#"${1} "<rv>""#),
    ];
    rules.into_iter().map(|(pattern, mark)| (regex(pattern), mark)).collect()
});

/// A pattern of this program or of a scenario.
pub fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"))
}

/// What is known of one scenario's run.
pub struct Normal {
    /// The steps as they are written, without what is expected: what stands there was not made up.
    source: String,
    namespace: String,
    run: String,
    /// Made up by the server → mark; the longest first.
    renames: BTreeMap<String, &'static str>,
    /// `generateName` → the names made of it.
    generated: BTreeMap<String, Regex>,
}

impl Normal {
    /// Of a scenario that runs in `namespace` as `run`. `source`: see above.
    pub fn new(source: String, namespace: &str, run: &str) -> Self {
        Self { source, namespace: namespace.to_owned(), run: run.to_owned(), renames: BTreeMap::new(), generated: BTreeMap::new() }
    }

    /// Names of this prefix are made up.
    pub fn generates(&mut self, prefix: &str) {
        let prefix: String = prefix.chars().take(PREFIX).collect();
        let pattern = regex(&format!("{}{SUFFIX}", regex::escape(&prefix)));
        self.generated.insert(prefix, pattern);
    }

    /// Addresses and ports of a Service that the scenario did not ask for are the server's choice.
    pub fn remember(&mut self, answer: &Value) {
        if answer["kind"] != "Service" || !answer["spec"].is_object() {
            return;
        }
        for address in pick(answer, "spec.clusterIPs.*").as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !["None", ""].contains(&address) && !self.source.contains(address) {
                self.renames.insert(address.to_owned(), "<ip>");
            }
        }
        let ports = find(answer, "spec.ports.*.nodePort").into_iter().chain(find(answer, "spec.healthCheckNodePort"));
        for port in ports.filter_map(|place| super::place::at(answer, &place).and_then(Value::as_i64)) {
            if port != 0 && !self.source.contains(&port.to_string()) {
                self.renames.insert(port.to_string(), "<nodePort>");
            }
        }
    }

    /// The answer as the step compares it.
    pub fn document(&self, mut document: Value, step: &Step) -> Value {
        if !step.managed_fields {
            drop_key(&mut document, "managedFields");
        }
        for path in &step.drop {
            remove(&mut document, path);
        }
        for (path, (key, pattern)) in &step.without {
            leave_out(&mut document, path, key, &regex(pattern));
        }
        for (path, pattern) in &step.mask {
            let pattern = regex(pattern);
            for place in find(&document, path) {
                let value = at_mut(&mut document, &place).unwrap();
                if pattern.is_match(&python::text(value)) {
                    *value = json!("<masked>");
                }
            }
        }
        let mut document = self.value(&document, "");
        for (path, key) in &step.sort {
            for place in find(&document, path) {
                if let Some(Value::Array(list)) = at_mut(&mut document, &place) {
                    list.sort_by_key(|one| python::text(&pick(one, key)));
                }
            }
        }
        match &step.compare {
            Some(paths) => paths.iter().map(|path| (path.clone(), pick(&document, path))).collect(),
            None => document,
        }
    }

    /// A value under `key`.
    fn value(&self, value: &Value, key: &str) -> Value {
        match value {
            Value::Object(_) if value["kind"] == "Table" && value["columnDefinitions"].is_array() && key != "\0table" => self.value(&table(value), "\0table"),
            Value::Object(map) => map.iter().map(|(key, value)| (self.text(key, ""), self.value(value, key))).collect(),
            Value::Array(list) => {
                let mut list: Vec<&Value> = list.iter().collect();
                if key == "managedFields" {
                    // the server orders them by second, so by chance
                    list.sort_by_key(|entry| ["operation", "manager", "subresource", "apiVersion"].map(|key| python::text(&entry[key])));
                }
                list.into_iter().map(|one| self.value(one, key)).collect()
            }
            Value::Number(number) if ["nodePort", "healthCheckNodePort"].contains(&key) => {
                self.renames.get(&number.to_string()).map_or_else(|| value.clone(), |mark| json!(mark))
            }
            Value::String(text) => json!(self.text(text, key)),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// A text under `key`.
    pub fn text(&self, text: &str, key: &str) -> String {
        match key {
            "resourceVersion" if text != "0" && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => return "<rv>".to_owned(),
            "continue" if !text.is_empty() => return "<continue>".to_owned(),
            "token" if text.matches('.').count() == 2 => return "<token>".to_owned(),
            _ => {}
        }
        let mut text = text.to_owned();
        let mut renames: Vec<_> = self.renames.iter().collect();
        renames.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        for (old, mark) in renames {
            text = text.replace(old, mark);
        }
        for (prefix, pattern) in &self.generated {
            text = pattern.replace_all(&text, regex::NoExpand(&format!("{prefix}<rand>"))).into_owned();
        }
        text = text.replace(&self.namespace, "{ns}").replace(&self.run, "{run}");
        for (pattern, mark) in SENTENCES.iter() {
            text = pattern.replace_all(&text, *mark).into_owned();
        }
        let known = |found: &Captures<'_>| if self.source.contains(&found[0]) { found[0].to_owned() } else { "<uid>".to_owned() };
        let text = UUID.replace_all(&text, known);
        TIME.replace_all(&text, recent).into_owned()
    }
}

/// A time of about now is of this run; any other was written by the scenario.
fn recent(found: &Captures<'_>) -> String {
    let whole = format!("{}Z", &found[0][..19]);
    let at = skiff_apiserver::kinds::table::parse_time(&whole);
    match (at, found.get(1)) {
        (Some(at), fraction) if (skiff_apiserver::http::now() - at).abs() < NEAR => if fraction.is_some() { "<microtime>" } else { "<time>" }.to_owned(),
        (_, _) => found[0].to_owned(),
    }
}

/// A table without the descriptions of its columns, and without ages.
fn table(table: &Value) -> Value {
    let mut table = table.clone();
    for column in table["columnDefinitions"].as_array_mut().unwrap() {
        column.as_object_mut().unwrap().remove("description");
    }
    let columns = table["columnDefinitions"].as_array().unwrap().clone();
    for row in table["rows"].as_array_mut().into_iter().flatten() {
        for (cell, column) in row["cells"].as_array_mut().into_iter().flatten().zip(&columns) {
            let ages = ["Age", "Last Seen", "First Seen", "Last Schedule"].contains(&column["name"].as_str().unwrap_or_default());
            if (ages || column["type"] == "date") && AGE.is_match(&python::text(cell)) {
                *cell = json!("<age>");
            }
        }
    }
    table
}

fn leave_out(document: &mut Value, path: &str, key: &str, pattern: &Regex) {
    for place in find(document, path) {
        match at_mut(document, &place) {
            Some(Value::Object(map)) => map.retain(|key, _| !pattern.is_match(key)),
            Some(Value::Array(list)) => list.retain(|one| !pattern.is_match(&python::text(&pick(one, key)))),
            Some(_) | None => {}
        }
    }
}

fn drop_key(value: &mut Value, name: &str) {
    match value {
        Value::Object(map) => {
            map.remove(name);
            map.values_mut().for_each(|child| drop_key(child, name));
        }
        Value::Array(list) => list.iter_mut().for_each(|child| drop_key(child, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
