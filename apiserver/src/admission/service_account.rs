//! `ServiceAccount`: every pod runs as an account of its namespace, gets a token of it and a way to the API server, and the account's
//! secrets for pulling images.
//!
//! See `plugin/pkg/admission/serviceaccount/admission.go`. [`admit`] decides over an account that was found; [`wait`] gives the controller
//! that makes each namespace's `default` account a moment, as `getServiceAccount` does.

use std::time::Duration;

use serde_json::{Value, json};
use skiff_proto::status::Status;

use crate::error::failure;
use crate::kinds::json::{flag, has, is_empty, items, items_mut, present_mut, text};
use crate::registry::call::Call;
use crate::registry::meta;
use crate::store::Scope;

const ACCOUNTS: &str = "serviceaccounts";
/// The account of pods that name none.
const DEFAULT: &str = "default";
/// Where a container finds its token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Names of the volumes that hold one begin so.
const VOLUME: &str = "kube-api-access-";
/// Makes the account's list of secrets the only ones that its pods may use.
const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";
/// Seconds that a token is asked for: `WarnOnlyBoundTokenExpirationSeconds`.
pub const TOKEN_SECONDS: i64 = 3607;
/// How long a pod waits for its namespace's account to be made: ten tries, 100 to 200 ms between them.
const PATIENCE: Duration = Duration::from_millis(1350);

/// Until the `default` account that the pod needs is there, or too much time has passed.
pub async fn wait(call: &Call<'_>, pod: &Value) {
    let named = text(&pod["spec"]["serviceAccountName"]);
    if call.resource.storage_key() != "pods" || !(named.is_empty() || named == DEFAULT) || is_mirror(pod) {
        return;
    }
    let store = &call.server.store;
    // A namespace that is not there gets no account: admission says so at once.
    if store.find(ACCOUNTS, call.namespace(), DEFAULT).is_some() || store.find("namespaces", "", call.namespace()).is_none() {
        return;
    }
    let scope = Scope { namespace: Some(call.namespace().to_owned()), name: Some(DEFAULT.to_owned()), ..Scope::all(ACCOUNTS) };
    let (listing, mut changes) = store.list_and_watch(scope);
    if listing.items.is_empty() {
        // Whatever came: admission looks for itself.
        let _ = tokio::time::timeout(PATIENCE, changes.next()).await;
    }
}

/// A new pod.
pub fn create(call: &Call<'_>, pod: &mut Value) -> Result<(), Status> {
    let forbid = |pod: &Value, why: &str| failure::forbidden("pods", name_of(pod), why);
    if is_mirror(pod) {
        return mirror(pod).map_err(|why| forbid(pod, why));
    }
    let account = account_of(call, pod).map_err(|why| forbid(pod, &why))?;
    let volume = format!("{VOLUME}{}", meta::suffix(call.server.environment.random() as u64));
    admit(pod, &account, &volume).map_err(|why| forbid(pod, &why))
}

/// A pod that is given further containers to debug it.
pub fn update(call: &Call<'_>, pod: &Value) -> Result<(), Status> {
    if call.request.info.subresource != "ephemeralcontainers" {
        return Ok(());
    }
    let forbid = |why: String| failure::forbidden("pods", meta::get(pod, "name"), &why);
    if text(&pod["spec"]["serviceAccountName"]).is_empty() {
        return Err(forbid(format!("no service account specified for pod {}/{}", call.namespace(), meta::get(pod, "name"))));
    }
    let account = account_of(call, pod).map_err(forbid)?;
    if !enforces(&account) {
        return Ok(());
    }
    containers_within(pod, "ephemeralContainers", "ephemeral container", &account).map_err(forbid)
}

/// What a refusal calls a pod whose name is not made yet: `extractResourceName`.
fn name_of(pod: &Value) -> &str {
    let names = [meta::get(pod, "name"), meta::get(pod, "generateName")];
    names.into_iter().find(|name| !name.is_empty()).unwrap_or("Unknown")
}

