//! Who wrote what: `metadata.managedFields` on the way of every write. What is noted is decided in [`crate::patch::apply`]; here it is told
//! who writes, where, and how the object looks in other versions.

use std::borrow::Cow;

use serde_json::Value;

use super::call::Call;
use super::clock::rfc3339;
use super::resource::Resource;
use super::{convert, meta};
use crate::patch::apply::created::created;
use crate::patch::apply::managers::{Managers, has_managers, same_but_times};
use crate::patch::apply::resets::Resets;
use crate::patch::apply::{Scope, scale, updated};
use crate::schema::Gvk;

/// A manager's name has no more bytes than this.
const LONGEST_NAME: usize = 128;

impl Call<'_> {
    /// Who writes: the `fieldManager` of the query, else what the client calls itself (`managerOrUserAgent`).
    pub fn manager(&self) -> Cow<'_, str> {
        match self.request.options.field_manager.as_str() {
            "" => Cow::Owned(from_user_agent(&self.request.user_agent)),
            given => Cow::Borrowed(given),
        }
    }

    /// `metadata.managedFields` of a new object (in the stored form, with defaults), which loses its own: the text is put in when it is stored.
    pub fn note_created(&self, object: &mut Value) -> Option<Vec<u8>> {
        self.in_scope(&self.resource.gvk(self.version()), |scope| match self.seen(object) {
            Some(mut seen) => {
                set_managers(object, None);
                created(scope, &mut seen, &self.manager())
            }
            None => created(scope, object, &self.manager()),
        })
    }

    /// Notes who made `object` of `old` (both in the stored form, with defaults).
    pub fn note_updated(&self, object: &mut Value, old: &Value) {
        let managers = self.in_scope(&self.resource.gvk(self.version()), |scope| match (self.seen(object), self.seen(old)) {
            (Some(mut seen), Some(live)) => updated(scope, Some(&live), &mut seen, &self.manager()),
            (_, _) => updated(scope, Some(old), object, &self.manager()),
        });
        set_managers(object, managers);
    }

    /// Puts back an empty list of managers that the body had: see [`crate::patch::keep_reset`].
    pub fn keep_reset(&self, object: &mut Value) {
        let body = std::str::from_utf8(&self.request.body).unwrap_or(""); // protobuf cannot tell an empty list from none
        if has_managers(object) || !body.contains("managedFields") {
            return;
        }
        if let Ok((sent, _)) = crate::schema::read_yaml(body.as_bytes()) {
            crate::patch::keep_reset(&sent, object);
        }
    }

    /// A stored object in the request's version, where that is another.
    fn seen(&self, object: &Value) -> Option<Value> {
        let differs = !convert::is_stored_form(&self.resource, self.version());
        differs.then(|| convert::from_storage(&self.resource, self.version(), object.clone()))
    }

    /// Calls `with` what there is to know of a write of a `gvk` here.
    pub fn in_scope<T>(&self, gvk: &Gvk, with: impl FnOnce(&Scope<'_>) -> T) -> T {
        let subresource = self.request.info.subresource.as_str();
        let convert = |object: &Value, api_version: &str| self.converted(object, api_version);
        let resets = Resets::of(&self.resource.group_resource(), subresource);
        with(&Scope { gvk, subresource, resets, convert: &convert, now: &rfc3339(self.now) })
    }

    /// An object of this resource in another version that is served.
    fn converted(&self, object: &Value, api_version: &str) -> Option<Value> {
        let have = object["apiVersion"].as_str().unwrap_or("");
        if have == api_version {
            return Some(object.clone());
        }
        let resources = self.server.resources();
        let find = |api_version: &str| {
            let gvk = Gvk::parse(api_version, "");
            let found = resources.find(&gvk.group, &gvk.version, &self.resource.plural)?;
            (found.storage_key() == self.resource.storage_key()).then(|| (found.clone(), gvk.version))
        };
        let ((from, from_version), (to, to_version)) = (find(have)?, find(api_version)?);
        let stored = convert::to_storage(&from, &from_version, object.clone());
        Some(convert::from_storage(&to, &to_version, stored))
    }

    /// A Scale with those managers of its object who own the replicas.
    pub fn managed_scale(&self, mut scale: Value, object: &Value) -> Value {
        let parent = Managers::read(object["metadata"].get("managedFields")).unwrap_or_default(); // what cannot be read is forgotten
        let managers = scale::of_scale(&parent, |version| serves(&self.resource, version));
        set_managers(&mut scale, managers.write());
        scale
    }

    /// Notes who made the Scale `scale` of `live`.
    pub fn note_scaled(&self, gvk: &Gvk, scale: &mut Value, live: &Value) {
        let managers = self.in_scope(gvk, |scope| updated(scope, Some(live), scale, &self.manager()));
        set_managers(scale, managers);
    }

    /// Takes the managers of a written Scale over into its object.
    pub fn managed_by_scale(&self, object: &mut Value, scale: &Value) {
        let read = |value: &Value| Managers::read(value["metadata"].get("managedFields")).unwrap_or_default(); // as above
        let api_version = self.resource.api_version(self.version());
        let managers = scale::of_parent(read(object), &read(scale), &api_version, |version| serves(&self.resource, version));
        set_managers(object, managers.write());
    }
}

