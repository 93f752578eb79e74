//! Label and field selectors: parsing (`a=b,c in (d,e),!f`) and matching.
//!
//! See `apimachinery/pkg/labels/selector.go` and `apimachinery/pkg/fields/selector.go`.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// What a label must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// One of the values (`=`, `==`, `in`).
    In,
    /// None of the values, or absent (`!=`, `notin`).
    NotIn,
    /// There.
    Exists,
    /// Not there.
    DoesNotExist,
    /// There, and an integer greater than the value.
    Gt,
    /// There, and an integer less than the value.
    Lt,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what; sorted.
    pub values: Vec<String>,
}

/// A conjunction of requirements; without any it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// All of them must hold.
    pub requirements: Vec<Requirement>,
    nothing: bool,
}

/// Why a text is no selector: the sentence Kubernetes gives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// Labels as a map from key to value, however they are kept.
pub trait Labels {
    /// The label's value, if it is there.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl Labels for Option<BTreeMap<String, String>> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref()?.label(key)
    }
}

impl Requirement {
    /// Whether the labels satisfy it.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        let value = labels.label(&self.key);
        let compare = |holds: fn(i64, i64) -> bool| {
            let bound = self.values.first().and_then(|bound| bound.parse().ok());
            let have = value.and_then(|value| value.parse().ok());
            matches!((have, bound), (Some(have), Some(bound)) if holds(have, bound))
        };
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.iter().any(|one| one == value)),
            Operator::NotIn => value.is_none_or(|value| self.values.iter().all(|one| one != value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => compare(|have, bound| have > bound),
            Operator::Lt => compare(|have, bound| have < bound),
        }
    }
}

impl Selector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects nothing (an absent `LabelSelector`).
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether the labels satisfy every requirement.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// Exactly these labels (`Service.spec.selector`, `nodeSelector`).
    pub fn of_map(labels: &BTreeMap<String, String>) -> Self {
        let requirement = |(key, value): (&String, &String)| Requirement { key: key.clone(), operator: Operator::In, values: vec![value.clone()] };
        Self { requirements: labels.iter().map(requirement).collect(), nothing: false }
    }

    /// Of a `metav1.LabelSelector`: an absent one selects nothing, an empty one everything. See `LabelSelectorAsSelector`.
    pub fn of(selector: Option<&LabelSelector>) -> Result<Self, Malformed> {
        let Some(selector) = selector else { return Ok(Self::nothing()) };
        let mut made = selector.match_labels.as_ref().map(Self::of_map).unwrap_or_default();
        for expression in selector.match_expressions.iter().flatten() {
            made.requirements.push(Requirement::of(expression)?);
        }
        Ok(made)
    }

    /// Parses the query parameter `labelSelector`.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parser = Parser { text, at: 0 };
        let mut requirements = parser.requirements()?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements, nothing: false })
    }
}

