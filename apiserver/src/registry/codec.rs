//! From a request's body to an object in the stored form: media type, strict decoding by the schema, and defaults.

use serde_json::Value;
use skiff_proto::status::Status;

use super::call::Call;
use super::convert;
use crate::schema::{ContentType, Decoded, Gvk, Unset, types};

pub use crate::schema::decode_options;

/// A body that has been read.
pub struct Given {
    /// In the stored form, with defaults.
    pub object: Value,
    /// Unknown and duplicate fields.
    pub warnings: Vec<String>,
}

impl Call<'_> {
    /// The body as an object of the resource's own kind.
    pub fn decode(&self) -> Result<Given, Status> {
        let Decoded { object, warnings, .. } = self.decode_as(&self.resource.gvk(self.version()))?;
        Ok(Given { object: self.to_storage(object), warnings })
    }

    /// An object of the request's version in the stored form, with defaults.
    pub fn to_storage(&self, object: Value) -> Value {
        let mut object = convert::to_storage(&self.resource, self.version(), object);
        self.resource.strategy.default(&mut object);
        object
    }

    /// The body as an object of another kind (`Scale`, `Eviction`, `Binding`); one that names no kind is taken as `expected`.
    pub fn decode_as(&self, expected: &Gvk) -> Result<Decoded, Status> {
        let format = content_type(&self.request.content_type)?;
        crate::schema::decode(&self.request.body, format, Some(expected), self.request.options.validation())
    }
}

/// What a body may be in.
pub fn content_type(header: &str) -> Result<ContentType, Status> {
    let media = header.split(';').next().unwrap_or("").trim();
    match media {
        "" | "application/json" => Ok(ContentType::Json),
        "application/yaml" => Ok(ContentType::Yaml),
        "application/vnd.kubernetes.protobuf" => Ok(ContentType::Protobuf),
        _ => Err(unsupported(&["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"])), // everything else is refused
    }
}

/// 415: see `negotiation.NewUnsupportedMediaTypeError`.
pub fn unsupported(accepted: &[&str]) -> Status {
    let why = format!("the body of the request was in an unknown format - accepted media types include: {}", accepted.join(", "));
    Status::failure(415, "UnsupportedMediaType", why)
}

/// `status` of a kind as Go prints one in which nothing is set; `None` where it prints none.
pub fn empty_status(gvk: &Gvk) -> Option<Value> {
    match &types().of(gvk)?.field("status")?.unset {
        Unset::Printed(value) => Some(value.clone()),
        Unset::Omitted => None,
    }
}
