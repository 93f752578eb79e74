//! `$(VAR)` in commands, arguments, values and subPathExpr (`third_party/forked/golang/expansion`).

/// Replaces each `$(NAME)` that `lookup` knows; `$$` is a `$`, and what is not known stays as it is written.
pub fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    replace(text, |name| Some(lookup(name).map_or_else(|| format!("$({name})"), str::to_owned))).unwrap_or_default()
}

/// The same where every name must be known; else the first that is not.
pub fn expand_strictly<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> Result<String, String> {
    let missing = std::cell::RefCell::new(None);
    let expanded = replace(text, |name| {
        let value = lookup(name).map(str::to_owned);
        if value.is_none() {
            missing.borrow_mut().get_or_insert_with(|| name.to_owned());
        }
        value
    });
    match missing.into_inner() {
        Some(name) => Err(format!("missing value for {name}")),
        None => Ok(expanded.unwrap_or_default()),
    }
}

fn replace(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            out.push_str(&value(name)?);
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_of_the_go_implementation() {
        let lookup = |name: &str| match name {
            "VAR_A" => Some("A"),
            "VAR_EMPTY" => Some(""),
            "VAR_REF" => Some("$(VAR_A)"),
            _ => None,
        };
        let cases = [
            ("$(VAR_A)", "A"),
            ("___$(VAR_A)___", "___A___"),
            ("$(VAR_A)-$(VAR_A)", "A-A"),
            ("$(VAR_EMPTY)_x", "_x"),
            ("$(VAR_REF)", "$(VAR_A)"),
            ("$$(VAR_A)", "$(VAR_A)"),
            ("$$$(VAR_A)", "$A"),
            ("$(NONE)", "$(NONE)"),
            ("$(VAR_A", "$(VAR_A"),
            ("cost $5 $", "cost $5 $"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, lookup), expected, "{text}");
        }
        assert_eq!(expand_strictly("a/$(VAR_A)", lookup), Ok("a/A".into()));
        assert_eq!(expand_strictly("$(NONE)", lookup), Err("missing value for NONE".into()));
    }
}
