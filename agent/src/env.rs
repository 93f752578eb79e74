//! A container's environment: `env`, `envFrom` and the variables of Services (`makeEnvironmentVariables`), as a pure function.

use crate::downward::{self, Facts};
use crate::expand::expand;
use crate::objects::{Data, ServiceView, Sources};
use crate::pod;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, Pod};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The variables, each once, in the order they were first set; or why they cannot be made (`CreateContainerConfigError`).
pub fn environment(pod: &Pod, container: &Container, sources: &Sources, services: &[Arc<ServiceView>], facts: &Facts) -> Result<Vec<(String, String)>, String> {
    let mut variables = Variables::default();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let data = if let Some(reference) = &from.config_map_ref {
            sources.config_map(&reference.name, reference.optional)?
        } else if let Some(reference) = &from.secret_ref {
            sources.secret(&reference.name, reference.optional)?
        } else {
            None
        };
        for (key, value) in data.into_iter().flatten() {
            variables.set(format!("{prefix}{key}"), String::from_utf8_lossy(&value).into_owned());
        }
    }
    let service_variables = of_services(services);
    for variable in container.env.iter().flatten() {
        if let Some(value) = value(pod, container, variable, &variables, &service_variables, sources, facts)? {
            variables.set(variable.name.clone(), value);
        }
    }
    for (name, value) in service_variables {
        if variables.get(&name).is_none() {
            variables.set(name, value);
        }
    }
    Ok(variables.list)
}

#[derive(Default)]
struct Variables {
    list: Vec<(String, String)>,
    index: BTreeMap<String, usize>,
}

impl Variables {
    fn get(&self, name: &str) -> Option<&str> {
        self.index.get(name).map(|at| self.list[*at].1.as_str())
    }

    fn set(&mut self, name: String, value: String) {
        match self.index.get(&name) {
            Some(at) => self.list[*at].1 = value,
            None => {
                self.index.insert(name.clone(), self.list.len());
                self.list.push((name, value));
            }
        }
    }
}

fn value(
    pod: &Pod,
    container: &Container,
    variable: &EnvVar,
    before: &Variables,
    services: &BTreeMap<String, String>,
    sources: &Sources,
    facts: &Facts,
) -> Result<Option<String>, String> {
    let Some(from) = &variable.value_from else {
        let text = variable.value.as_deref().unwrap_or_default();
        return Ok(Some(expand(text, |name| before.get(name).or_else(|| services.get(name).map(String::as_str)))));
    };
    if let Some(selector) = &from.field_ref {
        return downward::field(pod, selector, facts).map(Some);
    }
    if let Some(selector) = &from.resource_field_ref {
        let of = selector.container_name.as_deref().filter(|name| *name != container.name).and_then(|name| pod::find(pod, name)).map(|(_, other)| other);
        return downward::resource(of.as_ref().unwrap_or(container), selector, facts).map(Some);
    }
    referenced(pod, from, sources)
}

fn referenced(pod: &Pod, from: &EnvVarSource, sources: &Sources) -> Result<Option<String>, String> {
    let (kind, name, key, optional, data) = if let Some(reference) = &from.config_map_key_ref {
        ("ConfigMap", &reference.name, &reference.key, reference.optional, sources.config_map(&reference.name, reference.optional)?)
    } else if let Some(reference) = &from.secret_key_ref {
        ("Secret", &reference.name, &reference.key, reference.optional, sources.secret(&reference.name, reference.optional)?)
    } else {
        return Ok(None);
    };
    let found = data.as_ref().and_then(|data: &Data| data.get(key));
    match found {
        Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        None if optional == Some(true) => Ok(None),
        None => Err(format!("couldn't find key {key} in {kind} {}/{name}", pod::id(pod).namespace)),
    }
}

