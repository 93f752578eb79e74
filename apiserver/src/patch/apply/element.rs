//! One step of a path into an object: a field, a list element known by its keys, or a member of a set.
//!
//! See `structured-merge-diff/fieldpath/{element,serialize-pe}.go`.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

use crate::schema::scalar::quote;

/// A step of a path. Ordered as Kubernetes orders them: fields, keys, values, indexes.
#[derive(Clone, Debug)]
pub enum Element {
    /// `f:replicas`: a field of a struct or an entry of a map.
    Field(String),
    /// `k:{"name":"c"}`: the list element with these values, by name.
    Key(Vec<(String, Value)>),
    /// `v:"x"`: a member of a set.
    Value(Value),
    /// `i:0`: a place in a list. Kubernetes writes none; it reads them.
    Index(i64),
}

impl Element {
    /// The key that `fieldsV1` has for it.
    pub fn text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(values) => format!("k:{}", Value::Object(values.iter().cloned().collect())),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// From the key of a `fieldsV1`; nothing for a sort that this version does not know.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let Some((sort, rest)) = text.split_once(':').filter(|(sort, _)| sort.len() == 1) else {
            return Err(if text.len() < 2 { "key must be 2 characters long:".to_owned() } else { format!("missing colon: {text}") });
        };
        let json = |what: &str| format!("parsing {what} of {text:?} as JSON");
        match sort {
            "f" => Ok(Some(Self::Field(rest.to_owned()))),
            "k" => {
                let keys: Map<String, Value> = serde_json::from_str(rest).map_err(|_| json("the keys"))?;
                Ok(Some(Self::Key(keys.into_iter().collect()))) // a Map is ordered by name
            }
            "v" => serde_json::from_str(rest).map(|value| Some(Self::Value(value))).map_err(|_| json("the value")),
            "i" => rest.parse().map(|index| Some(Self::Index(index))).map_err(|_| format!("strconv.Atoi: parsing {rest:?}: invalid syntax")),
            _ => Ok(None), // a later version may know it
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl fmt::Display for Element {
    /// As messages show it: `.spec`, `[name="c"]`, `[="x"]`, `[0]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(values) => {
                let shown: Vec<String> = values.iter().map(|(name, value)| format!("{name}={}", show(value))).collect();
                write!(f, "[{}]", shown.join(","))
            }
            Self::Value(value) => write!(f, "[={}]", show(value)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

fn show(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), quote)
}

impl Ord for Element {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(one), Self::Field(two)) => one.cmp(two),
            (Self::Key(one), Self::Key(two)) => compare_keys(one, two),
            (Self::Value(one), Self::Value(two)) => compare(one, two),
            (Self::Index(one), Self::Index(two)) => one.cmp(two),
            (Self::Field(_) | Self::Key(_) | Self::Value(_) | Self::Index(_), _) => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element {}

fn compare_keys(one: &[(String, Value)], two: &[(String, Value)]) -> Ordering {
    for ((name, value), (other_name, other_value)) in one.iter().zip(two) {
        let order = name.cmp(other_name).then_with(|| compare(value, other_value));
        if order != Ordering::Equal {
            return order;
        }
    }
    one.len().cmp(&two.len())
}

/// `value.Compare`: a total order of values; 1 and 1.0 are equal.
fn compare(one: &Value, two: &Value) -> Ordering {
    match (one, two) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)), // a JSON number is always a double too
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => one.to_string().cmp(&two.to_string()),
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_), _) => sort(one).cmp(&sort(two)),
    }
}

fn sort(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn are_written_and_read_as_kubernetes_does() {
        let table = [
            (Element::Field("a.b/c".to_owned()), "f:a.b/c", ".a.b/c"),
            (
                Element::Key(vec![("port".to_owned(), json!(53)), ("protocol".to_owned(), json!("UDP"))]),
                r#"k:{"port":53,"protocol":"UDP"}"#,
                r#"[port=53,protocol="UDP"]"#,
            ),
            (Element::Value(json!("x")), r#"v:"x""#, r#"[="x"]"#),
            (Element::Index(3), "i:3", "[3]"),
        ];
        for (element, text, shown) in table {
            assert_eq!((element.text().as_str(), element.to_string().as_str()), (text, shown));
            assert_eq!(Element::parse(text), Ok(Some(element)));
        }
        assert_eq!(Element::parse("x:later"), Ok(None));
        assert!(Element::parse("k:[").is_err() && Element::parse("f").is_err() && Element::parse("name").is_err());
        assert_eq!(Element::Value(json!(1)), Element::Value(json!(1.0)));
    }
}
