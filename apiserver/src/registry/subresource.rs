//! Subresources with a kind of their own: `/scale`, `/binding`, `/eviction`; and those that only connect (`/log`, `/exec` …).
//!
//! See `pkg/registry/apps/*/storage/storage.go` (`ScaleREST`), `pkg/registry/core/pod/storage/{storage,eviction}.go`.

use serde_json::{Value, json};
use skiff_proto::status::{Cause, Details, Status};

use super::call::Call;
use super::clock::rfc3339;
use super::codec::content_type;
use super::options::Options;
use super::patch::Format;
use super::update::{Changed, MODIFIED, precondition_failed};
use super::{body, meta};
use crate::dispatch::{Answer, ApiResponse, Item};
use crate::error::{FieldError, failure};
use crate::kinds::json::{int, items, text};
use crate::kinds::labels;
use crate::schema::{ContentType, Decoded, Gvk};
use crate::store::{CommitError, Expect, Key, Op, Write};

const TRIES: usize = 64;

/// A new Scale.
struct Scaled {
    scale: Value,
    warnings: Vec<String>,
    /// Its `metadata.managedFields` says already who made it.
    managed: bool,
}

fn scale_gvk() -> Gvk {
    Gvk::parse("autoscaling/v1", "Scale")
}

impl Call<'_> {
    /// `GET …/scale`
    pub fn get_scale(&self) -> Result<ApiResponse, Status> {
        let found = self.find(self.name()).ok_or_else(|| self.not_found())?;
        let object: Value = serde_json::from_slice(&found.json).map_err(|why| failure::internal(&format!("the stored object: {why}")))?;
        Ok(self.answer_scale(&object))
    }

    /// `PUT …/scale`
    pub async fn update_scale(&self) -> Result<ApiResponse, Status> {
        self.request.options.validate_write("UpdateOptions")?;
        let given = self.decode_as(&scale_gvk())?;
        self.check_name(&given.object)?;
        self.change_scale(|_| Ok(Scaled { scale: given.object.clone(), warnings: given.warnings.clone(), managed: false })).await
    }

    /// `PATCH …/scale`
    pub async fn patch_scale(&self) -> Result<ApiResponse, Status> {
        let format = Format::of(&self.request.content_type)?;
        self.request.options.validate_patch(format == Format::Apply)?;
        match format {
            Format::Apply => {
                let (wanted, warnings) = self.read_applied()?;
                let gvk = scale_gvk();
                self.change_scale(|scale| {
                    let object = self.apply_as(&gvk, Some(scale), &wanted)?;
                    self.check_name(&object)?;
                    Ok(Scaled { scale: object, warnings: warnings.clone(), managed: true })
                })
                .await
            }
            Format::Patch(kind) => {
                self.change_scale(|scale| {
                    let patched = self.patch_value(kind, scale, &scale_gvk())?;
                    self.check_name(&patched.object)?;
                    Ok(Scaled { scale: patched.object, warnings: patched.warnings, managed: false })
                })
                .await
            }
        }
    }

    async fn change_scale(&self, make: impl Fn(&Value) -> Result<Scaled, Status>) -> Result<ApiResponse, Status> {
        let response = self
            .change(true, |old| {
                let live = self.managed_scale(scale_of(old), old);
                let Scaled { mut scale, warnings, managed } = make(&live)?;
                if !managed {
                    self.note_scaled(&scale_gvk(), &mut scale, &live);
                }
                validate_scale(&scale)?;
                let mut object = old.clone();
                object["spec"]["replicas"] = Value::from(int(&scale["spec"]["replicas"]));
                for key in ["resourceVersion", "uid"] {
                    meta::of(&mut object).insert(key.to_owned(), scale["metadata"][key].clone());
                }
                self.managed_by_scale(&mut object, &scale);
                Ok(Changed { object, warnings, managed: true })
            })
            .await?;
        let Answer::Object { item, .. } = &response.answer else {
            return Err(failure::internal("a change answers an object"));
        };
        let object: Value = serde_json::from_slice(&item.json).map_err(|why| failure::internal(&why.to_string()))?;
        Ok(ApiResponse { warnings: response.warnings, ..self.answer_scale(&object) })
    }

    fn answer_scale(&self, object: &Value) -> ApiResponse {
        let scale = scale_of(object);
        let item = Item { key: self.key(self.name()), revision: 0, json: body::bytes(&scale), version: None };
        self.answer_as(200, scale_gvk(), item)
    }

    /// `POST …/pods/x/binding` and `POST …/bindings`
    pub async fn bind(&self) -> Result<ApiResponse, Status> {
        self.request.options.validate_write("CreateOptions")?;
        let given = self.decode_as(&Gvk::parse("v1", "Binding"))?;
        let binding = given.object;
        let name = if self.name().is_empty() { meta::get(&binding, "name") } else { self.name() };
        if name != meta::get(&binding, "name") {
            return Err(failure::bad_request("name in URL does not match name in Binding object"));
        }
        let mut errors = Vec::new();
        let target = &binding["target"];
        if !matches!(text(&target["kind"]), "" | "Node") {
            errors.push(FieldError::not_supported_as_listed("target.kind", text(&target["kind"]), &["Node", "<empty>"]));
        }
        if text(&target["name"]).is_empty() {
            errors.push(FieldError::required("target.name", ""));
        }
        if !errors.is_empty() {
            return Err(Status::failure(500, "", aggregate(&errors)));
        }
        for _ in 0..TRIES {
            let write = self.binding_write(name, &binding)?;
            if self.request.options.is_dry_run() {
                return Ok(created());
            }
            match self.server.store.commit(vec![write]).await {
                Ok(_) => return Ok(created()),
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Missing(_)) => return Err(failure::not_found("pods", name)),
                Err(other) => return Err(self.commit_error(name, other)),
            }
        }
        Err(failure::conflict("pods", name, MODIFIED))
    }

    /// The write that binds the pod `name`: `setPodNodeAndMetadata`.
    pub fn binding_write(&self, name: &str, binding: &Value) -> Result<Write, Status> {
        let key = Key::new("pods", self.namespace(), name);
        let existing = self.server.store.get(&key).ok_or_else(|| failure::not_found("pods", name))?;
        let mut pod: Value = serde_json::from_slice(&existing.json).map_err(|why| failure::internal(&format!("the stored object: {why}")))?;
        let (uid, have) = (meta::get(binding, "uid"), meta::get(&pod, "uid"));
        if !uid.is_empty() && uid != have {
            let key = format!("/registry/pods/{}/{name}", self.namespace());
            return Err(failure::conflict("pods", name, &precondition_failed(&key, "UID", uid, have)));
        }
        let refused = |why: String| failure::conflict("pods/binding", name, &why);
        if meta::is_deleting(&pod) {
            return Err(refused(format!("pod {name} is being deleted, cannot be assigned to a host")));
        }
        let node = text(&pod["spec"]["nodeName"]);
        if !node.is_empty() {
            return Err(refused(format!("pod {name} is already assigned to node {node:?}")));
        }
        if !items(&pod["spec"]["schedulingGates"]).is_empty() {
            return Err(refused(format!("pod {name} has non-empty .spec.schedulingGates")));
        }
        pod["spec"]["nodeName"] = binding["target"]["name"].clone();
        for part in ["annotations", "labels"] {
            for (key, value) in binding["metadata"][part].as_object().into_iter().flatten() {
                pod["metadata"][part][key] = value.clone();
            }
        }
        if let Some(status) = pod["status"].as_object_mut() {
            status.remove("nominatedNodeName");
        }
        set_condition(&mut pod, json!({"type": "PodScheduled", "status": "True"}), &rfc3339(self.now));
        Ok(Write { key, expect: Expect::At(existing.revision), op: Op::Put(body::encode(&pod)), lazy: false })
    }

    /// `EvictionREST.AcceptsGroupVersion`: a body may be of policy/v1beta1, too, which is spelt the same. `kubectl drain` sends it up to 1.21.
    fn decode_eviction(&self) -> Result<Decoded, Status> {
        let expected = Gvk::parse("policy/v1", "Eviction");
        let format = content_type(&self.request.content_type)?;
        // What is no JSON is told of by who decodes it.
        let mut body: Value = if format == ContentType::Json { serde_json::from_slice(&self.request.body).unwrap_or_default() } else { Value::Null };
        if body["apiVersion"] != "policy/v1beta1" {
            return self.decode_as(&expected);
        }
        body["apiVersion"] = expected.api_version().into();
        crate::schema::decode(body.to_string().as_bytes(), format, Some(&expected), self.request.options.validation())
    }

    /// `POST …/pods/x/eviction`: a deletion that a PodDisruptionBudget may refuse.
    pub async fn evict(&self) -> Result<ApiResponse, Status> {
        self.request.options.validate_write("CreateOptions")?;
        let eviction = self.decode_eviction()?.object;
        if meta::get(&eviction, "name") != self.name() {
            return Err(failure::bad_request("name in URL does not match name in Eviction object"));
        }
        let asked = &eviction["deleteOptions"];
        let own = |value: &Value| value.as_str().map(str::to_owned);
        let mut options = Options {
            dry_run: items(&asked["dryRun"]).iter().filter_map(own).collect(),
            grace_period_seconds: asked["gracePeriodSeconds"].as_i64(),
            propagation_policy: own(&asked["propagationPolicy"]),
            precondition_uid: own(&asked["preconditions"]["uid"]),
            precondition_resource_version: own(&asked["preconditions"]["resourceVersion"]),
            ..Options::default()
        };
        if options.dry_run.is_empty() {
            options.dry_run.clone_from(&self.request.options.dry_run);
        }
        options.validate_delete()?;
        let existing = self.find(self.name()).ok_or_else(|| self.not_found())?;
        let pod: Value = serde_json::from_slice(&existing.json).map_err(|why| failure::internal(&format!("the stored object: {why}")))?;
        let ignores_budget = matches!(text(&pod["status"]["phase"]), "Succeeded" | "Failed" | "Pending") || meta::is_deleting(&pod);
        if !ignores_budget {
            self.spend_budget(&pod, options.is_dry_run()).await?;
        }
        if !options.is_dry_run() {
            self.mark_disrupted(&pod, &existing).await?;
        }
        self.delete_named(self.name(), &options, &mut Vec::new()).await?;
        Ok(created())
    }

    /// The `DisruptionTarget` condition. If somebody else wrote the pod meanwhile, it goes without: the deletion follows anyway.
    async fn mark_disrupted(&self, pod: &Value, existing: &crate::store::Version) -> Result<(), Status> {
        let mut pod = pod.clone();
        let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"});
        set_condition(&mut pod, condition, &rfc3339(self.now));
        let write = Write { key: existing.key.clone(), expect: Expect::At(existing.revision), op: Op::Put(body::encode(&pod)), lazy: false };
        match self.server.store.commit(vec![write]).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(CommitError::Missing(_)) => Err(self.not_found()),
            Err(other) => Err(self.commit_error(self.name(), other)),
        }
    }

    /// `checkAndDecrement`: takes one disruption off the pod's budget, if it has one.
    async fn spend_budget(&self, pod: &Value, dry_run: bool) -> Result<(), Status> {
        for _ in 0..TRIES {
            let listing = self.server.store.list("poddisruptionbudgets.policy", Some(self.namespace()));
            let mut matching = Vec::new();
            for version in listing.items {
                let budget: Value = serde_json::from_slice(&version.json).map_err(|why| failure::internal(&why.to_string()))?;
                if labels::selects(&budget["spec"]["selector"], &pod["metadata"]["labels"]) {
                    matching.push((version, budget));
                }
            }
            if matching.len() > 1 {
                let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(Status::failure(500, "", why));
            }
            let Some((version, mut budget)) = matching.pop() else { return Ok(()) };
            if !is_ready(pod) && unready_may_go(&budget) {
                return Ok(());
            }
            spend(&mut budget, self.name(), &rfc3339(self.now))?;
            if dry_run {
                return Ok(());
            }
            let write = Write { key: version.key.clone(), expect: Expect::At(version.revision), op: Op::Put(body::encode(&budget)), lazy: false };
            match self.server.store.commit(vec![write]).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict { .. } | CommitError::Missing(_)) => {}
                Err(other) => return Err(self.commit_error(&version.key.name, other)),
            }
        }
        Err(failure::conflict("poddisruptionbudgets.policy", self.name(), MODIFIED))
    }

    /// `/log`, `/exec`, `/attach`, `/portforward`, `/proxy`: the object, for whoever speaks with its node.
    pub fn connect(&self) -> Result<ApiResponse, Status> {
        // A service's or node's name in a proxy path may carry scheme and port: `https:web:443`.
        let name = self.name();
        let bare = match name.split(':').collect::<Vec<_>>().as_slice() {
            [_, bare, _] => *bare,
            [bare, _] => *bare,
            _ => name, // a plain name
        };
        let found = self.find(bare).ok_or_else(|| failure::not_found(&self.resource.group_resource(), bare))?;
        Ok(ApiResponse { warnings: Vec::new(), answer: Answer::Connect { resource: self.resource.clone(), item: self.item(&found) } })
    }
}

