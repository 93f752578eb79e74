//! Role-based access control: what the Roles say that are bound to a caller.
//!
//! See `plugin/pkg/auth/authorizer/rbac/rbac.go` and `pkg/apis/rbac/v1/evaluation_helpers.go`. Roles are read from the store at each
//! question: callers that come here are people and their tools, not the components.

use serde_json::Value;
use skiff_proto::identity::UserInfo;

use super::authorize::{Attributes, Decision};
use crate::kinds::json::{items, text};
use crate::store::{Key, Store};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Whether a bound role allows this.
pub fn resource(user: &UserInfo, asked: &Attributes<'_>, store: &Store) -> Decision {
    for bound in bindings(user, asked.namespace, store) {
        if bound.rules.iter().any(|rule| allows(rule, asked)) {
            return Decision { allowed: true, reason: bound.reason };
        }
    }
    Decision::no()
}

/// Whether a bound cluster role allows this path.
pub fn path(user: &UserInfo, verb: &str, path: &str, store: &Store) -> Decision {
    for bound in bindings(user, "", store) {
        if bound.rules.iter().any(|rule| has(&rule["verbs"], verb) && items(&rule["nonResourceURLs"]).iter().any(|known| covers(text(known), path))) {
            return Decision { allowed: true, reason: bound.reason };
        }
    }
    Decision::no()
}

/// Rules about resources and about paths that hold for a caller in a namespace.
pub fn rules(user: &UserInfo, namespace: &str, store: &Store) -> (Vec<Value>, Vec<Value>) {
    let all = bindings(user, namespace, store).into_iter().flat_map(|bound| bound.rules);
    all.partition(|rule| items(&rule["nonResourceURLs"]).is_empty())
}

struct Bound {
    rules: Vec<Value>,
    reason: String,
}

/// What is bound to a caller: for the cluster, and in `namespace` unless it is empty.
fn bindings(user: &UserInfo, namespace: &str, store: &Store) -> Vec<Bound> {
    let mut found = Vec::new();
    let mut look = |resource: &str, kind: &str, within: Option<&str>| {
        for version in store.list(&format!("{resource}.{GROUP}"), within).items {
            let binding: Value = serde_json::from_slice(&version.json).unwrap_or_default(); // the registry wrote it: it parses
            let Some(subject) = items(&binding["subjects"]).iter().find(|one| is_subject(one, user, &version.key.namespace)) else { continue };
            let role = &binding["roleRef"];
            let (plural, role_namespace) = if text(&role["kind"]) == "Role" { ("roles", &*version.key.namespace) } else { ("clusterroles", "") };
            let Some(role_version) = store.get(&Key::new(&format!("{plural}.{GROUP}"), role_namespace, text(&role["name"]))) else { continue };
            let stored: Value = serde_json::from_slice(&role_version.json).unwrap_or_default(); // as above
            let place = if version.key.namespace.is_empty() { version.key.name.to_string() } else { format!("{}/{}", version.key.name, version.key.namespace) };
            let reason = format!(
                "RBAC: allowed by {kind} {place:?} of {} {:?} to {} {:?}",
                text(&role["kind"]),
                text(&role["name"]),
                text(&subject["kind"]),
                subject_name(subject)
            );
            found.push(Bound { rules: items(&stored["rules"]).to_vec(), reason });
        }
    };
    look("clusterrolebindings", "ClusterRoleBinding", None);
    if !namespace.is_empty() {
        look("rolebindings", "RoleBinding", Some(namespace));
    }
    found
}

fn subject_name(subject: &Value) -> String {
    match text(&subject["kind"]) {
        "ServiceAccount" => format!("{}/{}", text(&subject["name"]), text(&subject["namespace"])),
        _ => text(&subject["name"]).to_owned(), // users and groups have no namespace
    }
}

fn is_subject(subject: &Value, user: &UserInfo, binding_namespace: &str) -> bool {
    let name = text(&subject["name"]);
    match text(&subject["kind"]) {
        "User" => user.name == name,
        "Group" => user.in_group(name),
        "ServiceAccount" => {
            let namespace = match text(&subject["namespace"]) {
                "" => binding_namespace,
                given => given,
            };
            !namespace.is_empty() && user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false, // validation lets no other kind in
    }
}

/// Whether a list holds the word or `*`.
fn has(list: &Value, word: &str) -> bool {
    items(list).iter().any(|one| matches!(text(one), "*") || text(one) == word)
}

fn allows(rule: &Value, asked: &Attributes<'_>) -> bool {
    let combined = if asked.subresource.is_empty() { asked.resource.to_owned() } else { format!("{}/{}", asked.resource, asked.subresource) };
    let resource = items(&rule["resources"])
        .iter()
        .map(text)
        .any(|one| one == "*" || one == combined || (!asked.subresource.is_empty() && one.strip_prefix("*/").is_some_and(|sub| sub == asked.subresource)));
    let names = items(&rule["resourceNames"]);
    has(&rule["verbs"], asked.verb) && has(&rule["apiGroups"], asked.group) && resource && (names.is_empty() || names.iter().any(|one| text(one) == asked.name))
}

fn covers(known: &str, path: &str) -> bool {
    known == "*" || known == path || known.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_match_as_documented() {
        let pods = json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]});
        let scale = json!({"verbs": ["*"], "apiGroups": ["apps"], "resources": ["*/scale"], "resourceNames": ["d"]});
        let ask = |verb, group, resource, subresource, name| Attributes { verb, group, resource, subresource, namespace: "n", name };
        let table = [
            (&pods, ask("list", "", "pods", "", ""), true),
            (&pods, ask("delete", "", "pods", "", "x"), false),
            (&pods, ask("get", "", "pods", "log", "x"), true),
            (&pods, ask("get", "", "pods", "exec", "x"), false),
            (&pods, ask("get", "apps", "pods", "", "x"), false),
            (&scale, ask("update", "apps", "deployments", "scale", "d"), true),
            (&scale, ask("update", "apps", "deployments", "scale", "e"), false),
            (&scale, ask("update", "apps", "deployments", "", "d"), false),
        ];
        for (rule, asked, expected) in table {
            assert_eq!(allows(rule, &asked), expected, "{asked:?}");
        }
        assert!(covers("/healthz/*", "/healthz/ping") && !covers("/healthz", "/healthz/ping"));
    }
}
