//! Fields whose feature is off by default in 1.35 are dropped from what is written, unless the stored object has them already.
//! See `pkg/api/pod/util.go` (`dropDisabledFields`).

use serde_json::Value;

use super::default::CONTAINER_LISTS;
use crate::kinds::json::{has, is_empty, items, items_mut, present_mut, remove};

/// Drops `workloadRef`, `lifecycle.stopSignal`, and the projections `clusterTrustBundle` and `podCertificate`; `old` is null on create.
pub fn drop_disabled(spec: &mut Value, old: &Value) {
    if !has(old, "workloadRef") {
        remove(spec, "workloadRef");
    }
    if !uses_stop_signals(old) {
        for list in CONTAINER_LISTS {
            let Some(containers) = present_mut(spec, list) else { continue };
            items_mut(containers).iter_mut().for_each(drop_stop_signal);
        }
    }
    for source in ["clusterTrustBundle", "podCertificate"] {
        if !projections(old).any(|projection| has(projection, source)) {
            drop_projection(spec, source);
        }
    }
}

fn uses_stop_signals(spec: &Value) -> bool {
    CONTAINER_LISTS.iter().flat_map(|list| items(&spec[*list])).any(|container| has(&container["lifecycle"], "stopSignal"))
}

fn drop_stop_signal(container: &mut Value) {
    let Some(lifecycle) = present_mut(container, "lifecycle") else { return };
    if remove(lifecycle, "stopSignal").is_some() && is_empty(lifecycle) {
        remove(container, "lifecycle");
    }
}

fn projections(spec: &Value) -> impl Iterator<Item = &Value> {
    items(&spec["volumes"]).iter().flat_map(|volume| items(&volume["projected"]["sources"]))
}

fn drop_projection(spec: &mut Value, source: &str) {
    let Some(volumes) = present_mut(spec, "volumes") else { return };
    for volume in items_mut(volumes) {
        let Some(sources) = present_mut(volume, "projected").and_then(|projected| present_mut(projected, "sources")) else { continue };
        for projection in items_mut(sources) {
            remove(projection, source);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kept_only_where_it_was() {
        let with = json!({"workloadRef": {"name": "w"}, "containers": [{"lifecycle": {"stopSignal": "SIGTERM"}}]});
        let mut new = with.clone();
        drop_disabled(&mut new, &Value::Null);
        assert_eq!(new, json!({"containers": [{}]}));
        let mut changed = with.clone();
        drop_disabled(&mut changed, &with);
        assert_eq!(changed, with);
    }
}