fn serves(resource: &Resource, api_version: &str) -> bool {
    resource.versions.iter().any(|version| resource.api_version(version) == api_version)
}

/// Puts a list of managers into an object, or takes it out.
pub fn set_managers(object: &mut Value, managers: Option<Value>) {
    match managers {
        Some(managers) => meta::of(object).insert("managedFields".to_owned(), managers),
        None => meta::of(object).remove("managedFields"),
    };
}

/// Whether two objects are the same but for the times of their managers: such a write changes nothing (`IgnoreManagedFieldsTimestampsTransformer`).
pub fn only_times_differ(object: &Value, old: &Value) -> bool {
    let (new, had) = (&object["metadata"]["managedFields"], &old["metadata"]["managedFields"]);
    if new.is_null() || had.is_null() || !same_but_times(new, had) {
        return false;
    }
    let (Some(object), Some(old)) = (object.as_object(), old.as_object()) else { return false };
    let same = |key: &str, value: &Value| {
        let Some(other) = old.get(key) else { return false };
        match (key, value.as_object(), other.as_object()) {
            ("metadata", Some(one), Some(two)) => {
                one.len() == two.len() && one.iter().all(|(key, value)| key == "managedFields" || two.get(key) == Some(value))
            }
            (_, _, _) => value == other,
        }
    };
    object.len() == old.len() && object.iter().all(|(key, value)| same(key, value))
}

/// What stands before the first `/`, without what cannot be printed, and not too long (`prefixFromUserAgent`).
fn from_user_agent(user_agent: &str) -> String {
    let mut name = String::new();
    for character in user_agent.split('/').next().unwrap_or("").chars().filter(|one| !one.is_control()) {
        if name.len() + character.len_utf8() > LONGEST_NAME {
            break;
        }
        name.push(character);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_client_is_called_what_stands_before_the_slash() {
        for (agent, name) in [("kubectl/v1.35.0 (linux)", "kubectl"), ("", ""), ("a\u{7}b", "ab"), (&"é".repeat(80), &"é".repeat(64))] {
            assert_eq!(from_user_agent(agent), name);
        }
    }

    #[test]
    fn times_alone_are_no_change() {
        let object = |time: &str, data: &str| json!({"metadata": {"name": "a", "managedFields": [{"manager": "m", "time": time}]}, "data": {"k": data}});
        assert!(only_times_differ(&object("1", "x"), &object("2", "x")));
        assert!(!only_times_differ(&object("1", "x"), &object("2", "y")));
        let other = json!({"metadata": {"name": "a", "managedFields": [{"manager": "n", "time": "1"}]}, "data": {"k": "x"}});
        assert!(!only_times_differ(&object("1", "x"), &other));
    }
}
