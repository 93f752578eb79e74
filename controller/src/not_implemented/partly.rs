//! Kinds of which skiff does something: what is said depends on the object.

use serde_json::Value;

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Pod security is asked for by labels of a namespace: `k8s.io/pod-security-admission/api/constants.go`.
pub fn namespace(object: &Value) -> Option<String> {
    let labels = object["metadata"]["labels"].as_object()?;
    let asked: Vec<String> = ["enforce", "audit", "warn"]
        .iter()
        .map(|mode| format!("pod-security.kubernetes.io/{mode}"))
        .filter_map(|label| labels.get(&label).and_then(Value::as_str).map(|level| format!("{label}={level}")))
        // `privileged` asks for nothing.
        .filter(|label| !label.ends_with("=privileged"))
        .collect();
    (!asked.is_empty()).then(|| format!("skiff has no pod security admission yet: pods are not held to {}, and nobody is warned", asked.join(", ")))
}

/// Tokens in Secrets are filled in by a controller: `pkg/controller/serviceaccount/tokens_controller.go`.
pub fn secret(object: &Value) -> Option<String> {
    let wanted = text(object, "/type") == "kubernetes.io/service-account-token" && object["data"]["token"].is_null();
    wanted.then(|| "skiff does not fill in Secrets of type kubernetes.io/service-account-token yet: ask for a token by `kubectl create token`".to_owned())
}

/// Nothing forwards what is sent to a Service, and no DNS knows its name.
pub fn service(object: &Value) -> Option<String> {
    let metadata = &object["metadata"];
    // Made by the API server itself: docs/COMPATIBILITY.md tells of it.
    if metadata["namespace"] == "default" && metadata["name"] == "kubernetes" {
        return None;
    }
    let address = text(object, "/spec/clusterIP");
    let external = object["spec"]["externalIPs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let addresses = [address].into_iter().chain(external).collect::<Vec<_>>().join(", ");
    let instead = "reach its pods by their own addresses or by `kubectl port-forward`";
    let sentence = match text(object, "/spec/type") {
        "ExternalName" => format!("skiff has no cluster DNS yet: no name leads to {}", text(object, "/spec/externalName")),
        _ if address == "None" => "skiff has no cluster DNS yet: the name of this headless Service leads to no pod".to_owned(),
        "LoadBalancer" => {
            format!("skiff has no service proxy yet: nothing forwards {addresses} or its node ports, and it gets no load balancer; {instead}")
        }
        "NodePort" => format!("skiff has no service proxy yet: nothing forwards {addresses} or its node ports; {instead}"),
        _ if address.is_empty() => return None, // not complete
        _ => format!("skiff has no service proxy yet: nothing forwards {addresses}; {instead}"),
    };
    Some(sentence)
}

/// An API that another server has.
pub fn api_service(object: &Value) -> Option<String> {
    let other = &object["spec"]["service"];
    other.is_object().then(|| {
        let (group, version) = (text(object, "/spec/group"), text(object, "/spec/version"));
        let (namespace, name) = (text(other, "/namespace"), text(other, "/name"));
        format!("skiff does not forward to other API servers yet: requests for {group}/{version} do not reach {namespace}/{name}")
    })
}

/// The signers that kube-controller-manager has: `pkg/controller/certificates/signer/signer.go`. Others' requests are others' affair.
pub fn signing_request(object: &Value) -> Option<String> {
    let signer = text(object, "/spec/signerName");
    signer.starts_with("kubernetes.io/").then(|| format!("skiff does not sign for {signer} yet: the request gets no certificate, approved or not"))
}

/// Aggregation: `pkg/controller/clusterroleaggregation`.
pub fn cluster_role(object: &Value) -> Option<String> {
    let aggregated = object["aggregationRule"].is_object();
    aggregated.then(|| "skiff does not act on aggregationRule yet: the role has the rules written into it and no others".to_owned())
}

/// Custom resources.
pub fn custom_resource(object: &Value) -> Option<String> {
    let (plural, group) = (text(object, "/spec/names/plural"), text(object, "/spec/group"));
    Some(format!("skiff does not serve custom resources yet: there is no {plural} under /apis/{group}, and none can be made"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    type Decide = fn(&Value) -> Option<String>;

    /// What of the sentence has to be there; none: nothing is said.
    #[test]
    fn what_is_asked_and_not_done_is_named() {
        let own = json!({"metadata": {"namespace": "default", "name": "kubernetes"}, "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1"}});
        let label = |mode: &str, level: &str| json!({"metadata": {"labels": {format!("pod-security.kubernetes.io/{mode}"): level}}});
        let spec = |spec: Value| json!({ "spec": spec });
        let cases: [(Decide, Value, Option<&str>); 20] = [
            (namespace, json!({"metadata": {"labels": {"a": "b"}}}), None),
            (namespace, json!({"metadata": {}}), None),
            (namespace, label("enforce", "privileged"), None),
            (namespace, label("enforce", "baseline"), Some("enforce=baseline")),
            (namespace, label("warn", "restricted"), Some("warn=restricted")),
            (secret, json!({"type": "Opaque"}), None),
            (secret, json!({"type": "kubernetes.io/service-account-token"}), Some("service-account-token")),
            (secret, json!({"type": "kubernetes.io/service-account-token", "data": {"token": "eA=="}}), None),
            (service, own, None),
            (service, spec(json!({"type": "ClusterIP", "clusterIP": "10.96.0.7"})), Some("forwards 10.96.0.7;")),
            (service, spec(json!({"type": "ClusterIP", "clusterIP": "10.96.0.7", "externalIPs": ["192.0.2.1"]})), Some("10.96.0.7, 192.0.2.1;")),
            (service, spec(json!({"type": "NodePort", "clusterIP": "10.96.0.7"})), Some("node ports")),
            (service, spec(json!({"type": "LoadBalancer", "clusterIP": "10.96.0.7"})), Some("load balancer")),
            (service, spec(json!({"type": "ClusterIP", "clusterIP": "None"})), Some("headless")),
            (service, spec(json!({"type": "ExternalName", "externalName": "x.org"})), Some("x.org")),
            (api_service, spec(json!({"group": "", "version": "v1"})), None),
            (api_service, spec(json!({"group": "g", "version": "v1", "service": {"namespace": "a", "name": "b"}})), Some("a/b")),
            (signing_request, spec(json!({"signerName": "example.com/x"})), None),
            (signing_request, spec(json!({"signerName": "kubernetes.io/kube-apiserver-client"})), Some("kubernetes.io/kube-apiserver-client")),
            (cluster_role, json!({"aggregationRule": {"clusterRoleSelectors": []}}), Some("aggregationRule")),
        ];
        for (decide, object, expected) in cases {
            let said = decide(&object);
            assert_eq!(said.is_some(), expected.is_some(), "{object}: {said:?}");
            assert!(said.zip(expected).is_none_or(|(said, expected)| said.contains(expected)), "{object}");
        }
        assert_eq!(cluster_role(&json!({"rules": []})), None);
        assert!(custom_resource(&spec(json!({"group": "x.io", "names": {"plural": "ys"}}))).unwrap().contains("no ys under /apis/x.io"));
    }
}
