//! Whether an object still has somebody to live for. See `attemptToDeleteItem` in `pkg/controller/garbagecollector/garbagecollector.go`.

use serde_json::{Value, json};

use super::graph::{FOREGROUND, ORPHAN, OwnerState};
use crate::execute::Propagation;
use crate::view::{Meta, Owner};

/// What to do with an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It stays as it is.
    Keep,
    /// It stays, without its references to owners that are gone or going.
    Detach(Vec<String>),
    /// It goes; where `unblock`, its references first stop blocking their owners, so that a circle cannot wait for itself.
    Delete {
        /// What becomes of its own dependents.
        propagation: Propagation,
        /// Whether to patch its references first.
        unblock: bool,
    },
}

/// What is known of the object's dependents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dependents {
    /// Whether there are any.
    pub any: bool,
    /// Whether one of them waits for dependents of its own.
    pub any_waiting: bool,
}

/// Decides over the object as the server has it now, and each of its owners.
pub fn decide(latest: &Meta, owners: &[(Owner, OwnerState)], dependents: Dependents) -> Decision {
    let having = |state: OwnerState| owners.iter().filter(move |(_, have)| *have == state);
    if owners.is_empty() {
        return Decision::Keep;
    }
    // An owner that nobody could be asked about counts as living: nothing is deleted on a guess.
    if having(OwnerState::Solid).next().is_some() || having(OwnerState::Unknown).next().is_some() {
        let gone: Vec<String> = having(OwnerState::Absent).chain(having(OwnerState::Waiting)).map(|(owner, _)| owner.uid.clone()).collect();
        return if gone.is_empty() { Decision::Keep } else { Decision::Detach(gone) };
    }
    if having(OwnerState::Waiting).next().is_some() && dependents.any {
        return Decision::Delete { propagation: Propagation::Foreground, unblock: dependents.any_waiting };
    }
    let has = |finalizer: &str| latest.finalizers.iter().any(|have| have == finalizer);
    let propagation = if has(ORPHAN) {
        Propagation::Orphan
    } else if has(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    Decision::Delete { propagation, unblock: false }
}

/// The strategic merge patch that takes references away: `GenerateDeleteOwnerRefStrategicMergeBytes`.
pub fn detach_patch(uid: &str, owners: &[String]) -> Value {
    let references: Vec<Value> = owners.iter().map(|owner| json!({ "$patch": "delete", "uid": owner })).collect();
    json!({ "metadata": { "uid": uid, "ownerReferences": references } })
}

/// The strategic merge patch that makes references block nobody: `unblockOwnerReferencesStrategicMergePatch`.
pub fn unblock_patch(latest: &Meta) -> Value {
    let blocking = latest.owner_references.iter().filter(|owner| owner.block_owner_deletion);
    let references: Vec<Value> = blocking
        .map(|owner| {
            json!({ "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid, "controller": owner.controller, "blockOwnerDeletion": false })
        })
        .collect();
    json!({ "metadata": { "uid": latest.uid, "ownerReferences": references } })
}

/// The merge patch that takes a finalizer away, if it is there.
pub fn finalizer_patch(latest: &Meta, finalizer: &str) -> Option<Value> {
    let rest: Vec<&String> = latest.finalizers.iter().filter(|have| *have != finalizer).collect();
    (rest.len() < latest.finalizers.len()).then(|| json!({ "metadata": { "resourceVersion": latest.resource_version, "uid": latest.uid, "finalizers": rest } }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owner(number: usize) -> Owner {
        Owner { uid: format!("o{number}"), ..Owner::default() }
    }

    fn states() -> impl Strategy<Value = Vec<OwnerState>> {
        let state = prop_oneof![Just(OwnerState::Solid), Just(OwnerState::Waiting), Just(OwnerState::Absent), Just(OwnerState::Unknown)];
        prop::collection::vec(state, 0..5)
    }

    #[test]
    fn table() {
        use OwnerState::{Absent, Solid, Waiting};
        let none = Dependents::default();
        let some = Dependents { any: true, any_waiting: false };
        let background = Decision::Delete { propagation: Propagation::Background, unblock: false };
        let foreground = Decision::Delete { propagation: Propagation::Foreground, unblock: false };
        let cases = [
            (vec![], none, Decision::Keep),
            (vec![Solid], none, Decision::Keep),
            (vec![Solid, Absent], none, Decision::Detach(vec!["o1".to_owned()])),
            (vec![Solid, Waiting], some, Decision::Detach(vec!["o1".to_owned()])),
            (vec![Absent], some, background.clone()),
            (vec![Waiting], none, background.clone()),
            (vec![Waiting, Absent], some, foreground),
            (vec![Waiting], Dependents { any: true, any_waiting: true }, Decision::Delete { propagation: Propagation::Foreground, unblock: true }),
        ];
        for (states, dependents, expected) in cases {
            let owners: Vec<_> = states.iter().enumerate().map(|(number, state)| (owner(number), *state)).collect();
            assert_eq!(decide(&Meta::default(), &owners, dependents), expected, "{states:?}");
        }
        let orphaning = Meta { finalizers: vec![ORPHAN.to_owned()], ..Meta::default() };
        let expected = Decision::Delete { propagation: Propagation::Orphan, unblock: false };
        assert_eq!(decide(&orphaning, &[(owner(0), Absent)], none), expected);
    }

    proptest! {
        /// Nothing with a living owner is ever deleted.
        #[test]
        fn a_living_owner_is_enough(states in states(), any: bool, any_waiting: bool) {
            let owners: Vec<_> = states.iter().enumerate().map(|(number, state)| (owner(number), *state)).collect();
            let decision = decide(&Meta::default(), &owners, Dependents { any, any_waiting });
            let lives = states.iter().any(|state| matches!(state, OwnerState::Solid | OwnerState::Unknown));
            let is_deleted = matches!(decision, Decision::Delete { .. });
            prop_assert_eq!(is_deleted, !lives && !states.is_empty());
        }
    }
}
