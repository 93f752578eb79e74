//! The REST API as the administrator: requests, and what discovery says of kinds.

use std::io::Write;

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use serde_json::Value;
use skiff_client::grpc::Credentials;
use skiff_proto::status::Status;

use crate::cluster::files::Files;
use crate::cluster::services::server_of;
use crate::cluster::spec::ClusterSpec;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// One served kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// Empty for core.
    pub group: String,
    /// `v1`
    pub version: String,
    /// `Pod`
    pub kind: String,
    /// `pods`
    pub plural: String,
    /// `pod`
    pub singular: String,
    /// `po`
    pub short_names: Vec<String>,
    /// `all`
    pub categories: Vec<String>,
    /// Whether it lives in namespaces.
    pub namespaced: bool,
}

impl Kind {
    /// `apps/v1`
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pod`, `deployment.apps`
    pub fn singular_group(&self) -> String {
        if self.group.is_empty() { self.singular.clone() } else { format!("{}.{}", self.singular, self.group) }
    }

    /// The path of an object, or with an empty name of the collection; an empty namespace means all.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let mut path = if self.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}", self.api_version()) };
        if self.namespaced && !namespace.is_empty() {
            path.push_str(&format!("/namespaces/{namespace}"));
        }
        path.push_str(&format!("/{}", self.plural));
        if !name.is_empty() {
            path.push_str(&format!("/{name}"));
        }
        path
    }

    /// The kinds that `word` means: `po`, `pods`, `Pod`, `deployments.apps`, or a category as `all`.
    pub fn choose<'a>(kinds: &'a [Kind], word: &str) -> Result<Vec<&'a Kind>> {
        let lower = word.to_lowercase();
        let (name, group) = lower.split_once('.').unwrap_or((&lower, ""));
        let is_meant = |kind: &&Kind| {
            let named = kind.plural == name || kind.singular == name || kind.short_names.iter().any(|short| short == name);
            named && (group.is_empty() || kind.group == group)
        };
        if let Some(kind) = kinds.iter().find(is_meant) {
            return Ok(vec![kind]);
        }
        let of_category: Vec<&Kind> = kinds.iter().filter(|kind| kind.categories.contains(&lower)).collect();
        if of_category.is_empty() {
            bail!("the server doesn't have a resource type \"{word}\"");
        }
        Ok(of_category)
    }
}

/// A connection to the API server.
pub struct Rest {
    server: String,
    http: reqwest::Client,
}

impl Rest {
    /// To the cluster of this data directory, as its administrator.
    pub fn new(files: &Files) -> Result<Self> {
        let spec = ClusterSpec::read(&files.spec())?;
        let server = server_of(files, spec.map(|spec| format!("https://127.0.0.1:{}", spec.port)))?;
        let mut tls = Credentials::of(&files.pki(), "admin").client_config().context("there is no cluster here: `skiff up` makes one")?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http = reqwest::Client::builder().use_preconfigured_tls(tls).build()?;
        Ok(Self { server, http })
    }

    /// What is served, the preferred version of each kind first.
    pub async fn kinds(&self) -> Result<Vec<Kind>> {
        let mut kinds = Vec::new();
        for root in ["/api", "/apis"] {
            let groups = self.get_as(root, DISCOVERY).await?;
            for group in groups["items"].as_array().into_iter().flatten() {
                for version in group["versions"].as_array().into_iter().flatten() {
                    let resources = version["resources"].as_array().into_iter().flatten();
                    kinds.extend(resources.map(|resource| kind_of(&group["metadata"]["name"], &version["version"], resource)));
                }
            }
        }
        Ok(kinds)
    }

    /// One object or a list.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.get_as(path, "application/json").await
    }

    /// One object, or none where there is none.
    pub async fn get_optional(&self, path: &str) -> Result<Option<Value>> {
        let response = self.http.get(self.url(path)).send().await.context("the API server")?;
        if response.status() == reqwest::StatusCode::NOT_FOUND { Ok(None) } else { answer(response).await.map(Some) }
    }

    /// Objects as the server would have them shown.
    pub async fn table(&self, path: &str) -> Result<Value> {
        self.get_as(path, TABLE).await
    }

    /// Creates an object in a collection.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        let request = self.http.post(self.url(&with_manager(path))).header("Content-Type", "application/json").body(object.to_string());
        answer(request.send().await.context("the API server")?).await
    }

    /// Changes an object by a strategic merge patch.
    pub async fn patch(&self, path: &str, patch: &Value) -> Result<Value> {
        let request = self.http.patch(self.url(&with_manager(path))).header("Content-Type", "application/strategic-merge-patch+json").body(patch.to_string());
        answer(request.send().await.context("the API server")?).await
    }

    /// Deletes an object, or begins to.
    pub async fn delete(&self, path: &str) -> Result<Value> {
        answer(self.http.delete(self.url(path)).send().await.context("the API server")?).await
    }

    /// Copies an answer to standard output as it comes.
    pub async fn stream_to_stdout(&self, path: &str) -> Result<()> {
        let response = self.http.get(self.url(path)).send().await.context("the API server")?;
        if !response.status().is_success() {
            return answer(response).await.map(drop);
        }
        let mut chunks = response.bytes_stream();
        let mut stdout = std::io::stdout().lock();
        while let Some(chunk) = chunks.next().await {
            stdout.write_all(&chunk?)?;
            stdout.flush()?;
        }
        Ok(())
    }

    async fn get_as(&self, path: &str, accept: &str) -> Result<Value> {
        answer(self.http.get(self.url(path)).header("Accept", accept).send().await.context("the API server")?).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }
}

/// Says who writes, and that a misspelt field is an error.
fn with_manager(path: &str) -> String {
    format!("{path}?fieldManager=skiff&fieldValidation=Strict")
}

/// What the API server would not do, in its words.
#[derive(Debug, thiserror::Error)]
#[error("{} ({})", .0.message, .0.reason)]
pub struct Refused(pub Status);

async fn answer(response: reqwest::Response) -> Result<Value> {
    let code = response.status();
    for warning in response.headers().get_all("Warning") {
        let text = warning.to_str().unwrap_or_default();
        eprintln!("Warning: {}", text.splitn(3, ' ').nth(2).unwrap_or(text).trim_matches('"'));
    }
    let body = response.bytes().await?;
    if code.is_success() {
        return serde_json::from_slice(&body).context("the API server's answer");
    }
    match serde_json::from_slice::<Status>(&body) {
        Ok(status) => Err(Refused(status).into()),
        Err(_) => bail!("{code}: {}", String::from_utf8_lossy(&body)),
    }
}

/// A manifest from anywhere on the web.
pub async fn fetch(url: &str) -> Result<String> {
    Ok(reqwest::get(url).await?.error_for_status()?.text().await?)
}

/// A query value with everything escaped that means something in a URL.
pub fn escape(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn kind_of(group: &Value, version: &Value, resource: &Value) -> Kind {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    Kind {
        group: text(group),
        version: text(version),
        kind: text(&resource["responseKind"]["kind"]),
        plural: text(&resource["resource"]),
        singular: text(&resource["singularResource"]),
        short_names: list(&resource["shortNames"]),
        categories: list(&resource["categories"]),
        namespaced: resource["scope"] == "Namespaced",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_chosen_as_kubectl_does() {
        let pod = Kind { version: "v1".into(), kind: "Pod".into(), plural: "pods".into(), singular: "pod".into(), ..Kind::default() };
        let pod = Kind { short_names: vec!["po".into()], categories: vec!["all".into()], namespaced: true, ..pod };
        let deployment = Kind { group: "apps".into(), version: "v1".into(), plural: "deployments".into(), singular: "deployment".into(), ..Kind::default() };
        let deployment = Kind { categories: vec!["all".into()], namespaced: true, ..deployment };
        let kinds = [pod, deployment];
        for (word, count) in [("po", 1), ("Pods", 1), ("deployments.apps", 1), ("all", 2)] {
            assert_eq!(Kind::choose(&kinds, word).unwrap().len(), count, "{word}");
        }
        assert!(Kind::choose(&kinds, "pods.apps").is_err());
        assert_eq!(kinds[0].path("default", "a"), "/api/v1/namespaces/default/pods/a");
        assert_eq!(kinds[1].path("", ""), "/apis/apps/v1/deployments");
    }

    #[test]
    fn query_values_are_escaped() {
        assert_eq!(escape("a=b,c in (d)"), "a%3Db%2Cc%20in%20%28d%29");
    }
}
