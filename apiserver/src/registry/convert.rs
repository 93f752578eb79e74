//! Between the version that is stored and the version that is asked for. Most kinds have one; these differ: HorizontalPodAutoscaler
//! (stored as autoscaling/v2) and Event (core and events.k8s.io are one collection, stored as core/v1).

use serde_json::{Map, Value};

use super::resource::Resource;

/// Whether the stored bytes are what a client of this version sees.
pub fn is_stored_form(resource: &Resource, version: &str) -> bool {
    version == resource.storage_version && !is_new_event(resource)
}

/// An object of a client's version, as it is stored.
pub fn to_storage(resource: &Resource, version: &str, object: Value) -> Value {
    if is_new_event(resource) {
        return rename(object, "v1", EVENT_FIELDS.iter().map(|(core, new)| (*new, *core)));
    }
    if version == resource.storage_version {
        return object;
    }
    let mut stored = resource.strategy.convert(object, &resource.storage_version);
    stored["apiVersion"] = Value::from(resource.api_version(&resource.storage_version));
    stored
}

/// A stored object, as a client of this version sees it.
pub fn from_storage(resource: &Resource, version: &str, object: Value) -> Value {
    if is_new_event(resource) {
        return rename(object, "events.k8s.io/v1", EVENT_FIELDS.iter().copied());
    }
    if version == resource.storage_version {
        return object;
    }
    let mut seen = resource.strategy.convert(object, version);
    seen["apiVersion"] = Value::from(resource.api_version(version));
    seen
}

/// Fields of a core Event and what events.k8s.io calls them. See `pkg/apis/events/v1/conversion.go`.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// The core name of a field of events.k8s.io that a selector names (`AddFieldLabelConversionsForEvent`).
pub fn stored_event_field(field: &str) -> String {
    match field.strip_prefix("regarding.") {
        Some(part) => format!("involvedObject.{part}"),
        None if field == "reportingController" => "reportingComponent".to_owned(),
        None => field.to_owned(),
    }
}

fn is_new_event(resource: &Resource) -> bool {
    resource.group == "events.k8s.io" && resource.plural == "events"
}

fn rename<'a>(object: Value, api_version: &str, names: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Value {
    let Value::Object(members) = object else { return object };
    let mut renamed = Map::new();
    for (key, value) in members {
        let name = names.clone().find(|(from, _)| *from == key).map_or(key.as_str(), |(_, to)| to);
        renamed.insert(name.to_owned(), value);
    }
    renamed.insert("apiVersion".to_owned(), Value::from(api_version));
    Value::Object(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Resources;
    use serde_json::json;

    #[test]
    fn events_of_both_groups_are_one() {
        let resources = Resources::builtin();
        let new = resources.find("events.k8s.io", "v1", "events").unwrap();
        let given = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": "n", "regarding": {"name": "p"}, "reportingController": "c"});
        let stored = to_storage(new, "v1", given.clone());
        assert_eq!(
            stored,
            json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": "n", "involvedObject": {"name": "p"}, "reportingComponent": "c"})
        );
        assert_eq!(from_storage(new, "v1", stored), given);
    }
}
