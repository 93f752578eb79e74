//! `delete` and `deletecollection`: grace, preconditions, finalizers, and who owns what.
//!
//! See `apiserver/pkg/registry/rest/delete.go` (`BeforeDelete`) and `apiserver/pkg/registry/generic/registry/store.go` (`Delete`,
//! `deletionFinalizersForGarbageCollection`).

use std::sync::Arc;

use serde_json::{Value, json};
use skiff_proto::status::{Details, Status};

use super::call::Call;
use super::clock::rfc3339;
use super::options::Options;
use super::update::MODIFIED;
use super::{body, meta};
use crate::dispatch::{Answer, ApiResponse, Item};
use crate::error::failure;
use crate::store::{CommitError, Expect, Key, Op, Version, Write};

const TRIES: usize = 64;

/// What a deletion does to an object.
#[derive(Debug, PartialEq)]
enum Plan {
    /// It stays as it is: it is being deleted already.
    Nothing,
    /// It stays, marked, until its finalizers or its grace period are over.
    Mark(Value),
    /// It is removed; watchers see this last state.
    Remove(Value),
}

impl Call<'_> {
    /// `DELETE` of one object.
    pub async fn delete(&self) -> Result<ApiResponse, Status> {
        let options = self.delete_options()?;
        options.validate_delete()?;
        let mut warnings = Vec::new();
        let (outcome, removed) = self.delete_named(self.name(), &options, &mut warnings).await?;
        let mut response = if removed && !options.answer_object && !self.resource.answers_deleted_object() {
            let (item_name, uid) = outcome.identity();
            let details = Details { name: item_name, group: self.resource.group.clone(), kind: self.resource.plural.clone(), uid, ..Details::default() };
            let status = Status { status: "Success".to_owned(), details: Some(details), ..Status::failure(0, "", "") };
            ApiResponse { warnings: Vec::new(), answer: Answer::Status(status) }
        } else {
            self.answer(200, outcome.item)
        };
        response.warnings = warnings;
        Ok(response)
    }

    /// `DELETE` of a collection: each selected object as if it were named; the answer is what was there.
    pub async fn delete_collection(&self) -> Result<ApiResponse, Status> {
        let options = self.delete_options()?;
        options.validate_delete()?;
        self.request.options.validate_list()?;
        let selection = self.selection()?;
        let page = self.page(&selection)?;
        let mut items = Vec::new();
        for version in &page.versions {
            match self.delete_named(&version.key.name, &options, &mut Vec::new()).await {
                Ok(_) => items.push(self.item(version)),
                Err(status) if status.is_not_found() => items.push(self.item(version)),
                Err(status) => return Err(status),
            }
        }
        let gvk = self.resource.gvk(self.version());
        let answer = Answer::List {
            resource: self.resource.clone(),
            gvk,
            revision: page.revision,
            items,
            continue_token: page.continue_token,
            remaining: page.remaining,
        };
        Ok(ApiResponse { warnings: Vec::new(), answer })
    }

    /// Options of the query, or of the body if there is one (then the query is not looked at).
    fn delete_options(&self) -> Result<Options, Status> {
        let query = &self.request.options;
        if self.request.body.is_empty() {
            return Ok(query.clone());
        }
        let format = super::codec::content_type(&self.request.content_type)?;
        let body = super::codec::decode_options(&self.request.body, format, "DeleteOptions")?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(Options {
            dry_run: body["dryRun"].as_array().into_iter().flatten().filter_map(text).collect(),
            grace_period_seconds: body["gracePeriodSeconds"].as_i64(),
            propagation_policy: text(&body["propagationPolicy"]),
            orphan_dependents: body["orphanDependents"].as_bool(),
            precondition_uid: text(&body["preconditions"]["uid"]),
            precondition_resource_version: text(&body["preconditions"]["resourceVersion"]),
            ..query.clone()
        })
    }

    /// Deletes the object of this name in the request's namespace. Answers how it then is and whether it is gone.
    pub async fn delete_named(&self, name: &str, options: &Options, warnings: &mut Vec<String>) -> Result<(Outcome, bool), Status> {
        for _ in 0..TRIES {
            let group_resource = self.resource.group_resource();
            let existing = self.find_anywhere(name).ok_or_else(|| failure::not_found(&group_resource, name))?;
            let old: Value = serde_json::from_slice(&existing.json).map_err(|why| failure::internal(&format!("the stored object: {why}")))?;
            self.server.admission.validate_delete(self, &old)?;
            self.check_preconditions(&old, name, options)?;
            let plan = self.plan_deletion(&old, options, warnings);
            if options.is_dry_run() {
                return Ok(self.pretended(plan, &existing));
            }
            let (op, gone) = match &plan {
                Plan::Nothing => return Ok((Outcome { item: self.item(&existing), object: old }, false)),
                Plan::Mark(object) if *object == old => return Ok((Outcome { item: self.item(&existing), object: old }, false)),
                Plan::Mark(object) => (Op::Put(body::encode(object)), false),
                Plan::Remove(object) => (Op::Delete(body::encode(object)), true),
            };
            let write = Write { key: existing.key.clone(), expect: Expect::At(existing.revision), op, lazy: false };
            match self.server.store.commit(vec![write]).await {
                Ok(written) => {
                    let version = written.first().ok_or_else(|| failure::internal("the store answered nothing"))?;
                    let (Plan::Mark(object) | Plan::Remove(object)) = plan else { continue };
                    if gone {
                        self.server.admission.deleted(self, &object);
                    }
                    return Ok((Outcome { item: self.item(version), object }, gone));
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Missing(_)) => return Err(failure::not_found(&group_resource, name)),
                Err(other) => return Err(self.commit_error(name, other)),
            }
        }
        Err(failure::conflict(&self.resource.group_resource(), name, MODIFIED))
    }

    fn find_anywhere(&self, name: &str) -> Option<Arc<Version>> {
        self.server.store.get(&Key::new(&self.resource.storage_key(), self.namespace(), name))
    }

    fn pretended(&self, plan: Plan, existing: &Arc<Version>) -> (Outcome, bool) {
        match plan {
            Plan::Nothing => (Outcome { item: self.item(existing), object: Value::Null }, false),
            Plan::Mark(object) => (Outcome { item: self.unstored(object.clone()), object }, false),
            Plan::Remove(object) => (Outcome { item: self.unstored(object.clone()), object }, true),
        }
    }

    fn check_preconditions(&self, old: &Value, name: &str, options: &Options) -> Result<(), Status> {
        // Kubernetes names the kind here, where every other conflict names the resource.
        let qualified = if self.resource.group.is_empty() { self.resource.kind.clone() } else { format!("{}.{}", self.resource.kind, self.resource.group) };
        let conflict = |why: String| Err(failure::conflict(&qualified, name, &why));
        if let Some(uid) = options.precondition_uid.as_deref().filter(|uid| *uid != meta::get(old, "uid")) {
            return conflict(format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                meta::get(old, "uid")
            ));
        }
        let version = meta::get(old, "resourceVersion");
        if let Some(wanted) = options.precondition_resource_version.as_deref().filter(|wanted| *wanted != version) {
            return conflict(format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
            ));
        }
        Ok(())
    }

    /// What deleting `old` now means.
    fn plan_deletion(&self, old: &Value, options: &Options, warnings: &mut Vec<String>) -> Plan {
        if self.resource.plural == "namespaces"
            && self.resource.group.is_empty()
            && let Some(plan) = self.plan_namespace(old)
        {
            return plan;
        }
        let mut object = old.clone();
        let asked = options.grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
        let graceful = match self.resource.strategy.graceful_deletion(old, asked) {
            None => None,
            Some(period) => match self.begin_grace(&mut object, period, asked) {
                Grace::Pending => return Plan::Nothing,
                Grace::Over => None,
                Grace::Runs(seconds) => Some(seconds),
            },
        };
        let finalizers = self.finalizers(old, options, warnings);
        let held = !finalizers.is_empty();
        if held {
            meta::of(&mut object).insert("finalizers".to_owned(), Value::from(finalizers));
        } else {
            meta::of(&mut object).remove("finalizers");
        }
        match graceful {
            Some(seconds) if seconds > 0 || held => Plan::Mark(object),
            Some(_) => Plan::Remove(object),
            None if held => {
                self.mark(&mut object);
                Plan::Mark(object)
            }
            None => Plan::Remove(object),
        }
    }

    /// A namespace is first marked and emptied; only without finalizers in its spec is it deleted like anything else.
    fn plan_namespace(&self, old: &Value) -> Option<Plan> {
        let held = old["spec"]["finalizers"].as_array().is_some_and(|all| !all.is_empty());
        if meta::is_deleting(old) {
            return held.then_some(Plan::Nothing);
        }
        let mut object = old.clone();
        self.mark(&mut object);
        meta::of(&mut object).remove("deletionGracePeriodSeconds");
        object["status"]["phase"] = json!("Terminating");
        held.then_some(Plan::Mark(object))
    }

    /// `markAsDeleting`: now, without grace.
    fn mark(&self, object: &mut Value) {
        self.raise_generation(object);
        let now = rfc3339(self.now);
        let metadata = meta::of(object);
        metadata.entry("deletionTimestamp").or_insert_with(|| Value::from(now));
        metadata.insert("deletionGracePeriodSeconds".to_owned(), Value::from(0));
    }

    fn raise_generation(&self, object: &mut Value) {
        let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
        if generation > 0 && !meta::is_deleting(object) {
            meta::of(object).insert("generation".to_owned(), Value::from(generation + 1));
        }
    }

    /// The graceful half of `BeforeDelete`.
    fn begin_grace(&self, object: &mut Value, period: i64, asked: Option<i64>) -> Grace {
        if !meta::is_deleting(object) {
            self.raise_generation(object);
            let metadata = meta::of(object);
            metadata.insert("deletionTimestamp".to_owned(), Value::from(rfc3339(self.now + period * 1_000_000)));
            metadata.insert("deletionGracePeriodSeconds".to_owned(), Value::from(period));
            return Grace::Runs(period);
        }
        let running = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        if running == 0 {
            return Grace::Over;
        }
        match asked {
            Some(asked) if asked < running => {
                let until = crate::kinds::table::parse_time(meta::get(object, "deletionTimestamp")).unwrap_or(self.now / 1_000_000);
                let metadata = meta::of(object);
                metadata.insert("deletionTimestamp".to_owned(), Value::from(rfc3339((until - running + asked) * 1_000_000)));
                metadata.insert("deletionGracePeriodSeconds".to_owned(), Value::from(asked));
                Grace::Runs(asked)
            }
            Some(_) | None => Grace::Pending,
        }
    }

    /// `deletionFinalizersForGarbageCollection`: the object's finalizers with `orphan` and `foregroundDeletion` as the policy wants them.
    fn finalizers(&self, old: &Value, options: &Options, warnings: &mut Vec<String>) -> Vec<String> {
        let had: Vec<String> = old["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect();
        if self.resource.storage_key() == "events" {
            return had; // its strategy supports no garbage collection
        }
        let has = |wanted: &str| had.iter().any(|one| one == wanted);
        let policy = options.propagation_policy.as_deref();
        let orphan = match (options.orphan_dependents, policy) {
            (Some(orphan), _) => orphan,
            (None, Some(policy)) => policy == "Orphan",
            (None, None) if has("orphan") => true,
            (None, None) if has("foregroundDeletion") => false,
            (None, None) => self.resource.orphans_by_default(),
        };
        let foreground = match (options.orphan_dependents, policy) {
            (Some(_), _) => false,
            (None, Some(policy)) => policy == "Foreground",
            (None, None) => has("foregroundDeletion") && !has("orphan"),
        };
        if orphan && policy.is_none() && options.orphan_dependents.is_none() && !has("orphan") && self.resource.kind == "Job" {
            let warning = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";
            warnings.push(warning.to_owned());
        }
        let in_use = || crate::admission::storage::in_use(self, old);
        let kept = |one: &&String| match one.as_str() {
            "orphan" | "foregroundDeletion" => false,
            // What the protection controllers would do a moment later, as nothing uses the object.
            "kubernetes.io/pvc-protection" | "kubernetes.io/pv-protection" | "kubernetes.io/vac-protection" => in_use(),
            _ => true, // somebody's own
        };
        let mut finalizers: Vec<String> = had.iter().filter(kept).cloned().collect();
        if orphan {
            finalizers.push("orphan".to_owned());
        }
        if foreground {
            finalizers.push("foregroundDeletion".to_owned());
        }
        finalizers
    }
}

/// Where a graceful deletion stands.
enum Grace {
    /// It has begun, or was shortened: so many seconds.
    Runs(i64),
    /// It runs already and stays as it is.
    Pending,
    /// It is over: the object goes now.
    Over,
}

/// The object after a deletion.
pub struct Outcome {
    item: Item,
    object: Value,
}

impl Outcome {
    fn identity(&self) -> (String, String) {
        (meta::get(&self.object, "name").to_owned(), meta::get(&self.object, "uid").to_owned())
    }
}
