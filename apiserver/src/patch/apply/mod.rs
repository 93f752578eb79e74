//! Server-side apply, and who owns which field: `metadata.managedFields`. Pure functions of values.
//!
//! Every write goes through one of two: [`updated`] notes who changed what (any write but an apply), [`applied`] merges what a manager
//! wants into what is there, takes away what it wanted before and wants no more, and refuses what others own. Read [`set`] (paths),
//! [`place`] (which values are owned as a whole), [`mod@compare`] (what a change wrote), then [`update`]. [`managers`] is the list as it is
//! stored. See `apimachinery/pkg/util/managedfields` and `structured-merge-diff`.
//!
//! Left out: managers whose paths were written under another schema of the same version are not brought in line with today's.

use serde_json::Value;

use crate::schema::{Gvk, types};

pub mod compare;
pub mod conflict;
pub mod created;
pub mod element;
pub mod fields;
mod last_applied;
mod lists;
pub mod managers;
pub mod merge;
#[cfg(test)]
mod oracle;
pub mod place;
pub mod remove;
pub mod resets;
pub mod scale;
pub mod set;
#[cfg(test)]
mod tests;
pub mod update;
pub mod validate;

use compare::{Difference, compare};
use conflict::ApplyError;
use managers::{Id, Managers, Operation, Owned, has_managers, is_reset};
use place::Place;
use resets::Resets;
use set::Set;

/// Who owned what there was before managers were written down.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Where a write happens.
pub struct Scope<'a> {
    /// The version and kind that the request speaks.
    pub gvk: &'a Gvk,
    /// `status`, `scale`; empty for the object itself.
    pub subresource: &'a str,
    /// What a write here cannot change.
    pub resets: Resets,
    /// An object in another version (`apiVersion`) of its kind; nothing if there is no such version.
    pub convert: &'a dyn Fn(&Value, &str) -> Option<Value>,
    /// RFC 3339.
    pub now: &'a str,
}

impl Scope<'_> {
    /// What is known of objects of a version of this kind.
    fn place(&self, api_version: &str) -> Option<Place> {
        types().of(&Gvk::parse(api_version, &self.gvk.kind)).map(Place::Object)
    }

    /// What is known of the request's objects.
    fn own_place(&self) -> Place {
        types().of(self.gvk).map_or(Place::Nowhere, Place::Object)
    }

    /// An object of which nothing is set.
    fn empty(&self) -> Value {
        types().of(self.gvk).map_or(Value::Null, crate::schema::Type::zero)
    }

    fn difference(&self, place: Place, old: &Value, new: &Value) -> Result<Difference, String> {
        let found = compare(place, old, new)?;
        Ok(Difference { written: self.resets.keep(found.written), removed: self.resets.keep(found.removed) })
    }
}

/// The managers after a write that made `new` of `live` (both in the request's version); `None` for what was not there before.
/// `new` loses its own list: it becomes the answer. See `FieldManager.UpdateNoErrors`.
pub fn updated(scope: &Scope<'_>, live: Option<&Value>, new: &mut Value, manager: &str) -> Option<Value> {
    let own = new["metadata"].as_object_mut().and_then(|metadata| metadata.remove("managedFields"));
    let had = live.and_then(|live| live["metadata"].get("managedFields"));
    let unread = || Managers::read(had).unwrap_or_default(); // what cannot be read is forgotten, as in Kubernetes
    let mut managers = match own.as_ref() {
        Some(own) if scope.subresource.is_empty() && is_reset(Some(own)) => Managers::default(),
        Some(own) if scope.subresource.is_empty() && had != Some(own) => match Managers::read(Some(own)) {
            Ok(read) if !read.all.is_empty() => read,
            Ok(_) | Err(_) => unread(),
        },
        _ => unread(),
    };
    if live.is_some() && managers.all.is_empty() {
        return None; // nobody is written down until the first apply
    }
    let empty;
    let live = match live {
        Some(live) => live,
        None => {
            empty = scope.empty();
            &empty
        }
    };
    match note(scope, live, new, &mut managers, manager) {
        Ok(()) => managers.write(),
        Err(_) => None, // an object that cannot be compared has no managers, as in Kubernetes
    }
}