/// `201` and `{"kind":"Status","status":"Success"}`.
pub fn created() -> ApiResponse {
    let status = Status { status: "Success".to_owned(), ..Status::failure(201, "", "") };
    ApiResponse { warnings: Vec::new(), answer: Answer::Status(status) }
}

/// `field.ErrorList.ToAggregate().Error()`
pub fn aggregate(errors: &[FieldError]) -> String {
    match errors {
        [one] => one.to_string(),
        many => format!("[{}]", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// The Scale of an object that has replicas and a selector.
fn scale_of(object: &Value) -> Value {
    let mut metadata = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !object["metadata"][key].is_null() {
            metadata[key] = object["metadata"][key].clone();
        }
    }
    let selector = &object["spec"]["selector"];
    // A ReplicationController's selector is a plain map of labels.
    let selector = if selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some() || object["kind"] != "ReplicationController" {
        labels::format_selector(selector)
    } else {
        labels::format_labels(selector)
    };
    let replicas = int(&object["spec"]["replicas"]);
    let mut status = json!({"replicas": int(&object["status"]["replicas"])});
    if !selector.is_empty() && selector != "<none>" {
        status["selector"] = Value::from(selector);
    }
    let spec = if replicas == 0 { json!({}) } else { json!({"replicas": replicas}) };
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec, "status": status})
}

