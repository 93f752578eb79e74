//! Tokens of service accounts: JSON web tokens, signed with the cluster's own key (ES256), good until they expire or the account is gone.
//!
//! See `pkg/serviceaccount/{claims,jwt}.go`. Only what this server signed is believed, and only while the account that it names has
//! the uid that it had.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use serde_json::{Value, json};
use skiff_proto::identity::UserInfo;

use super::bound::{self, Bound};
use super::signature;
use crate::kinds::json::{int, items, text};
use crate::store::Store;

/// Who signs: what `iss` says, and the audience of tokens that name none.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Signs and reads tokens.
pub struct Tokens {
    key: KeyPair,
}

/// What a token is for.
pub struct Claim<'a> {
    /// Of the service account.
    pub namespace: &'a str,
    /// Of the service account.
    pub name: &'a str,
    /// Of the service account.
    pub uid: &'a str,
    /// Who may believe it.
    pub audiences: &'a [String],
    /// Seconds since the epoch.
    pub issued: i64,
    /// Seconds since the epoch.
    pub expires: i64,
    /// What it is bound to.
    pub bound: Vec<Bound>,
    /// After when whoever uses it ought to have got another; seconds since the epoch.
    pub warn_after: Option<i64>,
    /// Makes each token another.
    pub id: String,
}

impl Tokens {
    /// With a private key (PEM, ECDSA P-256).
    pub fn new(key_pem: &str) -> Result<Self, rcgen::Error> {
        Ok(Self { key: KeyPair::from_pem(key_pem)? })
    }

    /// A token.
    pub fn sign(&self, claim: &Claim<'_>) -> Result<String, String> {
        let header = json!({"alg": "ES256", "typ": "JWT"});
        let mut private = json!({"namespace": claim.namespace, "serviceaccount": {"name": claim.name, "uid": claim.uid}});
        if let Some(private) = private.as_object_mut() {
            bound::write(&claim.bound, private);
            private.extend(claim.warn_after.map(|at| ("warnafter".to_owned(), Value::from(at))));
        }
        let claims = json!({
            "aud": claim.audiences,
            "exp": claim.expires,
            "iat": claim.issued,
            "iss": ISSUER,
            "jti": claim.id,
            "kubernetes.io": private,
            "nbf": claim.issued,
            "sub": user_name(claim.namespace, claim.name),
        });
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let der = self.key.sign(signed.as_bytes()).map_err(|why| why.to_string())?;
        let fixed = fixed_of_der(&der).ok_or("the signature is malformed")?;
        Ok(format!("{signed}.{}", encode(&fixed)))
    }

    /// Whose token this is at `now` (seconds since the epoch), if it is one of an account that is still there.
    pub fn read(&self, token: &str, now: i64, store: &Store) -> Option<UserInfo> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        let der = der_of_fixed(&decode(signature)?)?;
        if header["alg"] != "ES256" || !signature::verify_p256(self.key.der_bytes(), signed.as_bytes(), &der) {
            return None;
        }
        let claims: Value = serde_json::from_slice(&decode(claims)?).ok()?;
        let for_us = items(&claims["aud"]).iter().any(|one| one == ISSUER);
        if !for_us || int(&claims["exp"]) < now || int(&claims["nbf"]) > now || claims["iss"] != ISSUER {
            return None;
        }
        let named = &claims["kubernetes.io"];
        let (namespace, account) = (text(&named["namespace"]), &named["serviceaccount"]);
        let found = store.find("serviceaccounts", namespace, text(&account["name"]))?;
        let stored: Value = serde_json::from_slice(&found.json).ok()?;
        if stored["metadata"]["uid"] != account["uid"] || !bound::holds(named, namespace, now, store) {
            return None;
        }
        let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}"), "system:authenticated".to_owned()];
        let mut extra = bound::extra(named);
        extra.insert("authentication.kubernetes.io/credential-id".to_owned(), vec![format!("JTI={}", text(&claims["jti"]))]);
        Some(UserInfo { name: user_name(namespace, text(&account["name"])), groups: groups.to_vec(), uid: text(&account["uid"]).to_owned(), extra })
    }
}

