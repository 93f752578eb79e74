//! Events, of the core group and of events.k8s.io: one collection, two shapes. See `pkg/registry/core/event/strategy.go`,
//! `pkg/apis/core/validation/events.go`, `printEvent`.

use serde_json::Value;

use crate::error::FieldError;
use crate::kinds::json::{int, text};
use crate::kinds::table::{columns, name, since};
use crate::registry::strategy::{Column, Context, Strategy};

/// The rules of events. Objects come in the core shape, which is the stored one.
pub struct Event;

impl Strategy for Event {
    fn validate(&self, object: &Value, _context: &Context) -> Vec<FieldError> {
        let (about, own) = (text(&object["involvedObject"]["namespace"]), text(&object["metadata"]["namespace"]));
        let fits = if about.is_empty() { matches!(own, "" | "default") } else { own == about };
        let mut errors = Vec::new();
        if !fits {
            errors.push(FieldError::invalid("involvedObject.namespace", about, "does not match event.namespace"));
        }
        if !object["eventTime"].is_null() {
            errors.extend(reported(object));
        }
        errors
    }

    fn columns(&self) -> Vec<Column> {
        columns("events")
    }

    fn row(&self, object: &Value, now: i64) -> Vec<Value> {
        // Rows are made of what a client sees: either shape.
        let either = |core: &str, new: &str| if object[core].is_null() { &object[new] } else { &object[core] };
        let first = either("firstTimestamp", "deprecatedFirstTimestamp");
        let first = if first.is_null() { since(&object["eventTime"], now) } else { since(first, now) };
        let last = either("lastTimestamp", "deprecatedLastTimestamp");
        let (last, count) = if object["series"].is_null() {
            let last = if last.is_null() { first.clone() } else { since(last, now) };
            (last, int(either("count", "deprecatedCount")).max(1))
        } else {
            (since(&object["series"]["lastObservedTime"], now), int(&object["series"]["count"]))
        };
        let about = either("involvedObject", "regarding");
        let target = match text(&about["name"]) {
            "" => text(&about["kind"]).to_lowercase(),
            named => format!("{}/{named}", text(&about["kind"]).to_lowercase()),
        };
        vec![
            last.into(),
            text(&object["type"]).into(),
            text(&object["reason"]).into(),
            target.into(),
            text(&about["fieldPath"]).into(),
            source(object, either("source", "deprecatedSource")).into(),
            text(either("message", "note")).trim().into(),
            first.into(),
            count.into(),
            name(object),
        ]
    }

    fn create_on_update(&self) -> bool {
        true
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ]
    }

    fn field(&self, object: &Value, path: &str) -> String {
        match path {
            "source" => match text(&object["source"]["component"]) {
                "" => text(&object["reportingComponent"]).to_owned(),
                component => component.to_owned(),
            },
            _ => crate::kinds::table::text_at(object, path), // a path of the object
        }
    }
}

/// What an event with an `eventTime` (one of the new kind) must say: `legacyValidateEvent`.
fn reported(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let controller = text(&object["reportingComponent"]);
    if controller.is_empty() {
        errors.push(FieldError::required("reportingComponent", ""));
    }
    errors.extend(crate::kinds::name::qualified(controller).into_iter().map(|why| FieldError::invalid("reportingComponent", controller, why)));
    for (key, most) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
        let value = text(&object[key]);
        if value.is_empty() {
            errors.push(FieldError::required(key, ""));
        } else if value.len() > most {
            errors.push(FieldError::invalid(key, "", format!("can have at most {most} characters")));
        }
    }
    if text(&object["message"]).len() > 1024 {
        errors.push(FieldError::invalid("message", "", "can have at most 1024 characters"));
    }
    errors
}

fn source(object: &Value, source: &Value) -> String {
    let or = |first: &Value, second: &Value| if text(first).is_empty() { text(second).to_owned() } else { text(first).to_owned() };
    let controller = if object["reportingComponent"].is_null() { &object["reportingController"] } else { &object["reportingComponent"] };
    let (component, instance) = (or(&source["component"], controller), or(&source["host"], &object["reportingInstance"]));
    if instance.is_empty() { component } else { format!("{component}, {instance}") }
}
