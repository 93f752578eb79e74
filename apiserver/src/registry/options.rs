//! The query of a request: `ListOptions`, `GetOptions`, `CreateOptions`, `UpdateOptions`, `PatchOptions` and `DeleteOptions` in one,
//! as `apimachinery/pkg/apis/meta/v1/types.go` names their fields. Their validation is that of `…/meta/v1/validation`
//! and `…/meta/internalversion/validation`.

use serde_json::Value;
use skiff_proto::status::Status;

use crate::dispatch::RequestInfo;
use crate::error::{FieldError, failure};
use crate::http::query::Query;
use crate::schema::FieldValidation;

/// Everything that a query may ask. Validated where it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `dryRun`: each value that was given; only `All` is valid.
    pub dry_run: Vec<String>,
    /// `fieldManager`
    pub field_manager: String,
    /// `fieldValidation`, as it was given; see [`Options::validation`].
    pub field_validation: String,
    /// `force`, of an apply patch.
    pub force: Option<bool>,
    /// `limit`; 0: none.
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
    /// `propagationPolicy`
    pub propagation_policy: Option<String>,
    /// `orphanDependents`
    pub orphan_dependents: Option<bool>,
    /// `preconditions.uid` of a deletion's body.
    pub precondition_uid: Option<String>,
    /// `preconditions.resourceVersion` of a deletion's body.
    pub precondition_resource_version: Option<String>,
    /// A deletion answers the object whatever its kind (gRPC).
    pub answer_object: bool,
    /// Every pair of the query, decoded: what subresources that connect read (`container`, `follow`, `command` …).
    pub all: Vec<(String, String)>,
}

impl Options {
    /// Reads a query string (without `?`). Fails as Kubernetes does on a value of a wrong type.
    pub fn from_query(info: &RequestInfo, query: &str) -> Result<Self, Status> {
        if query.is_empty() {
            return Ok(Self::default());
        }
        let query = Query::parse(query);
        let text = |name: &str| query.get(name).unwrap_or("").to_owned();
        let optional_flag = |name: &str| query.get(name).map(|_| query.flag(name));
        if !info.subresource.is_empty() && matches!(info.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy") {
            let all = query.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            return Ok(Self { all, ..Self::default() }); // their own options, read by who connects
        }
        Ok(Self {
            dry_run: query.all("dryRun").map(str::to_owned).collect(),
            field_manager: text("fieldManager"),
            field_validation: text("fieldValidation"),
            force: optional_flag("force"),
            limit: integer(query.get("limit"))?.map_or(0, |limit| u64::try_from(limit).unwrap_or(0)), // below zero: no limit
            continue_token: text("continue"),
            resource_version: text("resourceVersion"),
            resource_version_match: text("resourceVersionMatch"),
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            watch: query.flag("watch"),
            allow_watch_bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events: optional_flag("sendInitialEvents"),
            timeout_seconds: integer(query.get("timeoutSeconds"))?.and_then(|seconds| u64::try_from(seconds).ok()), // below zero: none
            grace_period_seconds: integer(query.get("gracePeriodSeconds"))?,
            propagation_policy: query.get("propagationPolicy").map(str::to_owned),
            orphan_dependents: optional_flag("orphanDependents"),
            precondition_uid: None,
            precondition_resource_version: None,
            answer_object: false,
            all: query.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        })
    }

    /// What to do with unknown fields: `Warn` unless said otherwise.
    pub fn validation(&self) -> FieldValidation {
        match self.field_validation.as_str() {
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            _ => FieldValidation::Warn, // what else there is has been refused by `validate_write`
        }
    }

    /// Whether nothing is to be stored.
    pub fn is_dry_run(&self) -> bool {
        !self.dry_run.is_empty()
    }

    /// `ValidateCreateOptions`, `ValidateUpdateOptions`; `kind` is `CreateOptions` or `UpdateOptions`.
    pub fn validate_write(&self, kind: &str) -> Result<(), Status> {
        refuse(kind, self.write_errors())
    }

    /// `ValidatePatchOptions`.
    pub fn validate_patch(&self, is_apply: bool) -> Result<(), Status> {
        let mut errors = Vec::new();
        if is_apply && self.field_manager.is_empty() {
            errors.push(FieldError::required("fieldManager", "is required for apply patch"));
        }
        if !is_apply && self.force.is_some() {
            errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
        }
        errors.extend(self.write_errors());
        refuse("PatchOptions", errors)
    }

