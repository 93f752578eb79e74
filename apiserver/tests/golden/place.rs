//! Paths into documents: `a.b.0.c`, `a.*.b`, `a['x.y/z']`; the empty path is the whole document.

use serde_json::Value;

/// A path in which no `*` is left.
pub type Place = Vec<String>;

/// The parts of a path.
pub fn split(path: &str) -> Vec<String> {
    let (mut parts, mut rest) = (Vec::new(), path);
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['") {
            let (part, behind) = quoted.split_once("']").expect("a quote that ends");
            parts.push(part.to_owned());
            rest = behind;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end > 0 {
                parts.push(rest[..end].to_owned());
            }
            rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
        }
    }
    parts
}

/// Every place that a path names; what is missing is left out.
pub fn find(document: &Value, path: &str) -> Vec<Place> {
    let mut places = vec![Place::new()];
    for part in split(path) {
        places = places.into_iter().flat_map(|place| below(document, &place, &part)).collect();
    }
    places
}

fn below(document: &Value, place: &Place, part: &str) -> Vec<Place> {
    let keys: Vec<String> = match at(document, place) {
        Some(Value::Object(map)) if part == "*" => map.keys().cloned().collect(),
        Some(Value::Array(list)) if part == "*" => (0..list.len()).map(|index| index.to_string()).collect(),
        Some(_) => vec![part.to_owned()],
        None => Vec::new(),
    };
    let all = keys.into_iter().map(|key| [place.as_slice(), &[key]].concat());
    all.filter(|place| at(document, place).is_some()).collect()
}

/// What stands there.
pub fn at<'a>(document: &'a Value, place: &[String]) -> Option<&'a Value> {
    place.iter().try_fold(document, |node, key| match node {
        Value::Object(map) => map.get(key),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

/// The same, to change it.
pub fn at_mut<'a>(document: &'a mut Value, place: &[String]) -> Option<&'a mut Value> {
    place.iter().try_fold(document, |node, key| match node {
        Value::Object(map) => map.get_mut(key),
        Value::Array(list) => list.get_mut(key.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

/// Sets a member that may not be there yet.
pub fn set(document: &mut Value, path: &str, value: Value) {
    let mut parts = split(path);
    let last = parts.pop().expect("a path");
    if let Some(Value::Object(map)) = at_mut(document, &parts) {
        map.insert(last, value);
    }
}

/// Takes out what a path names.
pub fn remove(document: &mut Value, path: &str) {
    for place in find(document, path).into_iter().rev() {
        let Some((last, parent)) = place.split_last() else { continue };
        match at_mut(document, parent) {
            Some(Value::Object(map)) => drop(map.remove(last)),
            Some(Value::Array(list)) => drop(list.remove(last.parse().expect("an index"))),
            Some(_) | None => {}
        }
    }
}

/// The value of a path; with a `*` in it, the list of all values. `null` where there is none.
pub fn pick(document: &Value, path: &str) -> Value {
    let mut values = find(document, path).into_iter().filter_map(|place| at(document, &place).cloned());
    if split(path).iter().any(|part| part == "*") { values.collect() } else { values.next().unwrap_or_default() }
}

#[test]
fn paths_name_what_they_say() {
    let document = serde_json::json!({"a": [{"b": 1}, {"c": 2}, {"b": 3}], "d": {"x.y/z": {"e": 4}}});
    assert_eq!(pick(&document, "a.*.b"), serde_json::json!([1, 3]));
    assert_eq!(pick(&document, "a.1.c"), 2);
    assert_eq!(pick(&document, "d['x.y/z'].e"), 4);
    assert_eq!(pick(&document, "d['x.y/z'].f"), Value::Null);
    assert_eq!(pick(&document, ""), document);
    let mut less = document.clone();
    remove(&mut less, "a.*.b");
    assert_eq!(less["a"], serde_json::json!([{}, {"c": 2}, {}]));
}
