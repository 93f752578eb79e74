//! Links of a proxied page, made to lead through the proxy again. Pure.
//!
//! See `apimachinery/pkg/util/proxy/transport.go`: absolute paths in attributes that are links get the proxy's path in front.

/// Attributes that are links, by tag.
fn is_link(tag: &str, attribute: &str) -> bool {
    let of_tag: &[&str] = match tag {
        "a" | "area" | "base" | "link" => &["href"],
        "applet" => &["codebase"],
        "audio" | "embed" | "script" | "source" => &["src"],
        "blockquote" | "del" | "ins" | "q" => &["cite"],
        "body" => &["background"],
        "button" => &["formaction"],
        "command" => &["icon"],
        "form" => &["action"],
        "frame" | "iframe" => &["longdesc", "src"],
        "head" => &["profile"],
        "html" => &["manifest"],
        "img" => &["longdesc", "src", "usemap"],
        "input" => &["src", "usemap", "formaction"],
        "object" => &["classid", "codebase", "data", "usemap"],
        "video" => &["poster", "src"],
        _ => &[],
    };
    of_tag.contains(&attribute)
}

/// A link as it has to be behind the proxy at `prefix` (`/api/v1/namespaces/d/pods/p/proxy`): only absolute paths change.
pub fn link(url: &str, prefix: &str) -> Option<String> {
    let is_path = url.starts_with('/') && !url.starts_with("//") && !url.starts_with(prefix);
    is_path.then(|| format!("{prefix}{url}"))
}

/// The page with its links rewritten.
pub fn page(html: &str, prefix: &str) -> String {
    let mut out = String::with_capacity(html.len() + 256);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = element_end(from);
        let (element, after) = from.split_at(end);
        rest = after;
        let name_end = element[1..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(element.len(), |end| end + 1);
        let tag = element[1..name_end].to_ascii_lowercase();
        if tag.is_empty() {
            out.push_str(element); // a closing tag, a comment, or just a sign
            continue;
        }
        out.push_str(&element[..name_end]);
        attributes(&element[name_end..], &tag, prefix, &mut out);
        if matches!(tag.as_str(), "script" | "style") {
            let raw = rest.to_ascii_lowercase().find(&format!("</{tag}")).unwrap_or(rest.len());
            out.push_str(&rest[..raw]); // no elements in there
            rest = &rest[raw..];
        }
    }
    out.push_str(rest);
    out
}

/// Where the element that begins here ends: behind its `>`, which does not count inside quotes.
fn element_end(from: &str) -> usize {
    if from.starts_with("<!--") {
        return from.find("-->").map_or(from.len(), |end| end + 3);
    }
    let mut quote = None;
    for (at, c) in from.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '>') => return at + 1,
            (Some(_) | None, _) => {}
        }
    }
    from.len()
}

/// Copies the attributes of an element up to its end, links rewritten.
fn attributes(mut rest: &str, tag: &str, prefix: &str, out: &mut String) {
    while let Some(equals) = rest.find('=') {
        let (name, value) = rest.split_at(equals);
        let attribute = name.rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default().to_ascii_lowercase();
        out.push_str(name);
        out.push('=');
        let value = &value[1..];
        let (open, inner) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => (Some(quote), &value[1..]),
            Some(_) | None => (None, value),
        };
        let end = match open {
            Some(quote) => inner.find(quote),
            None => inner.find(|c: char| c.is_whitespace() || c == '>'),
        };
        let (url, after) = inner.split_at(end.unwrap_or(inner.len()));
        out.extend(open);
        let rewritten = if is_link(tag, &attribute) { link(url, prefix) } else { None };
        out.push_str(rewritten.as_deref().unwrap_or(url));
        rest = after;
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_a_page_lead_through_the_proxy() {
        let cases = [
            ("<a href=\"/rewriteme\">test</a>", "<a href=\"/P/rewriteme\">test</a>"),
            ("<A class=x HREF='/a?b=c'>", "<A class=x HREF='/P/a?b=c'>"),
            ("<img src=/i.png alt=\"/not\"><p title=\"/not\">", "<img src=/P/i.png alt=\"/not\"><p title=\"/not\">"),
            (
                "<a href=\"relative\"><a href=\"//host/x\"><a href=\"https://host/\"><a href=\"/P/done\">",
                "<a href=\"relative\"><a href=\"//host/x\"><a href=\"https://host/\"><a href=\"/P/done\">",
            ),
            (
                "<script src=\"/s.js\">if (a<b) x='<a href=\"/no\">'</script><a href=/y>",
                "<script src=\"/P/s.js\">if (a<b) x='<a href=\"/no\">'</script><a href=/P/y>",
            ),
            ("<!-- <a href=\"/no\"> --><b>1 < 2</b>", "<!-- <a href=\"/no\"> --><b>1 < 2</b>"),
            ("<a href=\"/unfinished", "<a href=\"/P/unfinished"),
            ("ünïcode <", "ünïcode <"),
        ];
        for (page_text, expected) in cases {
            assert_eq!(page(page_text, "/P"), expected);
        }
    }
}
