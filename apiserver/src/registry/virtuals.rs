//! Kinds that are answered and never stored: reviews of who may do what, and `componentstatuses`.
//!
//! See `pkg/registry/authorization/*/rest.go`, `pkg/registry/authentication/*/storage.go`, `pkg/registry/core/componentstatus/rest.go`.

use serde_json::{Value, json};
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;

use super::body;
use super::call::Call;
use super::clock::rfc3339;
use crate::auth::authorize::Attributes;
use crate::dispatch::{Answer, ApiResponse, Item};
use crate::error::{FieldError, failure};
use crate::kinds::json::{items, text};

impl Call<'_> {
    /// `POST` of a review.
    pub fn review(&self) -> Result<ApiResponse, Status> {
        self.request.options.validate_write("CreateOptions")?;
        let given = self.decode()?;
        let mut review = given.object;
        let status = match self.resource.plural.as_str() {
            "selfsubjectreviews" => json!({"userInfo": user_json(&self.request.user)}),
            "tokenreviews" => self.token_review(&review)?,
            "selfsubjectaccessreviews" => self.access(&review, &self.request.user)?,
            "subjectaccessreviews" | "localsubjectaccessreviews" => {
                let user = self.subject(&review)?;
                self.access(&review, &user)?
            }
            "selfsubjectrulesreviews" => self.rules_review(&mut review)?,
            other => return Err(failure::internal(&format!("{other} has no review"))),
        };
        review["status"] = status;
        if self.resource.plural == "selfsubjectreviews" {
            review["metadata"]["creationTimestamp"] = Value::from(rfc3339(self.now));
        }
        let item = Item { key: self.key(""), revision: 0, json: body::bytes(&review), version: None };
        Ok(ApiResponse { warnings: given.warnings, ..self.answer(201, item) })
    }

    fn access(&self, review: &Value, user: &UserInfo) -> Result<Value, Status> {
        let spec = &review["spec"];
        let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
        let mut errors = Vec::new();
        if !resource.is_null() && !path.is_null() {
            errors.push(FieldError::invalid("spec.nonResourceAttributes", path.clone(), "cannot be specified in combination with resourceAttributes"));
        }
        if resource.is_null() && path.is_null() {
            errors.push(FieldError::invalid(
                "spec.resourceAttributes",
                Value::Null,
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            ));
        }
        self.refuse(review, &errors)?;
        if self.resource.plural == "localsubjectaccessreviews" && text(&resource["namespace"]) != self.namespace() {
            return Err(failure::bad_request(format!("spec.resourceAttributes.namespace must match namespace: {}", self.namespace())));
        }
        let decision = if path.is_null() {
            self.server.authorizer.resource(
                user,
                &Attributes {
                    verb: text(&resource["verb"]),
                    group: text(&resource["group"]),
                    resource: text(&resource["resource"]),
                    subresource: text(&resource["subresource"]),
                    namespace: text(&resource["namespace"]),
                    name: text(&resource["name"]),
                },
                &self.server.store,
            )
        } else {
            self.server.authorizer.path(user, text(&path["verb"]), text(&path["path"]), &self.server.store)
        };
        let mut status = json!({"allowed": decision.allowed});
        if !decision.reason.is_empty() {
            status["reason"] = Value::from(decision.reason);
        }
        Ok(status)
    }

    fn subject(&self, review: &Value) -> Result<UserInfo, Status> {
        let spec = &review["spec"];
        let groups: Vec<String> = items(&spec["groups"]).iter().map(|one| text(one).to_owned()).collect();
        if text(&spec["user"]).is_empty() && groups.is_empty() {
            let fault = FieldError::invalid("spec.user", "", "at least one of user or group must be specified");
            self.refuse(review, &[fault])?;
        }
        Ok(UserInfo { name: text(&spec["user"]).to_owned(), groups, ..UserInfo::default() })
    }

    fn token_review(&self, review: &Value) -> Result<Value, Status> {
        let token = text(&review["spec"]["token"]);
        if token.is_empty() {
            return Err(failure::bad_request("token is required for TokenReview in authentication"));
        }
        Ok(match self.server.authenticator().and_then(|known| known.token(token, self.now / 1_000_000)) {
            Some(user) => json!({"authenticated": true, "user": user_json(&user), "audiences": ["https://kubernetes.default.svc.cluster.local"]}),
            None => json!({"user": {}, "error": "[invalid bearer token, token lookup failed]"}),
        })
    }

    fn rules_review(&self, review: &mut Value) -> Result<Value, Status> {
        let namespace = text(&review["spec"]["namespace"]).to_owned();
        if namespace.is_empty() {
            return Err(failure::bad_request("no namespace on request"));
        }
        review["spec"] = json!({});
        Ok(self.server.authorizer.rules(&self.request.user, &namespace, &self.server.store))
    }

    /// `componentstatuses`: deprecated; says that there is nothing that this server could probe.
    pub fn component_statuses(&self) -> Result<ApiResponse, Status> {
        let mut items = Vec::new();
        for name in ["controller-manager", "etcd-0", "scheduler"] {
            let object = json!({
                "apiVersion": "v1", "kind": "ComponentStatus", "metadata": {"name": name},
                "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
            });
            items.push(Item { key: self.key(name), revision: 0, json: body::bytes(&object), version: None });
        }
        if !self.name().is_empty() {
            let found = items.into_iter().find(|one| &*one.key.name == self.name()).ok_or_else(|| self.not_found())?;
            return Ok(self.answer(200, found));
        }
        let answer = Answer::List {
            resource: self.resource.clone(),
            gvk: self.resource.gvk(self.version()),
            revision: self.server.store.revision(),
            items,
            continue_token: String::new(),
            remaining: None,
        };
        Ok(ApiResponse { warnings: Vec::new(), answer })
    }
}

fn user_json(user: &UserInfo) -> Value {
    let mut json = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        json["uid"] = Value::from(user.uid.as_str());
    }
    if !user.extra.is_empty() {
        json["extra"] = json!(user.extra);
    }
    json
}
