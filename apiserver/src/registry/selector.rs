//! Label and field selectors of a query: parsed with Kubernetes' messages, matched against an object's [`Attributes`].
//!
//! See `apimachinery/pkg/labels/selector.go` and `apimachinery/pkg/fields/selector.go`.

use crate::error::FieldError;
use crate::kinds::name;
use crate::store::Attributes;

/// Which objects of a collection are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// All of these.
    pub labels: Vec<LabelRequirement>,
    /// And all of these.
    pub fields: Vec<FieldRequirement>,
}

/// What one label must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelRequirement {
    /// `key`
    Exists(String),
    /// `!key`
    Absent(String),
    /// `key=value`, `key in (…)`
    In(String, Vec<String>),
    /// `key!=value`, `key notin (…)`: also without the key.
    NotIn(String, Vec<String>),
    /// `key>N`
    Greater(String, i64),
    /// `key<N`
    Less(String, i64),
}

/// What one field must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// `metadata.name`
    pub field: String,
    /// `!=` instead of `=`.
    pub negated: bool,
    /// The unescaped value.
    pub value: String,
}

impl Selection {
    /// Whether everything is selected.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object with these attributes, name and namespace is selected.
    pub fn matches(&self, namespace: &str, name: &str, attributes: &Attributes) -> bool {
        self.labels.iter().all(|one| one.matches(attributes)) && self.fields.iter().all(|one| one.matches(namespace, name, attributes))
    }

    /// The value that `field` must have, if there is exactly one that it could.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|one| one.field == field && !one.negated).map(|one| one.value.as_str())
    }

    /// Whether only names and namespaces are looked at, so that attributes need not be known.
    pub fn by_key_only(&self) -> bool {
        self.labels.is_empty() && self.fields.iter().all(|one| matches!(one.field.as_str(), "metadata.name" | "metadata.namespace"))
    }
}

impl LabelRequirement {
    fn key(&self) -> &str {
        match self {
            Self::Exists(key) | Self::Absent(key) | Self::In(key, _) | Self::NotIn(key, _) | Self::Greater(key, _) | Self::Less(key, _) => key,
        }
    }

    fn matches(&self, attributes: &Attributes) -> bool {
        let value = attributes.labels.get(self.key());
        match self {
            Self::Exists(_) => value.is_some(),
            Self::Absent(_) => value.is_none(),
            Self::In(_, values) => value.is_some_and(|have| values.contains(have)),
            Self::NotIn(_, values) => value.is_none_or(|have| !values.contains(have)),
            Self::Greater(_, than) => value.and_then(|have| have.parse::<i64>().ok()).is_some_and(|have| have > *than),
            Self::Less(_, than) => value.and_then(|have| have.parse::<i64>().ok()).is_some_and(|have| have < *than),
        }
    }
}

impl FieldRequirement {
    fn matches(&self, namespace: &str, name: &str, attributes: &Attributes) -> bool {
        let have = match self.field.as_str() {
            "metadata.name" => name,
            "metadata.namespace" => namespace,
            other => attributes.fields.get(other).map_or("", String::as_str),
        };
        (have == self.value) != self.negated
    }
}

/// `labels.Parse`: the error is the sentence that Kubernetes answers.
pub fn parse_labels(text: &str) -> Result<Vec<LabelRequirement>, String> {
    let mut parser = Parser { tokens: scan(text), position: 0 };
    let mut requirements = parser.parse()?;
    requirements.sort_by(|a, b| a.key().cmp(b.key()));
    Ok(requirements)
}

/// `fields.ParseSelector`.
pub fn parse_fields(text: &str) -> Result<Vec<FieldRequirement>, String> {
    let mut parts = split_terms(text);
    parts.sort_unstable();
    let mut requirements = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        let Some((field, negated, value)) = split_term(part) else {
            return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
        };
        let value = unescape(value)?;
        if field.is_empty() && value.is_empty() {
            continue;
        }
        requirements.push(FieldRequirement { field: field.to_owned(), negated, value });
    }
    Ok(requirements)
}

fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut slash) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if slash {
            slash = false;
        } else if c == '\\' {
            slash = true;
        } else if c == ',' {
            terms.push(&text[start..at]);
            start = at + 1;
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    for (at, _) in term.char_indices() {
        let rest = &term[at..];
        for (operator, negated) in [("!=", true), ("==", false), ("=", false)] {
            if let Some(value) = rest.strip_prefix(operator) {
                return Some((&term[..at], negated, value));
            }
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(value.len());
    let mut slash = false;
    for c in value.chars() {
        match (slash, c) {
            (true, '\\' | ',' | '=') => {
                plain.push(c);
                slash = false;
            }
            (true, other) => return Err(format!("invalid field selector: invalid escape sequence: \\{other}")),
            (false, '\\') => slash = true,
            (false, ',' | '=') => return Err(format!("invalid field selector: unescaped character in value: {}", u32::from(c))),
            (false, other) => plain.push(other),
        }
    }
    if slash { Err("invalid field selector: invalid escape sequence: \\".to_owned()) } else { Ok(plain) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Error,
    End,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Identifier,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
}

fn special(c: u8) -> bool {
    matches!(c, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn keyword(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::Close,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        ">" => Token::Greater,
        "in" => Token::In,
        "<" => Token::Less,
        "!=" => Token::NotEquals,
        "notin" => Token::NotIn,
        "(" => Token::Open,
        _ => return None, // not a keyword: an identifier
    })
}

fn scan(text: &str) -> Vec<(Token, String)> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        while at < bytes.len() && matches!(bytes[at], b' ' | b'\t' | b'\r' | b'\n') {
            at += 1;
        }
        if at >= bytes.len() {
            tokens.push((Token::End, String::new()));
            return tokens;
        }
        let start = at;
        if special(bytes[at]) {
            let mut found: Option<(Token, usize)> = None;
            while at < bytes.len() && special(bytes[at]) {
                at += 1;
                match keyword(&text[start..at]) {
                    Some(token) => found = Some((token, at)),
                    None if found.is_some() => break,
                    None => {}
                }
            }
            match found {
                Some((token, end)) => {
                    at = end;
                    tokens.push((token, text[start..end].to_owned()));
                }
                None => tokens.push((Token::Error, format!("error expected: keyword found '{}'", &text[start..at]))),
            }
        } else {
            while at < bytes.len() && !special(bytes[at]) && !matches!(bytes[at], b' ' | b'\t' | b'\r' | b'\n') {
                at += 1;
            }
            let word = &text[start..at];
            tokens.push((keyword(word).unwrap_or(Token::Identifier), word.to_owned()));
        }
    }
}

struct Parser {
    tokens: Vec<(Token, String)>,
    position: usize,
}

impl Parser {
    /// The next token; as a value, `in` and `notin` are identifiers.
    fn look(&self, value: bool) -> (Token, &str) {
        let (token, text) = self.tokens.get(self.position).map_or((Token::End, ""), |(token, text)| (*token, text.as_str()));
        if value && matches!(token, Token::In | Token::NotIn) { (Token::Identifier, text) } else { (token, text) }
    }

    fn take(&mut self, value: bool) -> (Token, String) {
        let (token, text) = self.look(value);
        let taken = (token, text.to_owned());
        self.position += 1;
        taken
    }

    fn parse(&mut self) -> Result<Vec<LabelRequirement>, String> {
        let mut all = Vec::new();
        loop {
            let (token, text) = self.look(true);
            match token {
                Token::Identifier | Token::Not => {
                    all.push(self.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?);
                    let (token, text) = self.take(true);
                    match token {
                        Token::End => return Ok(all),
                        Token::Comma => {
                            let (next, text) = self.look(true);
                            if !matches!(next, Token::Identifier | Token::Not) {
                                return Err(format!("found '{text}', expected: identifier after ','"));
                            }
                        }
                        _ => return Err(format!("found '{text}', expected: ',' or 'end of string'")), // any other token is out of place
                    }
                }
                Token::End => return Ok(all),
                _ => return Err(format!("found '{text}', expected: !, identifier, or 'end of string'")), // any other token is out of place
            }
        }
    }

    fn requirement(&mut self) -> Result<LabelRequirement, String> {
        let (mut token, mut key) = self.take(true);
        let absent = token == Token::Not;
        if absent {
            (token, key) = self.take(true);
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        valid_key(&key)?;
        if absent {
            return Ok(LabelRequirement::Absent(key));
        }
        if matches!(self.look(true).0, Token::End | Token::Comma) {
            return Ok(LabelRequirement::Exists(key));
        }
        let (token, text) = self.take(false);
        let values = match token {
            Token::In | Token::NotIn => self.values()?,
            Token::Equals | Token::DoubleEquals | Token::NotEquals | Token::Greater | Token::Less => vec![self.exact()?],
            _ => return Err(format!("found '{text}', expected: in, notin, =, ==, !=, gt, lt")), // any other token is no operator
        };
        build(token, key, values)
    }

    fn exact(&mut self) -> Result<String, String> {
        if matches!(self.look(true).0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.take(true) {
            (Token::Identifier, text) => Ok(text),
            (_, text) => Err(format!("found '{text}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let (token, text) = self.take(true);
        if token != Token::Open {
            return Err(format!("found '{text}' expected: '('"));
        }
        let (token, text) = self.look(true);
        match token {
            Token::Identifier | Token::Comma => {
                let text = text.to_owned();
                let values = self.identifiers()?;
                if self.take(true).0 == Token::Close { Ok(values) } else { Err(format!("found '{text}', expected: ')'")) }
            }
            Token::Close => {
                self.take(true);
                Ok(vec![String::new()])
            }
            _ => Err(format!("found '{text}', expected: ',', ')' or identifier")), // any other token is out of place
        }
    }

    fn identifiers(&mut self) -> Result<Vec<String>, String> {
        let mut values = std::collections::BTreeSet::new();
        loop {
            let (token, text) = self.take(true);
            let (next, next_text) = self.look(true);
            match token {
                Token::Identifier => {
                    values.insert(text);
                    match next {
                        Token::Comma => {}
                        Token::Close => return Ok(values.into_iter().collect()),
                        _ => return Err(format!("found '{next_text}', expected: ',' or ')'")), // any other token is out of place
                    }
                }
                Token::Comma => {
                    if values.is_empty() || matches!(next, Token::Close | Token::Comma) {
                        values.insert(String::new());
                    }
                    if next == Token::Close {
                        return Ok(values.into_iter().collect());
                    }
                }
                _ => return Err(format!("found '{text}', expected: ',', or identifier")), // any other token is out of place
            }
        }
    }
}

fn valid_key(key: &str) -> Result<(), String> {
    let faults = name::qualified(key);
    if faults.is_empty() { Ok(()) } else { Err(FieldError::invalid("<nil>", key, faults.join("; ")).to_string()) }
}

fn build(operator: Token, key: String, values: Vec<String>) -> Result<LabelRequirement, String> {
    let mut faults = Vec::new();
    let number = if matches!(operator, Token::Greater | Token::Less) {
        let number = values[0].parse::<i64>();
        if number.is_err() {
            let why = "for 'Gt', 'Lt' operators, the value must be an integer";
            faults.push(FieldError::invalid("values[0]", values[0].as_str(), why).to_string());
        }
        number.unwrap_or(0)
    } else {
        0
    };
    for (index, value) in values.iter().enumerate() {
        let wrong = name::label_value(value);
        if !wrong.is_empty() {
            faults.push(FieldError::invalid(format!("values[{index}][{key}]"), value.as_str(), wrong.join("; ")).to_string());
        }
    }
    match faults.as_slice() {
        [] => {}
        [one] => return Err(one.clone()),
        many => return Err(format!("[{}]", many.join(", "))),
    }
    Ok(match operator {
        Token::NotIn | Token::NotEquals => LabelRequirement::NotIn(key, values),
        Token::Greater => LabelRequirement::Greater(key, number),
        Token::Less => LabelRequirement::Less(key, number),
        _ => LabelRequirement::In(key, values), // in, =, ==: the caller passes operators only
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_parse_or_say_why() {
        let fine = [("", 0), ("a=b,c!=d", 2), ("a in (x,,y),!b", 2), ("a", 1), ("a in ()", 1), ("in in (in)", 1), ("a>5", 1), ("t=", 1)];
        for (text, count) in fine {
            assert_eq!(parse_labels(text).map(|all| all.len()), Ok(count), "{text}");
        }
        let wrong = [
            ("=x", "found '=', expected: !, identifier, or 'end of string'"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in x", "unable to parse requirement: found 'x' expected: '('"),
            ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
            ("a=bad value!", "found 'value', expected: ',' or 'end of string'"),
            (",", "found ',', expected: !, identifier, or 'end of string'"),
            ("a===b", "unable to parse requirement: found '=', expected: identifier"),
            ("a=b,", "found '', expected: identifier after ','"),
            ("a!b", "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt"),
            ("!!", "unable to parse requirement: found '!', expected: identifier"),
        ];
        for (text, why) in wrong {
            assert_eq!(parse_labels(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn labels_match() {
        let mut attributes = Attributes::default();
        attributes.labels.insert("t".to_owned(), "x".to_owned());
        attributes.labels.insert("n".to_owned(), "7".to_owned());
        let table = [("t=x", true), ("t!=x", false), ("u!=x", true), ("t in (y,x)", true), ("!u,t", true), ("n>6,n<8", true), ("n>7", false), ("t=", false)];
        for (text, expected) in table {
            let selection = Selection { labels: parse_labels(text).unwrap(), fields: Vec::new() };
            assert_eq!(selection.matches("d", "n", &attributes), expected, "{text}");
        }
    }

    #[test]
    fn fields_parse_and_match() {
        let mut attributes = Attributes::default();
        attributes.fields.insert("spec.nodeName", "n1".to_owned());
        let table = [
            ("metadata.name=a", true),
            ("metadata.name!=a", false),
            ("metadata.namespace==d,spec.nodeName=n1", true),
            ("spec.nodeName=", false),
            ("status.phase=", true),
            (r"metadata.name=a\,b", false),
        ];
        for (text, expected) in table {
            let selection = Selection { labels: Vec::new(), fields: parse_fields(text).unwrap() };
            assert_eq!(selection.matches("d", "a", &attributes), expected, "{text}");
        }
        assert_eq!(parse_fields("a"), Err("invalid selector: 'a'; can't understand 'a'".to_owned()));
        assert_eq!(parse_fields(r"a=\b"), Err(r"invalid field selector: invalid escape sequence: \b".to_owned()));
    }
}
