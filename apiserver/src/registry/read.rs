//! `get` and `list`: what is there, at which revision, page by page.
//!
//! See `apiserver/pkg/storage/etcd3/store.go` and `apiserver/pkg/storage/continue.go`. Items are the stored bytes, shared, never parsed
//! (except where another version than the stored one is asked for).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use skiff_proto::status::{Cause, Details, Status};

use super::call::Call;
use super::convert;
use super::options::revision;
use super::selector::{Selection, parse_fields, parse_labels};
use crate::dispatch::{Answer, ApiResponse};
use crate::error::failure;
use crate::store::{Page, Revision, Version};

impl Call<'_> {
    /// `GET` of one object.
    pub fn get(&self) -> Result<ApiResponse, Status> {
        let asked = revision(&self.request.options.resource_version)?;
        self.not_from_the_future(asked)?;
        let found = self.find(self.name()).ok_or_else(|| self.not_found())?;
        Ok(self.answer(200, self.item(&found)))
    }

    /// `GET` of a collection.
    pub fn list(&self) -> Result<ApiResponse, Status> {
        let options = &self.request.options;
        options.validate_list()?;
        let selection = self.selection()?;
        let page = self.page(&selection)?;
        let items = page.versions.iter().map(|version| self.item(version)).collect();
        let answer = Answer::List {
            resource: self.resource.clone(),
            gvk: self.resource.gvk(self.version()),
            revision: page.revision,
            items,
            continue_token: page.continue_token,
            remaining: page.remaining,
        };
        Ok(ApiResponse { warnings: Vec::new(), answer })
    }

    /// What the query selects, as labels, fields and the path say.
    pub fn selection(&self) -> Result<Selection, Status> {
        let options = &self.request.options;
        let labels = parse_labels(&options.label_selector).map_err(failure::bad_request)?;
        let mut fields = parse_fields(&options.field_selector).map_err(failure::bad_request)?;
        if self.resource.group == "events.k8s.io" {
            fields.iter_mut().for_each(|one| one.field = convert::stored_event_field(&one.field));
        }
        for one in &fields {
            self.known_field(&one.field)?;
        }
        let name = self.name();
        if !name.is_empty() && !fields.iter().any(|one| one.field == "metadata.name" && !one.negated && one.value == name) {
            fields.push(super::selector::FieldRequirement { field: "metadata.name".to_owned(), negated: false, value: name.to_owned() });
        }
        Ok(Selection { labels, fields })
    }

    /// Kinds with fields of their own say so in other words than the rest (`AddFieldLabelConversionFunc`).
    fn known_field(&self, field: &str) -> Result<(), Status> {
        let own = self.resource.strategy.selectable_fields();
        let common = match field {
            "metadata.name" => true,
            "metadata.namespace" => self.resource.namespaced || own.is_empty(),
            _ => false, // a field of the kind's own
        };
        if common || own.contains(&field) {
            return Ok(());
        }
        let key = self.resource.group_resource();
        Err(failure::bad_request(match key.as_str() {
            "jobs.batch" => format!("field label {field:?} not supported for Job"),
            "resourceslices.resource.k8s.io" => format!("field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {field}"),
            _ if own.is_empty() => format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
            _ => format!("field label not supported: {field}"), // every other kind with fields of its own
        }))
    }

    /// One page of a selection, as options ask for it.
    pub fn page(&self, selection: &Selection) -> Result<Selected, Status> {
        let options = &self.request.options;
        let asked = revision(&options.resource_version)?;
        let limit = usize::try_from(options.limit).unwrap_or(usize::MAX);
        if !options.continue_token.is_empty() {
            let token = self.decode_token(&options.continue_token)?;
            if asked.is_some_and(|asked| asked != 0) {
                return Err(failure::bad_request("specifying resource version is not allowed when using continue"));
            }
            return self.take(selection, token.at, token.after(self.namespace()), limit).map_err(|_| self.too_old_to_continue(&token));
        }
        self.not_from_the_future(asked)?;
        let exact = match options.resource_version_match.as_str() {
            "Exact" => asked,
            "NotOlderThan" => None,
            _ => asked.filter(|asked| *asked > 0 && limit > 0), // not given: a paged list at a version is exact
        };
        let gone = |_| expired("The resourceVersion for the provided list is too old.");
        self.take(selection, exact, None, limit).map_err(gone)
    }

    /// At most `limit` (0: all) selected objects after a key.
    fn take(&self, selection: &Selection, at: Option<Revision>, after: Option<(String, String)>, limit: usize) -> Result<Selected, crate::store::Compacted> {
        let store = &self.server.store;
        let key = self.resource.storage_key();
        let namespace = self.scope_namespace(selection);
        if let (Some(name), Some(namespace), None, 0) = (selection.exact("metadata.name"), namespace.or((!self.resource.namespaced).then_some("")), at, limit) {
            let revision = store.revision();
            let versions = store.find(&key, namespace, name).into_iter().filter(|one| matches(selection, one)).collect();
            return Ok(Selected { versions, revision, continue_token: String::new(), remaining: None });
        }
        let want = if limit == 0 { usize::MAX } else { limit };
        let size = if selection.is_empty() { want } else { usize::MAX };
        let after = after.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
        let page: Page = store.page(&key, namespace, at, after, size)?;
        let revision = page.revision;
        let remaining = page.remaining;
        if selection.is_empty() {
            let token = if remaining > 0 { self.encode_token(page.items.last(), revision) } else { String::new() };
            let remaining = (remaining > 0).then_some(remaining as u64);
            return Ok(Selected { versions: page.items, revision, continue_token: token, remaining });
        }
        let mut versions: Vec<Arc<Version>> = Vec::new();
        for one in page.items.into_iter().filter(|one| matches(selection, one)) {
            if versions.len() == want {
                let token = self.encode_token(versions.last(), revision);
                return Ok(Selected { versions, revision, continue_token: token, remaining: None });
            }
            versions.push(one);
        }
        Ok(Selected { versions, revision, continue_token: String::new(), remaining: None })
    }

    /// The one namespace that can hold selected objects, if there is one.
    pub fn scope_namespace<'a>(&'a self, selection: &'a Selection) -> Option<&'a str> {
        if !self.resource.namespaced {
            return None;
        }
        match self.namespace() {
            "" => selection.exact("metadata.namespace"),
            given => Some(given),
        }
    }

    /// A version that is not reached yet: Kubernetes waits three seconds for it, then says this.
    fn not_from_the_future(&self, asked: Option<Revision>) -> Result<(), Status> {
        let current = self.server.store.revision();
        match asked {
            Some(asked) if asked > current => Err(too_large(asked, current)),
            Some(_) | None => Ok(()),
        }
    }

    fn encode_token(&self, last: Option<&Arc<Version>>, at: Revision) -> String {
        let Some(last) = last else { return String::new() };
        let start = if self.resource.namespaced && self.namespace().is_empty() {
            format!("{}/{}\0", last.key.namespace, last.key.name)
        } else {
            format!("{}\0", last.key.name)
        };
        Token { v: "meta.k8s.io/v1".to_owned(), rv: i64::try_from(at).unwrap_or(i64::MAX), start }.encode()
    }

    fn decode_token(&self, text: &str) -> Result<Place, Status> {
        let token = Token::decode(text).map_err(|why| failure::bad_request(format!("invalid continue token: {why}")))?;
        let at = u64::try_from(token.rv).ok();
        Ok(Place { at, start: token.start })
    }

    /// 410 with a token that goes on in a list that is no longer consistent.
    fn too_old_to_continue(&self, place: &Place) -> Status {
        let mut status = expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, \
             or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an \
             inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        );
        let token = Token { v: "meta.k8s.io/v1".to_owned(), rv: -1, start: place.start.clone() }.encode();
        status.metadata.insert("continue".to_owned(), token.into());
        status
    }
}

