//! Image names: which strings are one, and what Docker is asked for when a pod names `nginx`.
//!
//! The grammar is that of distribution's `reference` package: `[domain/]path[:tag][@digest]`.

/// An image name that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `docker.io/library/nginx`.
    pub repository: String,
    /// `latest`, unless there is a digest and no tag.
    pub tag: Option<String>,
    /// `sha256:…`.
    pub digest: Option<String>,
}

/// Reads an image name; `Err` says why it is none, as kubelet's `couldn't parse image name` goes on.
pub fn parse(name: &str) -> Result<Reference, &'static str> {
    const INVALID: &str = "invalid reference format";
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    // A colon after the last slash begins a tag; one before it belongs to a port.
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) || tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(INVALID);
    }
    let (domain, path) = split_domain(path);
    if path.chars().any(|c| c.is_ascii_uppercase()) && is_path(&path.to_ascii_lowercase()) {
        return Err("invalid reference format: repository name must be lowercase");
    }
    if !is_domain(domain) || !is_path(path) {
        return Err(INVALID);
    }
    let library = if domain == "docker.io" && !path.contains('/') { "library/" } else { "" };
    let repository = format!("{domain}/{library}{path}");
    if repository.len() > 255 {
        return Err("repository name must not be more than 255 characters");
    }
    let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
    Ok(Reference { repository, tag, digest: digest.map(str::to_owned) })
}

/// `localhost/x`, `host:5000/x` and `a.b/x` begin with a domain; `a/b` is Docker Hub's.
fn split_domain(path: &str) -> (&str, &str) {
    match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase()) => {
            (if first == "index.docker.io" { "docker.io" } else { first }, rest)
        }
        _ => ("docker.io", path),
    }
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port)));
    let label =
        |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    host.split('.').all(label) && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Components of lower-case letters and digits, separated inside by `.`, `_`, `__` or dashes.
fn is_path(path: &str) -> bool {
    path.split('/').all(|component| {
        let alphanumeric = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = component.as_bytes();
        alphanumeric(bytes.first().copied())
            && alphanumeric(bytes.last().copied())
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
            && !["..", "._", "_.", ".-", "-.", "_-", "-_", "___"].iter().any(|pair| component.contains(pair))
    })
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128 && tag.bytes().next().is_some_and(word) && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty()
            && algorithm.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'_' | b'-'))
            && hex.len() >= 32
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (name, expected) in [
            ("nginx", Some(("docker.io/library/nginx", Some("latest"), None))),
            ("nginx:1.27", Some(("docker.io/library/nginx", Some("1.27"), None))),
            ("skiff/demo:1", Some(("docker.io/skiff/demo", Some("1"), None))),
            ("localhost/x", Some(("localhost/x", Some("latest"), None))),
            ("reg:5000/a/b:v1", Some(("reg:5000/a/b", Some("v1"), None))),
            ("registry.k8s.io/e2e-test-images/agnhost:2.57", Some(("registry.k8s.io/e2e-test-images/agnhost", Some("2.57"), None))),
            ("e/a__b.c-d", Some(("docker.io/e/a__b.c-d", Some("latest"), None))),
            (&format!("nginx@{digest}"), Some(("docker.io/library/nginx", None, Some(digest.as_str())))),
            (&format!("nginx:1@{digest}"), Some(("docker.io/library/nginx", Some("1"), Some(digest.as_str())))),
            ("", None),
            ("nginx:", None),
            ("nginx:a b", None),
            ("-nginx", None),
            ("nginx//x", None),
            ("nginx@sha256:12", None),
            ("a___b", None),
            ("invalid image", None),
            ("http://nginx", None),
        ] {
            let got = parse(name);
            let got = got.as_ref().ok().map(|r| (r.repository.as_str(), r.tag.as_deref(), r.digest.as_deref()));
            assert_eq!(got, expected, "{name}");
        }
    }

    #[test]
    fn upper_case_is_told_apart() {
        assert_eq!(parse("INVALID"), Err("invalid reference format: repository name must be lowercase"));
        assert_eq!(parse("foo/Bar:1"), Err("invalid reference format: repository name must be lowercase"));
    }
}
