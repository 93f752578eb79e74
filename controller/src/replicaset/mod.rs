pub mod plan;
pub mod rank;
pub mod status;
/// Which
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// `apps/v1`.
    ReplicaSet,
    /// `v1`.
    ReplicationController,
}