/// `system:serviceaccount:default:robot`
pub fn user_name(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A signature's two numbers of 32 bytes (as JSON web tokens have them) out of their DER.
fn fixed_of_der(der: &[u8]) -> Option<[u8; 64]> {
    let (0x30, body) = (*der.first()?, der.get(2..)?) else { return None };
    let first = usize::from(*body.get(1)?);
    let (r, rest) = (body.get(2..2 + first)?, body.get(2 + first..)?);
    let s = rest.get(2..2 + usize::from(*rest.get(1)?))?;
    let mut fixed = [0; 64];
    for (number, half) in [(r, 0), (s, 32)] {
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        fixed.get_mut(half + 32 - number.len().min(32)..half + 32)?.copy_from_slice(number.get(number.len().saturating_sub(32)..)?);
    }
    Some(fixed)
}

fn der_of_fixed(fixed: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = (fixed.len() == 64).then(|| fixed.split_at(32))?;
    let mut body = Vec::with_capacity(72);
    for number in [r, s] {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(31);
        let digits = &number[start..];
        let padded = digits[0] & 0x80 != 0; // else it would be negative
        body.extend_from_slice(&[2, u8::try_from(digits.len() + usize::from(padded)).ok()?]);
        if padded {
            body.push(0);
        }
        body.extend_from_slice(digits);
    }
    let mut der = vec![0x30, u8::try_from(body.len()).ok()?];
    der.extend_from_slice(&body);
    Some(der)
}

#[cfg(test)]
mod tests {
    use super::super::bound::Kind;
    use super::*;
    use crate::store::{Backend, Body, Expect, Key, Op, Options, Write};
    use std::sync::Arc;

    async fn store() -> Store {
        let describe = Arc::new(crate::registry::describe::Describer::new(&crate::registry::Resources::default()));
        let store = Store::open(Backend::Memory, Options::default(), describe).unwrap();
        let pod = json!({"metadata": {"name": "pod", "namespace": "n", "uid": "p", "deletionTimestamp": "1970-01-01T00:05:00Z"}});
        for (resource, object) in [("serviceaccounts", json!({"metadata": {"name": "robot", "namespace": "n", "uid": "u"}})), ("pods", pod)] {
            let Body { json, at, comma } = crate::registry::body::encode(&object);
            let name = object["metadata"]["name"].as_str().unwrap();
            let write = Write { key: Key::new(resource, "n", name), expect: Expect::Absent, op: Op::Put(Body { json, at, comma }), lazy: false };
            store.commit(vec![write]).await.unwrap();
        }
        store
    }

    fn claim<'a>(audiences: &'a [String], uid: &'a str) -> Claim<'a> {
        Claim { namespace: "n", name: "robot", uid, audiences, issued: 100, expires: 700, bound: Vec::new(), warn_after: None, id: "1".to_owned() }
    }

    #[tokio::test]
    async fn what_is_signed_is_believed_until_it_expires() {
        let store = store().await;
        let tokens = Tokens::new(&KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let ours = [ISSUER.to_owned()];
        for _ in 0..50 {
            // Signatures vary in length: numbers with leading zeros, and with a high first bit.
            let token = tokens.sign(&claim(&ours, "u")).unwrap();
            assert_eq!(tokens.read(&token, 200, &store).unwrap().name, "system:serviceaccount:n:robot");
        }
        let token = tokens.sign(&claim(&ours, "u")).unwrap();
        assert!(tokens.read(&token, 701, &store).is_none());
        assert!(tokens.read(&token.replace('.', "x"), 200, &store).is_none());
        let (head, tail) = token.split_at(token.len() - 4);
        assert!(tokens.read(&format!("{head}{}", tail.chars().rev().collect::<String>()), 200, &store).is_none());
        assert!(tokens.read(&tokens.sign(&claim(&ours, "other")).unwrap(), 200, &store).is_none());
        assert!(tokens.read(&tokens.sign(&claim(&["x".to_owned()], "u")).unwrap(), 200, &store).is_none());
        let strangers = Tokens::new(&KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(tokens.read(&strangers.sign(&claim(&ours, "u")).unwrap(), 200, &store).is_none());
    }
    #[tokio::test]
    async fn a_bound_token_is_believed_while_what_it_names_is_there() {
        let store = store().await;
        let tokens = Tokens::new(&KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let ours = [ISSUER.to_owned()];
        let to = |kind, name: &str, uid: &str| Bound { kind, name: name.to_owned(), uid: uid.to_owned() };
        let cases = [
            (vec![to(Kind::Pod, "pod", "p")], 200, true),
            (vec![to(Kind::Pod, "pod", "p")], 360, true),
            (vec![to(Kind::Pod, "pod", "p")], 361, false),
            (vec![to(Kind::Pod, "pod", "another")], 200, false),
            (vec![to(Kind::Pod, "gone", "p")], 200, false),
            (vec![to(Kind::Pod, "pod", "p"), to(Kind::Node, "gone", "x")], 200, true),
            (vec![to(Kind::Node, "gone", "x")], 200, false),
            (vec![to(Kind::Secret, "gone", "x")], 200, false),
        ];
        for (bound, now, believed) in cases {
            let token = tokens.sign(&Claim { bound: bound.clone(), ..claim(&ours, "u") }).unwrap();
            let read = tokens.read(&token, now, &store);
            assert_eq!(read.is_some(), believed, "{bound:?} at {now}");
            for (user, one) in read.iter().flat_map(|user| bound.iter().map(move |one| (user, one))) {
                let told = if one.kind == Kind::Pod { "pod-name" } else { "node-name" };
                assert_eq!(user.extra[&format!("authentication.kubernetes.io/{told}")], std::slice::from_ref(&one.name));
                assert_eq!(user.extra["authentication.kubernetes.io/credential-id"], ["JTI=1"]);
            }
        }
    }
}
