//! `update`, and what every change of a stored object shares: read, change, check, write if nobody wrote in between, else again.
//!
//! See `apiserver/pkg/registry/rest/update.go`, `apiserver/pkg/registry/generic/registry/store.go` (`Update`).

use std::sync::Arc;

use serde_json::Value;
use skiff_proto::status::Status;

use super::call::Call;
use super::managed::set_managers;
use super::{body, meta};
use crate::dispatch::{ApiResponse, Item};
use crate::error::{FieldError, failure};
use crate::patch::apply::managers::has_managers;
use crate::store::{CommitError, Expect, Op, Version, Write};

/// What a client that lost a race is told.
pub const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";
/// How often a change is made anew when somebody wrote in between. Kubernetes tries for ever; a client gives up after 34 seconds.
const TRIES: usize = 64;

/// What a change makes of the object, and what there is to warn about.
pub struct Changed {
    /// The new object, in the stored form, defaulted.
    pub object: Value,
    /// Warnings of decoding it.
    pub warnings: Vec<String>,
    /// `metadata.managedFields` says already who made it.
    pub managed: bool,
}

impl Call<'_> {
    /// `PUT` of an object, or of its `/status` or another subresource of its own kind.
    pub async fn update(&self) -> Result<ApiResponse, Status> {
        self.request.options.validate_write("UpdateOptions")?;
        let mut given = self.decode()?;
        self.keep_reset(&mut given.object);
        self.ensure_namespace(&mut given.object)?;
        self.check_name(&given.object)?;
        let may_create = self.request.info.subresource.is_empty() && self.resource.strategy.create_on_update();
        if self.find(self.name()).is_none() && may_create {
            return self.create_object(given.object, given.warnings).await;
        }
        self.change(true, |_| Ok(Changed { object: given.object.clone(), warnings: given.warnings.clone(), managed: false })).await
    }

    /// The name in a body must be that of the path.
    pub fn check_name(&self, object: &Value) -> Result<(), Status> {
        let (have, name) = (meta::get(object, "name"), self.name());
        if have.is_empty() {
            let why = format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
            return Err(failure::bad_request(why));
        }
        if have != name {
            return Err(failure::bad_request(format!("the name of the object ({have}) does not match the name on the URL ({name})")));
        }
        Ok(())
    }

    /// Changes the stored object by `make`, which is called again with what is there then if somebody else wrote in between.
    /// `uid_is_precondition`: a uid in the new object must be the stored one (an update; a patch may not change it).
    pub async fn change(&self, uid_is_precondition: bool, make: impl Fn(&Value) -> Result<Changed, Status>) -> Result<ApiResponse, Status> {
        for _ in 0..TRIES {
            let existing = self.find(self.name()).ok_or_else(|| self.not_found())?;
            let old: Value = serde_json::from_slice(&existing.json).map_err(|why| failure::internal(&format!("the stored object: {why}")))?;
            let Changed { mut object, mut warnings, managed } = make(&old)?;
            if !managed {
                self.note_updated(&mut object, &old);
            }
            if uid_is_precondition {
                self.check_uid(&object, &old)?;
            }
            self.server.admission.mutate_update(self, &mut object, &old, &mut warnings)?;
            self.check_revision(&mut object, &old, &existing)?;
            let claim = self.prepare_change(&mut object, &old)?;
            self.server.admission.validate_update(self, &object, &old, &mut warnings)?;
            warnings.extend(self.resource.strategy.warnings(&object, Some(&old), &self.context()));
            let mut outcome = self.write_change(&object, &old, &existing).await;
            if !managed && has_managers(&object) && matches!(outcome, Err(CommitError::TooLarge { .. })) {
                set_managers(&mut object, None); // better without managers than not at all
                outcome = self.write_change(&object, &old, &existing).await;
            }
            match outcome {
                Ok(item) => {
                    claim.keep(self.request.options.is_dry_run());
                    let mut response = self.answer(200, item);
                    response.warnings = warnings;
                    return Ok(response);
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Missing(_)) => return Err(self.not_found()),
                Err(other) => return Err(self.commit_error(self.name(), other)),
            }
        }
        Err(failure::conflict(&self.resource.group_resource(), self.name(), MODIFIED))
    }

    fn check_uid(&self, object: &Value, old: &Value) -> Result<(), Status> {
        let (wanted, have) = (meta::get(object, "uid"), meta::get(old, "uid"));
        if wanted.is_empty() || wanted == have {
            return Ok(());
        }
        Err(failure::conflict(&self.resource.group_resource(), self.name(), &precondition_failed(&self.etcd_key(), "UID", wanted, have)))
    }

    /// The key that Kubernetes' messages of storage errors show.
    pub fn etcd_key(&self) -> String {
        match self.namespace() {
            "" => format!("/registry/{}/{}", self.resource.plural, self.name()),
            namespace => format!("/registry/{}/{namespace}/{}", self.resource.plural, self.name()),
        }
    }

    /// A resourceVersion in the new object is a precondition; none (or 0) means "whatever is there", where the kind allows it.
    fn check_revision(&self, object: &mut Value, old: &Value, existing: &Version) -> Result<(), Status> {
        let wanted = match meta::get(object, "resourceVersion") {
            "" | "0" => None,
            text => super::options::revision(text)?,
        };
        match wanted {
            None if !self.resource.strategy.unconditional_update() => {
                self.refuse(old, &[FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update")])
            }
            None => {
                meta::of(object).insert("resourceVersion".to_owned(), Value::from(existing.revision.to_string()));
                Ok(())
            }
            Some(wanted) if wanted != existing.revision => Err(failure::conflict(&self.resource.group_resource(), self.name(), MODIFIED)),
            Some(_) => Ok(()),
        }
    }

    /// `BeforeUpdate`: what a client may not change, the kind's rules, the generation, and every fault.
    fn prepare_change(&self, object: &mut Value, old: &Value) -> Result<crate::admission::Claim, Status> {
        self.ensure_namespace(object)?;
        self.keep_other_part(object, old);
        meta::prepare_for_update(object, old);
        let claim = self.server.admission.allocate(self, object, Some(old))?;
        let strategy = &self.resource.strategy;
        let context = self.context();
        strategy.prepare_for_update(object, old, &context);
        if strategy.has_generation() && context.subresource != "status" && strategy.raises_generation(object, old) {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            meta::of(object).insert("generation".to_owned(), Value::from(generation));
        }
        let mut errors = meta::validate_update(object, old, &self.resource);
        errors.extend(strategy.validate_update(object, old, &context));
        self.refuse(object, &errors)?;
        Ok(claim)
    }

    /// A write of the object keeps its stored status, a write of `/status` keeps everything else.
    fn keep_other_part(&self, object: &mut Value, old: &Value) {
        if self.resource.subresource("status").is_none() {
            return;
        }
        let Some(members) = object.as_object_mut() else { return };
        if matches!(self.request.info.subresource.as_str(), "status" | "approval") {
            let status = members.remove("status");
            let metadata = members.remove("metadata");
            members.clone_from(old.as_object().unwrap_or(&serde_json::Map::new()));
            for (key, part) in [("status", status), ("metadata", metadata)] {
                match part {
                    Some(part) => members.insert(key.to_owned(), part),
                    None => members.remove(key),
                };
            }
        } else {
            match old.get("status") {
                Some(status) => members.insert("status".to_owned(), status.clone()),
                None => members.remove("status"),
            };
        }
    }

    /// Writes a changed object: nothing if nothing changed; a deletion if it was the last finalizer that went.
    async fn write_change(&self, object: &Value, old: &Value, existing: &Arc<Version>) -> Result<Item, CommitError> {
        if object == old || super::managed::only_times_differ(object, old) {
            return Ok(self.item(existing));
        }
        if self.request.options.is_dry_run() {
            return Ok(self.unstored(object.clone()));
        }
        let key = existing.key.clone();
        let expect = Expect::At(existing.revision);
        let encoded = body::encode(object);
        let gone = self.completes_deletion(object, old);
        let lazy = !gone && self.resource.plural == "leases" && only_renewed(object, old);
        let op = if gone { Op::Delete(encoded) } else { Op::Put(encoded) };
        let written = self.server.store.commit(vec![Write { key, expect, op, lazy }]).await?;
        if gone {
            self.server.admission.deleted(self, object);
        }
        match written.first() {
            Some(version) => Ok(self.item(version)),
            None => Err(CommitError::Unavailable("the store answered nothing".to_owned())),
        }
    }

    /// `ShouldDeleteDuringUpdate`: nothing holds the object any more, and its deletion was asked for and has no grace left.
    pub fn completes_deletion(&self, object: &Value, old: &Value) -> bool {
        let held = |list: &Value| list.as_array().is_some_and(|all| !all.is_empty());
        if held(&object["metadata"]["finalizers"]) || !meta::is_deleting(old) {
            return false;
        }
        if self.resource.plural == "namespaces" && self.resource.group.is_empty() && held(&object["spec"]["finalizers"]) {
            return false;
        }
        old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
    }
}

/// The text of a storage error about a precondition; it ends up in a conflict's message.
pub fn precondition_failed(key: &str, what: &str, wanted: &str, have: &str) -> String {
    format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {have}"
    )
}

/// Whether a Lease changed in nothing but its time: such a renewal may wait for the disk.
fn only_renewed(object: &Value, old: &Value) -> bool {
    let mut new = object.clone();
    new["spec"]["renewTime"] = old["spec"]["renewTime"].clone();
    new == *old || super::managed::only_times_differ(&new, old)
}
