//! What a request is about, read off its method, path and query alone.
//!
//! A port of the rules of `apiserver/pkg/endpoints/request/requestinfo.go`; pure, so that a table of paths tests it.

use http::Method;

use super::query::Query;
use crate::dispatch::{RequestInfo, Verb};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A resource, for [`dispatch`](crate::dispatch).
    Resource(RequestInfo),
    /// A resource with a method that none has (`HEAD`, `OPTIONS`): `405`, once it is known that the caller may ask.
    NoMethod(RequestInfo),
    /// Anything else: discovery, health, documents.
    Path,
}

/// Reads a method, a decoded path and a query.
pub fn parse(method: &Method, path: &str, query: &Query) -> Target {
    let trimmed = path.trim_matches('/');
    let parts: Vec<&str> = if trimmed.is_empty() { Vec::new() } else { trimmed.split('/').collect() };
    let (group, version, parts) = match parts.as_slice() {
        ["api", version, parts @ ..] if !parts.is_empty() => ("", *version, parts),
        ["apis", group, version, parts @ ..] if !parts.is_empty() => (*group, *version, parts),
        _ => return Target::Path,
    };
    let mut info = RequestInfo {
        verb: Verb::Get,
        group: group.to_owned(),
        version: version.to_owned(),
        resource: String::new(),
        subresource: String::new(),
        namespace: String::new(),
        name: String::new(),
        rest: String::new(),
    };
    // the old form of a watch, `/api/v1/watch/pods`
    let (watch_path, parts) = match parts {
        ["watch", after @ ..] => (true, after),
        all => (false, all),
    };
    read_parts(&mut info, parts, path.ends_with('/'));
    let by_name = !info.name.is_empty();
    let verb = match (method.as_str(), by_name) {
        ("GET", _) if watch_path => Verb::Watch,
        ("GET", true) => Verb::Get,
        ("GET", false) if query.flag("watch") => Verb::Watch,
        ("GET", false) => Verb::List,
        ("POST", _) => Verb::Create,
        ("PUT", _) => Verb::Update,
        ("PATCH", _) => Verb::Patch,
        ("DELETE", true) => Verb::Delete,
        ("DELETE", false) => Verb::DeleteCollection,
        // a proxied pod has every method (`pkg/registry/core/pod/rest/subresources.go`, `proxyMethods`)
        ("HEAD" | "OPTIONS", true) if info.subresource == "proxy" => Verb::Get,
        _ => return Target::NoMethod(info),
    };
    info.verb = verb;
    if !by_name
        && matches!(verb, Verb::List | Verb::Watch)
        && let Some(name) = query.get("fieldSelector").and_then(exact_name)
    {
        info.name = name.to_owned();
    }
    Target::Resource(info)
}

/// `[namespaces/{namespace}/]resource[/name[/subresource[/rest]]]`
fn read_parts(info: &mut RequestInfo, mut parts: &[&str], slash_ends: bool) {
    if let ["namespaces", namespace, after @ ..] = parts {
        info.namespace = (*namespace).to_owned();
        // a known subresource belongs to the namespace itself, anything else is a resource inside it
        if after.first().is_some_and(|next| !matches!(*next, "status" | "finalize")) {
            parts = after;
        }
    }
    let at = |index: usize| parts.get(index).map_or_else(String::new, |part| (*part).to_owned());
    (info.resource, info.name, info.subresource) = (at(0), at(1), at(2));
    if parts.len() > 3 {
        info.rest = format!("/{}", parts[3..].join("/"));
    }
    if parts.len() >= 3 && slash_ends {
        info.rest.push('/');
    }
}

