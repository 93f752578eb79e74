//! The query of a request, decoded once; a name may occur several times.

use std::borrow::Cow;

/// Decoded `name=value` pairs, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?`.
    pub fn parse(text: &str) -> Self {
        if text.is_empty() {
            return Self::default();
        }
        Self(form_urlencoded::parse(text.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// Every value of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// A boolean as `runtime.Convert_Slice_string_To_bool` reads it: absent, `false` and `0` are false, everything else is true.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// Every pair, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The path with its `%xx` decoded.
pub fn decode_path(path: &str) -> Cow<'_, str> {
    if path.contains('%') { percent_encoding::percent_decode_str(path).decode_utf8_lossy() } else { Cow::Borrowed(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_go_reads_them() {
        for (text, expected) in
            [("", false), ("watch=0", false), ("watch=False", false), ("watch=", true), ("watch", true), ("watch=1", true), ("watch=maybe", true)]
        {
            assert_eq!(Query::parse(text).flag("watch"), expected, "{text}");
        }
    }

    #[test]
    fn values_repeat_and_are_decoded() {
        let query = Query::parse("command=sh&command=-c&command=echo+a%26b");
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["sh", "-c", "echo a&b"]);
        assert_eq!(decode_path("/api/v1/namespaces/d/configmaps/a%3Ab"), "/api/v1/namespaces/d/configmaps/a:b");
    }
}