/// Notes that `manager` made `new` of `live`.
fn note(scope: &Scope<'_>, live: &Value, new: &Value, managers: &mut Managers, manager: &str) -> Result<(), String> {
    let change = scope.difference(scope.own_place(), live, new)?;
    let change = Difference { written: resets::without_system_fields(&change.written), removed: resets::without_system_fields(&change.removed) };
    if change.written.is_empty() && change.removed.is_empty() {
        return Ok(());
    }
    update::take(scope, live, new, managers, &change, None)?;
    if !change.written.is_empty() {
        let api_version = scope.gvk.api_version();
        let id = Id::new(manager, Operation::Update, &api_version, scope.subresource);
        let had = managers.all.remove(&id).map(|owned| owned.set).unwrap_or_default(); // a new manager had nothing
        managers.all.insert(id, Owned { api_version, set: change.written.union(&had), time: Some(scope.now.to_owned()) });
    }
    managers.cap();
    Ok(())
}

/// What an apply made.
#[derive(Debug, PartialEq)]
pub struct Applied {
    /// The object in the request's version, not decoded again; without managers.
    pub object: Value,
    /// `metadata.managedFields`
    pub managers: Option<Value>,
}

/// Merges `wanted` into `live` (`None`: there is no such object), in the name of `manager`. See `FieldManager.Apply`.
pub fn applied(scope: &Scope<'_>, live: Option<&Value>, wanted: &Value, manager: &str, force: bool) -> Result<Applied, ApplyError> {
    check(scope, wanted)?;
    let mut live = live.map_or_else(|| scope.empty(), Value::clone);
    let mut managers = Managers::read(live["metadata"].get("managedFields")).map_err(|why| unanswered("failed to decode managed fields", &why))?;
    if has_managers(&live)
        && let Some(metadata) = live["metadata"].as_object_mut()
    {
        metadata.remove("managedFields");
    }
    if managers.all.is_empty() {
        note(scope, &scope.empty(), &live, &mut managers, BEFORE_FIRST_APPLY)
            .map_err(|why| unanswered("failed to create manager for existing fields", &why))?;
    }
    let id = Id::new(manager, Operation::Apply, "", scope.subresource);
    let outcome = match update::apply(scope, &live, wanted, managers.clone(), &id, force) {
        // kubectl's own apply before: what it last applied is as good as applied here
        Err(ApplyError::Conflicts(conflicts)) if manager == last_applied::KUBECTL => {
            let Some(allowed) = last_applied::owned(scope, &live) else { return Err(ApplyError::Conflicts(conflicts)) };
            let left = conflicts.without(&allowed);
            if !left.by_manager.is_empty() {
                return Err(ApplyError::Conflicts(left));
            }
            update::apply(scope, &live, wanted, managers, &id, true)?
        }
        outcome => outcome?,
    };
    let (changed, mut managers) = outcome;
    if let Some(owned) = managers.all.get_mut(&id) {
        owned.set = resets::without_system_fields(&owned.set);
        if changed.is_some() {
            owned.time = Some(scope.now.to_owned());
        }
    }
    managers.all.retain(|_, owned| !owned.set.is_empty());
    let mut object = changed.unwrap_or(live);
    if manager == last_applied::KUBECTL {
        last_applied::follow(&mut object, wanted);
    }
    Ok(Applied { object, managers: managers.write() })
}

/// A body that names another kind, or managers.
fn check(scope: &Scope<'_>, wanted: &Value) -> Result<(), ApplyError> {
    let text = |key: &str| crate::kinds::json::text(&wanted[key]).to_owned();
    let sent = Gvk::parse(&text("apiVersion"), &text("kind"));
    if sent != *scope.gvk {
        return Err(ApplyError::Malformed(format!("invalid object type: {}", show(&sent))));
    }
    if has_managers(wanted) {
        return Err(ApplyError::Malformed("metadata.managedFields must be nil".to_owned()));
    }
    validate::validate(scope.own_place(), wanted, false)
        .map_err(|why| unanswered(&format!("failed to create typed patch object ({})", named(wanted, scope.gvk)), &why))
}

fn unanswered(what: &str, why: &str) -> ApplyError {
    ApplyError::Unanswered(format!("{what}: {why}"))
}

/// `namespace/name; apps/v1, Kind=Deployment`, as messages name an object.
pub fn named(object: &Value, gvk: &Gvk) -> String {
    let text = |key: &str| crate::kinds::json::text(&object["metadata"][key]).to_owned();
    format!("{}/{}; {}", text("namespace"), text("name"), show(gvk))
}

/// `apps/v1, Kind=Deployment`; the core group is `/v1`.
fn show(gvk: &Gvk) -> String {
    format!("{}/{}, Kind={}", gvk.group, gvk.version, gvk.kind)
}

/// Everything that differs.
pub(super) fn all_of(one: &Difference) -> Set {
    one.written.union(&one.removed)
}
