//! What every pod and every pod template has: its specification, filled in and checked.
//!
//! [`default`] mirrors `pkg/apis/core/v1/{defaults,zz_generated.defaults,conversion}.go`; the others, one concern a file, mirror
//! `pkg/apis/core/validation/validation.go` in its order, since the order of faults shows in answers.

pub mod default;
pub mod drop_fields;
pub mod resources;
