//! `metadata.managedFields`: who wrote what, when, and in which version. Read, written, sorted, and kept short.
//!
//! See `apimachinery/pkg/util/managedfields/internal/{managedfields,capmanagers}.go`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::set::Set;
use crate::kinds::json::{has, text};

/// No more managers than this that update; the oldest become one.
const MOST_UPDATERS: usize = 10;
/// Which one.
const ANCIENT: &str = "ancient-changes";

/// Applied or updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Server-side apply.
    Apply,
    /// Everything else.
    Update,
}

/// What tells managers apart (`BuildManagerIdentifier`): who applies is the same in every version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Its name.
    pub manager: String,
    /// What it does.
    pub operation: Operation,
    /// `apps/v1`; empty for those who apply.
    pub api_version: String,
    /// `status`, `scale`; empty for the object itself.
    pub subresource: String,
}

impl Id {
    /// A manager that writes in this version. A nameless one is `unknown`.
    pub fn new(manager: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let api_version = if operation == Operation::Apply { "" } else { api_version };
        let manager = if manager.is_empty() { "unknown" } else { manager };
        Self { manager: manager.to_owned(), operation, api_version: api_version.to_owned(), subresource: subresource.to_owned() }
    }
}

/// What a manager owns.
#[derive(Clone, Debug, PartialEq)]
pub struct Owned {
    /// The version that the paths are of.
    pub api_version: String,
    /// The paths.
    pub set: Set,
    /// When it last changed something, RFC 3339.
    pub time: Option<String>,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Managers {
    /// None owns nothing.
    pub all: BTreeMap<Id, Owned>,
}

impl Managers {
    /// From `metadata.managedFields`; absent is none. What is malformed is an error for the whole.
    pub fn read(entries: Option<&Value>) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        for (index, entry) in entries.map_or(&[][..], crate::kinds::json::items).iter().enumerate() {
            let operation = match text(&entry["operation"]) {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            let api_version = text(&entry["apiVersion"]);
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match text(&entry["fieldsType"]) {
                "FieldsV1" => {}
                "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
                other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {index}")),
            }
            let mut id = Id::new("", operation, api_version, text(&entry["subresource"]));
            text(&entry["manager"]).clone_into(&mut id.manager);
            let set = Set::from_fields(entry.get("fieldsV1").unwrap_or(&Value::Null))?;
            let time = entry["time"].as_str().map(str::to_owned);
            all.insert(id, Owned { api_version: api_version.to_owned(), set, time });
        }
        Ok(Self { all })
    }

    /// As `metadata.managedFields`; nothing if there is no manager.
    pub fn write(&self) -> Option<Value> {
        let mut sorted: Vec<(&Id, &Owned)> = self.all.iter().collect();
        sorted.sort_by_key(|(id, owned)| {
            let time = owned.time.as_deref().unwrap_or(""); // equal-length RFC 3339 in UTC: the order of the texts is that of the times
            (id.operation, time, &id.manager, &owned.api_version, &id.subresource)
        });
        let entries: Vec<Value> = sorted.into_iter().map(|(id, owned)| entry(id, owned)).collect();
        (!entries.is_empty()).then_some(Value::Array(entries))
    }

    /// Makes one of the oldest managers that update, where there are too many (`capUpdateManagers`).
    pub fn cap(&mut self) {
        let mut updaters: Vec<(String, Id)> = self
            .all
            .iter()
            .filter(|(id, _)| id.operation == Operation::Update)
            .map(|(id, owned)| (owned.time.clone().unwrap_or_default(), id.clone())) // no time is the oldest
            .collect();
        updaters.sort();
        let mut many = updaters.len();
        let mut first_of: BTreeMap<String, Id> = BTreeMap::new();
        for (_, id) in updaters {
            if many <= MOST_UPDATERS {
                return;
            }
            let Some(version) = self.all.get(&id).map(|owned| owned.api_version.clone()) else { continue };
            let Some(first) = first_of.get(&version) else {
                first_of.insert(version, id);
                continue;
            };
            let bucket = Id::new(ANCIENT, Operation::Update, &version, "");
            if !self.all.contains_key(&bucket)
                && let Some(owned) = self.all.remove(first)
            {
                self.all.insert(bucket.clone(), owned);
            }
            if id == bucket {
                continue; // it is the one already
            }
            if let Some(merged) = self.all.remove(&id)
                && let Some(bucket) = self.all.get_mut(&bucket)
            {
                bucket.set = bucket.set.union(&merged.set);
                bucket.time = merged.time;
                many -= 1;
            }
        }
    }
}

fn entry(id: &Id, owned: &Owned) -> Value {
    let operation = match id.operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    };
    let mut entry = Map::new();
    for (key, value) in [("manager", &id.manager), ("apiVersion", &owned.api_version), ("subresource", &id.subresource)] {
        if !value.is_empty() {
            entry.insert(key.to_owned(), Value::from(value.as_str()));
        }
    }
    entry.insert("operation".to_owned(), Value::from(operation));
    entry.insert("fieldsType".to_owned(), Value::from("FieldsV1"));
    entry.insert("fieldsV1".to_owned(), owned.set.to_fields());
    if let Some(time) = &owned.time {
        entry.insert("time".to_owned(), Value::from(time.as_str()));
    }
    Value::Object(entry)
}

/// Whether a client asks to forget every manager: one empty entry. (An empty list does too; it is gone once the body is decoded.)
pub fn is_reset(entries: Option<&Value>) -> bool {
    entries.and_then(Value::as_array).is_some_and(|all| all.is_empty() || all.as_slice() == [json!({})])
}

/// Whether two lists of managers say the same but for the times.
pub fn same_but_times(one: &Value, two: &Value) -> bool {
    let (Some(one), Some(two)) = (one.as_array(), two.as_array()) else { return one == two };
    one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same_but_time(one, two))
}

fn same_but_time(one: &Value, two: &Value) -> bool {
    let (Some(one), Some(two)) = (one.as_object(), two.as_object()) else { return one == two };
    let timeless = |entry: &Map<String, Value>| entry.len() - usize::from(entry.contains_key("time"));
    timeless(one) == timeless(two) && one.iter().all(|(key, value)| key == "time" || two.get(key) == Some(value))
}

/// Whether an object has a list of managers.
pub fn has_managers(object: &Value) -> bool {
    has(&object["metadata"], "managedFields")
}
