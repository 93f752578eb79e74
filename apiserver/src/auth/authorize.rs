//! What a caller may do: the coarse rules that hold until a cluster brings its own, then RBAC ([`super::rbac`]).
//!
//! `system:masters` may do everything; scheduler and controller what their work needs; a node's agent what concerns its own node
//! ([`super::node`]); everybody with a name may ask about themselves; nobody else may do anything but by a role that is bound to them.

use serde_json::{Value, json};
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;

use super::{node, rbac};
use crate::dispatch::{RequestInfo, Verb};
use crate::error::failure;
use crate::store::Store;

/// What is asked: `authorizer.Attributes` of a resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// `get`, `list`, `deletecollection` …
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// `pods`
    pub resource: &'a str,
    /// `status`
    pub subresource: &'a str,
    /// Empty: the cluster scope, or all namespaces.
    pub namespace: &'a str,
    /// Empty: no object in particular.
    pub name: &'a str,
}

/// Yes or no, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// What a SubjectAccessReview tells beside it.
    pub reason: String,
}

impl Decision {
    /// Yes.
    pub fn yes() -> Self {
        Self { allowed: true, reason: String::new() }
    }

    /// No rule says yes.
    pub fn no() -> Self {
        Self { allowed: false, reason: String::new() }
    }
}

/// Decides by name and group of the caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct Authorizer;

/// Paths that even strangers may ask.
const PUBLIC_PATHS: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];
/// Paths that everybody with a name may ask (`system:discovery`).
const DISCOVERY_PATHS: &[&str] = &["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/.well-known/openid-configuration", "/openid/v1/jwks"];

impl Authorizer {
    /// Decides about a resource.
    pub fn resource(&self, user: &UserInfo, asked: &Attributes<'_>, store: &Store) -> Decision {
        if user.in_group(UserInfo::MASTERS) {
            return Decision::yes();
        }
        let allowed = match user.name.as_str() {
            UserInfo::CONTROLLER => true,
            UserInfo::SCHEDULER => scheduler(asked),
            "kube-apiserver" => true,
            _ => user.node_name().is_some_and(|name| node::allows(name, asked, store)) || about_oneself(user, asked), // by role below
        };
        if allowed { Decision::yes() } else { rbac::resource(user, asked, store) }
    }

    /// Decides about a path that is no resource.
    pub fn path(&self, user: &UserInfo, verb: &str, path: &str, store: &Store) -> Decision {
        let read = matches!(verb, "get" | "head");
        if user.in_group(UserInfo::MASTERS) || (read && PUBLIC_PATHS.contains(&path)) {
            return Decision::yes();
        }
        let discovery = DISCOVERY_PATHS.iter().any(|known| *known == path || known.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix)));
        if read && discovery && user.in_group("system:authenticated") {
            return Decision::yes();
        }
        rbac::path(user, verb, path, store)
    }

    /// `kubectl auth can-i --list`: the rules that hold for a caller in a namespace.
    pub fn rules(&self, user: &UserInfo, namespace: &str, store: &Store) -> Value {
        let everything = |name: &str| matches!(name, UserInfo::CONTROLLER | "kube-apiserver");
        let (mut resources, mut paths) = rbac::rules(user, namespace, store);
        if user.in_group(UserInfo::MASTERS) || everything(&user.name) {
            resources.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
            paths.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
        }
        if user.in_group("system:authenticated") {
            let own = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"];
            resources.push(json!({"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": own}));
            resources.push(json!({"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]}));
            paths.push(json!({"verbs": ["get"], "nonResourceURLs": DISCOVERY_PATHS}));
        }
        paths.push(json!({"verbs": ["get"], "nonResourceURLs": PUBLIC_PATHS}));
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
    }

    /// [`Authorizer::resource`] as an answer to a request.
    pub fn check(&self, user: &UserInfo, info: &RequestInfo, store: &Store) -> Result<(), Status> {
        let asked = Attributes {
            verb: info.verb.as_str(),
            group: &info.group,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
        };
        if self.resource(user, &asked, store).allowed { Ok(()) } else { Err(forbidden(user, info)) }
    }

    /// [`Authorizer::path`] as an answer to a request.
    pub fn check_path(&self, user: &UserInfo, verb: &str, path: &str, store: &Store) -> Result<(), Status> {
        if self.path(user, verb, path, store).allowed {
            return Ok(());
        }
        let mut status = Status::failure(403, "Forbidden", format!("forbidden: User {:?} cannot {verb} path {path:?}", user.name));
        status.details = Some(skiff_proto::status::Details::default());
        Err(status)
    }
}

/// `responsewriters.ForbiddenStatusError`
fn forbidden(user: &UserInfo, info: &RequestInfo) -> Status {
    let slash = if info.subresource.is_empty() { "" } else { "/" };
    let place = if info.namespace.is_empty() { "at the cluster scope".to_owned() } else { format!("in the namespace \"{}\"", info.namespace) };
    let why = format!(
        "User {:?} cannot {} resource \"{}{slash}{}\" in API group \"{}\" {place}",
        user.name,
        info.verb.as_str(),
        info.resource,
        info.subresource,
        info.group
    );
    let resource = if info.group.is_empty() { info.resource.clone() } else { format!("{}.{}", info.resource, info.group) };
    let name =
        if matches!(info.verb, Verb::List | Verb::Watch | Verb::Create | Verb::DeleteCollection) && info.subresource.is_empty() { "" } else { &info.name };
    failure::forbidden(&resource, name, &why)
}

/// `system:kube-scheduler` and `system:volume-scheduler`: reads everything that bears on placement, binds, tells.
fn scheduler(asked: &Attributes<'_>) -> bool {
    let reads = matches!(asked.verb, "get" | "list" | "watch");
    match (asked.group, asked.resource, asked.subresource) {
        ("", "secrets", _) => false,
        ("", "bindings", "") | ("", "pods", "binding") => asked.verb == "create",
        ("", "pods", "status") => matches!(asked.verb, "patch" | "update"),
        ("", "pods", "") => reads || asked.verb == "delete",
        ("" | "events.k8s.io", "events", "") => matches!(asked.verb, "create" | "patch" | "update"),
        ("coordination.k8s.io", "leases", "") => true,
        ("authentication.k8s.io" | "authorization.k8s.io", _, _) => asked.verb == "create",
        _ => reads && asked.subresource.is_empty(), // nodes, volumes, budgets, owners …
    }
}

/// `system:basic-user`
fn about_oneself(user: &UserInfo, asked: &Attributes<'_>) -> bool {
    asked.verb == "create"
        && user.in_group("system:authenticated")
        && matches!(
            (asked.group, asked.resource),
            ("authorization.k8s.io", "selfsubjectaccessreviews" | "selfsubjectrulesreviews") | ("authentication.k8s.io", "selfsubjectreviews")
        )
}
