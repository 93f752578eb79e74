//! What may be a name. See `apimachinery/pkg/util/validation/validation.go`, `apimachinery/pkg/api/validation/generic.go`.

/// `a lowercase RFC 1123 subdomain must consist of …`: empty if `name` is one of at most 253 characters.
pub fn dns_subdomain(_name: &str, _prefix: bool) -> Vec<String> {
    Vec::new()
}