fn account_of(call: &Call<'_>, pod: &Value) -> Result<Value, String> {
    let named = text(&pod["spec"]["serviceAccountName"]);
    let name = if named.is_empty() { DEFAULT } else { named };
    let missing = || format!("error looking up service account {}/{name}: serviceaccount \"{name}\" not found", call.namespace());
    let found = call.server.store.find(ACCOUNTS, call.namespace(), name).ok_or_else(missing)?;
    serde_json::from_slice(&found.json).map_err(|why| why.to_string())
}

fn is_mirror(pod: &Value) -> bool {
    pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string()
}

/// A mirror of what a node runs by itself may name nothing that the node would have to be given.
fn mirror(pod: &Value) -> Result<(), &'static str> {
    let spec = &pod["spec"];
    if !text(&spec["serviceAccountName"]).is_empty() {
        return Err("a mirror pod may not reference service accounts");
    }
    if crate::auth::node::names_secrets(spec) {
        return Err("a mirror pod may not reference secrets");
    }
    let projected = items(&spec["volumes"]).iter().flat_map(|volume| items(&volume["projected"]["sources"]));
    if projected.into_iter().any(|source| has(source, "serviceAccountToken")) {
        return Err("a mirror pod may not use ServiceAccountToken volume projections");
    }
    Ok(())
}

/// Fills a pod in from its account, or says why the account does not allow it. `volume`: the name of the token's volume, if it needs one.
pub fn admit(pod: &mut Value, account: &Value, volume: &str) -> Result<(), String> {
    let spec = &mut pod["spec"];
    if text(&spec["serviceAccountName"]).is_empty() {
        spec["serviceAccountName"] = Value::from(DEFAULT);
    }
    // Its old name is kept equal by defaults: `SetDefaults` of core/v1 conversion.
    spec["serviceAccount"] = spec["serviceAccountName"].clone();
    if automounts(spec, account) {
        mount_token(spec, volume);
    }
    let secrets = items(&account["imagePullSecrets"]);
    if is_empty(&spec["imagePullSecrets"]) && !secrets.is_empty() {
        spec["imagePullSecrets"] = secrets.iter().map(|secret| json!({"name": text(&secret["name"])})).collect();
    }
    if enforces(account) { within(pod, account) } else { Ok(()) }
}

/// The pod's wish counts before the account's.
fn automounts(spec: &Value, account: &Value) -> bool {
    let wish = [spec, account].into_iter().map(|one| &one["automountServiceAccountToken"]).find(|one| one.is_boolean());
    wish.is_none_or(flag)
}

/// Mounts the token into every container that has nothing in its place.
fn mount_token(spec: &mut Value, fresh: &str) {
    let existing = items(&spec["volumes"]).iter().map(|volume| text(&volume["name"])).find(|name| name.starts_with(VOLUME)).map(str::to_owned);
    let volume = existing.as_deref().unwrap_or(fresh);
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in present_mut(spec, list).into_iter().flat_map(items_mut) {
            if items(&container["volumeMounts"]).iter().any(|mount| mount["mountPath"] == MOUNT_PATH) {
                continue;
            }
            mounted = true;
            push(container, "volumeMounts", json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
        }
    }
    if mounted && existing.is_none() {
        push(spec, "volumes", json!({"name": volume, "projected": token_source()}));
    }
}

fn push(object: &mut Value, key: &str, value: Value) {
    match object[key].as_array_mut() {
        Some(list) => list.push(value),
        None => object[key] = json!([value]),
    }
}

/// `TokenVolumeSource`
fn token_source() -> Value {
    json!({
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ],
    })
}

/// `strconv.ParseBool` of the annotation.
fn enforces(account: &Value) -> bool {
    matches!(text(&account["metadata"]["annotations"][ENFORCE]), "1" | "t" | "T" | "TRUE" | "true" | "True")
}

