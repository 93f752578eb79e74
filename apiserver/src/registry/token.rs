//! `POST …/serviceaccounts/x/token`: a token for a service account. See `pkg/registry/core/serviceaccount/storage/token.go`.

use serde_json::{Value, json};
use skiff_proto::status::Status;

use super::call::Call;
use super::clock::{rfc3339, uuid};
use super::{body, meta};
use crate::auth::token::{Claim, ISSUER};
use crate::dispatch::{ApiResponse, Item};
use crate::error::{FieldError, failure};
use crate::kinds::json::{has, int, is_empty, items, text};
use crate::schema::Gvk;

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
        if is_empty(&request["spec"]["audiences"]) {
            request["spec"]["audiences"] = json!([ISSUER]);
        }
        request["spec"]["expirationSeconds"] = Value::from(seconds);
        let issued = self.now / 1_000_000;
        let audiences: Vec<String> = items(&request["spec"]["audiences"]).iter().map(|one| text(one).to_owned()).collect();
        let claim = Claim {
            namespace: self.namespace(),
            name: self.name(),
            uid: meta::get(&account, "uid"),
            audiences: &audiences,
            issued,
            expires: issued + seconds,
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
