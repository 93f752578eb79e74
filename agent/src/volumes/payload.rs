//! What files a ConfigMap, Secret, downwardAPI or projected volume holds: pure functions of the pod and what was read for it.

use crate::downward::{self, Facts};
use crate::objects::{Data, Sources};
use crate::pod;
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, Volume, VolumeProjection};
use std::collections::BTreeMap;

/// A file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its permissions.
    pub mode: u32,
    /// Whose it is: a user id; none: the agent's.
    pub owner: Option<u32>,
    /// Its contents.
    pub data: Vec<u8>,
}

/// By path inside the volume.
pub type Files = BTreeMap<String, File>;

/// The files of a volume and the name of its plugin; none for a volume of another kind.
pub fn of_volume(pod: &Pod, volume: &Volume, sources: &Sources, facts: &Facts) -> Result<Option<(&'static str, Files)>, String> {
    if let Some(source) = &volume.config_map {
        let data = sources.config_map(&source.name, source.optional)?;
        let of = Keys { kind: CONFIG_MAP, optional: source.optional };
        return Ok(Some(("configmap", keys(of, data, source.items.as_deref(), mode(source.default_mode))?)));
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        let data = sources.secret(name, source.optional)?;
        let of = Keys { kind: SECRET, optional: source.optional };
        return Ok(Some(("secret", keys(of, data, source.items.as_deref(), mode(source.default_mode))?)));
    }
    if let Some(source) = &volume.downward_api {
        return Ok(Some(("downward-api", fields(pod, source.items.as_deref(), mode(source.default_mode), facts)?)));
    }
    let Some(projected) = &volume.projected else { return Ok(None) };
    let mut files = Files::new();
    for source in projected.sources.iter().flatten() {
        files.extend(projection(pod, source, mode(projected.default_mode), sources, facts)?);
    }
    Ok(Some(("projected", files)))
}

fn projection(pod: &Pod, source: &VolumeProjection, mode: u32, sources: &Sources, facts: &Facts) -> Result<Files, String> {
    if let Some(source) = &source.config_map {
        let data = sources.config_map(&source.name, source.optional)?;
        return keys(Keys { kind: CONFIG_MAP, optional: source.optional }, data, source.items.as_deref(), mode);
    }
    if let Some(source) = &source.secret {
        let data = sources.secret(&source.name, source.optional)?;
        return keys(Keys { kind: SECRET, optional: source.optional }, data, source.items.as_deref(), mode);
    }
    if let Some(source) = &source.downward_api {
        return fields(pod, source.items.as_deref(), mode, facts);
    }
    let Some(token) = &source.service_account_token else { return Ok(Files::new()) };
    let asked = (token.audience.clone().unwrap_or_default(), token.expiration_seconds.unwrap_or(3600));
    let text = match sources.tokens.get(&asked) {
        Some(Ok(text)) => text.clone().into_bytes(),
        Some(Err(message)) => return Err(message.clone()),
        None => return Err("no token was requested".into()),
    };
    let (mode, owner) = keeper_of_tokens(pod).unwrap_or((mode, None));
    Ok([(token.path.clone(), File { mode, owner, data: text })].into())
}

/// A token is its user's alone where all containers run as one user, and its group's where the pod has an `fsGroup`: mode and owner
/// (`projectedVolumeMounter.collectData`, `util.FsUserFrom`).
fn keeper_of_tokens(pod: &Pod) -> Option<(u32, Option<u32>)> {
    let mut users = pod::init_containers(pod).iter().chain(pod::regular_containers(pod)).map(|container| pod::run_as_user(pod, container));
    let first = users.next().flatten();
    let owner = first.filter(|_| users.all(|other| other == first)).and_then(|user| u32::try_from(user).ok());
    let grouped = pod::spec(pod).security_context.as_ref().is_some_and(|of_pod| of_pod.fs_group.is_some());
    (owner.is_some() || grouped).then_some((0o600, owner))
}

fn mode(bits: Option<i32>) -> u32 {
    bits.and_then(|bits| u32::try_from(bits).ok()).unwrap_or(0o644)
}

/// How a missing key is told.
const CONFIG_MAP: &str = "configmap references non-existent config key: ";
const SECRET: &str = "references non-existent secret key: ";

struct Keys {
    kind: &'static str,
    optional: Option<bool>,
}

/// All keys, or the named ones under their paths (`configmap.MakePayload`, `secret.MakePayload`).
fn keys(of: Keys, data: Option<Data>, items: Option<&[KeyToPath]>, mode: u32) -> Result<Files, String> {
    let data = data.unwrap_or_default();
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Ok(data.into_iter().map(|(key, data)| (key, File { mode, owner: None, data })).collect());
    };
    let mut files = Files::new();
    for item in items {
        match data.get(&item.key) {
            Some(data) => {
                let mode = item.mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(mode);
                files.insert(item.path.clone(), File { mode, owner: None, data: data.clone() });
            }
            None if of.optional == Some(true) => {}
            None => return Err(format!("{}{}", of.kind, item.key)),
        }
    }
    Ok(files)
}

