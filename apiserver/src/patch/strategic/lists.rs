//! Lists in a strategic patch: merging by key, deleting, and the order of what comes out.

use serde_json::Value;

use super::{
    DIRECTIVE, ELEMENT_ORDER, Object, Scope, inner, malformed, merge_map, no_merge_key, strategy, unknown_directive, without_directives, wrong_argument,
};
use crate::patch::PatchError;
use crate::schema::{Field, print};

/// `mergeSlice`: the patch's elements merged into the original's, or taken out of them.
pub(super) fn merge(original: Vec<Value>, patch: &mut [Value], field: &Field, deletes: bool) -> Result<Vec<Value>, PatchError> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    let maps = holds_maps(&original, patch)?;
    if !maps && deletes {
        return Ok(original.into_iter().filter(|one| !patch.contains(one)).collect());
    }
    let key = field.merge_key;
    if !maps {
        let mut merged = original.clone();
        merged.extend(patch.iter().cloned());
        return ordered(deduplicated(merged), patch, &original, key, maps);
    }
    if key.is_empty() {
        return Err(PatchError::Unanswered(format!("cannot merge lists without merge key for {}", field.go_type)));
    }
    let (original, mut changes) = follow_directives(original, patch, key)?;
    let mut merged = original.clone();
    for change in &mut changes {
        let Value::Object(change) = change else { continue };
        let wanted = change.get(key).ok_or_else(|| no_merge_key(change, key))?.clone();
        match merged.iter_mut().find(|one| one.get(key) == Some(&wanted)) {
            Some(Value::Object(before)) => *before = merge_map(std::mem::take(before), change, inner(field))?,
            Some(_) | None => merged.push(Value::Object(change.clone())),
        }
    }
    ordered(merged, &changes, &original, key, maps)
}

/// `mergePatchIntoOriginal`: merges the lists whose order the patch sets.
pub(super) fn set_element_order(original: &mut Object, patch: &mut Object, scope: Scope<'_>) -> Result<(), PatchError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let order = match patch.remove(&directive) {
            Some(Value::Array(order)) => order,
            Some(other) => return Err(wrong_argument("[]interface {}", &other)),
            None => continue,
        };
        let key = directive[ELEMENT_ORDER.len()..].strip_prefix('/').ok_or_else(|| malformed("invalid patch format of setElementOrder list"))?;
        let before = list(original.get(key))?;
        let mut change = list(patch.get(key))?;
        let field = scope.field(key)?;
        agrees(change.as_deref().unwrap_or_default(), &order, field.merge_key)?;
        let merged = match (before.clone(), &mut change) {
            (Some(before), None) => before,
            (None, Some(change)) => change.iter().cloned().filter_map(without_directives).collect(),
            (Some(before), Some(change)) if strategy(field) == "merge" => merge(before, change, field, false)?,
            (Some(_), Some(change)) => change.clone(),
            (None, None) => continue,
        };
        let maps = holds_maps(before.as_deref().unwrap_or_default(), change.as_deref().unwrap_or_default())?;
        let sorted = ordered(merged, &order, before.as_deref().unwrap_or_default(), field.merge_key, maps)?;
        original.insert(key.to_owned(), Value::Array(sorted));
        patch.remove(key);
    }
    Ok(())
}

fn list(value: Option<&Value>) -> Result<Option<Vec<Value>>, PatchError> {
    match value {
        None => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list.clone())),
        Some(other) => Err(wrong_argument("[]interface {}", other)),
    }
}

/// `sliceElementType`: are the elements objects? All must be of one sort, and no lists.
fn holds_maps(original: &[Value], patch: &[Value]) -> Result<bool, PatchError> {
    let mut all = original.iter().chain(patch);
    let Some(first) = all.next() else { return Err(PatchError::Unanswered("no elements in any of the given slices".to_owned())) };
    if first.is_array() {
        return Err(PatchError::Rejected("lists of lists are not supported".to_owned()));
    }
    if all.any(|one| print::go_type(one) != print::go_type(first)) {
        let shown = format!("[{} {}]", print::list(original), print::list(patch));
        return Err(PatchError::Unanswered(format!("list element types are not identical: {shown}")));
    }
    Ok(first.is_object())
}

