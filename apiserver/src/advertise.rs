//! Where pods find this server: the Endpoints and the EndpointSlice of the `kubernetes` Service.
//!
//! See `pkg/controlplane/reconcilers` and `pkg/controlplane/controller/kubernetesservice`. Of the addresses that are listened on those
//! count that others reach: an address of loopback means something else to every reader, and Endpoints may not hold one. Where there is no
//! other the objects are not there.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use serde_json::{Value, json};
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;

use crate::dispatch::{ApiRequest, RequestInfo, Server, Verb};
use crate::registry::options::Options;

/// The Service's name, and its endpoints'.
const NAME: &str = "kubernetes";
const NAMESPACE: &str = "default";

/// The two kinds that publish endpoints: group and resource.
const KINDS: [(&str, &str); 2] = [("", "endpoints"), ("discovery.k8s.io", "endpointslices")];

/// The addresses out of `listening` that others can reach, by family, each once and in order.
pub fn reachable(listening: &[SocketAddr]) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = listening.iter().map(SocketAddr::ip).filter(|ip| !ip.is_loopback() && !ip.is_unspecified() && ip.is_ipv4()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// The object of a kind for these addresses; `None`: there is to be none.
pub fn object(resource: &str, addresses: &[IpAddr], port: u16) -> Option<Value> {
    if addresses.is_empty() {
        return None;
    }
    let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    Some(if resource == "endpoints" {
        let addresses: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
            "subsets": [{"addresses": addresses, "ports": ports}],
        })
    } else {
        let endpoints: Vec<Value> = addresses.iter().map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}})).collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
        })
    })
}

/// What there is to do so that `stored` becomes `wanted`.
fn verb(stored: Option<&Value>, wanted: Option<&Value>) -> Option<Verb> {
    match (stored, wanted) {
        (None, None) => None,
        (None, Some(_)) => Some(Verb::Create),
        (Some(_), None) => Some(Verb::Delete),
        (Some(stored), Some(wanted)) => {
            let parts = [stored, wanted].map(|object| (&object["subsets"], &object["endpoints"], &object["ports"], &object["metadata"]["labels"]));
            (parts[0] != parts[1]).then_some(Verb::Update)
        }
    }
}

/// Makes both objects say where this server listens.
pub async fn advertise(server: &Server, listening: &[SocketAddr]) -> Result<(), Status> {
    let addresses = reachable(listening);
    let port = listening.first().map_or(0, SocketAddr::port);
    for (group, resource) in KINDS {
        let qualified = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        let found = server.store.find(&qualified, NAMESPACE, NAME);
        let stored: Option<Value> = found.and_then(|version| serde_json::from_slice(&version.json).ok()); // the registry wrote it: it parses
        let wanted = object(resource, &addresses, port);
        let Some(verb) = verb(stored.as_ref(), wanted.as_ref()) else { continue };
        let name = if verb == Verb::Create { "" } else { NAME };
        let request = ApiRequest {
            user: UserInfo::new("system:apiserver", &[UserInfo::MASTERS]),
            info: RequestInfo {
                verb,
                group: group.to_owned(),
                version: "v1".to_owned(),
                resource: resource.to_owned(),
                subresource: String::new(),
                namespace: NAMESPACE.to_owned(),
                name: name.to_owned(),
                rest: String::new(),
            },
            options: Options::default(),
            content_type: "application/json".to_owned(),
            user_agent: "kube-apiserver".to_owned(),
            body: wanted.map(|object| Bytes::from(object.to_string())).unwrap_or_default(),
        };
        match server.handle(request).await {
            Ok(_) => {}
            // Somebody else was faster; the next look finds what is left to do.
            Err(status) if status.is_already_exists() || status.is_not_found() || status.is_conflict() => {}
            Err(status) => return Err(status),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_others_reach_are_told() {
        let listening: Vec<SocketAddr> =
            ["127.0.0.1:6443", "10.9.0.1:6443", "0.0.0.0:6443", "10.9.0.1:6443", "[::1]:6443"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(reachable(&listening), ["10.9.0.1".parse::<IpAddr>().unwrap()]);
        assert!(reachable(&listening[..1]).is_empty());
    }

    #[test]
    fn what_is_not_as_it_should_be_is_mended() {
        let [one, two] = ["10.9.0.1", "10.9.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        for (_, resource) in KINDS {
            let wanted = object(resource, &[one], 6443);
            let mut stored = wanted.clone().unwrap();
            stored["metadata"]["uid"] = json!("x");
            let cases = [
                (None, None, None),
                (None, wanted.clone(), Some(Verb::Create)),
                (Some(stored.clone()), wanted.clone(), None),
                (Some(stored.clone()), object(resource, &[one, two], 6443), Some(Verb::Update)),
                (Some(stored.clone()), object(resource, &[one], 6444), Some(Verb::Update)),
                (Some(stored), object(resource, &[], 6443), Some(Verb::Delete)),
            ];
            for (stored, wanted, expected) in cases {
                assert_eq!(verb(stored.as_ref(), wanted.as_ref()), expected);
            }
        }
    }
}
