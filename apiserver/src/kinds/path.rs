//! Where in an object a fault is: `spec.containers[0].name`. See `apimachinery/pkg/util/validation/field/path.go`.

/// A field's path. Cheap to extend; turned into text when an error is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// The path that starts at `root`; may hold dots.
    pub fn new(root: &str) -> Self {
        Self(root.to_owned())
    }

    /// `self.name`
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// `self[index]`
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// `self[key]`
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl From<&Path> for String {
    fn from(path: &Path) -> Self {
        path.0.clone()
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.0
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_kubernetes_writes_it() {
        let path = Path::new("spec").child("containers").index(2).child("resources").child("limits").key("cpu");
        assert_eq!(path.to_string(), "spec.containers[2].resources.limits[cpu]");
        assert_eq!(Path::default().child("data").to_string(), "data");
    }
}
