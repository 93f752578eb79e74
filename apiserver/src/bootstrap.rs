//! What is there from the first start: the system's namespaces, the `kubernetes` Service, the system's priority classes, and the role
//! of administrators. Made through the same door as everything else; what exists already is left as it is.
//!
//! See `pkg/controlplane/{instance.go,controller/systemnamespaces,controller/kubernetesservice}`,
//! `pkg/registry/scheduling/rest/storage_scheduling.go`, `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`.

use bytes::Bytes;
use serde_json::{Value, json};
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;

use crate::dispatch::{ApiRequest, RequestInfo, Server, Verb};
use crate::registry::options::Options;
use crate::store::Key;

/// First address of the Service range.
pub const KUBERNETES_SERVICE_IP: &str = "10.96.0.1";

/// Makes what is missing. `port`: where this server listens.
pub async fn bootstrap(server: &Server, port: u16) -> Result<(), Status> {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        create(server, "", "v1", "namespaces", "", json!({"metadata": {"name": name}})).await?;
    }
    let service = json!({
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": KUBERNETES_SERVICE_IP,
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
        },
    });
    create(server, "", "v1", "services", "default", service).await?;
    let classes = [
        (
            "system-cluster-critical",
            2_000_000_000_i64,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        ("system-node-critical", 2_000_001_000, "Used for system critical pods that must not be moved from their current node."),
    ];
    for (name, value, description) in classes {
        let class = json!({"metadata": {"name": name}, "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority"});
        create(server, "scheduling.k8s.io", "v1", "priorityclasses", "", class).await?;
    }
    let rbac = "rbac.authorization.k8s.io";
    let labelled = json!({
        "name": "cluster-admin",
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    });
    let rules = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}]);
    create(server, rbac, "v1", "clusterroles", "", json!({"metadata": labelled, "rules": rules})).await?;
    let binding = json!({
        "metadata": labelled,
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "Group", "apiGroup": rbac, "name": "system:masters"}],
    });
    create(server, rbac, "v1", "clusterrolebindings", "", binding).await
}

/// Creates an object unless there is one of its name: what somebody changed since the first start stays changed.
async fn create(server: &Server, group: &str, version: &str, resource: &str, namespace: &str, object: Value) -> Result<(), Status> {
    let qualified = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if server.store.get(&Key { resource: qualified.into(), namespace: namespace.into(), name: name.into() }).is_some() {
        return Ok(());
    }
    let request = ApiRequest {
        user: UserInfo::new("system:apiserver", &[UserInfo::MASTERS]),
        info: RequestInfo {
            verb: Verb::Create,
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
            subresource: String::new(),
            namespace: namespace.to_owned(),
            name: String::new(),
            rest: String::new(),
        },
        options: Options::default(),
        content_type: "application/json".to_owned(),
        user_agent: "kube-apiserver".to_owned(),
        body: Bytes::from(object.to_string()),
    };
    match server.handle(request).await {
        Ok(_) => Ok(()),
        Err(status) if status.is_already_exists() => Ok(()),
        Err(status) => Err(status),
    }
}
