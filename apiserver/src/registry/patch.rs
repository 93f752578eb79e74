//! `patch`: which kind of patch a request brings, and the patched object's way through an update. The patches themselves are pure
//! functions in [`crate::patch`]. See `apiserver/pkg/endpoints/handlers/patch.go`.

use std::borrow::Cow;

use serde_json::Value;
use skiff_proto::status::Status;

use super::call::Call;
use super::convert;
use super::update::Changed;
use crate::dispatch::ApiResponse;
use crate::patch::{PatchKind, Patched};
use crate::schema::Gvk;

/// What the body of a `PATCH` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Changes to what is there.
    Patch(PatchKind),
    /// `application/apply-patch+yaml`: what the caller wants to be there.
    Apply,
}

impl Format {
    /// Of a `Content-Type`.
    pub fn of(header: &str) -> Result<Self, Status> {
        match header.split(';').next().unwrap_or("").trim() {
            "application/json-patch+json" => Ok(Self::Patch(PatchKind::Json)),
            "application/merge-patch+json" => Ok(Self::Patch(PatchKind::Merge)),
            "application/strategic-merge-patch+json" => Ok(Self::Patch(PatchKind::Strategic)),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(super::codec::unsupported(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
                "application/apply-patch+yaml",
            ])), // everything else is refused
        }
    }
}

impl Call<'_> {
    /// `PATCH` of an object, or of a subresource of its own kind.
    pub async fn patch(&self) -> Result<ApiResponse, Status> {
        let format = Format::of(&self.request.content_type)?;
        self.request.options.validate_patch(format == Format::Apply)?;
        match format {
            Format::Apply => self.apply().await,
            Format::Patch(kind) => self.change(false, |old| self.patched(kind, old)).await,
        }
    }

    /// The stored object `old`, patched.
    fn patched(&self, kind: PatchKind, old: &Value) -> Result<Changed, Status> {
        let seen = match convert::is_stored_form(&self.resource, self.version()) {
            true => Cow::Borrowed(old),
            false => Cow::Owned(convert::from_storage(&self.resource, self.version(), old.clone())),
        };
        let Patched { object, warnings } = self.patch_value(kind, &seen, &self.resource.gvk(self.version()))?;
        let mut object = self.to_storage(object);
        self.ensure_namespace(&mut object)?;
        self.check_name(&object)?;
        Ok(Changed { object, warnings, managed: false })
    }

    /// `seen` (of kind `gvk`) with the request's patch applied, strictly decoded again.
    pub fn patch_value(&self, kind: PatchKind, seen: &Value, gvk: &Gvk) -> Result<Patched, Status> {
        crate::patch::patch(kind, seen, &self.request.body, gvk, self.request.options.validation())
    }
}