impl Requirement {
    fn of(expression: &LabelSelectorRequirement) -> Result<Self, Malformed> {
        let operator = match expression.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => return Err(Malformed(format!("{other:?} is not a valid label selector operator"))),
        };
        let mut values = expression.values.clone().unwrap_or_default();
        values.sort();
        Ok(Self { key: expression.key.clone(), operator, values })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match (&self.operator, self.values.len()) {
            (Operator::In, 1) => write!(f, "{key}={values}"),
            (Operator::In, _) => write!(f, "{key} in ({values})"),
            (Operator::NotIn, 1) => write!(f, "{key}!={values}"),
            (Operator::NotIn, _) => write!(f, "{key} notin ({values})"),
            (Operator::Exists, _) => write!(f, "{key}"),
            (Operator::DoesNotExist, _) => write!(f, "!{key}"),
            (Operator::Gt, _) => write!(f, "{key}>{values}"),
            (Operator::Lt, _) => write!(f, "{key}<{values}"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.requirements.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(","))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'a str),
    End,
}

impl Token<'_> {
    fn text(&self) -> &str {
        match self {
            Token::Word(text) | Token::Symbol(text) => text,
            Token::End => "",
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> (Token<'a>, usize) {
        let rest = self.text[self.at..].trim_start();
        let start = self.text.len() - rest.len();
        for symbol in ["==", "!=", "=", "!", ",", "(", ")", ">", "<"] {
            if rest.starts_with(symbol) {
                return (Token::Symbol(&rest[..symbol.len()]), start + symbol.len());
            }
        }
        let end = rest.find(|c: char| c.is_whitespace() || "=!,()<>".contains(c)).unwrap_or(rest.len());
        if end == 0 { (Token::End, start) } else { (Token::Word(&rest[..end]), start + end) }
    }

    fn next(&mut self) -> Token<'a> {
        let (token, at) = self.peek();
        self.at = at;
        token
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, Malformed> {
        let mut all = Vec::new();
        if self.peek().0 == Token::End {
            return Ok(all);
        }
        loop {
            match self.peek().0 {
                Token::Word(_) | Token::Symbol("!") => all.push(self.requirement()?),
                other => return Err(malformed(&format!("found '{}', expected: !, identifier, or 'end of string'", other.text()))),
            }
            match self.next() {
                Token::End => return Ok(all),
                Token::Symbol(",") => match self.peek().0 {
                    Token::Word(_) | Token::Symbol("!") => {}
                    other => return Err(malformed(&format!("found '{}', expected: identifier after ','", other.text()))),
                },
                other => return Err(malformed(&format!("found '{}', expected: ',' or 'end of string'", other.text()))),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, Malformed> {
        let mut first = self.next();
        let negated = first == Token::Symbol("!");
        if negated {
            first = self.next();
        }
        let Token::Word(key) = first else {
            return Err(malformed(&format!("found '{}', expected: identifier", first.text())));
        };
        check_key(key)?;
        let made = |operator, values| Ok(Requirement { key: key.to_owned(), operator, values });
        if negated {
            return made(Operator::DoesNotExist, Vec::new());
        }
        let (token, after) = self.peek();
        match token {
            Token::End | Token::Symbol(",") => made(Operator::Exists, Vec::new()),
            Token::Symbol("=" | "==") => {
                self.at = after;
                made(Operator::In, vec![self.value(key)?])
            }
            Token::Symbol("!=") => {
                self.at = after;
                made(Operator::NotIn, vec![self.value(key)?])
            }
            Token::Word(word @ ("in" | "notin")) => {
                self.at = after;
                let values = self.values(key)?;
                made(if word == "in" { Operator::In } else { Operator::NotIn }, values)
            }
            Token::Symbol(symbol @ (">" | "<")) => {
                self.at = after;
                let value = self.value(key)?;
                if value.parse::<i64>().is_err() {
                    return Err(malformed_raw("for 'Gt', 'Lt' operators, the value must be an integer".to_owned()));
                }
                made(if symbol == ">" { Operator::Gt } else { Operator::Lt }, vec![value])
            }
            other => Err(malformed(&format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", other.text()))),
        }
    }

    /// The one value after `=`; none is the empty value.
    fn value(&mut self, key: &str) -> Result<String, Malformed> {
        let (token, after) = self.peek();
        match token {
            Token::Word(value) => {
                self.at = after;
                check_value(key, value)?;
                Ok(value.to_owned())
            }
            Token::End | Token::Symbol(",") => Ok(String::new()),
            Token::Symbol(other) => Err(malformed(&format!("found '{other}', expected: identifier"))),
        }
    }

    /// `(a, b)`
    fn values(&mut self, key: &str) -> Result<Vec<String>, Malformed> {
        let open = self.next();
        if open != Token::Symbol("(") {
            return Err(malformed(&format!("found '{}' expected: '('", open.text())));
        }
        let mut values = vec![String::new()];
        loop {
            match self.next() {
                Token::Word(value) => {
                    check_value(key, value)?;
                    if let Some(last) = values.last_mut() {
                        *last = value.to_owned();
                    }
                }
                Token::Symbol(",") => values.push(String::new()),
                Token::Symbol(")") => break,
                other => return Err(malformed(&format!("found '{}', expected: ',', or ')'", other.text()))),
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }
}

fn malformed(what: &str) -> Malformed {
    Malformed(format!("unable to parse requirement: {what}"))
}

fn malformed_raw(what: String) -> Malformed {
    Malformed(what)
}

const NAME_HELP: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
     character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_HELP: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end \
     with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

fn is_label_text(text: &str) -> bool {
    let edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let inside = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    edge(text.as_bytes().first()) && edge(text.as_bytes().last()) && text.bytes().all(inside)
}

fn check_key(key: &str) -> Result<(), Malformed> {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    if name.len() <= 63 && is_label_text(name) {
        return Ok(());
    }
    let why = if name.len() > 63 { "name part must be no more than 63 bytes" } else { NAME_HELP };
    Err(malformed(&format!("key: Invalid value: {key:?}: {why}")))
}

fn check_value(key: &str, value: &str) -> Result<(), Malformed> {
    if value.len() <= 63 && (value.is_empty() || is_label_text(value)) {
        return Ok(());
    }
    let why = if value.len() > 63 { "must be no more than 63 bytes" } else { VALUE_HELP };
    Err(malformed(&format!("values[0][{key}]: Invalid value: {value:?}: {why}")))
}

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

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split(',').filter_map(|one| one.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn label_selectors_select() {
        for (selector, have, selected) in [
            ("", "a=b", true),
            ("a=b", "a=b", true),
            ("a==b", "a=c", false),
            ("a!=b", "x=y", true),
            ("a", "a=", true),
            ("!a", "a=", false),
            ("a in (b, c)", "a=c", true),
            ("a notin (b,c)", "a=d", true),
            ("a notin (b,c)", "x=d", true),
            ("a in (b),!z", "a=b", true),
            ("a>3", "a=4", true),
            ("a<3", "a=4", false),
            ("a=", "a=", true),
            ("example.com/a=b", "example.com/a=b", true),
            ("in in (in)", "in=in", true),
        ] {
            let parsed = Selector::parse(selector).unwrap_or_else(|error| panic!("{selector}: {error}"));
            assert_eq!(parsed.matches(&labels(have)), selected, "{selector} on {have}");
        }
    }

    #[test]
    fn what_is_no_selector() {
        for text in ["a b", "a=b=c", "=b", "a in b", "a in (b", ",a", "a,", "a>x", "a=-b"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prints_as_kubernetes_does() {
        for text in ["a=b", "a!=b", "a", "!a", "a in (b,c)", "a notin (b,c)"] {
            assert_eq!(Selector::parse(text).map(|s| s.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn an_absent_label_selector_selects_nothing() {
        assert!(!Selector::of(None).expect("fine").matches(&labels("a=b")));
        assert!(Selector::of(Some(&LabelSelector::default())).expect("fine").matches(&labels("a=b")));
    }

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
