//! Objects as `meta.k8s.io` `Table` (what `kubectl get` prints) and `PartialObjectMetadata`. Pure.
//!
//! See `apiserver/pkg/endpoints/handlers/response.go` and `apimachinery/pkg/apis/meta/v1/types.go`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use skiff_proto::status::Status;

use super::negotiate::MetaVersion;
use crate::dispatch::Item;
use crate::error::failure;
use crate::kinds::table::{name_and_created_at, name_and_created_at_row};
use crate::registry::resource::Resource;
use crate::registry::strategy::Column;
use crate::schema::Gvk;

/// What each row carries besides its cells: the `includeObject` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Include {
    /// The object's metadata.
    Metadata,
    /// The object.
    Object,
    /// Nothing.
    None,
}

impl Include {
    /// Reads `includeObject`; empty: metadata.
    pub fn parse(asked: Option<&str>) -> Result<Self, Status> {
        match asked.unwrap_or_default() {
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            other => Err(failure::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

/// Makes the tables of one answer.
pub struct Tabler<'a> {
    /// The resource whose columns are shown.
    pub resource: &'a Resource,
    /// Of the objects; where it is not the resource's own kind (`Scale`), they have a name and an age only.
    pub gvk: &'a Gvk,
    /// The table's own version.
    pub version: MetaVersion,
    /// What rows carry.
    pub include: Include,
    /// Seconds since the epoch, for ages.
    pub now: i64,
}

/// What a table's `metadata` says.
#[derive(Clone, Debug, Default)]
pub struct ListMeta<'a> {
    /// `resourceVersion`
    pub revision: String,
    /// `continue`; empty: the last page.
    pub continue_token: &'a str,
    /// `remainingItemCount`
    pub remaining: Option<u64>,
}

impl ListMeta<'_> {
    /// As JSON, empty members left out.
    pub fn json(&self) -> Value {
        let mut meta = json!({});
        if !self.revision.is_empty() && self.revision != "0" {
            meta["resourceVersion"] = self.revision.as_str().into();
        }
        if !self.continue_token.is_empty() {
            meta["continue"] = self.continue_token.into();
        }
        if let Some(remaining) = self.remaining {
            meta["remainingItemCount"] = remaining.into();
        }
        meta
    }
}

impl Tabler<'_> {
    /// The table of `items`. `header`: whether it says what the columns are (the first event of a watch does, the others do not).
    pub fn table(&self, items: &[Item], meta: &ListMeta<'_>, header: bool) -> Result<Vec<u8>, Status> {
        let columns = if header { self.columns().iter().map(describe).collect() } else { Value::Null };
        let metadata = meta.json();
        let mut out = format!(r#"{{"kind":"Table","apiVersion":"{}","metadata":{metadata},"columnDefinitions":{columns},"rows":"#, self.version.api_version())
            .into_bytes();
        if items.is_empty() && self.columns().get(1).is_some_and(|column| column.name == "Created At") {
            out.extend_from_slice(b"null}"); // what Kubernetes' default convertor leaves of no rows
            return Ok(out);
        }
        out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.row(&item.json, &mut out)?;
        }
        out.extend_from_slice(b"]}");
        Ok(out)
    }