fn validate_scale(scale: &Value) -> Result<(), Status> {
    let replicas = int(&scale["spec"]["replicas"]);
    if replicas >= 0 {
        return Ok(());
    }
    let fault = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
    Err(failure::invalid("autoscaling", "Scale", meta::get(scale, "name"), &[fault]))
}

/// `UpdatePodCondition`: replaces the condition of this type; its transition time stays while its status does.
pub fn set_condition(pod: &mut Value, mut condition: Value, now: &str) {
    condition["lastProbeTime"] = Value::Null;
    condition["lastTransitionTime"] = Value::from(now);
    if !pod["status"]["conditions"].is_array() {
        pod["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = pod["status"]["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|one| one["type"] == condition["type"]) {
        Some(one) => {
            if one["status"] == condition["status"] && one["lastTransitionTime"].is_string() {
                condition["lastTransitionTime"] = one["lastTransitionTime"].clone();
            }
            *one = condition;
        }
        None => conditions.push(condition),
    }
}

fn is_ready(pod: &Value) -> bool {
    items(&pod["status"]["conditions"]).iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// A pod that is not ready does no work: by policy it may go at once, or while the budget is met without it.
fn unready_may_go(budget: &Value) -> bool {
    let (current, desired) = (int(&budget["status"]["currentHealthy"]), int(&budget["status"]["desiredHealthy"]));
    text(&budget["spec"]["unhealthyPodEvictionPolicy"]) == "AlwaysAllow" || (current >= desired && desired > 0)
}

fn spend(budget: &mut Value, pod: &str, now: &str) -> Result<(), Status> {
    let name = meta::get(budget, "name").to_owned();
    let status = &budget["status"];
    if int(&status["observedGeneration"]) < int(&budget["metadata"]["generation"]) {
        return Err(too_many(format!("The disruption budget {name} is still being processed by the server.")));
    }
    let allowed = int(&status["disruptionsAllowed"]);
    if allowed < 0 {
        return Err(failure::forbidden("poddisruptionbudgets.policy", &name, "pdb disruptions allowed is negative"));
    }
    if allowed == 0 {
        let (desired, current) = (int(&status["desiredHealthy"]), int(&status["currentHealthy"]));
        return Err(too_many(format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")));
    }
    budget["status"]["disruptionsAllowed"] = Value::from(allowed - 1);
    budget["status"]["disruptedPods"][pod] = Value::from(now);
    Ok(())
}

fn too_many(why: String) -> Status {
    let mut status = Status::failure(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.");
    let cause = Cause { reason: "DisruptionBudget".to_owned(), message: why, field: String::new() };
    status.details = Some(Details { causes: vec![cause], ..Details::default() });
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_tells_replicas_and_selector() {
        let object = json!({"kind": "Deployment", "metadata": {"name": "d", "labels": {"x": "y"}}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "a"}}}, "status": {"replicas": 2}});
        let scale = scale_of(&object);
        assert_eq!(scale["spec"], json!({"replicas": 3}));
        assert_eq!(scale["status"], json!({"replicas": 2, "selector": "app=a"}));
        assert_eq!(scale["metadata"], json!({"name": "d"}));
        let zero = json!({"kind": "ReplicationController", "spec": {"replicas": 0, "selector": {"app": "a"}}});
        assert_eq!((scale_of(&zero)["spec"].clone(), scale_of(&zero)["status"].clone()), (json!({}), json!({"replicas": 0, "selector": "app=a"})));
    }

    #[test]
    fn a_budget_is_spent_until_nothing_is_left() {
        let mut budget = json!({"metadata": {"name": "b", "generation": 1}, "status": {"observedGeneration": 1, "disruptionsAllowed": 1, "desiredHealthy": 2, "currentHealthy": 3}});
        assert_eq!(spend(&mut budget, "p", "now"), Ok(()));
        assert_eq!(budget["status"]["disruptedPods"], json!({"p": "now"}));
        let refused = spend(&mut budget, "q", "now").unwrap_err();
        assert_eq!(refused.details.unwrap().causes[0].message, "The disruption budget b needs 2 healthy pods and has 3 currently");
    }

    #[test]
    fn conditions_keep_their_transition_time() {
        let mut pod = json!({"status": {"conditions": [{"type": "A", "status": "True", "lastTransitionTime": "old"}]}});
        set_condition(&mut pod, json!({"type": "A", "status": "True"}), "new");
        set_condition(&mut pod, json!({"type": "B", "status": "True"}), "new");
        assert_eq!(pod["status"]["conditions"][0]["lastTransitionTime"], "old");
        assert_eq!(pod["status"]["conditions"][1]["lastTransitionTime"], "new");
    }
}