/// The variables of Services (`envvars.FromServices`): `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT…` and Docker's link variables.
fn of_services(services: &[Arc<ServiceView>]) -> BTreeMap<String, String> {
    let upper = |name: &str| name.to_uppercase().replace('-', "_");
    let mut variables = BTreeMap::new();
    for service in services {
        let (prefix, ip) = (upper(&service.name), &service.cluster_ip);
        variables.insert(format!("{prefix}_SERVICE_HOST"), ip.clone());
        for (index, (name, port, protocol)) in service.ports.iter().enumerate() {
            let lower = protocol.to_lowercase();
            let url = format!("{lower}://{ip}:{port}");
            if index == 0 {
                variables.insert(format!("{prefix}_SERVICE_PORT"), port.to_string());
                variables.insert(format!("{prefix}_PORT"), url.clone());
            }
            if !name.is_empty() {
                variables.insert(format!("{prefix}_SERVICE_PORT_{}", upper(name)), port.to_string());
            }
            let link = format!("{prefix}_PORT_{port}_{}", protocol.to_uppercase());
            variables.insert(link.clone(), url);
            variables.insert(format!("{link}_PROTO"), lower);
            variables.insert(format!("{link}_PORT"), port.to_string());
            variables.insert(format!("{link}_ADDR"), ip.clone());
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn made(env: Value, env_from: Value) -> Result<Vec<(String, String)>, String> {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns"},
            "spec": {"containers": [{"name": "c", "env": env, "envFrom": env_from}]}}))
        .unwrap();
        let mut sources = Sources::default();
        let map = serde_json::from_value(json!({"data": {"k": "v", "l": "w"}})).unwrap();
        sources.config_maps.insert("map".into(), Ok(map));
        let none = crate::objects::Missing { not_found: true, message: "configmaps \"none\" not found".into() };
        sources.config_maps.insert("none".into(), Err(none));
        let secret = serde_json::from_value(json!({"data": {"s": "eA=="}})).unwrap();
        sources.secrets.insert("sec".into(), Ok(secret));
        let service = ServiceView {
            namespace: "default".into(),
            name: "kubernetes".into(),
            cluster_ip: "10.96.0.1".into(),
            ports: vec![("https".into(), 443, "TCP".into())],
        };
        let facts = Facts { node_ip: std::net::Ipv4Addr::LOCALHOST, pod_ip: None, allocatable: BTreeMap::new() };
        environment(&pod, &pod::regular_containers(&pod)[0], &sources, &[Arc::new(service)], &facts)
    }

    #[test]
    fn variables_in_order_then_services() {
        let env = json!([
            {"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(KUBERNETES_SERVICE_HOST)-$(C)"},
            {"name": "k", "value": "mine"}, {"name": "S", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "s"}}},
            {"name": "O", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": true}}}
        ]);
        let made = made(env, json!([{"prefix": "P_", "configMapRef": {"name": "map"}}, {"configMapRef": {"name": "map"}}])).unwrap();
        let pairs: Vec<(&str, &str)> = made.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs[..7], [("P_k", "v"), ("P_l", "w"), ("k", "mine"), ("l", "w"), ("A", "1"), ("B", "1-10.96.0.1-$(C)"), ("S", "x")]);
        let names: Vec<&str> = pairs[7..].iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "KUBERNETES_PORT",
                "KUBERNETES_PORT_443_TCP",
                "KUBERNETES_PORT_443_TCP_ADDR",
                "KUBERNETES_PORT_443_TCP_PORT",
                "KUBERNETES_PORT_443_TCP_PROTO",
                "KUBERNETES_SERVICE_HOST",
                "KUBERNETES_SERVICE_PORT",
                "KUBERNETES_SERVICE_PORT_HTTPS"
            ]
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let reference = |name: &str, key: &str| json!([{"name": "X", "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}}]);
        assert_eq!(made(reference("none", "k"), json!([])), Err("configmap \"none\" not found".into()));
        assert_eq!(made(reference("map", "z"), json!([])), Err("couldn't find key z in ConfigMap ns/map".into()));
        assert_eq!(made(json!([]), json!([{"secretRef": {"name": "gone"}}])), Err("secret \"gone\" not found".into()));
    }
}