/// What a page holds.
pub struct Selected {
    /// The objects, in key order.
    pub versions: Vec<Arc<Version>>,
    /// The list's revision.
    pub revision: Revision,
    /// For the next page; empty: there is none.
    pub continue_token: String,
    /// How many come after, where that is known.
    pub remaining: Option<u64>,
}

/// Whether a version is selected.
pub fn matches(selection: &Selection, version: &Version) -> bool {
    if selection.is_empty() {
        return true;
    }
    if selection.by_key_only() {
        return selection.matches(&version.key.namespace, &version.key.name, &crate::store::Attributes::default());
    }
    selection.matches(&version.key.namespace, &version.key.name, version.attributes())
}

/// `Expired`, 410.
pub fn expired(why: impl Into<String>) -> Status {
    Status::failure(410, "Expired", why)
}

/// `Timeout`, 504, with `ResourceVersionTooLarge`: see `storage.NewTooLargeResourceVersionError`.
pub fn too_large(asked: Revision, current: Revision) -> Status {
    let mut status = Status::failure(504, "Timeout", format!("Timeout: Too large resource version: {asked}, current: {current}"));
    let cause = Cause { reason: "ResourceVersionTooLarge".to_owned(), message: "Too large resource version".to_owned(), field: String::new() };
    status.details = Some(Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() });
    status
}

