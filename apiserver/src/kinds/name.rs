//! What may be a name: each check returns the rest of the sentence `field: Invalid value: "x": …`, one entry a fault.
//!
//! See `apimachinery/pkg/util/validation/validation.go`, `apimachinery/pkg/api/validate/content`, `apimachinery/pkg/api/validation/generic.go`.
//! The patterns are matched by hand; their texts appear in messages only.

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SUBDOMAIN_UNDERSCORE: &str = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_KEY_SENTENCE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const SUBDOMAIN_SENTENCE: &str =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";

/// The longest DNS label.
pub const LABEL_MAX: usize = 63;
/// The longest DNS name.
pub const SUBDOMAIN_MAX: usize = 253;

/// `NameIsDNSSubdomain`: the usual rule of `metadata.name`; `prefix` for a `generateName`.
pub fn dns_subdomain(name: &str, prefix: bool) -> Vec<String> {
    with_prefix(name, prefix, subdomain)
}

/// `NameIsDNSLabel`: names of namespaces and services' parts.
pub fn dns_label(name: &str, prefix: bool) -> Vec<String> {
    with_prefix(name, prefix, label)
}

/// `NameIsDNS1035Label`: names that may not start with a digit.
pub fn dns_1035_label(name: &str, prefix: bool) -> Vec<String> {
    with_prefix(name, prefix, label_1035)
}

/// `path.ValidatePathSegmentName`: names of RBAC objects, which need not be DNS names.
/// See `apimachinery/pkg/api/validation/path/name.go`.
pub fn path_segment(name: &str, prefix: bool) -> Vec<String> {
    if !prefix && (name == "." || name == "..") {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].iter().filter(|bad| name.contains(**bad)).map(|bad| format!("may not contain '{bad}'")).collect()
}

/// `IsDNS1123Subdomain`.
pub fn subdomain(value: &str) -> Vec<String> {
    let mut faults = too_long(value, SUBDOMAIN_MAX);
    if !is_subdomain(value) {
        faults.push(regex_error(SUBDOMAIN_SENTENCE, SUBDOMAIN, &["example.com"]));
    }
    faults
}

/// `IsDNS1123SubdomainCaseless`.
pub fn subdomain_caseless(value: &str) -> Vec<String> {
    let mut faults = too_long(value, SUBDOMAIN_MAX);
    if !is_subdomain(&value.to_ascii_lowercase()) {
        let sentence = "an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        faults.push(regex_error(sentence, SUBDOMAIN, &["Example.com"]));
    }
    faults
}

/// `IsDNS1123SubdomainWithUnderscore`: DNS searches, and old CRD names.
pub fn subdomain_with_underscore(value: &str) -> Vec<String> {
    let part = |part: &str| {
        let part = part.strip_prefix('_').unwrap_or(part);
        ends_are(part, lower_alphanumeric) && part.bytes().all(|b| lower_alphanumeric(b) || b == b'-' || b == b'_')
    };
    let mut faults = too_long(value, SUBDOMAIN_MAX);
    if !value.split('.').all(part) {
        let sentence = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character";
        faults.push(regex_error(sentence, SUBDOMAIN_UNDERSCORE, &["example.com"]));
    }
    faults
}

/// `IsWildcardDNS1123Subdomain`: `*.example.com`.
pub fn wildcard_subdomain(value: &str) -> Vec<String> {
    let mut faults = too_long(value, SUBDOMAIN_MAX);
    if !value.strip_prefix("*.").is_some_and(is_subdomain) {
        let sentence = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        faults.push(regex_error(sentence, &format!("\\*\\.{SUBDOMAIN}"), &["*.example.com"]));
    }
    faults
}

/// `IsDNS1123Label`.
pub fn label(value: &str) -> Vec<String> {
    let mut faults = too_long(value, LABEL_MAX);
    if !is_label(value) {
        faults.push(if is_subdomain(value) {
            "must not contain dots".to_owned()
        } else {
            let sentence =
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
            regex_error(sentence, LABEL, &["my-name", "123-abc"])
        });
    }
    faults
}

/// `IsDNS1035Label`.
pub fn label_1035(value: &str) -> Vec<String> {
    let mut faults = too_long(value, LABEL_MAX);
    if !(is_label(value) && value.starts_with(|c: char| c.is_ascii_lowercase())) {
        let sentence = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
        faults.push(regex_error(sentence, "[a-z]([-a-z0-9]*[a-z0-9])?", &["my-name", "abc-123"]));
    }
    faults
}