/// `mergeSliceWithSpecialElements`: elements that say `$patch` act and are gone.
fn follow_directives(mut original: Vec<Value>, patch: &[Value], key: &str) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::new();
    let mut replaces = false;
    for change in patch {
        let Value::Object(map) = change else { continue };
        match map.get(DIRECTIVE) {
            None => plain.push(change.clone()),
            Some(Value::String(directive)) if directive == "delete" => {
                let wanted = map.get(key).ok_or_else(|| no_merge_key(map, key))?;
                original.retain(|one| one.get(key) != Some(wanted));
            }
            Some(Value::String(directive)) if directive == "replace" => replaces = true,
            Some(Value::String(directive)) if directive == "merge" => {
                return Err(PatchError::Unanswered("merging lists cannot yet be specified in the patch".to_owned()));
            }
            Some(other) => return Err(unknown_directive(other, map)),
        }
    }
    Ok(if replaces { (plain, Vec::new()) } else { (original, plain) })
}

/// `validatePatchWithSetOrderList`: the patch's elements must stand in the order that the patch sets.
fn agrees(patch: &[Value], order: &[Value], key: &str) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for change in patch.iter().filter(|change| change.get(DIRECTIVE).is_none()) {
        let wanted = identity(change, key)?;
        let mut found = false;
        for place in rest.by_ref() {
            if identity(place, key)? == wanted {
                found = true;
                break;
            }
        }
        if !found {
            let (patch, order) = (print::list(patch), print::list(order));
            return Err(PatchError::Unanswered(format!("The order in patch list:\n{patch}\n doesn't match {ELEMENT_ORDER} list:\n{order}\n")));
        }
    }
    Ok(())
}

/// By what an element of a merging list is known: its merge key, or itself.
fn identity<'a>(element: &'a Value, key: &str) -> Result<&'a Value, PatchError> {
    match element {
        _ if key.is_empty() => Ok(element),
        Value::Object(map) => map.get(key).ok_or_else(|| no_merge_key(map, key)),
        other => Err(wrong_argument("map[string]interface {}", other)),
    }
}

fn deduplicated(list: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::with_capacity(list.len());
    for one in list {
        if !out.contains(&one) {
            out.push(one);
        }
    }
    out
}

/// `normalizeElementOrder`: what the patch names comes in the patch's order, the rest in the server's, and a server's element
/// stays before a patched one only if it was before it.
fn ordered(merged: Vec<Value>, patch_order: &[Value], server_order: &[Value], key: &str, maps: bool) -> Result<Vec<Value>, PatchError> {
    let key = if maps { key } else { "" };
    let place = |order: &[Value], one: &Value| -> Result<Option<usize>, PatchError> {
        let wanted = identity(one, key)?;
        for (index, candidate) in order.iter().enumerate() {
            if identity(candidate, key)? == wanted {
                return Ok(Some(index));
            }
        }
        Ok(None)
    };
    let (mut named, mut rest) = (Vec::new(), Vec::new());
    for one in merged {
        match place(patch_order, &one)? {
            Some(at) => named.push((at, place(server_order, &one)?, one)),
            None => rest.push((place(server_order, &one)?, one)),
        }
    }
    named.sort_by_key(|(at, _, _)| *at);
    rest.sort_by_key(|(at, _)| *at);
    let (mut named, mut rest) = (named.into_iter().peekable(), rest.into_iter().peekable());
    let mut out = Vec::new();
    loop {
        let server_first = match (rest.peek(), named.peek()) {
            (None, None) => return Ok(out),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((left, _)), Some((_, right, _))) => matches!((left, right), (Some(left), Some(right)) if left < right),
        };
        if server_first {
            out.extend(rest.next().map(|(_, one)| one));
        } else {
            out.extend(named.next().map(|(_, _, one)| one));
        }
    }
}