/// `limitSecretReferences`
fn within(pod: &Value, account: &Value) -> Result<(), String> {
    let name = meta::get(account, "name");
    for volume in items(&pod["spec"]["volumes"]).iter().filter(|volume| has(volume, "secret")) {
        let secret = text(&volume["secret"]["secretName"]);
        if !lists(account, "secrets", secret) {
            return Err(format!("volume with secret.secretName=\"{secret}\" is not allowed because service account {name} does not reference that secret"));
        }
    }
    containers_within(pod, "initContainers", "init container", account)?;
    containers_within(pod, "containers", "container", account)?;
    for (number, secret) in items(&pod["spec"]["imagePullSecrets"]).iter().map(|one| text(&one["name"])).enumerate() {
        if !lists(account, "imagePullSecrets", secret) {
            return Err(format!(
                "imagePullSecrets[{number}].name=\"{secret}\" is not allowed because service account {name} does not reference that imagePullSecret"
            ));
        }
    }
    Ok(())
}

fn containers_within(pod: &Value, list: &str, kind: &str, account: &Value) -> Result<(), String> {
    let name = meta::get(account, "name");
    for container in items(&pod["spec"][list]) {
        let of = text(&container["name"]);
        for variable in items(&container["env"]).iter().filter(|variable| has(&variable["valueFrom"], "secretKeyRef")) {
            let (env, secret) = (text(&variable["name"]), text(&variable["valueFrom"]["secretKeyRef"]["name"]));
            if !lists(account, "secrets", secret) {
                return Err(format!(
                    "{kind} {of} with envVar {env} referencing secret.secretName=\"{secret}\" is not allowed because service account {name} does not reference that secret"
                ));
            }
        }
        for secret in items(&container["envFrom"]).iter().filter(|from| has(from, "secretRef")).map(|from| text(&from["secretRef"]["name"])) {
            if !lists(account, "secrets", secret) {
                return Err(format!(
                    "{kind} {of} with envFrom referencing secret.secretName=\"{secret}\" is not allowed because service account {name} does not reference that secret"
                ));
            }
        }
    }
    Ok(())
}