fn fields(pod: &Pod, items: Option<&[DownwardAPIVolumeFile]>, mode: u32, facts: &Facts) -> Result<Files, String> {
    let mut files = Files::new();
    for item in items.unwrap_or_default() {
        let value = if let Some(selector) = &item.field_ref {
            downward::field(pod, selector, facts)?
        } else if let Some(selector) = &item.resource_field_ref {
            let name = selector.container_name.as_deref().unwrap_or_default();
            let (_, container) = pod::find(pod, name).ok_or_else(|| format!("container {name} not found"))?;
            downward::resource(&container, selector, facts)?
        } else {
            String::new()
        };
        let mode = item.mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(mode);
        files.insert(item.path.clone(), File { mode, owner: None, data: value.into_bytes() });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn made(volume: Value) -> Result<Vec<(String, u32, String)>, String> {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns", "labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1500m"}}}]}}))
        .unwrap();
        let mut volume = volume;
        volume["name"] = "v".into();
        let volume: Volume = serde_json::from_value(volume).unwrap();
        let mut sources = Sources::default();
        sources.config_maps.insert("map".into(), Ok(serde_json::from_value(json!({"data": {"k": "v"}, "binaryData": {"b": "AAE="}})).unwrap()));
        sources.secrets.insert("sec".into(), Ok(serde_json::from_value(json!({"data": {"s": "eA=="}})).unwrap()));
        sources.tokens.insert((String::new(), 3607), Ok("jwt".into()));
        let facts = Facts { node_ip: std::net::Ipv4Addr::LOCALHOST, pod_ip: None, allocatable: BTreeMap::new() };
        let files = of_volume(&pod, &volume, &sources, &facts)?.unwrap().1;
        Ok(files.into_iter().map(|(path, file)| (path, file.mode, String::from_utf8_lossy(&file.data).into_owned())).collect())
    }

    fn file(path: &str, mode: u32, data: &str) -> (String, u32, String) {
        (path.to_owned(), mode, data.to_owned())
    }

    #[test]
    fn a_token_is_for_those_who_run() {
        let keeper = |spec: Value| keeper_of_tokens(&serde_json::from_value(json!({"spec": spec})).unwrap());
        let runs_as = |user: i64| json!({"name": "c", "securityContext": {"runAsUser": user}});
        let anybody = json!({"name": "c"});
        assert_eq!(keeper(json!({"containers": [anybody]})), None);
        assert_eq!(keeper(json!({"containers": [runs_as(7), runs_as(7)]})), Some((0o600, Some(7))));
        assert_eq!(keeper(json!({"containers": [anybody], "securityContext": {"runAsUser": 8}})), Some((0o600, Some(8))));
        assert_eq!(keeper(json!({"containers": [runs_as(7)], "initContainers": [runs_as(8)]})), None, "two users");
        assert_eq!(keeper(json!({"containers": [runs_as(7), anybody]})), None, "one may be anybody");
        assert_eq!(keeper(json!({"containers": [anybody], "securityContext": {"fsGroup": 9}})), Some((0o600, None)), "the group is let in afterwards");
    }

    #[test]
    fn each_kind() {
        assert_eq!(made(json!({"configMap": {"name": "map"}})), Ok(vec![file("b", 0o644, "\0\u{1}"), file("k", 0o644, "v")]));
        let items = json!({"configMap": {"name": "map", "defaultMode": 256, "items": [{"key": "k", "path": "x/y", "mode": 511}]}});
        assert_eq!(made(items), Ok(vec![file("x/y", 0o777, "v")]));
        assert_eq!(made(json!({"secret": {"secretName": "sec", "defaultMode": 256}})), Ok(vec![file("s", 0o400, "x")]));
        assert_eq!(made(json!({"secret": {"secretName": "gone", "optional": true}})), Ok(vec![]));
        assert_eq!(made(json!({"secret": {"secretName": "gone"}})), Err("secret \"gone\" not found".into()));
        let missing = json!({"configMap": {"name": "map", "items": [{"key": "z", "path": "z"}]}});
        assert_eq!(made(missing), Err("configmap references non-existent config key: z".into()));
        let downward = json!({"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu"}}]}});
        assert_eq!(made(downward), Ok(vec![file("cpu", 0o644, "2"), file("labels", 0o644, "a=\"b\"")]));
        let projected = json!({"projected": {"sources": [{"secret": {"name": "sec"}}, {"configMap": {"name": "map", "items": [{"key": "k", "path": "k"}]}},
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}]}});
        assert_eq!(made(projected), Ok(vec![file("k", 0o644, "v"), file("s", 0o644, "x"), file("token", 0o644, "jwt")]));
    }
}
