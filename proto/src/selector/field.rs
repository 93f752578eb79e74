//! Field selectors: `spec.nodeName=node-1,status.phase!=Failed` (`apimachinery/pkg/fields/selector.go`).

use super::Malformed;

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// `spec.nodeName`
    pub path: String,
    /// Whether the value must differ.
    pub not: bool,
    /// The value.
    pub value: String,
}

/// A conjunction of conditions on fields; without any it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// All of them must hold.
    pub requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Parses the query parameter `fieldSelector`: `a=b`, `a==b`, `a!=b`, joined by commas; `\` escapes `,`, `=` and itself.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut requirements = Vec::new();
        for term in split_terms(text) {
            if term.is_empty() {
                continue;
            }
            requirements.push(field_requirement(term).ok_or_else(|| Malformed(format!("invalid selector: '{text}'; can't understand '{term}'")))?);
        }
        Ok(Self { requirements })
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether the fields, looked up by path, satisfy every requirement; a field that is not there is empty.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|one| (field(&one.path).unwrap_or_default() == one.value) != one.not)
    }

    /// The value that `path` must have, where one is demanded.
    pub fn required(&self, path: &str) -> Option<&str> {
        self.requirements.iter().find(|one| one.path == path && !one.not).map(|one| one.value.as_str())
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == ',' && !escaped {
            terms.push(&text[start..at]);
            start = at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    terms.push(&text[start..]);
    terms
}

fn field_requirement(term: &str) -> Option<FieldRequirement> {
    let operators = ["!=", "==", "="];
    let found = (0..term.len()).find_map(|at| {
        let rest = term.get(at..)?;
        operators.iter().find(|operator| rest.starts_with(**operator)).map(|operator| (at, *operator))
    });
    let (at, operator) = found?;
    let value = unescape(&term[at + operator.len()..])?;
    Some(FieldRequirement { path: term[..at].to_owned(), not: operator == "!=", value })
}

fn unescape(text: &str) -> Option<String> {
    let (mut out, mut escaped) = (String::with_capacity(text.len()), false);
    for c in text.chars() {
        match (escaped, c) {
            (true, '\\' | ',' | '=') => out.push(c),
            (true, _) | (false, ',' | '=') => return None,
            (false, '\\') => {
                escaped = true;
                continue;
            }
            (false, _) => out.push(c),
        }
        escaped = false;
    }
    (!escaped).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_selectors() {
        let parsed = FieldSelector::parse(r"spec.nodeName=node-1,status.phase!=Failed,x==a\,b").expect("well formed");
        let fields = |path: &str| match path {
            "spec.nodeName" => Some("node-1"),
            "x" => Some("a,b"),
            _ => None,
        };
        assert!(parsed.matches(fields));
        assert_eq!(parsed.required("spec.nodeName"), Some("node-1"));
        assert_eq!(parsed.required("status.phase"), None);
        assert!(FieldSelector::parse("nonsense").is_err());
    }
}
