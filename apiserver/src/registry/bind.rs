//! Many bindings at once: one commit for all of them, so that a scheduler's burst costs one sync of the disk.

use serde_json::json;
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;
use skiff_proto::v1::Binding;

use super::call::Call;
use super::options::Options;
use crate::dispatch::{ApiRequest, RequestInfo, Server, Verb};
use crate::error::failure;
use crate::store::{CommitError, Write};

/// How often a binding is made anew when somebody wrote the pod in between.
const TRIES: usize = 64;

impl Server {
    /// Binds pods to nodes, each as `POST …/pods/x/binding` would; one answer a binding, in order.
    pub async fn bind_all(&self, user: UserInfo, bindings: Vec<Binding>) -> Vec<Result<(), Status>> {
        let requests: Vec<ApiRequest> = bindings.iter().map(|one| request(&user, one)).collect();
        let mut results: Vec<Result<(), Status>> = Vec::with_capacity(bindings.len());
        let mut writes = Vec::new();
        let mut written = Vec::new();
        for (index, (asked, binding)) in requests.iter().zip(&bindings).enumerate() {
            let write = self.authorizer.check(&user, &asked.info, &self.store).and_then(|()| self.binding(asked, binding));
            match write {
                Ok(write) => {
                    writes.push(write);
                    written.push(index);
                    results.push(Ok(()));
                }
                Err(status) => results.push(Err(status)),
            }
        }
        if writes.is_empty() || self.store.commit(writes).await.is_ok() {
            return results;
        }
        // One of them met another write: now each by itself.
        for index in written {
            results[index] = self.bind_one(&requests[index], &bindings[index]).await;
        }
        results
    }

    async fn bind_one(&self, asked: &ApiRequest, binding: &Binding) -> Result<(), Status> {
        for _ in 0..TRIES {
            let write = self.binding(asked, binding)?;
            match self.store.commit(vec![write]).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Missing(_)) => return Err(failure::not_found("pods", &binding.name)),
                Err(other) => return Err(self.pods(asked)?.commit_error(&binding.name, other)),
            }
        }
        Err(failure::conflict("pods", &binding.name, super::update::MODIFIED))
    }

    fn binding(&self, asked: &ApiRequest, binding: &Binding) -> Result<Write, Status> {
        if binding.node.is_empty() {
            return Err(Status::failure(500, "", "target.name: Required value"));
        }
        let body = json!({"metadata": {"name": binding.name, "uid": binding.uid}, "target": {"kind": "Node", "name": binding.node}});
        self.pods(asked)?.binding_write(&binding.name, &body)
    }

    fn pods<'a>(&'a self, asked: &'a ApiRequest) -> Result<Call<'a>, Status> {
        let resource = self.resources().find_key("pods").cloned().ok_or_else(failure::no_such_resource)?;
        Ok(Call::new(self, asked, resource))
    }
}

fn request(user: &UserInfo, binding: &Binding) -> ApiRequest {
    ApiRequest {
        user: user.clone(),
        info: RequestInfo {
            verb: Verb::Create,
            group: String::new(),
            version: "v1".to_owned(),
            resource: "pods".to_owned(),
            subresource: "binding".to_owned(),
            namespace: binding.namespace.clone(),
            name: binding.name.clone(),
            rest: String::new(),
        },
        options: Options::default(),
        content_type: String::new(),
        user_agent: String::new(),
        body: bytes::Bytes::new(),
    }
}
