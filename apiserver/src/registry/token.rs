//! `POST …/serviceaccounts/x/token`: a token for a service account. See `pkg/registry/core/serviceaccount/storage/token.go`.

use serde_json::{Value, json};
use skiff_proto::status::Status;

use super::call::Call;
use super::clock::{rfc3339, uuid};
use super::{body, meta};
use crate::admission::node::{DIFFERENT_UID_BEGIN, DIFFERENT_UID_END};
use crate::admission::service_account::TOKEN_SECONDS;
use crate::auth::bound::{Bound, Kind};
use crate::auth::token::{Claim, ISSUER};
use crate::dispatch::{ApiResponse, Item};
use crate::error::{FieldError, failure};
use crate::kinds::json::{has, int, is_empty, items, text};
use crate::schema::Gvk;

/// A pod's own token lasts this long, so that clients that read it once go on working; they ought to read it again after `TOKEN_SECONDS`.
const EXTENDED_SECONDS: i64 = 24 * 365 * 3600;
/// What a token lasts that asks for nothing: an hour.
const DEFAULT_SECONDS: i64 = 3600;

impl Call<'_> {
    /// See the module.
    pub fn token(&self) -> Result<ApiResponse, Status> {
        self.request.options.validate_write("CreateOptions")?;
        let gvk = Gvk::parse("authentication.k8s.io/v1", "TokenRequest");
        let given = self.decode_as(&gvk)?;
        let mut request = given.object;
        let named = meta::get(&request, "name");
        if !named.is_empty() && named != self.name() {
            return Err(failure::bad_request(format!("metadata.name must match the name of the service account ({})", self.name())));
        }
        let account = self.find(self.name()).ok_or_else(|| self.not_found())?;
        let account: Value = serde_json::from_slice(&account.json).map_err(|why| failure::internal(&format!("the stored object: {why}")))?;
        let seconds = if has(&request["spec"], "expirationSeconds") { int(&request["spec"]["expirationSeconds"]) } else { DEFAULT_SECONDS };
        validate(seconds)?;
        crate::admission::node::token(self, &request["spec"]["boundObjectRef"])?;
        let bound = self.bound(&request["spec"]["boundObjectRef"])?;
        if is_empty(&request["spec"]["audiences"]) {
            request["spec"]["audiences"] = json!([ISSUER]);
        }
        request["spec"]["expirationSeconds"] = Value::from(seconds);
        let issued = self.now / 1_000_000;
        let audiences: Vec<String> = items(&request["spec"]["audiences"]).iter().map(|one| text(one).to_owned()).collect();
        let of_pod = bound.first().is_some_and(|one| one.kind == Kind::Pod);
        let extended = of_pod && seconds == TOKEN_SECONDS && audiences == [ISSUER];
        let claim = Claim {
            namespace: self.namespace(),
            name: self.name(),
            uid: meta::get(&account, "uid"),
            audiences: &audiences,
            issued,
            expires: issued + if extended { EXTENDED_SECONDS } else { seconds },
            bound,
            warn_after: extended.then_some(issued + seconds),
            id: uuid(self.server.environment.random()),
        };
        let signer = self.server.authenticator().and_then(|known| known.tokens());
        let signer = signer.ok_or_else(|| Status::failure(501, "NotImplemented", "this server has no key to sign tokens with"))?;
        let token = signer.sign(&claim).map_err(|why| failure::internal(&format!("failed to generate token: {why}")))?;
        meta::prepare_for_create(&mut request, &rfc3339(self.now), uuid(self.server.environment.random()), 0);
        let metadata = meta::of(&mut request);
        metadata.insert("name".to_owned(), Value::from(self.name()));
        metadata.insert("namespace".to_owned(), Value::from(self.namespace()));
        request["status"] = json!({"token": token, "expirationTimestamp": rfc3339((issued + seconds) * 1_000_000)});
        let item = Item { key: self.key(self.name()), revision: 0, json: body::bytes(&request), version: None };
        Ok(ApiResponse { warnings: given.warnings, ..self.answer_as(201, gvk, item) })
    }

    /// The object that a token is asked to be bound to, and for a pod the node that it is on.
    fn bound(&self, reference: &Value) -> Result<Vec<Bound>, Status> {
        if reference.is_null() {
            return Ok(Vec::new());
        }
        let (api_version, kind, name) = (text(&reference["apiVersion"]), text(&reference["kind"]), text(&reference["name"]));
        let Some(kind) = Kind::of(api_version, kind) else {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            return Err(failure::bad_request(format!("cannot bind token to object of type {group}/{version}, Kind={kind}")));
        };
        let find = |kind: Kind, name: &str| {
            let found = self.server.store.find(kind.resource(), kind.namespace(self.namespace()), name)?;
            serde_json::from_slice::<Value>(&found.json).ok() // the registry wrote it: it parses
        };
        let object = find(kind, name).ok_or_else(|| failure::not_found(kind.resource(), name))?;
        if kind == Kind::Pod && text(&object["spec"]["serviceAccountName"]) != self.name() {
            let why = format!("cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.", self.name());
            return Err(failure::bad_request(why));
        }
        let (uid, wanted) = (meta::get(&object, "uid"), text(&reference["uid"]));
        if !wanted.is_empty() && wanted != uid {
            let why = format!("{DIFFERENT_UID_BEGIN} ({wanted}) {DIFFERENT_UID_END}");
            return Err(failure::conflict(kind.name(), name, &why));
        }
        let mut bound = vec![Bound { kind, name: name.to_owned(), uid: uid.to_owned() }];
        let node = text(&object["spec"]["nodeName"]);
        if kind == Kind::Pod && !node.is_empty() {
            let uid = find(Kind::Node, node).map(|node| meta::get(&node, "uid").to_owned()).unwrap_or_default();
            bound.push(Bound { kind: Kind::Node, name: node.to_owned(), uid });
        }
        Ok(bound)
    }
}

/// `ValidateTokenRequest`
fn validate(seconds: i64) -> Result<(), Status> {
    let why = match seconds {
        ..600 => "may not specify a duration less than 10 minutes",
        600..=0x1_0000_0000 => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds", // longer
    };
    let fault = FieldError::invalid("spec.expirationSeconds", seconds, why);
    Err(failure::invalid("authentication.k8s.io", "TokenRequest", "", &[fault]))
}
