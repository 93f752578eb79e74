//! Paths inside containers and volumes. See `validatePathNoBacksteps`, `validateLocalDescendingPath`, `ValidateLocalNonReservedPath`.

use crate::error::FieldError;
use crate::kinds::path::Path;

/// No element is `..`.
pub fn no_backsteps(target: &str, path: &Path, out: &mut Vec<FieldError>) {
    if target.split('/').any(|item| item == "..") {
        out.push(FieldError::invalid(path, target, "must not contain '..'"));
    }
}

/// Relative, and no element is `..`.
pub fn descending(target: &str, path: &Path, out: &mut Vec<FieldError>) {
    if target.starts_with('/') {
        out.push(FieldError::invalid(path, target, "must be a relative path"));
    }
    no_backsteps(target, path, out);
}

/// The same, and it does not start with `..`.
pub fn non_reserved(target: &str, path: &Path, out: &mut Vec<FieldError>) {
    descending(target, path, out);
    if target.starts_with("..") && !target.starts_with("../") {
        out.push(FieldError::invalid(path, target, "must not start with '..'"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved() {
        let count = |target: &str| {
            let mut out = Vec::new();
            non_reserved(target, &Path::new("p"), &mut out);
            out.len()
        };
        for (target, faults) in [("a/b", 0), ("/a", 1), ("../a", 1), ("..a", 1), ("a/../b", 1), ("a..b", 0), ("/..", 2), ("..", 2)] {
            assert_eq!(count(target), faults, "{target}");
        }
    }
}
