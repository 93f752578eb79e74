//! What can be wrong with a request, in Kubernetes' words. The one place where an error becomes a `metav1.Status`.
//!
//! See `apimachinery/pkg/api/errors/errors.go` and `apimachinery/pkg/util/validation/field/errors.go`.

use serde_json::Value;
use skiff_proto::status::{Cause, Details, Status};

/// What kind of fault a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// `Not found: <value>`
    NotFound,
    /// `Required value`
    Required,
    /// `Duplicate value: <value>`
    Duplicate,
    /// `Invalid value: <value>`
    Invalid,
    /// `Unsupported value: <value>: supported values: …`
    NotSupported,
    /// `Forbidden`
    Forbidden,
    /// `Too long: may not be more than N bytes`
    TooLong,
    /// `Too many: N: must have at most M items`
    TooMany,
    /// `Internal error`
    Internal,
    /// `Invalid value: <value>` for a value of a wrong type
    TypeInvalid,
}

/// One fault of one field: `field.Error`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// What kind of fault.
    pub kind: FieldErrorKind,
    /// `spec.containers[0].name`, `metadata.labels`.
    pub field: String,
    /// The value that was sent, where the message shows it.
    pub value: Value,
    /// How the value is shown, where that is not its JSON: Go prints the fields of its own structs, in their order.
    pub shown: Option<String>,
    /// The rest of the sentence.
    pub detail: String,
}

