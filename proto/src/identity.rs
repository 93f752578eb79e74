//! Who a caller is, once authentication has said so.

use std::collections::BTreeMap;

/// A caller's name and groups, as `kubectl auth whoami` prints them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// For a client certificate its common name: `system:node:node-1`, `admin`.
    pub name: String,
    /// For a client certificate its organizations, and always `system:authenticated` or `system:unauthenticated`.
    pub groups: Vec<String>,
    /// For a service account its uid, else empty.
    pub uid: String,
    /// What else the credential tells: which pod it was made for, and its own id.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// Group whose members may do everything.
    pub const MASTERS: &str = "system:masters";
    /// Group of every node's agent.
    pub const NODES: &str = "system:nodes";
    /// Name of the scheduler.
    pub const SCHEDULER: &str = "system:kube-scheduler";
    /// Name of the controllers' manager.
    pub const CONTROLLER: &str = "system:kube-controller-manager";

    /// An authenticated caller with these groups.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        groups.push("system:authenticated".to_owned());
        Self { name: name.into(), groups, ..Self::default() }
    }

    /// A caller without credentials.
    pub fn anonymous() -> Self {
        Self { name: "system:anonymous".to_owned(), groups: vec!["system:unauthenticated".to_owned()], ..Self::default() }
    }

    /// A member of `system:masters`, named `admin`.
    pub fn admin() -> Self {
        Self::new("admin", &[Self::MASTERS])
    }

    /// Whether the caller is in `group`.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|have| have == group)
    }

    /// The node whose agent this is: `system:node:X` in group `system:nodes`.
    pub fn node_name(&self) -> Option<&str> {
        self.in_group(Self::NODES).then(|| self.name.strip_prefix("system:node:")).flatten()
    }
}
