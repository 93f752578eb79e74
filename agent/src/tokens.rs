//! Tokens of service accounts, as a pod's volumes ask for them: requested when they are first needed, kept while they are fresh.
//!
//! See `pkg/kubelet/token/token_manager.go`: a token is asked for anew once four fifths of its time are over, or after a day. A token
//! that cannot be renewed is used until it ends.

use crate::clock::after;
use crate::objects::Sources;
use crate::pod;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use skiff_client::api::Api;
use skiff_proto::{resource, v1};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a projected volume asks for: an audience (empty: the API server) and a lifetime in seconds.
pub type Asked = (String, i64);

/// The token, or why there is none.
pub type Answer = (Asked, Result<String, String>);

/// No token is kept longer: `maxTTL`.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The tokens of one pod.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    kept: BTreeMap<Asked, Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    token: String,
    renew: Timestamp,
    ends: Timestamp,
}

impl Tokens {
    /// The tokens that have to be asked for now.
    pub fn due(&self, pod: &Pod, now: Timestamp) -> Vec<Asked> {
        asked(pod).into_iter().filter(|asked| self.kept.get(asked).is_none_or(|kept| kept.renew <= now)).collect()
    }

    /// What the API server answered; an error counts only where there is no token that still holds.
    pub fn take(&mut self, asked: Asked, answer: Result<String, String>, now: Timestamp) -> Result<String, String> {
        let seconds = Duration::from_secs(asked.1.try_into().unwrap_or(0));
        match (answer, self.kept.get(&asked)) {
            (Ok(token), _) => {
                let kept = Kept { token: token.clone(), renew: after(now, (seconds * 4 / 5).min(LONGEST)), ends: after(now, seconds) };
                self.kept.insert(asked, kept);
                Ok(token)
            }
            (Err(_), Some(kept)) if kept.ends > now => Ok(kept.token.clone()),
            (Err(message), _) => Err(message),
        }
    }

    /// Puts every token that the pod's volumes need into `sources`: what [`request`] was answered, and what is kept.
    pub fn fill(&mut self, answers: Vec<Answer>, sources: &mut Sources, now: Timestamp) {
        for (asked, answer) in answers {
            let token = self.take(asked.clone(), answer, now);
            sources.tokens.insert(asked, token);
        }
        for (asked, kept) in &self.kept {
            sources.tokens.entry(asked.clone()).or_insert_with(|| Ok(kept.token.clone()));
        }
    }
}

/// The tokens that the volumes of a pod ask for.
pub fn asked(pod: &Pod) -> BTreeSet<Asked> {
    let volumes = pod::spec(pod).volumes.iter().flatten().filter_map(|volume| volume.projected.as_ref());
    let sources = volumes.flat_map(|projected| projected.sources.iter().flatten()).filter_map(|source| source.service_account_token.as_ref());
    sources.map(|token| (token.audience.clone().unwrap_or_default(), token.expiration_seconds.unwrap_or(3600))).collect()
}

/// Asks the API server for these tokens.
pub async fn request(api: &dyn Api, pod: &Pod, due: Vec<Asked>) -> Vec<Answer> {
    let answers = due.into_iter().map(|asked| async move {
        let answer = request_one(api, pod, &asked).await;
        (asked, answer)
    });
    futures::future::join_all(answers).await
}

/// A token of the pod's service account, bound to the pod (`TokenRequest`).
async fn request_one(api: &dyn Api, pod: &Pod, (audience, seconds): &Asked) -> Result<String, String> {
    let id = pod::id(pod);
    let account = pod::spec(pod).service_account_name.clone().unwrap_or_else(|| "default".to_owned());
    let audiences: Vec<&String> = Some(audience).into_iter().filter(|audience| !audience.is_empty()).collect();
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": audiences, "expirationSeconds": seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": id.name, "uid": id.uid}}
    });
    let request = v1::CreateRequest {
        resource: resource::SERVICEACCOUNTS.into(),
        namespace: id.namespace.clone(),
        name: account,
        subresource: "token".into(),
        json: body.to_string().into(),
        ..Default::default()
    };
    let object = api.create(request).await.map_err(|status| status.message)?;
    let value: serde_json::Value = serde_json::from_slice(&object.json).map_err(|error| error.to_string())?;
    value["status"]["token"].as_str().map(str::to_owned).ok_or_else(|| "the API server's answer holds no token".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_after_four_fifths_of_its_time() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"containers": [], "volumes": [
            {"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 1000}}]}},
            {"name": "w", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 1000000, "audience": "x"}}]}}
        ]}}))
        .unwrap();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let at = |seconds| after(start, Duration::from_secs(seconds));
        let (short, long) = ((String::new(), 1000), ("x".to_owned(), 1_000_000));
        let mut tokens = Tokens::default();
        assert_eq!(tokens.due(&pod, start), [short.clone(), long.clone()]);
        for asked in [&short, &long] {
            assert_eq!(tokens.take(asked.clone(), Ok("one".into()), start), Ok("one".into()));
        }
        assert!(tokens.due(&pod, at(799)).is_empty());
        assert_eq!(tokens.due(&pod, at(800)), std::slice::from_ref(&short));
        assert_eq!(tokens.due(&pod, at(86_400)), [short.clone(), long]);
        assert_eq!(tokens.take(short.clone(), Err("no".into()), at(900)), Ok("one".into()));
        assert_eq!(tokens.take(short.clone(), Err("no".into()), at(1000)), Err("no".into()));
        assert_eq!(tokens.take(short, Ok("two".into()), at(1000)), Ok("two".into()));
    }
}
