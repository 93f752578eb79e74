//! What a request is about, read off its method, path and query alone.
//!
//! A port of the rules of `apiserver/pkg/endpoints/request/requestinfo.go`; pure, so that a table of paths tests it.

use http::Method;

use super::query::Query;

/// What is asked to be done. The first group are verbs of resources, the second the methods of other paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// One object.
    Get,
    /// All objects that are selected.
    List,
    /// Changes from now on.
    Watch,
    /// `POST` to a resource.
    Create,
    /// `PUT`.
    Update,
    /// `PATCH`.
    Patch,
    /// `DELETE` of one object.
    Delete,
    /// `DELETE` of all objects that are selected.
    DeleteCollection,
    /// The old `/api/v1/proxy/…` paths, which are no longer served.
    Proxy,
    /// A method that no resource has (`OPTIONS`, `TRACE` …): the empty verb.
    Unknown,
    /// `POST` to a path that is no resource.
    Post,
    /// `PUT` to a path that is no resource.
    Put,
    /// `HEAD` of a path that is no resource.
    Head,
    /// `OPTIONS` of a path that is no resource.
    Options,
}

impl Verb {
    /// The word that authorization and messages use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Proxy => "proxy",
            Self::Unknown => "",
            Self::Post => "post",
            Self::Put => "put",
            Self::Head => "head",
            Self::Options => "options",
        }
    }

    /// The verb of a method on a path that is no resource: its name in lower case.
    fn of_path(method: &Method) -> Self {
        match method.as_str() {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Unknown,
        }
    }

    /// The verb of a method on a resource, before it is known whether one object is meant.
    fn of_resource(method: &Method) -> Self {
        match method.as_str() {
            "GET" | "HEAD" => Self::Get,
            "POST" => Self::Create,
            "PUT" => Self::Update,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => Self::Unknown,
        }
    }
}

/// A parsed request line. Strings are empty where the path does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path is one of a resource; otherwise only `path` and `verb` mean something.
    pub is_resource: bool,
    /// The decoded path.
    pub path: String,
    /// What is asked.
    pub verb: Verb,
    /// `apps`; empty for the core group.
    pub group: String,
    /// `v1`
    pub version: String,
    /// Empty for all namespaces and for cluster-scoped objects; the namespace's own name for `/api/v1/namespaces/x`.
    pub namespace: String,
    /// The plural: `pods`.
    pub resource: String,
    /// `status`, `log`; empty mostly.
    pub subresource: String,
    /// The object, or the one that a `metadata.name` field selector of a list or watch names.
    pub name: String,
    /// What follows the subresource, with its leading slash: the path behind `…/proxy`. Empty if nothing does.
    pub rest: String,
}

impl RequestInfo {
    /// Reads a method, a decoded path and a query.
    pub fn parse(method: &Method, path: &str, query: &Query) -> Self {
        let mut info = Self::non_resource(method, path);
        let trimmed = path.trim_matches('/');
        let mut parts: Vec<&str> = if trimmed.is_empty() { Vec::new() } else { trimmed.split('/').collect() };
        match parts.first() {
            Some(&"api") if parts.len() >= 3 => {
                parts.remove(0);
            }
            Some(&"apis") if parts.len() >= 4 => {
                info.group = parts[1].to_owned();
                parts.drain(..2);
            }
            _ => return info,
        }
        info.is_resource = true;
        info.version = parts.remove(0).to_owned();
        info.verb = Verb::of_resource(method);
        let by_path = match parts[0] {
            "watch" => Some(Verb::Watch),
            "proxy" => Some(Verb::Proxy),
            _ => None,
        };
        if let Some(verb) = by_path {
            info.verb = verb;
            parts.remove(0);
        }
        info.read_parts(&parts);
        info.settle_verb(query);
        info
    }

    /// A path that is no resource.
    fn non_resource(method: &Method, path: &str) -> Self {
        Self {
            is_resource: false,
            path: path.to_owned(),
            verb: Verb::of_path(method),
            group: String::new(),
            version: String::new(),
            namespace: String::new(),
            resource: String::new(),
            subresource: String::new(),
            name: String::new(),
            rest: String::new(),
        }
    }

    /// `[namespaces/{namespace}/]resource[/name[/subresource[/rest]]]`
    fn read_parts(&mut self, mut parts: &[&str]) {
        if let ["namespaces", namespace, after @ ..] = parts {
            self.namespace = (*namespace).to_owned();
            // a known subresource belongs to the namespace itself, anything else is a resource inside it
            if after.first().is_some_and(|next| !matches!(*next, "status" | "finalize")) {
                parts = after;
            }
        }
        if let Some(resource) = parts.first() {
            self.resource = (*resource).to_owned();
        }
        if let Some(name) = parts.get(1) {
            self.name = (*name).to_owned();
        }
        if self.verb == Verb::Proxy {
            return;
        }
        if let Some(subresource) = parts.get(2) {
            self.subresource = (*subresource).to_owned();
        }
        if parts.len() > 3 || (self.subresource == "proxy" && self.path.ends_with('/')) {
            self.rest = format!("/{}", parts[3..].join("/"));
            if self.path.ends_with('/') && !self.rest.ends_with('/') {
                self.rest.push('/');
            }
        }
    }