impl FieldError {
    fn new(kind: FieldErrorKind, field: impl Into<String>, value: Value, detail: impl Into<String>) -> Self {
        Self { kind, field: field.into(), value, shown: None, detail: detail.into() }
    }
    /// `field: Invalid value: shown: detail`, of a struct that `shown` prints as Go does.
    pub fn invalid_shown(field: impl Into<String>, shown: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { shown: Some(shown.into()), ..Self::new(FieldErrorKind::Invalid, field, Value::Null, detail) }
    }
    /// `field: Invalid value: detail`, the value left out (`field.OmitValueType`).
    pub fn invalid_omitted(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { shown: Some(String::new()), ..Self::new(FieldErrorKind::Invalid, field, Value::Null, detail) }
    }
    /// `field: Unsupported value: value: supported values: "B", "A"`, in the order given, which some of Kubernetes' checks keep.
    pub fn not_supported_as_listed(field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        Self::new(FieldErrorKind::NotSupported, field, value.into(), format!("supported values: {}", list.join(", ")))
    }
    /// `field: Required value: detail`
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Required, field, Value::Null, detail)
    }
    /// `field: Invalid value: value: detail`
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Invalid, field, value.into(), detail)
    }
    /// `field: Forbidden: detail`
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Forbidden, field, Value::Null, detail)
    }
    /// `field: Duplicate value: value`
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::Duplicate, field, value.into(), "")
    }
    /// `field: Not found: value`
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::NotFound, field, value.into(), "")
    }
    /// `field: Unsupported value: value: supported values: "A", "B"` (sorted, as Kubernetes does)
    pub fn not_supported(field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let mut sorted = supported.to_vec();
        sorted.sort_unstable();
        let list: Vec<String> = sorted.iter().map(|one| format!("{one:?}")).collect();
        let detail = if list.is_empty() { String::new() } else { format!("supported values: {}", list.join(", ")) };
        Self::new(FieldErrorKind::NotSupported, field, value.into(), detail)
    }
    /// `field: Too long: may not be more than N bytes`
    pub fn too_long(field: impl Into<String>, max: usize) -> Self {
        Self::new(FieldErrorKind::TooLong, field, Value::Null, format!("may not be more than {max} bytes"))
    }
    /// `field: Too many: N: must have at most M items`
    pub fn too_many(field: impl Into<String>, have: usize, max: usize) -> Self {
        Self::new(FieldErrorKind::TooMany, field, Value::from(have), format!("must have at most {max} items"))
    }

    /// The sentence without the field: `field.Error.ErrorBody`.
    pub fn body(&self) -> String {
        use FieldErrorKind::{Duplicate, Forbidden, Internal, Invalid, NotFound, NotSupported, Required, TooLong, TooMany, TypeInvalid};
        let shown = match self.kind {
            Required => "Required value".to_owned(),
            Forbidden => "Forbidden".to_owned(),
            TooLong => "Too long".to_owned(),
            Internal => "Internal error".to_owned(),
            TooMany => format!("Too many: {}", self.value),
            NotFound => format!("Not found: {}", self.show()),
            Duplicate => format!("Duplicate value: {}", self.show()),
            Invalid | TypeInvalid if self.shown.as_deref() == Some("") => "Invalid value".to_owned(),
            Invalid | TypeInvalid => format!("Invalid value: {}", self.show()),
            NotSupported => format!("Unsupported value: {}", self.show()),
        };
        if self.detail.is_empty() { shown } else { format!("{shown}: {}", self.detail) }
    }

    fn show(&self) -> String {
        self.shown.clone().unwrap_or_else(|| show(&self.value))
    }

    fn cause(&self) -> Cause {
        use FieldErrorKind::{Duplicate, Forbidden, Internal, Invalid, NotFound, NotSupported, Required, TooLong, TooMany, TypeInvalid};
        let reason = match self.kind {
            NotFound => "FieldValueNotFound",
            Required => "FieldValueRequired",
            Duplicate => "FieldValueDuplicate",
            Invalid => "FieldValueInvalid",
            NotSupported => "FieldValueNotSupported",
            Forbidden => "FieldValueForbidden",
            TooLong => "FieldValueTooLong",
            TooMany => "FieldValueTooMany",
            Internal => "InternalError",
            TypeInvalid => "FieldValueTypeInvalid",
        };
        Cause { reason: reason.to_owned(), message: self.body(), field: self.field.clone() }
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// A value as Go's `%q` / `%v` shows it inside a field error.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}

/// Constructors of the failures that Kubernetes knows: each takes what its message names.
pub mod failure {
    use super::{Cause, Details, FieldError, Status};

    /// `{resource.group} "{name}" not found`; `resource` is the group-resource.
    pub fn not_found(resource: &str, name: &str) -> Status {
        named(404, "NotFound", resource, name, format!("{resource} \"{name}\" not found"))
    }

    /// `{resource.group} "{name}" already exists`
    pub fn already_exists(resource: &str, name: &str) -> Status {
        named(409, "AlreadyExists", resource, name, format!("{resource} \"{name}\" already exists"))
    }

    /// `Operation cannot be fulfilled on {resource.group} "{name}": {why}`
    pub fn conflict(resource: &str, name: &str, why: &str) -> Status {
        named(409, "Conflict", resource, name, format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}"))
    }

    /// `{resource.group} "{name}" is forbidden: {why}`
    pub fn forbidden(resource: &str, name: &str, why: &str) -> Status {
        let message = match (resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{resource} is forbidden: {why}"),
            _ => format!("{resource} \"{name}\" is forbidden: {why}"),
        };
        named(403, "Forbidden", resource, name, message)
    }

    /// `Internal error occurred: {why}`
    pub fn internal(why: &str) -> Status {
        let mut status = Status::failure(500, "InternalError", format!("Internal error occurred: {why}"));
        let cause = Cause { message: why.to_owned(), ..Cause::default() };
        status.details = Some(Details { causes: vec![cause], ..Details::default() });
        status
    }

    /// `the server does not allow this method on the requested resource`
    pub fn method_not_allowed() -> Status {
        let mut status = Status::failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
        status.details = Some(Details::default());
        status
    }

    /// `the server could not find the requested resource`
    pub fn no_such_resource() -> Status {
        let mut status = Status::failure(404, "NotFound", "the server could not find the requested resource");
        status.details = Some(Details::default());
        status
    }

    /// A request that makes no sense, whatever is stored.
    pub fn bad_request(why: impl Into<String>) -> Status {
        Status::failure(400, "BadRequest", why)
    }

    /// `Kind.group "name" is invalid: …`, 422, with a cause for each fault. `group` may be empty.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Status {
        let mut sentences: Vec<String> = Vec::new();
        for error in errors {
            let sentence = error.to_string();
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        let told = match sentences.as_slice() {
            [] => String::new(),
            [one] => format!(": {one}"),
            many => format!(": [{}]", many.join(", ")),
        };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut status = Status::failure(422, "Invalid", format!("{qualified} \"{name}\" is invalid{told}"));
        status.details = Some(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes: errors.iter().map(FieldError::cause).collect::<Vec<Cause>>(),
            ..Details::default()
        });
        status
    }

    fn named(code: u16, reason: &str, resource: &str, name: &str, message: String) -> Status {
        let (kind, group) = resource.split_once('.').unwrap_or((resource, ""));
        let mut status = Status::failure(code, reason, message);
        status.details = Some(Details { name: name.to_owned(), group: group.to_owned(), kind: kind.to_owned(), ..Details::default() });
        status
    }
}