/// Where a paged list goes on. `at`: `None` once its revision is forgotten.
struct Place {
    at: Option<Revision>,
    start: String,
}

impl Place {
    /// The key after which to go on: what was last seen ends in a zero byte.
    fn after(&self, namespace: &str) -> Option<(String, String)> {
        let start = self.start.strip_suffix('\0').unwrap_or(&self.start);
        let start = start.strip_prefix('/').unwrap_or(start);
        Some(match start.split_once('/') {
            Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
            None => (namespace.to_owned(), start.to_owned()),
        })
    }
}

/// The token's JSON, as etcd3's `continueToken`.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Token {
    v: String,
    rv: i64,
    start: String,
}

impl Token {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default()) // strings and a number: cannot fail
    }

    fn decode(text: &str) -> Result<Self, String> {
        let invalid = "continue key is not valid";
        let data = URL_SAFE_NO_PAD.decode(text).map_err(|why| format!("{invalid}: {}", base64_fault(&why)))?;
        let token: Self = serde_json::from_slice(&data).map_err(|_| format!("{invalid}: {}", json_fault(&data)))?;
        if token.v != "meta.k8s.io/v1" {
            return Err(format!("{invalid}: server does not recognize this encoded version {}", token.v));
        }
        if token.rv == 0 {
            return Err(format!("{invalid}: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        if token.start.is_empty() {
            return Err(format!("{invalid}: encoded start key empty (version meta.k8s.io/v1)"));
        }
        let path = token.start.strip_prefix('/').unwrap_or(&token.start);
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(format!("{invalid}: {}", token.start));
        }
        Ok(token)
    }
}

/// Go's words for a text that is not base64.
fn base64_fault(why: &base64::DecodeError) -> String {
    let at = match why {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        base64::DecodeError::InvalidLength(length) => length.saturating_sub(1),
        base64::DecodeError::InvalidPadding => 0,
    };
    format!("illegal base64 data at input byte {at}")
}

/// Go's words for bytes that are not the token's JSON.
fn json_fault(data: &[u8]) -> String {
    match data.first() {
        None => "unexpected end of JSON input".to_owned(),
        Some(b'{') => "unexpected end of JSON input".to_owned(),
        Some(byte) => {
            let shown = if byte.is_ascii_graphic() { char::from(*byte).to_string() } else { format!("\\u{:04x}", byte) };
            format!("invalid character '{shown}' looking for beginning of value")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_are_none_say_why() {
        let table = [
            ("nonsense", "continue key is not valid: invalid character '\\u009e' looking for beginning of value"),
            ("e30", "continue key is not valid: server does not recognize this encoded version "),
            ("eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIuLi94In0", "continue key is not valid: ../x"),
        ];
        for (text, why) in table {
            assert_eq!(Token::decode(text).err().as_deref(), Some(why));
        }
        let token = Token { v: "meta.k8s.io/v1".to_owned(), rv: 7, start: "a/b\0".to_owned() };
        let place = Place { at: Some(7), start: Token::decode(&token.encode()).unwrap().start };
        assert_eq!(place.after("x"), Some(("a".to_owned(), "b".to_owned())));
    }
}
