//! Small checks that many kinds are made of. Each pushes its faults onto a list, in the order in which Kubernetes tells them.
//!
//! See `pkg/apis/core/validation/validation.go`, `apimachinery/pkg/util/validation/ip.go`.

use std::net::IpAddr;

use serde_json::Value;
use skiff_proto::quantity::Quantity;

use super::json::{has, int};
use super::name;
use super::path::Path;
use crate::error::FieldError;

/// One `Invalid value` for each of a name's faults.
pub fn faults(value: &str, path: &Path, faults: Vec<String>, out: &mut Vec<FieldError>) {
    out.extend(faults.into_iter().map(|fault| FieldError::invalid(path, value, fault)));
}

/// `ValidateDNS1123Label`.
pub fn label(value: &str, path: &Path, out: &mut Vec<FieldError>) {
    faults(value, path, name::label(value), out);
}

/// `ValidateDNS1123Subdomain`.
pub fn subdomain(value: &str, path: &Path, out: &mut Vec<FieldError>) {
    faults(value, path, name::subdomain(value), out);
}

/// `ValidateQualifiedName`.
pub fn qualified(value: &str, path: &Path, out: &mut Vec<FieldError>) {
    faults(value, path, name::qualified(value), out);
}

/// `Required value` if `value` is empty; whether it is there.
pub fn required(value: &str, path: &Path, out: &mut Vec<FieldError>) -> bool {
    if value.is_empty() {
        out.push(FieldError::required(path, ""));
    }
    !value.is_empty()
}

/// `ValidateNonnegativeField` of `object[key]`, 0 where absent.
pub fn nonnegative(object: &Value, key: &str, path: &Path, out: &mut Vec<FieldError>) {
    let value = int(&object[key]);
    if value < 0 {
        out.push(FieldError::invalid(path.child(key), value, name::NEGATIVE));
    }
}

/// `ValidatePositiveField`.
pub fn positive(value: i64, path: &Path, out: &mut Vec<FieldError>) {
    if value <= 0 {
        out.push(FieldError::invalid(path, value, "must be greater than zero"));
    }
}

/// An integer at `object[key]`, if it is there, between two bounds.
pub fn in_range(object: &Value, key: &str, low: i64, high: i64, path: &Path, out: &mut Vec<FieldError>) {
    if has(object, key) {
        let value = int(&object[key]);
        out.extend(name::in_range(value, low, high).into_iter().map(|fault| FieldError::invalid(path.child(key), value, fault)));
    }
}

/// `Unsupported value` unless `value` is one of the `supported`, which are told sorted.
pub fn one_of(value: &str, supported: &[&str], path: &Path, out: &mut Vec<FieldError>) {
    if !supported.contains(&value) {
        out.push(FieldError::not_supported(path, value, supported));
    }
}

/// `ValidateNonnegativeQuantity`, and whole numbers of what comes in pieces (`ValidateResourceQuantityValue`). `amount` is the JSON string.
pub fn resource_amount(resource: &str, amount: &Value, path: &Path, out: &mut Vec<FieldError>) {
    let quantity = super::workload::podspec::resources::quantity(amount);
    if quantity < Quantity::ZERO {
        out.push(FieldError::invalid(path, amount.clone(), name::NEGATIVE));
    }
    if is_counted(resource) && quantity.millis() % 1000 != 0 {
        out.push(FieldError::invalid(path, amount.clone(), "must be an integer"));
    }
}

/// Objects that a quota counts.
const COUNTS: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// What a quota sums: `IsStandardQuotaResourceName`, without counts and huge pages.
const SUMS: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

/// `IsStandardQuotaResourceName`, without huge pages: counted or summed by any quota.
pub fn is_quota_resource(resource: &str) -> bool {
    COUNTS.contains(&resource) || SUMS.contains(&resource)
}

/// `IsIntegerResourceName`: counts of objects, and extended resources.
pub fn is_counted(resource: &str) -> bool {
    COUNTS.contains(&resource) || is_extended(resource)
}

/// `IsExtendedResourceName`: `example.com/gpu`.
pub fn is_extended(resource: &str) -> bool {
    !is_native(resource) && !resource.starts_with("requests.") && name::qualified(&format!("requests.{resource}")).is_empty()
}

/// `IsNativeResource`: of the `kubernetes.io/` namespace, which names without one are.
pub fn is_native(resource: &str) -> bool {
    !resource.contains('/') || resource.contains("kubernetes.io/")
}

/// `IsValidIPForLegacyField`: an address, leading zeros and mapped addresses allowed.
pub fn ip(value: &str, path: &Path, out: &mut Vec<FieldError>) {
    if parse_ip(value).is_none() {
        out.push(FieldError::invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
    }
}

/// `ParseIPSloppy`: an address whose decimal parts may have leading zeros.
pub fn parse_ip(value: &str) -> Option<IpAddr> {
    if value.contains(':') {
        return value.parse().ok();
    }
    let part = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u8>().ok()).flatten()
    };
    let parts: Option<Vec<u8>> = value.split('.').map(part).collect();
    let parts: [u8; 4] = parts?.try_into().ok()?;
    Some(IpAddr::from(parts))
}

/// `GetWarningsForIP`: what is accepted, but not as it should be written.
pub fn ip_warning(value: &str, path: &Path) -> Option<String> {
    let address = parse_ip(value)?;
    let strict = value.parse::<IpAddr>().ok();
    let mapped = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
        IpAddr::V4(_) => None,
    };
    if strict.is_none() || mapped.is_some() {
        let shown = mapped.map_or_else(|| address.to_string(), |v4| v4.to_string());
        return Some(format!("{path}: non-standard IP address {value:?} will be considered invalid in a future Kubernetes release: use {shown:?}"));
    }
    if address.is_ipv6() && address.to_string() != value {
        return Some(format!("{path}: IPv6 address {value:?} should be in RFC 5952 canonical format ({:?})", address.to_string()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, valid) in [
            ("10.0.0.1", true),
            ("010.002.003.004", true),
            ("10.0.0", false),
            ("10.0.0.256", false),
            ("::1", true),
            ("::ffff:1.2.3.4", true),
            ("x", false),
            ("", false),
        ] {
            assert_eq!(parse_ip(text).is_some(), valid, "{text}");
        }
        let path = Path::new("ip");
        assert_eq!(ip_warning("1.2.3.4", &path), None);
        assert_eq!(
            ip_warning("01.2.3.4", &path).as_deref(),
            Some("ip: non-standard IP address \"01.2.3.4\" will be considered invalid in a future Kubernetes release: use \"1.2.3.4\"")
        );
        assert_eq!(
            ip_warning("2001:DB8::1", &path).as_deref(),
            Some("ip: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")")
        );
    }

    #[test]
    fn resources() {
        for (resource, counted) in [("cpu", false), ("pods", true), ("example.com/gpu", true), ("kubernetes.io/x", false)] {
            assert_eq!(is_counted(resource), counted, "{resource}");
        }
    }
}
