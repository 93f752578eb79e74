//! Every namespace has a ConfigMap `kube-root-ca.crt` by which its pods know the API server. See
//! `pkg/controller/certificates/rootcacertpublisher/publisher.go`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use skiff_client::informer::Key;
use skiff_proto::resource::CONFIGMAPS;
use skiff_proto::status::Status;

use crate::execute::{Writer, is_namespace_terminating};
use crate::reconciler::Reconciler;
use crate::view::{CaBundle, Namespace};
use crate::world::World;

/// The ConfigMap's name.
pub const NAME: &str = "kube-root-ca.crt";
const ANNOTATION: &str = "kubernetes.io/description";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal \
                           service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

/// Makes what is missing and mends what is changed. Keys are namespaces.
pub struct Controller {
    /// What is.
    pub world: Arc<World>,
    /// How to write.
    pub writer: Writer,
    /// The certificate, PEM.
    pub root_ca: String,
}

/// What to write, if anything.
#[derive(Clone, Debug, PartialEq)]
pub enum Publish {
    /// Nothing.
    Nothing,
    /// This object.
    Create(Value),
    /// This JSON patch list's equivalent: a merge patch.
    Update(Value),
}

/// Decides for one namespace.
pub fn plan(namespace: &Namespace, bundle: Option<&CaBundle>, root_ca: &str) -> Publish {
    let annotations = json!({ ANNOTATION: DESCRIPTION });
    match bundle {
        None if namespace.metadata.is_deleting() => Publish::Nothing,
        None => Publish::Create(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": NAME, "namespace": namespace.metadata.name, "annotations": annotations },
            "data": { "ca.crt": root_ca },
        })),
        Some(bundle) => {
            let same = bundle.data.get("ca.crt") == Some(root_ca) && bundle.data.iter().count() == 1;
            let described = bundle.metadata.annotations.get(ANNOTATION).is_some_and(|text| !text.is_empty());
            if bundle.metadata.is_deleting() || same && described {
                return Publish::Nothing;
            }
            let mut data: Value = bundle.data.iter().map(|(key, _)| (key.to_owned(), Value::Null)).collect();
            data["ca.crt"] = root_ca.into();
            Publish::Update(json!({ "metadata": { "annotations": annotations }, "data": data }))
        }
    }
}

#[async_trait]
impl Reconciler for Controller {
    fn name(&self) -> &'static str {
        "root-ca-certificate-publisher"
    }

    async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Status> {
        let Some(namespace) = self.world.namespaces.by_key(key) else { return Ok(None) };
        let bundle = self.world.bundles.get(&key.name, NAME);
        let result = match plan(&namespace, bundle.as_deref(), &self.root_ca) {
            Publish::Nothing => return Ok(None),
            Publish::Create(object) => self.writer.create(CONFIGMAPS, &key.name, &object).await,
            Publish::Update(patch) => self.writer.merge(CONFIGMAPS, &Key::new(&key.name, NAME), &patch).await,
        };
        match result {
            Ok(_) => Ok(None),
            Err(status) if status.is_already_exists() || status.is_not_found() || is_namespace_terminating(&status) => Ok(None),
            Err(status) => Err(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(json: Value) -> CaBundle {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn publishes_what_is_missing_or_changed() {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "a"}})).unwrap();
        assert!(matches!(plan(&namespace, None, "PEM"), Publish::Create(_)));
        let fine = bundle(json!({"metadata": {"annotations": {ANNOTATION: "x"}}, "data": {"ca.crt": "PEM"}}));
        assert_eq!(plan(&namespace, Some(&fine), "PEM"), Publish::Nothing);
        let changed = bundle(json!({"metadata": {"annotations": {ANNOTATION: "x"}}, "data": {"ca.crt": "OLD", "more": "y"}}));
        let Publish::Update(patch) = plan(&namespace, Some(&changed), "PEM") else { panic!("not mended") };
        assert_eq!(patch["data"], json!({"ca.crt": "PEM", "more": null}));
    }
}