    /// The revision that a table of one object has: the object's own.
    pub fn meta_of(item: &Item) -> ListMeta<'static> {
        ListMeta { revision: item.revision.to_string(), ..ListMeta::default() }
    }

    fn is_own_kind(&self) -> bool {
        self.gvk.kind == self.resource.kind
    }

    fn columns(&self) -> Vec<Column> {
        if self.is_own_kind() { self.resource.strategy.columns() } else { name_and_created_at() }
    }

    fn row(&self, json: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
        let object: Value = serde_json::from_slice(json).map_err(damaged)?;
        let cells = if self.is_own_kind() {
            // printers read the storage version, whichever was asked for
            let object = if self.gvk.version == self.resource.storage_version {
                Cow::Borrowed(&object)
            } else {
                Cow::Owned(self.resource.strategy.convert(object.clone(), &self.resource.storage_version))
            };
            self.resource.strategy.row(&object, self.now)
        } else {
            name_and_created_at_row(&object, self.now)
        };
        out.extend_from_slice(br#"{"cells":"#);
        out.extend_from_slice(Value::Array(cells).to_string().as_bytes());
        if let Some(condition) = completed(self.gvk, &object) {
            out.extend_from_slice(format!(r#","conditions":[{condition}]"#).as_bytes());
        }
        out.extend_from_slice(br#","object":"#);
        match self.include {
            Include::Metadata => out.extend_from_slice(&partial(json, self.version)?),
            Include::Object => out.extend_from_slice(json),
            Include::None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
        Ok(())
    }
}

/// The condition of a row whose pod has ended: `kubectl get` greys it out (`podSuccessConditions`, `podFailedConditions` of the printers).
fn completed(gvk: &Gvk, object: &Value) -> Option<Value> {
    let (reason, message) = match object["status"]["phase"].as_str() {
        Some("Succeeded") => ("Succeeded", "The pod has completed successfully."),
        Some("Failed") => ("Failed", "The pod failed."),
        Some(_) | None => return None,
    };
    (gvk.kind == "Pod").then(|| json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

fn describe(column: &Column) -> Value {
    json!({"name": column.name, "type": column.kind, "format": column.format, "description": column.description, "priority": column.priority})
}

/// `PartialObjectMetadata`: the object's metadata and nothing else.
pub fn partial(json: &[u8], version: MetaVersion) -> Result<Vec<u8>, Status> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let outer: Outer<'_> = serde_json::from_slice(json).map_err(damaged)?;
    Ok(format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"{}","metadata":{}}}"#, version.api_version(), outer.metadata).into_bytes())
}

/// `PartialObjectMetadataList`.
pub fn partial_list(items: &[Item], meta: &ListMeta<'_>, version: MetaVersion) -> Result<Vec<u8>, Status> {
    let mut out = format!(r#"{{"kind":"PartialObjectMetadataList","apiVersion":"{}","metadata":{},"items":["#, version.api_version(), meta.json()).into_bytes();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&partial(&item.json, version)?);
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

/// `406`: one object was asked for as a list, or a list as one object. Go's name of the internal type is part of the sentence.
pub fn wrong_number(gvk: &Gvk, is_list: bool) -> Status {
    let package = match gvk.group.split('.').next().unwrap_or_default() {
        "" | "events" => "core",
        group => group,
    };
    let message = if is_list {
        format!("you requested PartialObjectMetadata, but the requested object is a list (*{package}.{}List)", gvk.kind)
    } else {
        format!("you requested PartialObjectMetadataList, but the requested object is not a list (*{package}.{})", gvk.kind)
    };
    Status::failure(406, "NotAcceptable", message)
}

/// What is stored is not what was written: nothing a client can do about.
pub fn damaged(error: serde_json::Error) -> Status {
    Status::failure(500, "InternalError", format!("Internal error occurred: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_cut_out_as_it_stands() {
        let object = br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"b":"1","a":"2"}},"spec":{"metadata":{}}}"#;
        let expected = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"p","labels":{"b":"1","a":"2"}}}"#;
        assert_eq!(String::from_utf8(partial(object, MetaVersion::V1).unwrap()).unwrap(), expected);
    }

    #[test]
    fn names_internal_types_as_go_does() {
        let gvk = |group: &str, kind: &str| Gvk { group: group.to_owned(), version: "v1".to_owned(), kind: kind.to_owned() };
        assert!(wrong_number(&gvk("", "Pod"), true).message.ends_with("is a list (*core.PodList)"));
        assert!(wrong_number(&gvk("rbac.authorization.k8s.io", "Role"), false).message.ends_with("is not a list (*rbac.Role)"));
    }

    #[test]
    fn include_object_is_checked() {
        assert_eq!(Include::parse(None), Ok(Include::Metadata));
        assert_eq!(Include::parse(Some("Everything")).unwrap_err().code, 400);
    }
}
