//! Which element of a list is which: by its keys, or by its value.

use std::collections::BTreeMap;

use serde_json::Value;

use super::element::Element;
use super::place::{Place, Relation, key_default};

/// The step to an element of the list at `list` (`listItemToPathElement`). The error is a sentence.
pub fn step(list: Place, relation: Relation, item: &Value) -> Result<Element, String> {
    match (relation, item) {
        (Relation::Atomic, _) => Err("invalid indexing of non-associative list".to_owned()),
        (Relation::Set, Value::Object(_)) => Err("associative list without keys has an element that's a map type".to_owned()),
        (Relation::Set, Value::Array(_)) => Err("not supported: associative list with lists as elements".to_owned()),
        (Relation::Set, Value::Null) => Err("associative list without keys has an element that's an explicit null".to_owned()),
        (Relation::Set, value) => Ok(Element::Value(value.clone())),
        (Relation::Map(keys), Value::Object(item)) => {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                if let Some(value) = item.get(*key).cloned().or_else(|| key_default(list, key)) {
                    found.push(((*key).to_owned(), value));
                }
            }
            if found.is_empty() {
                let quoted: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
                let keys = quoted.join(" ");
                return Err(format!(
                    "associative list with keys has an element that omits all key fields [{keys}] (and doesn't have default values for any key fields)"
                ));
            }
            found.sort_by(|one, two| one.0.cmp(&two.0));
            Ok(Element::Key(found))
        }
        (Relation::Map(_), Value::Null) => Err("associative list with keys may not have a null element".to_owned()),
        (Relation::Map(_), _) => Err("associative list with keys may not have non-map elements".to_owned()),
    }
}

/// The elements of a list by their steps, those of one step in their order.
pub fn by_step(list: Place, relation: Relation, items: &[Value]) -> Result<BTreeMap<Element, Vec<&Value>>, String> {
    let mut found: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let step = step(list, relation, item).map_err(|why| format!("element {index}: {why}"))?;
        found.entry(step).or_default().push(item);
    }
    Ok(found)
}
