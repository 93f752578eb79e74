//! How many pods: surge, unavailability, and the share of each ReplicaSet. See `pkg/controller/deployment/util/deployment_util.go`.

use super::sets::Set;
use crate::view::Deployment;
use crate::view::deployment::{IntOrPercent, StrategyKind};

/// `ResolveFenceposts`: surge and unavailability in pods; if both round to nothing, one pod may be unavailable.
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    let rolling = deployment.spec.strategy.rolling_update.as_ref();
    let scaled = |value: Option<&IntOrPercent>, up| value.map_or(0, |value| value.of(deployment.spec.replicas, up));
    let surge = scaled(rolling.and_then(|rolling| rolling.max_surge.as_ref()), true);
    let unavailable = scaled(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), false);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

/// Whether pods are replaced a few at a time.
pub fn is_rolling(deployment: &Deployment) -> bool {
    deployment.spec.strategy.kind == StrategyKind::RollingUpdate
}

/// How many pods more than wanted there may be.
pub fn max_surge(deployment: &Deployment) -> i32 {
    if is_rolling(deployment) { fenceposts(deployment).0 } else { 0 }
}

/// How many pods fewer than wanted may be available.
pub fn max_unavailable(deployment: &Deployment) -> i32 {
    if !is_rolling(deployment) || deployment.spec.replicas == 0 {
        return 0;
    }
    fenceposts(deployment).1.min(deployment.spec.replicas)
}

/// `NewRSNewReplicas`: how large the new set may be now. `total` counts every set's pods, the new one's included.
pub fn new_size(deployment: &Deployment, total: i32, new: i32) -> i32 {
    let wanted = deployment.spec.replicas;
    match deployment.spec.strategy.kind {
        StrategyKind::Recreate => wanted,
        StrategyKind::RollingUpdate => {
            let surge = deployment.spec.strategy.rolling_update.as_ref().and_then(|rolling| rolling.max_surge.as_ref());
            let most = wanted + surge.map_or(0, |surge| surge.of(wanted, true));
            if total >= most { new } else { new + (most - total).min(wanted - new) }
        }
    }
}

/// The sizes that share out `deployment.spec.replicas` and its surge among active sets, keeping their proportions: what a Deployment
/// that is scaled in mid-rollout does. `sets` in age order; the answer is in the order in which they are to be scaled.
pub fn proportional(deployment: &Deployment, sets: &[(usize, &Set)]) -> Vec<(usize, i32)> {
    let wanted = deployment.spec.replicas;
    let allowed = if wanted > 0 { wanted + max_surge(deployment) } else { 0 };
    let to_add = allowed - sets.iter().map(|(_, set)| set.replicas).sum::<i32>();
    let mut order: Vec<&(usize, &Set)> = sets.iter().collect();
    if to_add > 0 {
        // Largest first, of equals the newest.
        order.sort_by(|a, b| b.1.replicas.cmp(&a.1.replicas).then_with(|| b.1.age_order().cmp(&a.1.age_order())));
    } else if to_add < 0 {
        order.sort_by(|a, b| b.1.replicas.cmp(&a.1.replicas).then_with(|| a.1.age_order().cmp(&b.1.age_order())));
    }
    let mut added = 0;
    let mut sizes: Vec<(usize, i32)> = Vec::with_capacity(order.len());
    for (index, set) in order {
        let share = share(deployment, set, to_add, added);
        added += share;
        sizes.push((*index, set.replicas + share));
    }
    if let Some((_, first)) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    sizes
}

/// `GetReplicaSetProportion`.
fn share(deployment: &Deployment, set: &Set, to_add: i32, added: i32) -> i32 {
    if set.replicas == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let left = to_add - added;
    let fraction = fraction(deployment, set);
    if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
}

/// `getReplicaSetFraction`: by how much the set grows if it keeps its part of the whole.
fn fraction(deployment: &Deployment, set: &Set) -> i32 {
    if deployment.spec.replicas == 0 {
        return -set.replicas;
    }
    let most = deployment.spec.replicas + max_surge(deployment);
    let before = match set.max() {
        None | Some(0) => deployment.status.replicas,
        Some(max) => max,
    };
    if before == 0 {
        return 0;
    }
    let exact = f64::from(set.replicas) * f64::from(most) / f64::from(before);
    // Both are counts of pods, far below 2^31, so that the cast keeps the value.
    #[allow(clippy::cast_possible_truncation)]
    let rounded = exact.round() as i32;
    rounded - set.replicas
}
