//! The merge of an apply, and what every write takes from other managers. See `structured-merge-diff/merge/update.go`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Scope;
use super::compare::Difference;
use super::conflict::{ApplyError, Conflicts};
use super::fields::fields_of;
use super::managers::{Id, Managers, Owned};
use super::merge::merge;
use super::place::Place;
use super::remove::remove;
use super::set::Set;

/// Takes from every manager what `change` (in the request's version) wrote over or removed; managers of versions that are gone are forgotten.
/// With `applier` the others are asked first: what it would take from them is a conflict, and nothing is taken from itself.
pub fn take(
    scope: &Scope<'_>,
    live: &Value,
    new: &Value,
    managers: &mut Managers,
    change: &Difference,
    applier: Option<&Id>,
) -> Result<Option<Conflicts>, String> {
    let changes = changes(scope, live, new, managers, change)?;
    let mut conflicts = Conflicts::default();
    managers.all.retain(|id, owned| applier == Some(id) || changes.contains_key(&owned.api_version));
    for (id, owned) in managers.all.iter().filter(|(id, _)| applier != Some(*id)) {
        let Some(change) = changes.get(&owned.api_version) else { continue };
        let taken = owned.set.intersection(&change.written);
        if !taken.is_empty() {
            conflicts.by_manager.push((id.clone(), taken));
        }
    }
    for (_, owned) in managers.all.iter_mut().filter(|(id, _)| applier != Some(*id)) {
        let Some(change) = changes.get(&owned.api_version) else { continue };
        owned.set = owned.set.difference(&change.written).difference(&change.removed);
    }
    managers.all.retain(|_, owned| !owned.set.is_empty());
    Ok((!conflicts.by_manager.is_empty()).then_some(conflicts))
}

/// The change in each version that a manager wrote in.
fn changes(scope: &Scope<'_>, live: &Value, new: &Value, managers: &Managers, change: &Difference) -> Result<BTreeMap<String, Difference>, String> {
    let own = Difference { written: change.written.clone(), removed: change.removed.clone() };
    let mut changes = BTreeMap::from([(scope.gvk.api_version(), own)]);
    for owned in managers.all.values() {
        if changes.contains_key(&owned.api_version) {
            continue;
        }
        let (Some(old), Some(new), Some(place)) =
            ((scope.convert)(live, &owned.api_version), (scope.convert)(new, &owned.api_version), scope.place(&owned.api_version))
        else {
            continue; // there is no such version any more
        };
        changes.insert(owned.api_version.clone(), scope.difference(place, &old, &new)?);
    }
    Ok(changes)
}

/// `wanted` merged into `live`: the new object, if it is another, and the managers after it.
pub fn apply(
    scope: &Scope<'_>,
    live: &Value,
    wanted: &Value,
    mut managers: Managers,
    applier: &Id,
    force: bool,
) -> Result<(Option<Value>, Managers), ApplyError> {
    let place = scope.own_place();
    let merged = merge(place, live, wanted);
    let api_version = scope.gvk.api_version();
    let set = scope.resets.keep(fields_of(place, wanted));
    let before = managers.all.remove(applier);
    let time = before.as_ref().and_then(|owned| owned.time.clone());
    managers.all.insert(applier.clone(), Owned { api_version: api_version.clone(), set, time });
    let new = match before.filter(|owned| !owned.set.is_empty()) {
        Some(last) => prune(scope, merged, &managers, &last, &api_version),
        None => merged,
    };
    let failed = |why: String| ApplyError::Unanswered(format!("failed to compare objects: {why}"));
    let change = scope.difference(place, live, &new).map_err(failed)?;
    if let Some(conflicts) = take(scope, live, &new, &mut managers, &change, Some(applier)).map_err(failed)?
        && !force
    {
        return Err(ApplyError::Conflicts(conflicts));
    }
    Ok(((new != *live).then_some(new), managers))
}

/// Removes what the manager applied last time and does not apply now, if nobody else owns it.
fn prune(scope: &Scope<'_>, merged: Value, managers: &Managers, last: &Owned, api_version: &str) -> Value {
    let (Some(there), Some(place)) = ((scope.convert)(&merged, &last.api_version), scope.place(&last.api_version)) else {
        return merged; // that version is gone: nothing of it can be removed
    };
    let last_set = last.set.with_named_fields(place);
    let pruned = remove(place, &there, &last_set);
    let pruned = add_back_owned(scope, &there, pruned, managers, &last.api_version);
    let pruned = add_back_dangling(scope, place, &there, &pruned, last, &last_set);
    (scope.convert)(&pruned, api_version).unwrap_or(merged)
}

/// What was removed and is owned, by others or by what is applied now, comes back. The version that was pruned in goes first, because
/// conversions may need what was pruned.
fn add_back_owned(scope: &Scope<'_>, merged: &Value, pruned: Value, managers: &Managers, pruned_version: &str) -> Value {
    let mut owned: BTreeMap<&str, Set> = BTreeMap::new();
    for one in managers.all.values() {
        let set = owned.entry(&one.api_version).or_default();
        *set = set.union(&one.set);
    }
    let first = owned.remove_entry(pruned_version);
    let (mut merged, mut pruned) = (merged.clone(), pruned);
    for (version, set) in first.into_iter().chain(owned) {
        let (Some(there), Some(left), Some(place)) = ((scope.convert)(&merged, version), (scope.convert)(&pruned, version), scope.place(version)) else {
            continue; // owned in a version that is gone
        };
        pruned = without(place, &there, &left, |gone| gone.difference(&set.with_named_fields(place)));
        merged = there;
    }
    pruned
}

/// What was removed below something that the manager owned, but that it did not own itself, comes back.
fn add_back_dangling(scope: &Scope<'_>, place: Place, merged: &Value, pruned: &Value, last: &Owned, last_set: &Set) -> Value {
    match (scope.convert)(pruned, &last.api_version) {
        Some(left) => without(place, merged, &left, |gone| gone.intersection(last_set)),
        None => merged.clone(),
    }
}

/// `merged` without those of the paths missing in `pruned` that `choose` leaves.
fn without(place: Place, merged: &Value, pruned: &Value, choose: impl Fn(Set) -> Set) -> Value {
    let all = fields_of(place, merged).with_named_fields(place);
    let kept = fields_of(place, pruned).with_named_fields(place);
    remove(place, merged, &choose(all.difference(&kept)))
}