/// `IsQualifiedName`, `IsLabelKey`: `name` or `example.com/name`.
pub fn qualified(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let parts: Vec<&str> = value.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                faults.push(format!("prefix part {EMPTY}"));
            } else {
                faults.extend(in_bytes(subdomain(prefix)).into_iter().map(|fault| format!("prefix part {fault}")));
            }
            *name
        }
        _ => {
            let told = regex_error(LABEL_KEY_SENTENCE, LABEL_KEY, &["MyName", "my.name", "123-abc"]);
            faults.push(format!("a valid label key {told} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"));
            return faults;
        }
    };
    if name.is_empty() {
        faults.push(format!("name part {EMPTY}"));
    } else {
        faults.extend(in_bytes(too_long(name, LABEL_MAX)).into_iter().map(|fault| format!("name part {fault}")));
    }
    if !is_label_text(name) {
        let told = regex_error(LABEL_KEY_SENTENCE, LABEL_KEY, &["MyName", "my.name", "123-abc"]);
        faults.push(format!("name part {told}"));
    }
    faults
}

/// `IsValidLabelValue`.
pub fn label_value(value: &str) -> Vec<String> {
    let mut faults = in_bytes(too_long(value, LABEL_MAX));
    if !value.is_empty() && !is_label_text(value) {
        let sentence = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        faults.push(regex_error(sentence, &format!("({LABEL_KEY})?"), &["MyValue", "my_value", "12345"]));
    }
    faults
}

