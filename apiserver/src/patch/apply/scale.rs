//! Who owns `spec.replicas`, as `/scale` shows and changes it. See `apimachinery/pkg/util/managedfields/scalehandler.go`.
//!
//! Unlike there, what one manager owns of an object and of its scale stays one entry.

use super::managers::{Id, Managers, Owned};
use super::set::Set;

/// The version of a Scale.
const SCALE: &str = "autoscaling/v1";

fn replicas() -> Set {
    Set::path(&["spec", "replicas"])
}

/// The managers of an object who own its replicas, as those of its Scale.
pub fn of_scale(parent: &Managers, known: impl Fn(&str) -> bool) -> Managers {
    let path = replicas();
    let owners = parent.all.iter().filter(|(_, owned)| known(&owned.api_version) && owned.set.contains(&path));
    let of_scale = |(id, owned): (&Id, &Owned)| {
        let id = Id::new(&id.manager, id.operation, SCALE, &id.subresource);
        (id, Owned { api_version: SCALE.to_owned(), set: path.clone(), time: owned.time.clone() })
    };
    Managers { all: owners.map(of_scale).collect() }
}

/// The managers of an object in `api_version` after those of its Scale changed. A manager who came to own the replicas has no time, as in Kubernetes.
pub fn of_parent(parent: Managers, scale: &Managers, api_version: &str, known: impl Fn(&str) -> bool) -> Managers {
    let path = replicas();
    let mut all = parent.all;
    all.retain(|_, owned| known(&owned.api_version));
    for (id, owned) in &mut all {
        let of_scale = Id::new(&id.manager, id.operation, SCALE, &id.subresource);
        if !scale.all.contains_key(&of_scale) {
            owned.set = owned.set.difference(&path);
        }
    }
    all.retain(|_, owned| !owned.set.is_empty());
    for (id, _) in scale.all.iter().filter(|(_, owned)| owned.set.contains(&path)) {
        let id = Id::new(&id.manager, id.operation, api_version, &id.subresource);
        let entry = all.entry(id).or_insert_with(|| Owned { api_version: api_version.to_owned(), set: Set::default(), time: None });
        entry.set = entry.set.union(&path);
    }
    Managers { all }
}
