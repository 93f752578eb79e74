//! `create`: decode → default → admit → fill in → prepare → validate → store. See `apiserver/pkg/registry/rest/create.go` and
//! `apiserver/pkg/registry/generic/registry/store.go`.

use serde_json::Value;
use skiff_proto::status::Status;

use super::call::Call;
use super::clock::{rfc3339, uuid};
use super::managed::set_managers;
use super::{body, meta};
use crate::dispatch::ApiResponse;
use crate::error::failure;
use crate::store::{CommitError, Expect, Op, Write};

/// How often a generated name that is taken is generated anew.
const NAME_TRIES: usize = 8;

impl Call<'_> {
    /// `POST` to a collection.
    pub async fn create(&self) -> Result<ApiResponse, Status> {
        self.request.options.validate_write("CreateOptions")?;
        let given = self.decode()?;
        let mut object = given.object;
        self.ensure_namespace(&mut object)?;
        if !meta::get(&object, "resourceVersion").parse::<u64>().is_ok_and(|version| version != 0) {
            return self.create_object(object, given.warnings).await;
        }
        Err(Status::failure(500, "", "resourceVersion should not be set on objects to be created"))
    }

    /// `EnsureObjectNamespaceMatchesRequestNamespace`
    pub fn ensure_namespace(&self, object: &mut Value) -> Result<(), Status> {
        let requested = self.namespace();
        let have = meta::get(object, "namespace");
        if !requested.is_empty() && !have.is_empty() && have != requested {
            return Err(failure::bad_request("the namespace of the provided object does not match the namespace sent on the request"));
        }
        if have == requested {
            return Ok(());
        }
        if requested.is_empty() {
            meta::of(object).remove("namespace");
        } else {
            meta::of(object).insert("namespace".to_owned(), Value::from(requested));
        }
        Ok(())
    }

    /// Creates a decoded object; an update that may create comes here too.
    pub async fn create_object(&self, mut object: Value, warnings: Vec<String>) -> Result<ApiResponse, Status> {
        let managers = self.note_created(&mut object);
        self.create_managed(object, warnings, managers).await
    }

    /// Creates an object; `managers` is the text of its `metadata.managedFields`, unless that is in it already.
    pub async fn create_managed(&self, mut object: Value, mut warnings: Vec<String>, managers: Option<Vec<u8>>) -> Result<ApiResponse, Status> {
        let admission = &self.server.admission;
        admission.wait(self, &object).await;
        admission.mutate_create(self, &mut object, &mut warnings)?;
        let random = self.server.environment.random();
        meta::prepare_for_create(&mut object, &rfc3339(self.now), uuid(random), random as u64);
        let generated = !meta::get(&object, "generateName").is_empty();
        let mut tries = 0;
        loop {
            // kept as it is only where it may be needed again, under another name
            let mut prepared = if generated { object.clone() } else { std::mem::take(&mut object) };
            let claim = admission.allocate(self, &mut prepared, None)?;
            self.prepare_new(&mut prepared)?;
            admission.validate_create(self, &prepared, &mut warnings)?;
            warnings.extend(self.resource.strategy.warnings(&prepared, None, &self.context()));
            match self.store_new(prepared, managers.as_deref()).await {
                Ok(mut response) => {
                    claim.keep(self.request.options.is_dry_run());
                    response.warnings = warnings;
                    return Ok(response);
                }
                Err(status) => {
                    tries += 1;
                    if !(generated && status.is_already_exists() && tries < NAME_TRIES) {
                        return Err(status);
                    }
                    let metadata = meta::of(&mut object);
                    metadata.remove("name");
                    meta::generate_name(metadata, self.server.environment.random() as u64);
                }
            }
        }
    }

    /// `BeforeCreate`: what a client may not decide, the kind's rules, and every fault.
    fn prepare_new(&self, object: &mut Value) -> Result<(), Status> {
        let strategy = &self.resource.strategy;
        if self.resource.subresource("status").is_some() && self.resource.plural != "nodes" {
            self.reset_status(object);
        }
        if strategy.has_generation() {
            meta::of(object).insert("generation".to_owned(), Value::from(1));
        }
        let context = self.context();
        strategy.prepare_for_create(object, &context);
        let mut errors = meta::validate(object, &self.resource);
        errors.extend(strategy.validate(object, &context));
        self.refuse(object, &errors)?;
        strategy.canonicalize(object);
        Ok(())
    }

    /// `status` as Go prints one in which nothing is set; none where it then prints none.
    fn reset_status(&self, object: &mut Value) {
        let Some(members) = object.as_object_mut() else { return };
        match super::codec::empty_status(&self.resource.gvk(&self.resource.storage_version)) {
            Some(empty) => members.insert("status".to_owned(), empty),
            None => members.remove("status"),
        };
    }

    /// `Kind.group "name" is invalid: …` if there is a fault.
    pub fn refuse(&self, object: &Value, errors: &[crate::error::FieldError]) -> Result<(), Status> {
        if errors.is_empty() {
            return Ok(());
        }
        Err(failure::invalid(&self.resource.group, &self.resource.kind, meta::get(object, "name"), errors))
    }

    async fn store_new(&self, mut object: Value, managers: Option<&[u8]>) -> Result<ApiResponse, Status> {
        let name = meta::get(&object, "name").to_owned();
        let key = self.key(&name);
        if self.request.options.is_dry_run() {
            return match self.server.store.get(&key) {
                Some(existing) => Err(self.exists(&name, &existing.json)),
                None => {
                    if let Some(managers) = managers.and_then(|text| serde_json::from_slice(text).ok()) {
                        set_managers(&mut object, Some(managers));
                    }
                    Ok(self.answer(201, self.unstored(object)))
                }
            };
        }
        let write = |body| Write { key: key.clone(), expect: Expect::Absent, op: Op::Put(body), lazy: false };
        let mut outcome = self.server.store.commit(vec![write(body::encode_with(&object, managers))]).await;
        if managers.is_some() && matches!(outcome, Err(CommitError::TooLarge { .. })) {
            outcome = self.server.store.commit(vec![write(body::encode(&object))]).await; // better without managers than not at all
        }
        match outcome {
            Ok(written) => {
                let version = written.first().ok_or_else(|| failure::internal("the store answered nothing"))?;
                Ok(self.answer(201, self.item(version)))
            }
            Err(CommitError::Exists(_)) => {
                let existing = self.server.store.get(&key);
                Err(self.exists(&name, existing.as_ref().map_or(&[], |version| &version.json)))
            }
            Err(other) => Err(self.commit_error(&name, other)),
        }
    }

    /// `AlreadyExists`, which also tells that the one which exists is on its way out.
    fn exists(&self, name: &str, existing: &[u8]) -> Status {
        let mut status = failure::already_exists(&self.resource.group_resource(), name);
        let existing: Value = serde_json::from_slice(existing).unwrap_or_default(); // only to word the message
        if meta::is_deleting(&existing) {
            status.message = format!("object is being deleted: {}", status.message);
        }
        status
    }

    /// What a commit's failure is to a client.
    pub fn commit_error(&self, name: &str, error: CommitError) -> Status {
        let resource = self.resource.group_resource();
        match error {
            CommitError::Exists(_) => failure::already_exists(&resource, name),
            CommitError::Missing(_) => failure::not_found(&resource, name),
            CommitError::Conflict { .. } => failure::conflict(&resource, name, super::update::MODIFIED),
            CommitError::TooLarge { .. } => Status::failure(500, "", "etcdserver: request is too large"),
            CommitError::Unavailable(why) => Status::failure(503, "ServiceUnavailable", format!("the store refuses writes: {why}")),
        }
    }
}