/// `IsCIdentifier`.
pub fn c_identifier(value: &str) -> Vec<String> {
    let valid = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if valid {
        return Vec::new();
    }
    let sentence = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
    vec![regex_error(sentence, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"])]
}

/// `IsValidPortNum`.
pub fn port_number(port: i64) -> Vec<String> {
    in_range(port, 1, 65535)
}

/// `IsInRange`.
pub fn in_range(value: i64, low: i64, high: i64) -> Vec<String> {
    if (low..=high).contains(&value) { Vec::new() } else { vec![range_error(low, high)] }
}

/// `IsValidUserID`, `IsValidGroupID`.
pub fn user_id(id: i64) -> Vec<String> {
    in_range(id, 0, i64::from(i32::MAX))
}

/// `IsValidPortName`.
pub fn port_name(port: &str) -> Vec<String> {
    let mut faults = too_long(port, 15);
    if port.is_empty() || !port.bytes().all(|b| lower_alphanumeric(b) || b == b'-') {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !port.bytes().any(|b| b.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)".to_owned());
    }
    if port.contains("--") {
        faults.push("must not contain consecutive hyphens".to_owned());
    }
    if port.starts_with('-') || port.ends_with('-') {
        faults.push("must not begin or end with a hyphen".to_owned());
    }
    faults
}

/// `IsValidPercent`: `25%`.
pub fn percent(value: &str) -> Vec<String> {
    let valid = value.strip_suffix('%').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    if valid {
        return Vec::new();
    }
    let sentence = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![regex_error(sentence, "[0-9]+%", &["1%", "93%"])]
}

/// `IsHTTPHeaderName`.
pub fn http_header(value: &str) -> Vec<String> {
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    let sentence = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![regex_error(sentence, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// `IsRelaxedEnvVarName`: any printable ASCII but `=` (1.34 and later).
pub fn env_var(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.is_empty() {
        faults.push(format!("environment variable name {EMPTY}"));
    }
    if !value.chars().all(|c| (' '..='~').contains(&c) && c != '=') {
        faults.push("a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned());
    }
    faults
}

/// `IsConfigMapKey`: keys of ConfigMaps and Secrets.
pub fn config_key(value: &str) -> Vec<String> {
    let mut faults = too_long(value, SUBDOMAIN_MAX);
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        let sentence = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        faults.push(regex_error(sentence, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match value {
        "." => faults.push("must not be '.'".to_owned()),
        ".." => faults.push("must not be '..'".to_owned()),
        _ if value.starts_with("..") => faults.push("must not start with '..'".to_owned()),
        _ => {}
    }
    faults
}

/// `must be non-empty`
pub const EMPTY: &str = "must be non-empty";

/// `must be greater than or equal to 0`
pub const NEGATIVE: &str = "must be greater than or equal to 0";

/// `field is immutable`
pub const IMMUTABLE: &str = "field is immutable";

/// `must be no more than N characters`
pub fn max_length_error(length: usize) -> String {
    format!("must be no more than {length} characters")
}

/// `must be between LOW and HIGH, inclusive`
pub fn range_error(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

/// `RegexError`: a sentence, examples, and the pattern.
pub fn regex_error(sentence: &str, pattern: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{sentence} (regex used for validation is '{pattern}')");
    }
    let shown: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{sentence} (e.g. {}regex used for validation is '{pattern}')", shown.join(" or "))
}

/// Whether `value` is made of DNS labels joined by dots, whatever its length.
pub fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

/// Whether `value` reads as a DNS label, whatever its length.
pub fn is_label(value: &str) -> bool {
    ends_are(value, lower_alphanumeric) && value.bytes().all(|b| lower_alphanumeric(b) || b == b'-')
}

fn is_label_text(value: &str) -> bool {
    ends_are(value, |b| b.is_ascii_alphanumeric()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn ends_are(value: &str, good: impl Fn(u8) -> bool) -> bool {
    let bytes = value.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if good(*first) && good(*last))
}

fn lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Labels are told in bytes (`content.MaxLenError`), names in characters (`validation.MaxLenError`).
fn in_bytes(faults: Vec<String>) -> Vec<String> {
    faults.into_iter().map(|fault| if fault.starts_with("must be no more than") { fault.replace("characters", "bytes") } else { fault }).collect()
}

fn too_long(value: &str, max: usize) -> Vec<String> {
    if value.len() > max { vec![max_length_error(max)] } else { Vec::new() }
}

/// A `generateName` may end in a dash, because five characters follow it (`maskTrailingDash`).
fn with_prefix(name: &str, prefix: bool, check: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    match name.strip_suffix('-') {
        Some(rest) if prefix && !rest.is_empty() => {
            let kept: String = rest.chars().take(rest.chars().count() - 1).collect();
            check(&format!("{kept}a"))
        }
        _ => check(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(check: fn(&str) -> Vec<String>, values: &[&str]) {
        for value in values {
            assert_eq!(check(value), Vec::<String>::new(), "{value:?}");
        }
    }

    fn bad(check: fn(&str) -> Vec<String>, values: &[&str]) {
        for value in values {
            assert!(!check(value).is_empty(), "{value:?}");
        }
    }

    #[test]
    fn subdomains() {
        good(subdomain, &["a", "ab", "a-b.c", "0.0", "1a.b2", "a--1"]);
        bad(subdomain, &["", "A", "a.", ".a", "a..b", "-a", "a-", "a_b", "a b", "é"]);
        assert_eq!(subdomain(&"a".repeat(254)), ["must be no more than 253 characters"]);
    }

    #[test]
    fn labels() {
        good(label, &["a", "1a", "a-b"]);
        assert_eq!(label("a.b"), ["must not contain dots"]);
        assert_eq!(
            label("A"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        good(label_1035, &["a", "a1"]);
        bad(label_1035, &["1a", "", "a-"]);
    }

    #[test]
    fn keys_and_values() {
        good(qualified, &["a", "A.b_c-d", "x.y/z", "1"]);
        bad(qualified, &["", "a/", "/a", "a/b/c", "X.y/z", "-a", "a b"]);
        good(label_value, &["", "a", "A_b.c-d"]);
        assert_eq!(label_value(&"a".repeat(64)), ["must be no more than 63 bytes"]);
        bad(label_value, &["-a", "a-", "a b"]);
        good(config_key, &["a", ".a", "a..b"]);
        bad(config_key, &["", ".", "..", "..a", "a b"]);
    }

    #[test]
    fn generated_names_may_end_in_a_dash() {
        assert!(dns_subdomain("web-", true).is_empty());
        assert!(!dns_subdomain("web-", false).is_empty());
        assert!(!dns_subdomain("-", true).is_empty());
    }

    #[test]
    fn ports() {
        good(port_name, &["http", "a1-b"]);
        assert_eq!(port_name("80"), ["must contain at least one letter (a-z)"]);
        assert_eq!(port_name("a--b"), ["must not contain consecutive hyphens"]);
        assert_eq!(port_number(0), ["must be between 1 and 65535, inclusive"]);
    }
}