/// The name that a field selector requires, if it is one that a path could carry.
fn exact_name(selector: &str) -> Option<&str> {
    let required = selector.split(',').find_map(|term| {
        let (field, value) = term.split_once('=')?;
        (field == "metadata.name").then(|| value.strip_prefix('=').unwrap_or(value))
    })?;
    let is_segment = !required.is_empty() && !matches!(required, "." | "..") && !required.contains(['/', '%', '\\']);
    is_segment.then_some(required)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> String {
        let (method, rest) = line.split_once(' ').expect("METHOD path");
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        match parse(&method.parse().expect("a method"), path, &Query::parse(query)) {
            Target::Path => "-".to_owned(),
            Target::NoMethod(info) => format!("405 {}", shown(&info)),
            Target::Resource(info) => format!("{} {}", info.verb.as_str(), shown(&info)),
        }
    }

    fn shown(info: &RequestInfo) -> String {
        [&*info.group, &info.version, &info.namespace, &info.resource, &info.subresource, &info.name, &info.rest].join("|")
    }

    /// Cases of `requestinfo_test.go`, and the paths that kubectl and the conformance suite use.
    #[test]
    fn reads_paths() {
        let table = [
            ("GET /api/v1/namespaces", "list |v1||namespaces|||"),
            ("GET /api/v1/namespaces/other", "get |v1|other|namespaces||other|"),
            ("GET /api/v1/namespaces/other/pods", "list |v1|other|pods|||"),
            ("GET /api/v1/namespaces/other/pods/foo", "get |v1|other|pods||foo|"),
            ("HEAD /api/v1/namespaces/other/pods/foo", "405 |v1|other|pods||foo|"),
            ("GET /api/v1/pods", "list |v1||pods|||"),
            ("HEAD /api/v1/pods", "405 |v1||pods|||"),
            ("PUT /api/v1/namespaces/other/finalize", "update |v1|other|namespaces|finalize|other|"),
            ("PUT /api/v1/namespaces/other/status", "update |v1|other|namespaces|status|other|"),
            ("GET /api/v1/watch/pods", "watch |v1||pods|||"),
            ("GET /api/v1/watch/namespaces/other/pods", "watch |v1|other|pods|||"),
            ("GET /api/v1/pods?watch=1", "watch |v1||pods|||"),
            ("GET /api/v1/pods?watch=false", "list |v1||pods|||"),
            ("GET /api/v1/pods?watch", "watch |v1||pods|||"),
            ("GET /api/v1/namespaces/other/pods?fieldSelector=metadata.name%3Dx", "list |v1|other|pods||x|"),
            ("GET /api/v1/namespaces/other/pods?fieldSelector=metadata.name%3D%3Dx,spec.nodeName%3Dn", "list |v1|other|pods||x|"),
            ("GET /api/v1/namespaces/other/pods?fieldSelector=metadata.name!%3Dx", "list |v1|other|pods|||"),
            ("GET /api/v1/namespaces/other/pods?fieldSelector=metadata.name%3Da/b", "list |v1|other|pods|||"),
            ("DELETE /api/v1/namespaces/other/pods", "deletecollection |v1|other|pods|||"),
            ("DELETE /api/v1/namespaces/other/pods/foo", "delete |v1|other|pods||foo|"),
            ("POST /api/v1/namespaces/other/pods", "create |v1|other|pods|||"),
            ("PATCH /apis/apps/v1/namespaces/d/deployments/web/scale", "patch apps|v1|d|deployments|scale|web|"),
            ("GET /apis/apps/v1/deployments", "list apps|v1||deployments|||"),
            ("GET /api/v1/nodes/n/proxy", "get |v1||nodes|proxy|n|"),
            ("GET /api/v1/nodes/n/proxy/", "get |v1||nodes|proxy|n|/"),
            ("GET /api/v1/nodes/n/proxy/logs/", "get |v1||nodes|proxy|n|/logs/"),
            ("POST /api/v1/namespaces/d/services/https:web:80/proxy/a/b", "create |v1|d|services|proxy|https:web:80|/a/b"),
            ("OPTIONS /api/v1/namespaces/d/pods/p/proxy/a", "get |v1|d|pods|proxy|p|/a"),
            ("GET /api/v1/namespaces/d/pods/p/log", "get |v1|d|pods|log|p|"),
            ("OPTIONS /api/v1/pods", "405 |v1||pods|||"),
            ("GET /", "-"),
            ("GET /api", "-"),
            ("GET /api/v1", "-"),
            ("GET /apis/apps/v1", "-"),
            ("POST /healthz", "-"),
            ("HEAD /version", "-"),
        ];
        for (line, expected) in table {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
