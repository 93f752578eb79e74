//! Server-side apply: a `PATCH` whose body says what the caller wants to be there. The merge is [`crate::patch::apply`]; here the body is
//! read, the object found or made, and what comes out goes the way of every write. See `applyPatcher` in `apiserver/pkg/endpoints/handlers/patch.go`.

use serde_json::Value;
use skiff_proto::status::Status;

use super::call::Call;
use super::managed::set_managers;
use super::update::Changed;
use super::{convert, meta};
use crate::dispatch::{ApiResponse, RequestInfo, Verb};
use crate::error::failure;
use crate::patch::apply::{Applied, applied, named};
use crate::schema::{FieldValidation, Gvk, canonicalize, print, read_yaml};

/// How often it is begun anew because the object came or went meanwhile.
const TRIES: usize = 8;

impl Call<'_> {
    /// `PATCH` with `application/apply-patch+yaml`, of an object or of a subresource of its kind.
    pub async fn apply(&self) -> Result<ApiResponse, Status> {
        let (wanted, warnings) = self.read_applied()?;
        let may_create = self.request.info.subresource.is_empty();
        for _ in 0..TRIES {
            if may_create && self.find(self.name()).is_none() {
                let object = self.applied(&wanted, None)?;
                match self.create_applied(object, warnings.clone()).await {
                    Err(status) if status.is_already_exists() => {}
                    outcome => return outcome,
                }
            }
            let change = |old: &Value| Ok(Changed { object: self.applied(&wanted, Some(old))?, warnings: warnings.clone(), managed: true });
            match self.change(false, change).await {
                Err(status) if may_create && status.code == 404 && self.find(self.name()).is_none() => {}
                outcome => return outcome,
            }
        }
        Err(failure::conflict(&self.resource.group_resource(), self.name(), super::update::MODIFIED))
    }

    /// The body: what is wanted, and what there is to warn about. It is YAML, and so it may be JSON.
    pub fn read_applied(&self) -> Result<(Value, Vec<String>), Status> {
        let (wanted, twice) =
            read_yaml(&self.request.body).map_err(|why| failure::bad_request(format!("error decoding YAML: error converting YAML to JSON: {why}")))?;
        if !wanted.is_object() && !wanted.is_null() {
            let sort = match print::go_kind(&wanted) {
                "slice" => "array",
                "int64" | "float64" => "number",
                other => other, // the two names are one
            };
            let why = format!("json: cannot unmarshal {sort} into Go value of type map[string]interface {{}}");
            return Err(failure::bad_request(format!("error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}")));
        }
        let told = twice.map(|why| format!("error converting YAML to JSON: {why}"));
        match (self.request.options.validation(), told) {
            (FieldValidation::Strict, Some(why)) => Err(failure::bad_request(format!("error strict decoding YAML: {why}"))),
            (FieldValidation::Warn, Some(why)) => Ok((wanted, vec![why])),
            (FieldValidation::Ignore | FieldValidation::Strict | FieldValidation::Warn, _) => Ok((wanted, Vec::new())),
        }
    }

    /// `wanted`, applied to the stored object: in the stored form, with defaults and managers.
    fn applied(&self, wanted: &Value, old: Option<&Value>) -> Result<Value, Status> {
        let live = old.map(|old| convert::from_storage(&self.resource, self.version(), old.clone()));
        let mut object = self.apply_as(&self.resource.gvk(self.version()), live.as_ref(), wanted)?;
        if live.is_none() && !meta::get(&object, "uid").is_empty() {
            let uid = meta::get(&object, "uid");
            let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(failure::conflict(&self.resource.group_resource(), self.name(), &why));
        }
        object = self.to_storage(object);
        self.ensure_namespace(&mut object)?;
        self.check_name(&object)?;
        Ok(object)
    }

    /// `wanted`, applied to an object of kind `gvk` and in that version, decoded again.
    pub fn apply_as(&self, gvk: &Gvk, live: Option<&Value>, wanted: &Value) -> Result<Value, Status> {
        let options = &self.request.options;
        let Applied { object, managers } = self.in_scope(gvk, |scope| applied(scope, live, wanted, &options.field_manager, options.force.unwrap_or(false)))?;
        let mut decoded = canonicalize(gvk, &object, FieldValidation::Ignore)
            .map_err(|why| Status::failure(500, "", format!("failed to convert new object ({}) to proper version: {why}", named(&object, gvk))))?
            .object;
        set_managers(&mut decoded, managers);
        Ok(decoded)
    }

    /// Creates what an apply made: the caller must be allowed to create, too.
    async fn create_applied(&self, object: Value, warnings: Vec<String>) -> Result<ApiResponse, Status> {
        let creation = RequestInfo { verb: Verb::Create, ..self.request.info.clone() };
        self.server.authorizer.check(&self.request.user, &creation, &self.server.store)?;
        self.create_managed(object, warnings, None).await
    }
}