    /// Without a name a get is a list or a watch, and a delete one of a collection.
    fn settle_verb(&mut self, query: &Query) {
        if !self.name.is_empty() {
            return;
        }
        match self.verb {
            Verb::Get => {
                self.verb = if query.flag("watch") { Verb::Watch } else { Verb::List };
                if let Some(name) = query.get("fieldSelector").and_then(exact_name) {
                    self.name = name.to_owned();
                }
            }
            Verb::Delete => self.verb = Verb::DeleteCollection,
            Verb::List
            | Verb::Watch
            | Verb::Create
            | Verb::Update
            | Verb::Patch
            | Verb::DeleteCollection
            | Verb::Proxy
            | Verb::Unknown
            | Verb::Post
            | Verb::Put
            | Verb::Head
            | Verb::Options => {}
        }
    }

    /// `pods`, `deployments.apps`: the resource's part of a store key.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() { self.resource.clone() } else { format!("{}.{}", self.resource, self.group) }
    }

    /// Whether the path names no object, whatever a field selector says: a list, a watch of many, a create, a deletecollection.
    pub fn is_collection(&self) -> bool {
        match self.verb {
            Verb::List | Verb::Watch | Verb::DeleteCollection => true,
            Verb::Create => self.name.is_empty(),
            Verb::Get
            | Verb::Update
            | Verb::Patch
            | Verb::Delete
            | Verb::Proxy
            | Verb::Unknown
            | Verb::Post
            | Verb::Put
            | Verb::Head
            | Verb::Options => false,
        }
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

    fn parse(line: &str) -> RequestInfo {
        let (method, rest) = line.split_once(' ').expect("METHOD path");
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        RequestInfo::parse(&method.parse().expect("a method"), path, &Query::parse(query))
    }

    fn shown(info: &RequestInfo) -> String {
        if !info.is_resource {
            return format!("{} -", info.verb.as_str());
        }
        [info.verb.as_str(), &info.group, &info.version, &info.namespace, &info.resource, &info.subresource, &info.name, &info.rest].join("|")
    }

    /// Cases of `requestinfo_test.go`, and the paths that kubectl and the conformance suite use.
    #[test]
    fn reads_paths() {
        let table = [
            ("GET /api/v1/namespaces", "list||v1||namespaces|||"),
            ("GET /api/v1/namespaces/other", "get||v1|other|namespaces||other|"),
            ("GET /api/v1/namespaces/other/pods", "list||v1|other|pods|||"),
            ("GET /api/v1/namespaces/other/pods/foo", "get||v1|other|pods||foo|"),
            ("HEAD /api/v1/namespaces/other/pods/foo", "get||v1|other|pods||foo|"),
            ("GET /api/v1/pods", "list||v1||pods|||"),
            ("HEAD /api/v1/pods", "list||v1||pods|||"),
            ("PUT /api/v1/namespaces/other/finalize", "update||v1|other|namespaces|finalize|other|"),
            ("PUT /api/v1/namespaces/other/status", "update||v1|other|namespaces|status|other|"),
            ("GET /api/v1/watch/pods", "watch||v1||pods|||"),
            ("GET /api/v1/watch/namespaces/other/pods", "watch||v1|other|pods|||"),
            ("GET /api/v1/pods?watch=1", "watch||v1||pods|||"),
            ("GET /api/v1/pods?watch=false", "list||v1||pods|||"),
            ("GET /api/v1/pods?watch", "watch||v1||pods|||"),
            ("GET /api/v1/namespaces/other/pods?fieldSelector=metadata.name%3Dx", "list||v1|other|pods||x|"),
            ("GET /api/v1/namespaces/other/pods?fieldSelector=metadata.name%3D%3Dx,spec.nodeName%3Dn", "list||v1|other|pods||x|"),
            ("GET /api/v1/namespaces/other/pods?fieldSelector=metadata.name!%3Dx", "list||v1|other|pods|||"),
            ("GET /api/v1/namespaces/other/pods?fieldSelector=metadata.name%3Da/b", "list||v1|other|pods|||"),
            ("DELETE /api/v1/namespaces/other/pods", "deletecollection||v1|other|pods|||"),
            ("DELETE /api/v1/namespaces/other/pods/foo", "delete||v1|other|pods||foo|"),
            ("POST /api/v1/namespaces/other/pods", "create||v1|other|pods|||"),
            ("PATCH /apis/apps/v1/namespaces/d/deployments/web/scale", "patch|apps|v1|d|deployments|scale|web|"),
            ("GET /apis/apps/v1/deployments", "list|apps|v1||deployments|||"),
            ("GET /api/v1/nodes/n/proxy", "get||v1||nodes|proxy|n|"),
            ("GET /api/v1/nodes/n/proxy/", "get||v1||nodes|proxy|n|/"),
            ("GET /api/v1/nodes/n/proxy/logs/", "get||v1||nodes|proxy|n|/logs/"),
            ("POST /api/v1/namespaces/d/services/https:web:80/proxy/a/b", "create||v1|d|services|proxy|https:web:80|/a/b"),
            ("GET /api/v1/namespaces/d/pods/p/log", "get||v1|d|pods|log|p|"),
            ("OPTIONS /api/v1/pods", "||v1||pods|||"),
            ("GET /", "get -"),
            ("GET /api", "get -"),
            ("GET /api/v1", "get -"),
            ("GET /apis/apps/v1", "get -"),
            ("POST /healthz", "post -"),
            ("HEAD /version", "head -"),
        ];
        for (line, expected) in table {
            assert_eq!(shown(&parse(line)), expected, "{line}");
        }
    }

    #[test]
    fn names_are_of_objects_only_in_paths() {
        assert!(parse("GET /api/v1/pods?fieldSelector=metadata.name%3Dx").is_collection());
        assert!(!parse("GET /api/v1/namespaces/d/pods/x").is_collection());
        assert!(!parse("POST /api/v1/namespaces/d/pods/x/eviction").is_collection());
    }
}
