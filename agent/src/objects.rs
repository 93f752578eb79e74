//! The objects that a node reads for its pods: ConfigMaps and Secrets, as what is asked of them, and the Services of the cluster.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceSpec};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use skiff_client::api::Api;
use skiff_client::informer::{Cache, Cached};
use skiff_proto::{resource, v1};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::between;
use crate::pod;

/// The names of a pod's ConfigMaps and Secrets, in its environment and its volumes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// ConfigMaps.
    pub config_maps: BTreeSet<String>,
    /// Secrets.
    pub secrets: BTreeSet<String>,
}

/// What was read: an object, that there is none, or the error's message.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sources {
    /// By name.
    pub config_maps: BTreeMap<String, Result<ConfigMap, Missing>>,
    /// By name.
    pub secrets: BTreeMap<String, Result<Secret, Missing>>,
    /// Service account tokens, by audience (empty: the API server's) and lifetime.
    pub tokens: BTreeMap<(String, i64), Result<String, String>>,
}

/// Why there is no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// It does not exist: fine where it is optional.
    pub not_found: bool,
    /// The API server's words.
    pub message: String,
}

/// Data of a ConfigMap or Secret, as bytes.
pub type Data = BTreeMap<String, Vec<u8>>;

impl Sources {
    /// A ConfigMap's data; none where it is optional and not there.
    pub fn config_map(&self, name: &str, optional: Option<bool>) -> Result<Option<Data>, String> {
        let Some(found) = present(self.config_maps.get(name), "configmap", name, optional)? else { return Ok(None) };
        let text = found.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
        let binary = found.binary_data.iter().flatten().map(|(key, ByteString(value))| (key.clone(), value.clone()));
        Ok(Some(text.chain(binary).collect()))
    }

    /// A Secret's data; none where it is optional and not there.
    pub fn secret(&self, name: &str, optional: Option<bool>) -> Result<Option<Data>, String> {
        let Some(found) = present(self.secrets.get(name), "secret", name, optional)? else { return Ok(None) };
        Ok(Some(found.data.iter().flatten().map(|(key, ByteString(value))| (key.clone(), value.clone())).collect()))
    }
}

fn present<'a, T>(read: Option<&'a Result<T, Missing>>, kind: &str, name: &str, optional: Option<bool>) -> Result<Option<&'a T>, String> {
    match read {
        Some(Ok(found)) => Ok(Some(found)),
        Some(Err(missing)) if !missing.not_found => Err(missing.message.clone()),
        Some(Err(_)) | None if optional == Some(true) => Ok(None),
        Some(Err(_)) | None => Err(format!("{kind} \"{name}\" not found")),
    }
}

/// What the environment of these containers names.
pub fn of_environment<'a>(containers: impl Iterator<Item = &'a k8s_openapi::api::core::v1::Container>) -> Names {
    let mut names = Names::default();
    for container in containers {
        for from in container.env_from.iter().flatten() {
            names.config_maps.extend(from.config_map_ref.iter().map(|reference| reference.name.clone()));
            names.secrets.extend(from.secret_ref.iter().map(|reference| reference.name.clone()));
        }
        for value in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            names.config_maps.extend(value.config_map_key_ref.iter().map(|reference| reference.name.clone()));
            names.secrets.extend(value.secret_key_ref.iter().map(|reference| reference.name.clone()));
        }
    }
    names
}

/// What the volumes of a pod name.
pub fn of_volumes(pod: &Pod) -> Names {
    let mut names = Names::default();
    for volume in pod::spec(pod).volumes.iter().flatten() {
        names.config_maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
        names.secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.clone()));
        for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
            names.config_maps.extend(source.config_map.iter().map(|source| source.name.clone()));
            names.secrets.extend(source.secret.iter().map(|source| source.name.clone()));
        }
    }
    names
}

/// Objects are forgotten after this long: nobody asks for ones that are older.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// What was read lately, for all pods of the node: a hundred pods that mount one ConfigMap read it once, not a hundred times.
/// See `pkg/kubelet/util/manager/cache_based_manager.go`.
#[derive(Default)]
pub struct Recent {
    config_maps: Mutex<Kept<ConfigMap>>,
    secrets: Mutex<Kept<Secret>>,
}

/// By namespace and name: when it was read, and what it was then.
type Kept<T> = BTreeMap<(String, String), (Timestamp, T)>;

impl Recent {
    /// Reads them all: what was read no longer than `max_age` ago as it was then, everything else from the API server.
    pub async fn read(&self, api: &dyn Api, namespace: &str, names: &Names, now: Timestamp, max_age: Duration) -> Sources {
        let mut sources = Sources::default();
        for name in &names.config_maps {
            let found = one(&self.config_maps, api, resource::CONFIGMAPS, (namespace, name), now, max_age).await;
            sources.config_maps.insert(name.clone(), found);
        }
        for name in &names.secrets {
            let found = one(&self.secrets, api, resource::SECRETS, (namespace, name), now, max_age).await;
            sources.secrets.insert(name.clone(), found);
        }
        sources
    }
}

