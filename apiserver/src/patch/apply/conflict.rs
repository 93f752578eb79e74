//! Why an apply is refused. See `apimachinery/pkg/util/managedfields/internal/conflict.go`.

use skiff_proto::status::{Cause, Details, Status};

use super::managers::{Id, Operation};
use super::set::Set;
use crate::schema::scalar::quote;

/// Paths that others own and the applied object would change, by manager.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conflicts {
    /// In the order of the managers; none is empty.
    pub by_manager: Vec<(Id, Set)>,
}

/// Why nothing was applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// Others own what would change: 409.
    #[error("Apply failed")]
    Conflicts(Conflicts),
    /// The body cannot be applied to this resource: 400.
    #[error("{0}")]
    Malformed(String),
    /// It does not fit the type; Kubernetes has no answer of its own for this fault: 500.
    #[error("{0}")]
    Unanswered(String),
}

impl From<ApplyError> for Status {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Conflicts(conflicts) => conflicts.status(),
            ApplyError::Malformed(why) => crate::error::failure::bad_request(why),
            ApplyError::Unanswered(why) => Self::failure(500, "", why),
        }
    }
}

impl Conflicts {
    fn status(&self) -> Status {
        let each: Vec<(&Id, String)> = self.by_manager.iter().flat_map(|(id, set)| set.paths().into_iter().map(move |path| (id, path))).collect();
        let message = match each.as_slice() {
            [(id, path)] => format!("Apply failed with 1 conflict: conflict with {}: {path}", show(id)),
            many => {
                let mut lines = Vec::new();
                for (id, set) in &self.by_manager {
                    lines.push(format!("conflicts with {}:", show(id)));
                    lines.extend(set.paths().into_iter().map(|path| format!("- {path}")));
                }
                format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
            }
        };
        let causes = each
            .into_iter()
            .map(|(id, field)| Cause { reason: "FieldManagerConflict".to_owned(), message: format!("conflict with {}", show(id)), field })
            .collect();
        let mut status = Status::failure(409, "Conflict", message);
        status.details = Some(Details { causes, ..Details::default() });
        status
    }

    /// Every path in conflict.
    pub fn set(&self) -> Set {
        self.by_manager.iter().fold(Set::default(), |all, (_, set)| all.union(set))
    }

    /// Those that are not in `allowed`.
    pub fn without(&self, allowed: &Set) -> Self {
        let left = self.by_manager.iter().map(|(id, set)| (id.clone(), set.difference(allowed)));
        Self { by_manager: left.filter(|(_, set)| !set.is_empty()).collect() }
    }
}

/// `"kubectl-client-side-apply" using apps/v1`
fn show(id: &Id) -> String {
    let mut shown = quote(&id.manager);
    if !id.subresource.is_empty() {
        shown.push_str(&format!(" with subresource {}", quote(&id.subresource)));
    }
    match id.operation {
        Operation::Apply => shown,
        Operation::Update => format!("{shown} using {}", id.api_version),
    }
}
