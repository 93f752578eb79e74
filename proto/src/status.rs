//! `metav1.Status`: the one shape in which a refused request is told, over REST and (as JSON in the details of a gRPC status) between services.

use serde::{Deserialize, Serialize};
use tonic::Code;

/// Kubernetes' answer to a request that did not succeed. See `apimachinery/pkg/apis/meta/v1/types.go`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Always `Status`.
    pub kind: String,
    /// Always `v1`.
    pub api_version: String,
    /// Always present, mostly empty.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// `Failure`, or `Success` for a deletion that left nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The sentence that people read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// `NotFound`, `AlreadyExists`, `Conflict`, `Invalid`, …: what programs read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Which object, and what is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The HTTP status code.
    #[serde(skip_serializing_if = "is_zero")]
    pub code: u16,
}

/// `metav1.StatusDetails`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind or, for some reasons, the resource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One entry a fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub retry_after_seconds: u32,
}

/// `metav1.StatusCause`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The sentence, without the field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// `spec.containers[0].name`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

fn is_zero(code: &u16) -> bool {
    *code == 0
}

fn is_zero_u32(seconds: &u32) -> bool {
    *seconds == 0
}

impl Status {
    /// A failure with this code, reason and message.
    pub fn failure(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            kind: "Status".to_owned(),
            api_version: "v1".to_owned(),
            status: "Failure".to_owned(),
            message: message.into(),
            reason: reason.to_owned(),
            code,
            ..Self::default()
        }
    }

    /// The object is not there.
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    /// Another object has the name already.
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    /// Somebody wrote in between: read again and try again.
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    /// The revision asked for is no longer kept: list again.
    pub fn is_expired(&self) -> bool {
        self.code == 410
    }

    /// Whether the same request may succeed later: the server could not be reached, was busy, or failed.
    pub fn is_retryable(&self) -> bool {
        self.code >= 500 || self.code == 429
    }
}

impl From<Status> for tonic::Status {
    fn from(status: Status) -> Self {
        let code = match status.code {
            400 | 422 | 415 | 413 => Code::InvalidArgument,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::NotFound,
            409 if status.reason == "AlreadyExists" => Code::AlreadyExists,
            409 => Code::Aborted,
            410 => Code::OutOfRange,
            429 => Code::ResourceExhausted,
            503 => Code::Unavailable,
            504 => Code::DeadlineExceeded,
            _ => Code::Internal,
        };
        let details = serde_json::to_vec(&status).unwrap_or_default(); // strings and numbers only: cannot fail
        Self::with_details(code, status.message, details.into())
    }
}

impl From<tonic::Status> for Status {
    /// A status that does not come from the API server (a broken connection, say) becomes `ServiceUnavailable`.
    fn from(status: tonic::Status) -> Self {
        match serde_json::from_slice::<Status>(status.details()) {
            Ok(told) if told.code != 0 => told,
            _ => Self::failure(503, "ServiceUnavailable", format!("{}: {}", status.code(), status.message())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_grpc() {
        let told = Status::failure(409, "Conflict", "try again");
        assert_eq!(Status::from(tonic::Status::from(told.clone())), told);
    }

    #[test]
    fn broken_connection_is_retryable() {
        assert!(Status::from(tonic::Status::unknown("transport error")).is_retryable());
    }
}
