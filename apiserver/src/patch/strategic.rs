//! Strategic merge patch: a patch that knows which lists are maps (`apimachinery/pkg/util/strategicpatch`).
//!
//! Objects merge. A list merges by its merge key if the type says so, and is replaced if not. Directives inside the patch:
//! `$patch: replace | delete` in an object or a list element, `$deleteFromPrimitiveList/x`, `$setElementOrder/x`, `$retainKeys`.

use serde_json::{Map, Value};

use super::PatchError;
use crate::schema::{Field, Kind, Shape, Type, print, types};

mod lists;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const ELEMENT_ORDER: &str = "$setElementOrder";

type Object = Map<String, Value>;

/// What the table says of the object being merged.
#[derive(Clone, Copy)]
enum Scope<'a> {
    /// An object of this type.
    Message(&'a Type),
    /// A map or a value with no type: nothing below it can merge.
    Untyped,
}

/// The object after the patch. Both are JSON objects; the result still has to be decoded.
pub fn apply(original: &Value, patch: &Value, as_type: &Type) -> Result<Value, PatchError> {
    match patch {
        Value::Object(change) => apply_to(original, &mut change.clone(), as_type),
        _ => Err(PatchError::Malformed("invalid JSON document".to_owned())),
    }
}

/// As [`apply`], leaving in `patch` what Kubernetes shows of it afterwards: the directives that were followed are gone.
pub(super) fn apply_to(original: &Value, patch: &mut Object, as_type: &Type) -> Result<Value, PatchError> {
    let original = original.as_object().cloned().unwrap_or_default();
    merge_map(original, patch, Scope::Message(as_type)).map(Value::Object)
}

/// `mergeMap`
fn merge_map(mut original: Object, patch: &mut Object, scope: Scope<'_>) -> Result<Object, PatchError> {
    match patch.get(DIRECTIVE) {
        None => {}
        Some(Value::String(directive)) if directive == "replace" => {
            patch.remove(DIRECTIVE);
            return Ok(patch.clone());
        }
        Some(Value::String(directive)) if directive == "delete" => return Ok(Object::new()),
        Some(other) => return Err(unknown_directive(other, patch)),
    }
    retain_keys(&mut original, patch)?;
    lists::set_element_order(&mut original, patch, scope)?;
    for (key, change) in patch.iter_mut() {
        let (key, deletes) = match key.strip_prefix(DELETE_FROM_LIST) {
            Some(rest) => (rest.strip_prefix('/').ok_or_else(|| malformed("invalid patch format of primitive list"))?, true),
            None => (key.as_str(), false),
        };
        if change.is_null() {
            original.remove(key);
            continue;
        }
        let merged = match (original.get_mut(key), change) {
            (Some(Value::Object(before)), Value::Object(change)) => {
                let field = scope.field(key)?;
                if strategy(field) == "replace" {
                    Some(Value::Object(change.clone()))
                } else {
                    Some(Value::Object(merge_map(std::mem::take(before), change, inner(field))?))
                }
            }
            (Some(Value::Array(before)), Value::Array(change)) => {
                let field = scope.field(key)?;
                if deletes || strategy(field) == "merge" {
                    Some(Value::Array(lists::merge(std::mem::take(before), change, field, deletes)?))
                } else {
                    Some(Value::Array(change.clone()))
                }
            }
            (_, _) if deletes => continue,
            (_, change) => {
                discard_nulls(change);
                without_directives(change.clone())
            }
        };
        match merged {
            Some(value) => original.insert(key.to_owned(), value),
            None => original.remove(key),
        };
    }
    Ok(original)
}

impl<'a> Scope<'a> {
    /// What the type says of a field that both sides have.
    fn field(self, key: &str) -> Result<&'a Field, PatchError> {
        match self {
            Self::Message(as_type) => as_type
                .field(key)
                .ok_or_else(|| PatchError::Unanswered(format!("unable to find api field in struct {} for the json field {key:?}", as_type.short_name()))),
            Self::Untyped => Err(PatchError::Unanswered("merging an object in json but data type is not struct, instead is: map".to_owned())),
        }
    }
}

/// The scope of a field's values.
fn inner(field: &Field) -> Scope<'static> {
    match (field.kind, field.shape) {
        (Kind::Message(id), Shape::One | Shape::List) => Scope::Message(types().get(id)),
        (_, _) => Scope::Untyped,
    }
}

/// The one strategy of a field besides `retainKeys`.
fn strategy(field: &Field) -> &str {
    field.patch_strategy.split(',').find(|one| *one != "retainKeys").unwrap_or("")
}

/// `applyRetainKeysDirective`
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), PatchError> {
    let Some(retained) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let wrong = || malformed("invalid patch format of retainKeys");
    let Value::Array(retained) = retained else { return Err(wrong()) };
    let kept = |key: &str| retained.iter().any(|one| one.as_str() == Some(key));
    for (key, value) in patch.iter() {
        if !value.is_null() && !key.starts_with(DELETE_FROM_LIST) && !key.starts_with(ELEMENT_ORDER) && !kept(key) {
            return Err(wrong());
        }
    }
    original.retain(|key, _| kept(key));
    Ok(())
}

fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(discard_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A value that is new to the object: parts with a directive have nothing to act on and are left out.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => Some(Value::Object(map.into_iter().filter_map(|(key, value)| Some((key, without_directives(value)?))).collect())),
        Value::Array(list) => Some(Value::Array(list.into_iter().filter_map(without_directives).collect())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value),
    }
}

fn malformed(sentence: &str) -> PatchError {
    PatchError::Malformed(sentence.to_owned())
}

fn unknown_directive(directive: &Value, map: &Object) -> PatchError {
    PatchError::Unanswered(format!("unknown patch type: {} in map: {}", print::value(directive), print::map(map)))
}

fn no_merge_key(map: &Object, key: &str) -> PatchError {
    PatchError::Unanswered(format!("map: {} does not contain declared merge key: {key}", print::map(map)))
}

fn wrong_argument(expected: &str, found: &Value) -> PatchError {
    PatchError::Unanswered(format!("expected a {expected}, but received a {}", print::go_type(found)))
}
