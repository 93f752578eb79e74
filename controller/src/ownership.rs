//! Whose is it? Adoption of matching orphans and release of what no longer matches. See `pkg/controller/controller_ref_manager.go`.

use serde_json::{Value, json};

use crate::view::{LabelSelector, Meta, Object};

/// The controller that claims objects.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// `apps/v1`.
    pub api_version: &'static str,
    /// `ReplicaSet`.
    pub kind: &'static str,
    /// Its metadata.
    pub meta: &'a Meta,
}

/// What a controller does about one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours and matches.
    Keep,
    /// It is nobody's and matches: make it ours.
    Adopt,
    /// It is ours and no longer matches: let it go.
    Release,
    /// It is somebody else's, or nothing to do with us.
    Ignore,
}

impl Claimant<'_> {
    /// `BaseControllerRefManager.ClaimObject`.
    pub fn claim(&self, object: &Meta, selector: &LabelSelector) -> Claim {
        let matches = !selector.is_empty() && selector.matches(&object.labels);
        match object.controller() {
            Some(owner) if owner.uid != self.meta.uid => Claim::Ignore,
            Some(_) if matches => Claim::Keep,
            // A controller on its way out changes nobody.
            Some(_) if self.meta.is_deleting() => Claim::Ignore,
            Some(_) => Claim::Release,
            None if !matches || self.meta.is_deleting() || object.is_deleting() || object.namespace != self.meta.namespace => Claim::Ignore,
            None => Claim::Adopt,
        }
    }

    /// Sorts candidates into those that are ours, to be adopted and to be released.
    pub fn claim_all<T: Object + Clone>(&self, candidates: &[T], selector: &LabelSelector) -> Claims<T> {
        let mut claims = Claims { owned: Vec::new(), adopt: Vec::new(), release: Vec::new() };
        for candidate in candidates {
            match self.claim(candidate.meta(), selector) {
                Claim::Keep => claims.owned.push(candidate.clone()),
                Claim::Adopt => claims.adopt.push(candidate.clone()),
                Claim::Release => claims.release.push(candidate.clone()),
                Claim::Ignore => {}
            }
        }
        claims
    }

    /// `metav1.NewControllerRef`.
    pub fn reference(&self) -> Value {
        json!({
            "apiVersion": self.api_version, "kind": self.kind, "name": self.meta.name, "uid": self.meta.uid,
            "controller": true, "blockOwnerDeletion": true,
        })
    }

    /// The strategic merge patch that makes `object` ours; its uid inside is the precondition.
    pub fn adoption(&self, object: &Meta) -> Value {
        json!({ "metadata": { "ownerReferences": [self.reference()], "uid": object.uid } })
    }

    /// The strategic merge patch that lets `object` go.
    pub fn release(&self, object: &Meta) -> Value {
        json!({ "metadata": { "ownerReferences": [{ "$patch": "delete", "uid": self.meta.uid }], "uid": object.uid } })
    }
}

/// What [`Claimant::claim_all`] found.
#[derive(Clone, Debug)]
pub struct Claims<T> {
    /// Ours.
    pub owned: Vec<T>,
    /// To be made ours.
    pub adopt: Vec<T>,
    /// To be let go.
    pub release: Vec<T>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Labels, Owner};

    fn owner(uid: &str) -> Vec<Owner> {
        vec![Owner { uid: uid.to_owned(), controller: true, ..Owner::default() }]
    }

    #[test]
    fn claims_as_the_ref_manager_does() {
        let now = Some("2025-01-01T00:00:00Z".parse().unwrap());
        let selector = LabelSelector::of([("app", "a")].into());
        let ours = Meta { uid: "me".to_owned(), ..Meta::default() };
        let leaving = Meta { deletion_timestamp: now, ..ours.clone() };
        let matching = Meta { labels: Labels::from([("app", "a")]), ..Meta::default() };
        let cases = [
            (&ours, matching.clone(), Claim::Adopt),
            (&leaving, matching.clone(), Claim::Ignore),
            (&ours, Meta { deletion_timestamp: now, ..matching.clone() }, Claim::Ignore),
            (&ours, Meta { owner_references: owner("me"), ..matching.clone() }, Claim::Keep),
            (&leaving, Meta { owner_references: owner("me"), ..matching.clone() }, Claim::Keep),
            (&ours, Meta { owner_references: owner("other"), ..matching.clone() }, Claim::Ignore),
            (&ours, Meta { owner_references: owner("me"), ..Meta::default() }, Claim::Release),
            (&leaving, Meta { owner_references: owner("me"), ..Meta::default() }, Claim::Ignore),
            (&ours, Meta::default(), Claim::Ignore),
            (&ours, Meta { namespace: "elsewhere".to_owned(), ..matching }, Claim::Ignore),
        ];
        for (number, (meta, object, expected)) in cases.into_iter().enumerate() {
            let claimant = Claimant { api_version: "apps/v1", kind: "ReplicaSet", meta };
            assert_eq!(claimant.claim(&object, &selector), expected, "case {number}");
        }
    }
}
