//! The grammar of label selectors: tokens, requirements, and what is wrong with a text that has none (`apimachinery/pkg/labels/selector.go`).

use super::{Malformed, Operator, Requirement};

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

/// Reads a text from its beginning.
pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

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

    pub(super) fn requirements(&mut self) -> Result<Vec<Requirement>, Malformed> {
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