    /// `ValidateDeleteOptions`.
    pub fn validate_delete(&self) -> Result<(), Status> {
        let mut errors = Vec::new();
        if let Some(policy) = &self.propagation_policy {
            if self.orphan_dependents.is_some() {
                let why = "orphanDependents and deletionPropagation cannot be both set";
                errors.push(FieldError::invalid("propagationPolicy", policy.as_str(), why));
            }
            if !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan") {
                let known = ["Foreground", "Background", "Orphan", "nil"];
                errors.push(FieldError::not_supported_as_listed("propagationPolicy", policy.as_str(), &known));
            }
        }
        errors.extend(self.dry_run_error());
        refuse("DeleteOptions", errors)
    }

    /// `ValidateListOptions`.
    pub fn validate_list(&self) -> Result<(), Status> {
        let mut errors = Vec::new();
        let given = self.resource_version_match.as_str();
        if !given.is_empty() {
            let mut forbid = |why: &str| errors.push(FieldError::forbidden("resourceVersionMatch", why));
            if self.resource_version.is_empty() {
                forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if !self.continue_token.is_empty() {
                forbid("resourceVersionMatch is forbidden when continue is provided");
            }
            if !matches!(given, "Exact" | "NotOlderThan") {
                errors.push(FieldError::not_supported_as_listed("resourceVersionMatch", given, &["Exact", "NotOlderThan", ""]));
            }
            if given == "Exact" && self.resource_version == "0" {
                errors.push(FieldError::forbidden("resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
            }
        }
        if self.send_initial_events.is_some() {
            errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        refuse("ListOptions", errors)
    }

    /// `validateWatchOptions`.
    pub fn validate_watch(&self) -> Result<(), Status> {
        let mut errors = Vec::new();
        let given = self.resource_version_match.as_str();
        let mut forbid = |why: &str| errors.push(FieldError::forbidden("resourceVersionMatch", why));
        if self.send_initial_events.is_some() && given != "NotOlderThan" {
            forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        if !given.is_empty() {
            if self.send_initial_events.is_none() {
                forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
            }
            if given != "NotOlderThan" {
                errors.push(FieldError::not_supported_as_listed("resourceVersionMatch", given, &["NotOlderThan"]));
            }
            if !self.continue_token.is_empty() {
                errors.push(FieldError::forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
            }
        }
        refuse("ListOptions", errors)
    }

    fn write_errors(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.field_manager.len() > 128 {
            errors.push(FieldError::too_long("fieldManager", 128));
        }
        for (at, c) in self.field_manager.char_indices().filter(|(_, c)| c.is_control()) {
            let why = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
            errors.push(FieldError::invalid("fieldManager", self.field_manager.as_str(), why));
        }
        errors.extend(self.dry_run_error());
        if !matches!(self.field_validation.as_str(), "" | "Ignore" | "Warn" | "Strict") {
            let known = ["", "Ignore", "Strict", "Warn"];
            errors.push(FieldError::not_supported_as_listed("fieldValidation", self.field_validation.as_str(), &known));
        }
        errors
    }

    fn dry_run_error(&self) -> Option<FieldError> {
        let wrong = self.dry_run.iter().any(|value| value != "All");
        wrong.then(|| FieldError::not_supported("dryRun", Value::from(self.dry_run.clone()), &["All"]))
    }
}

fn refuse(kind: &str, errors: Vec<FieldError>) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(failure::invalid("meta.k8s.io", kind, "", &errors)) }
}

fn integer(value: Option<&str>) -> Result<Option<i64>, Status> {
    let Some(text) = value else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(number) => Ok(Some(number)),
        Err(why) => {
            let range = matches!(why.kind(), std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow);
            let told = if range { "value out of range" } else { "invalid syntax" };
            Err(failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: {told}")))
        }
    }
}

/// `ParseResourceVersion`: the number of a resourceVersion; `None` where none is given.
pub fn revision(text: &str) -> Result<Option<u64>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<u64>() {
        Ok(number) if !text.starts_with('+') => Ok(Some(number)),
        _ => {
            let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            let fault = FieldError::invalid("resourceVersion", text, why);
            Err(failure::bad_request(format!("invalid resource version: {fault}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Verb;

    fn info(verb: Verb) -> RequestInfo {
        RequestInfo {
            verb,
            group: String::new(),
            version: "v1".to_owned(),
            resource: "configmaps".to_owned(),
            subresource: String::new(),
            namespace: "default".to_owned(),
            name: String::new(),
            rest: String::new(),
        }
    }

    #[test]
    fn wrong_types_are_told() {
        let told = |query| Options::from_query(&info(Verb::List), query).unwrap_err().message;
        assert_eq!(told("limit=x"), "strconv.ParseInt: parsing \"x\": invalid syntax");
        assert_eq!(told("timeoutSeconds=99999999999999999999"), "strconv.ParseInt: parsing \"99999999999999999999\": value out of range");
        assert_eq!(Options::from_query(&info(Verb::List), "limit=-1").unwrap().limit, 0);
    }

    #[test]
    fn combinations_are_told() {
        let list = |query: &str| Options::from_query(&info(Verb::List), query).unwrap().validate_list();
        assert_eq!(
            list("resourceVersionMatch=Nonsense&resourceVersion=1").unwrap_err().message,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported value: \"Nonsense\": supported values: \"Exact\", \"NotOlderThan\", \"\""
        );
        assert_eq!(list("resourceVersionMatch=Exact&resourceVersion=5"), Ok(()));
        let delete = |query: &str| Options::from_query(&info(Verb::Delete), query).unwrap().validate_delete();
        assert_eq!(
            delete("dryRun=All&dryRun=x").unwrap_err().message,
            "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"All\",\"x\"]: supported values: \"All\""
        );
    }
}