/// What was read of an object no longer than `max_age` ago.
fn fresh<T: Clone>(kept: &Kept<T>, key: &(String, String), now: Timestamp, max_age: Duration) -> Option<T> {
    kept.get(key).filter(|(at, _)| between(*at, now) < max_age).map(|(_, value)| value.clone())
}

async fn one<T>(kept: &Mutex<Kept<T>>, api: &dyn Api, resource: &str, key: (&str, &str), now: Timestamp, max_age: Duration) -> Result<T, Missing>
where
    T: Clone + for<'a> Deserialize<'a>,
{
    let (namespace, name) = key;
    let owned = (namespace.to_owned(), name.to_owned());
    let known = fresh(&kept.lock().unwrap_or_else(PoisonError::into_inner), &owned, now, max_age);
    if let Some(value) = known {
        return Ok(value);
    }
    let value: T = get(api, resource, namespace, name).await?;
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|_, (at, _)| between(*at, now) < FORGOTTEN);
    kept.insert(owned, (now, value.clone()));
    Ok(value)
}

/// Reads them all from the API server.
pub async fn read(api: &dyn Api, namespace: &str, names: &Names) -> Sources {
    let mut sources = Sources::default();
    for name in &names.config_maps {
        sources.config_maps.insert(name.clone(), get(api, resource::CONFIGMAPS, namespace, name).await);
    }
    for name in &names.secrets {
        sources.secrets.insert(name.clone(), get(api, resource::SECRETS, namespace, name).await);
    }
    sources
}

async fn get<T: for<'a> Deserialize<'a>>(api: &dyn Api, resource: &str, namespace: &str, name: &str) -> Result<T, Missing> {
    let request = v1::GetRequest { resource: resource.into(), namespace: namespace.into(), name: name.into(), ..Default::default() };
    let object = api.get(request).await.map_err(|status| Missing { not_found: status.is_not_found(), message: status.message })?;
    serde_json::from_slice(&object.json).map_err(|error| Missing { not_found: false, message: error.to_string() })
}

/// What a node keeps of a Service: enough for the variables it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its cluster IP; empty where it has none.
    pub cluster_ip: String,
    /// Name, number and protocol of each port.
    pub ports: Vec<(String, i32, String)>,
}

impl Cached for ServiceView {
    fn read(object: &v1::Object) -> Result<Self, serde_json::Error> {
        /// The spec alone: a status condition may have no time, which the whole type refuses.
        #[derive(serde::Deserialize)]
        struct Bare {
            spec: Option<ServiceSpec>,
        }
        let service: Bare = serde_json::from_slice(&object.json)?;
        let spec = service.spec.unwrap_or_default();
        let ports = spec.ports.unwrap_or_default().into_iter();
        let port = |port: k8s_openapi::api::core::v1::ServicePort| (port.name.unwrap_or_default(), port.port, port.protocol.unwrap_or_else(|| "TCP".into()));
        Ok(Self {
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            cluster_ip: spec.cluster_ip.filter(|ip| ip != "None").unwrap_or_default(),
            ports: ports.map(port).collect(),
        })
    }
}

/// The Services whose variables a pod of this namespace gets (`getServiceEnvVarMap`): `default/kubernetes`, and with service links its own namespace's.
pub fn services_for(cache: &Cache<ServiceView>, namespace: &str, links: bool) -> Vec<Arc<ServiceView>> {
    let mut services: Vec<Arc<ServiceView>> = if links { cache.list_namespace(namespace) } else { Vec::new() };
    if !services.iter().any(|service| service.name == "kubernetes") {
        services.extend(cache.get("default", "kubernetes"));
    }
    services.retain(|service| !service.cluster_ip.is_empty());
    services
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_lately_need_not_be_read_again() {
        let key = ("ns".to_owned(), "a".to_owned());
        let read: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let kept = Kept::from([(key.clone(), (read, "x"))]);
        let after = |seconds| crate::clock::after(read, Duration::from_secs(seconds));
        let age = Duration::from_secs;
        assert_eq!(fresh(&kept, &key, after(4), age(5)), Some("x"));
        assert_eq!(fresh(&kept, &key, after(5), age(5)), None);
        assert_eq!(fresh(&kept, &key, after(0), Duration::ZERO), None, "a pod that starts reads for itself");
        assert_eq!(fresh(&kept, &("other".to_owned(), "a".to_owned()), after(0), age(5)), None);
    }

    #[test]
    fn a_service_whose_condition_has_no_time_is_read_all_the_same() {
        let json = r#"{"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]},
            "status": {"conditions": [{"type": "x", "status": "True", "reason": "r", "message": "", "lastTransitionTime": null}]}}"#;
        let object = v1::Object { name: "s".into(), json: json.into(), ..v1::Object::default() };
        assert_eq!(ServiceView::read(&object).unwrap().name, "s");
    }
}
