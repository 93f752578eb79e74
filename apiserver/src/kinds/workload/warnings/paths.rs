//! Files of one volume that collide. See `warningsForOverlappingVirtualPaths` in `pkg/api/pod/warnings.go`.

use serde_json::Value;

use crate::kinds::json::{has, is_empty, items, text};

/// A path in a volume, and where it is from.
#[derive(Clone, PartialEq)]
struct From {
    path: String,
    source: String,
}

impl std::fmt::Display for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.source.is_empty() { write!(f, "{:?}", self.path) } else { write!(f, "{:?} ({})", self.path, self.source) }
    }
}

/// One sentence a collision.
pub fn overlaps(spec: &Value) -> Vec<String> {
    let mut told = Vec::new();
    for volume in items(&spec["volumes"]) {
        let called = text(&volume["name"]);
        let mut tell = |what: &str, found: Vec<From>| {
            told.extend(collisions(found).into_iter().map(|body| format!("volume {called:?} ({what}): overlapping paths: {body}")));
        };
        let (map, secret) = (&volume["configMap"], &volume["secret"]);
        tell(&format!("ConfigMap {:?}", text(&map["name"])), paths(&map["items"], ""));
        tell(&format!("Secret {:?}", text(&secret["secretName"])), paths(&secret["items"], ""));
        tell("DownwardAPI", paths(&volume["downwardAPI"]["items"], ""));
        let sources = items(&volume["projected"]["sources"]);
        let empty = sources.iter().filter(|source| is_empty(source)).count();
        let found = collisions(sources.iter().flat_map(projected).collect());
        told.extend((0..empty).map(|_| format!("volume {called:?} (Projected) has no sources provided")));
        told.extend(found.into_iter().map(|body| format!("volume {called:?} (Projected): overlapping paths: {body}")));
    }
    told
}

fn paths(list: &Value, source: &str) -> Vec<From> {
    items(list).iter().map(|item| From { path: text(&item["path"]).to_owned(), source: source.to_owned() }).collect()
}

fn projected(source: &Value) -> Vec<From> {
    if has(&source["configMap"], "items") {
        paths(&source["configMap"]["items"], &format!("ConfigMap {:?}", text(&source["configMap"]["name"])))
    } else if has(&source["secret"], "items") {
        paths(&source["secret"]["items"], &format!("Secret {:?}", text(&source["secret"]["name"])))
    } else if has(&source["downwardAPI"], "items") {
        paths(&source["downwardAPI"]["items"], "DownwardAPI")
    } else if has(source, "serviceAccountToken") {
        vec![From { path: text(&source["serviceAccountToken"]["path"]).to_owned(), source: "ServiceAccountToken".to_owned() }]
    } else {
        Vec::new()
    }
}

/// Each path with every earlier one that is the same, above it or below it.
fn collisions(found: Vec<From>) -> Vec<String> {
    let mut before: Vec<From> = Vec::new();
    let mut told = Vec::new();
    for mut one in found {
        one.path.truncate(one.path.trim_end_matches('/').len());
        let within = |inner: &str, outer: &str| format!("{inner}/").starts_with(&format!("{outer}/"));
        let clashes =
            before.iter().filter(|other| !one.path.is_empty() && !other.path.is_empty() && (within(&other.path, &one.path) || within(&one.path, &other.path)));
        told.extend(clashes.map(|other| format!("{one} with {other}")));
        before.push(one);
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_cannot_be_a_folder() {
        let spec = json!({"volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "a", "path": "p"}, {"key": "b", "path": "p/q"}, {"key": "c", "path": "pq"}]}}]});
        assert_eq!(overlaps(&spec), ["volume \"v\" (ConfigMap \"m\"): overlapping paths: \"p/q\" with \"p\""]);
    }
}
