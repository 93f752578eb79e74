//! The paths of the registered resources: what can be asked, with which parameters, and what kind answers.

use serde_json::{Map, Value, json};

use super::super::Gvk;
use super::super::types::types;
use super::Dialect;
use super::schemas::{PATCH, reference};
use crate::registry::Resources;
use crate::registry::resource::{Resource, Subresource};

const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const PATCH_TYPES: [&str; 4] =
    ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];
const MEDIA_TYPES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

const WRITES: [(&str, &str); 3] = [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
const PATCHES: [(&str, &str); 4] = [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")];
const DELETES: [(&str, &str); 4] = [("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("orphanDependents", "boolean"), ("propagationPolicy", "string")];
const LISTS: [(&str, &str); 10] = [
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];

/// The paths of one group and version.
pub(super) fn of(resources: &Resources, group: &str, version: &str, dialect: Dialect) -> Map<String, Value> {
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let mut paths = Map::new();
    let served = |one: &Resource| one.group == group && one.versions.iter().any(|have| have == version);
    for resource in resources.all().iter().filter(|one| served(one)) {
        let gvk = Gvk { group: group.to_owned(), version: version.to_owned(), kind: resource.kind.clone() };
        let scope = if resource.namespaced { "Namespaced" } else { "" };
        let prefix = if resource.namespaced { format!("{root}/namespaces/{{namespace}}") } else { root.clone() };
        let collection = format!("{prefix}/{}", resource.plural);
        let page = Page { gvk: &gvk, resource, dialect, scope, suffix: String::new() };
        let has = |verb: &str| resource.verbs.iter().any(|have| have == verb);
        if resource.namespaced && has("list") {
            let everywhere = Page { scope: "", suffix: "ForAllNamespaces".to_owned(), ..page.clone() };
            paths.insert(format!("{root}/{}", resource.plural), everywhere.item(&["list"]));
        }
        paths.insert(collection.clone(), page.item(&["list", "create", "deletecollection"].map(|verb| if has(verb) { verb } else { "" })));
        if ["get", "update", "patch", "delete"].iter().any(|verb| has(verb)) {
            paths.insert(format!("{collection}/{{name}}"), page.item(&["get", "update", "patch", "delete"].map(|verb| if has(verb) { verb } else { "" })));
        }
        for sub in &resource.subresources {
            let gvk = of_subresource(resource, sub, version);
            let page = Page { gvk: &gvk, suffix: camel(&sub.name), ..page.clone() };
            let verbs: Vec<&str> = sub.verbs.iter().map(String::as_str).collect();
            paths.insert(format!("{collection}/{{name}}/{}", sub.name), page.item(&verbs));
        }
    }
    paths
}

/// The kind of a subresource's body.
pub(super) fn of_subresource(resource: &Resource, sub: &Subresource, version: &str) -> Gvk {
    let own = sub.version.is_empty();
    let group = if own { &resource.group } else { &sub.group };
    Gvk { group: group.clone(), version: if own { version } else { &sub.version }.to_owned(), kind: sub.kind.clone() }
}

/// One path of a resource.
#[derive(Clone)]
struct Page<'a> {
    /// What is read and written there.
    gvk: &'a Gvk,
    resource: &'a Resource,
    dialect: Dialect,
    scope: &'static str,
    suffix: String,
}

impl Page<'_> {
    fn item(&self, verbs: &[&str]) -> Value {
        let mut item: Map<String, Value> = verbs.iter().filter_map(|verb| self.operation(verb)).collect();
        let name = json!({"name": "name", "in": "path", "required": true});
        let namespace = json!({"name": "namespace", "in": "path", "required": true});
        let named = verbs.iter().any(|verb| !matches!(*verb, "list" | "create" | "deletecollection" | ""))
            || !self.suffix.is_empty() && self.suffix != "ForAllNamespaces";
        let mut parameters = Vec::new();
        if named {
            parameters.push(self.typed(name, "string"));
        }
        if self.scope == "Namespaced" {
            parameters.push(self.typed(namespace, "string"));
        }
        parameters.push(self.typed(json!({"name": "pretty", "in": "query"}), "string"));
        item.insert("parameters".to_owned(), Value::Array(parameters));
        Value::Object(item)
    }

    /// An HTTP method and what it does.
    fn operation(&self, verb: &str) -> Option<(String, Value)> {
        let (method, action, parameters): (&str, &str, &[(&str, &str)]) = match verb {
            "get" => ("get", "read", &[]),
            "list" => ("get", "list", &LISTS),
            "create" => ("post", "create", &WRITES),
            "update" => ("put", "replace", &WRITES),
            "patch" => ("patch", "patch", &PATCHES),
            "delete" => ("delete", "delete", &DELETES),
            "deletecollection" => ("delete", "deleteCollection", &DELETES),
            _ => return None,
        };
        let group_version = format!("{}{}", group_name(&self.resource.group), camel(&self.resource_version()));
        let operation_id = match action {
            "deleteCollection" => format!("delete{group_version}Collection{}{}{}", self.scope, self.resource.kind, self.suffix),
            _ => format!("{action}{group_version}{}{}{}", self.scope, self.resource.kind, self.suffix),
        };
        let answer = match verb {
            "list" => self.schema(&format!("{}List", self.gvk.kind)),
            "delete" | "deletecollection" => Some(reference(STATUS, self.dialect)),
            _ => self.schema(&self.gvk.kind),
        };
        let mut query: Vec<Value> = parameters.iter().map(|(name, kind)| self.typed(json!({"name": name, "in": "query"}), kind)).collect();
        let mut operation = Map::new();
        let body = match verb {
            "create" | "update" => self.schema(&self.gvk.kind).map(|schema| (schema, &["*/*"][..], true)),
            "patch" => Some((reference(PATCH, self.dialect), &PATCH_TYPES[..], true)),
            "delete" | "deletecollection" => Some((reference(DELETE_OPTIONS, self.dialect), &["*/*"][..], false)),
            _ => None,
        };
        if let Some((schema, media, required)) = body {
            match self.dialect {
                Dialect::V2 => query.push(json!({"name": "body", "in": "body", "required": required, "schema": schema})),
                Dialect::V3 => {
                    operation.insert("requestBody".to_owned(), json!({"content": content(&schema, media), "required": required}));
                }
            }
        }
        let response = match (answer, self.dialect) {
            (None, _) => json!({"description": "OK"}),
            (Some(schema), Dialect::V2) => json!({"description": "OK", "schema": schema}),
            (Some(schema), Dialect::V3) => json!({"description": "OK", "content": content(&schema, &MEDIA_TYPES)}),
        };
        operation.insert("operationId".to_owned(), json!(operation_id));
        operation.insert("tags".to_owned(), json!([format!("{}_{}", lower_group(&self.resource.group), self.resource_version())]));
        operation.insert("responses".to_owned(), json!({"200": response, "401": {"description": "Unauthorized"}}));
        operation.insert("parameters".to_owned(), Value::Array(query));
        operation.insert("x-kubernetes-action".to_owned(), json!(verb.to_lowercase()));
        let gvk = json!({"group": self.gvk.group, "kind": self.gvk.kind, "version": self.gvk.version});
        operation.insert("x-kubernetes-group-version-kind".to_owned(), gvk);
        Some((method.to_owned(), Value::Object(operation)))
    }

    /// The version in the path: a subresource's body may be of another.
    fn resource_version(&self) -> String {
        if self.gvk.group == self.resource.group { self.gvk.version.clone() } else { self.resource.versions.first().cloned().unwrap_or_default() }
    }

    fn schema(&self, kind: &str) -> Option<Value> {
        let gvk = Gvk { kind: kind.to_owned(), ..self.gvk.clone() };
        types().of(&gvk).map(|found| reference(found.name, self.dialect))
    }

    fn typed(&self, mut parameter: Value, kind: &str) -> Value {
        match self.dialect {
            Dialect::V2 => parameter["type"] = json!(kind),
            Dialect::V3 => parameter["schema"] = json!({ "type": kind }),
        }
        parameter
    }
}

fn content(schema: &Value, media_types: &[&str]) -> Value {
    Value::Object(media_types.iter().map(|media| ((*media).to_owned(), json!({ "schema": schema }))).collect())
}

/// `rbac.authorization.k8s.io` → `RbacAuthorization`; the core group is `Core`.
fn group_name(group: &str) -> String {
    if group.is_empty() { "Core".to_owned() } else { group.trim_end_matches(".k8s.io").split('.').map(camel).collect() }
}

fn lower_group(group: &str) -> String {
    let name = group_name(group);
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

fn camel(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