fn lists(account: &Value, key: &str, secret: &str) -> bool {
    items(&account[key]).iter().any(|one| one["name"] == secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(more: Value) -> Value {
        let mut account = json!({"metadata": {"name": "robot"}});
        if let (Some(account), Value::Object(more)) = (account.as_object_mut(), more) {
            account.extend(more);
        }
        account
    }

    fn admitted(spec: Value, account: &Value) -> Value {
        let mut pod = json!({ "spec": spec });
        admit(&mut pod, account, "kube-api-access-fresh").unwrap();
        pod["spec"].take()
    }

    #[test]
    fn a_pod_gets_an_account_and_its_token() {
        let mount = json!({"name": "kube-api-access-fresh", "readOnly": true, "mountPath": MOUNT_PATH});
        let spec = admitted(json!({"containers": [{"name": "a"}, {"name": "b", "volumeMounts": [{"name": "x", "mountPath": "/x"}]}]}), &account(json!({})));
        assert_eq!((&spec["serviceAccountName"], &spec["serviceAccount"]), (&json!("default"), &json!("default")));
        assert_eq!(spec["containers"][0]["volumeMounts"], json!([mount]));
        assert_eq!(spec["containers"][1]["volumeMounts"][1], mount);
        assert_eq!(spec["volumes"][0], json!({"name": "kube-api-access-fresh", "projected": token_source()}));
        assert!(spec.get("initContainers").is_none() && spec.get("imagePullSecrets").is_none());
    }

    #[test]
    fn what_is_in_the_tokens_place_stays_there() {
        let own = json!({"name": "a", "volumeMounts": [{"name": "x", "mountPath": MOUNT_PATH}]});
        let spec = admitted(json!({"containers": [own], "initContainers": [own]}), &account(json!({})));
        assert!(spec.get("volumes").is_none());
        assert_eq!(spec["containers"][0]["volumeMounts"].as_array().unwrap().len(), 1);
        let volumes = json!([{"name": "kube-api-access-mine", "emptyDir": {}}]);
        let spec = admitted(json!({"containers": [{"name": "a"}], "volumes": volumes}), &account(json!({})));
        assert_eq!((&spec["volumes"], &spec["containers"][0]["volumeMounts"][0]["name"]), (&volumes, &json!("kube-api-access-mine")));
    }

    #[test]
    fn the_pods_wish_counts_before_the_accounts() {
        let wishes =
            [(None, None, true), (None, Some(false), false), (Some(true), Some(false), true), (Some(false), Some(true), false), (None, Some(true), true)];
        for (pod, of_account, mounted) in wishes {
            let spec = admitted(
                json!({"containers": [{"name": "a"}], "automountServiceAccountToken": pod}),
                &account(json!({"automountServiceAccountToken": of_account})),
            );
            assert_eq!(spec["volumes"].is_array(), mounted, "{pod:?} {of_account:?}");
        }
    }

    #[test]
    fn pull_secrets_come_from_the_account() {
        let account = account(json!({"imagePullSecrets": [{"name": "a"}, {"name": "b"}]}));
        let spec = admitted(json!({"serviceAccountName": "robot", "containers": []}), &account);
        assert_eq!(spec["imagePullSecrets"], json!([{"name": "a"}, {"name": "b"}]));
        assert_eq!(spec["serviceAccount"], "robot");
        let spec = admitted(json!({"imagePullSecrets": [{"name": "c"}], "containers": []}), &account);
        assert_eq!(spec["imagePullSecrets"], json!([{"name": "c"}]));
    }

    #[test]
    fn an_account_may_limit_its_pods_to_its_secrets() {
        let limited = account(json!({"metadata": {"name": "robot", "annotations": {ENFORCE: "true"}}, "secrets": [{"name": "ok"}]}));
        let env = |name: &str| json!([{"name": "E", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}}]);
        let from = |name: &str| json!([{"secretRef": {"name": name}}]);
        let why = |what: &str| format!("{what} is not allowed because service account robot does not reference that secret");
        let cases = [
            (json!({"volumes": [{"name": "v", "secret": {"secretName": "ok"}}], "containers": [{"name": "c", "env": env("ok"), "envFrom": from("ok")}]}), None),
            (json!({"volumes": [{"name": "v", "secret": {"secretName": "no"}}]}), Some(why("volume with secret.secretName=\"no\""))),
            (json!({"initContainers": [{"name": "i", "env": env("no")}]}), Some(why("init container i with envVar E referencing secret.secretName=\"no\""))),
            (json!({"containers": [{"name": "c", "envFrom": from("no")}]}), Some(why("container c with envFrom referencing secret.secretName=\"no\""))),
            (
                json!({"imagePullSecrets": [{"name": "no"}]}),
                Some("imagePullSecrets[0].name=\"no\" is not allowed because service account robot does not reference that imagePullSecret".to_owned()),
            ),
        ];
        for (spec, refused) in cases {
            let mut pod = json!({ "spec": spec });
            assert_eq!(admit(&mut pod.clone(), &limited, "v").err(), refused);
            assert_eq!(admit(&mut pod, &account(json!({})), "v"), Ok(()));
        }
    }

    #[test]
    fn a_mirror_names_nothing_that_is_given() {
        let cases = [
            (json!({"containers": [{"name": "c"}]}), None),
            (json!({"serviceAccountName": "x"}), Some("a mirror pod may not reference service accounts")),
            (json!({"imagePullSecrets": [{"name": "x"}]}), Some("a mirror pod may not reference secrets")),
            (json!({"volumes": [{"name": "v", "secret": {"secretName": "x"}}]}), Some("a mirror pod may not reference secrets")),
            (
                json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
                Some("a mirror pod may not use ServiceAccountToken volume projections"),
            ),
        ];
        for (spec, refused) in cases {
            assert_eq!(mirror(&json!({ "spec": spec })).err(), refused);
        }
    }
}
