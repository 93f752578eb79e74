//! Whether a pod takes more of the node's disk than it may: its emptyDirs' `sizeLimit`, and limits of `ephemeral-storage`.
//!
//! See `localStorageEviction` in `pkg/kubelet/eviction/eviction_manager.go`: such a pod is evicted, whatever else is free. [`verdict`] is
//! the whole decision; [`disk_usage`] measures a directory as `du` does. Pressure of the node as a whole evicts nobody here.

use crate::pod;
use crate::status::Failed;
use k8s_openapi::api::core::v1::{Pod, Volume};
use skiff_proto::quantity::Quantity;
use skiff_proto::rules::requests::pod_limits;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The reason of an evicted pod.
pub const EVICTED: &str = "Evicted";
/// Pods of at least this priority are critical: `SystemCriticalPriority`.
const CRITICAL: i32 = 2_000_000_000;
const STORAGE: &str = "ephemeral-storage";

/// What a pod takes, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its volumes, by name.
    pub volumes: BTreeMap<String, u64>,
    /// The writable layers and logs of its containers, by name.
    pub containers: BTreeMap<String, u64>,
}

/// Whether anything of the pod is limited, so that it has to be measured.
pub fn is_limited(pod: &Pod) -> bool {
    !is_critical(pod) && (limits_volumes(pod) || limits_containers(pod))
}

/// Whether its containers have to be measured too.
pub fn limits_containers(pod: &Pod) -> bool {
    pod_limits(pod).contains_key(STORAGE)
}

fn limits_volumes(pod: &Pod) -> bool {
    pod::spec(pod).volumes.iter().flatten().any(|volume| size_limit(volume).is_some())
}

fn is_critical(pod: &Pod) -> bool {
    pod::spec(pod).priority.is_some_and(|priority| priority >= CRITICAL)
}

fn size_limit(volume: &Volume) -> Option<Quantity> {
    volume.empty_dir.as_ref()?.size_limit.as_ref().map(pod::quantity).filter(|limit| limit.nanos() > 0)
}

/// Volumes whose files are on the node's own disk: `IsLocalEphemeralVolume`.
fn is_on_disk(volume: &Volume) -> bool {
    let on_disk = |medium: Option<&str>| matches!(medium, None | Some(""));
    volume.empty_dir.as_ref().is_some_and(|source| on_disk(source.medium.as_deref())) || volume.config_map.is_some()
}

/// Why the pod has to go, if it has to.
pub fn verdict(pod: &Pod, usage: &Usage) -> Option<Failed> {
    let message = over_volume(pod, usage).or_else(|| over_pod(pod, usage)).or_else(|| over_container(pod, usage))?;
    (!is_critical(pod)).then(|| Failed { reason: EVICTED.into(), message })
}

fn exceeds(used: u64, limit: Quantity) -> bool {
    i128::from(used) * 1_000_000_000 > limit.nanos()
}

fn over_volume(pod: &Pod, usage: &Usage) -> Option<String> {
    pod::spec(pod).volumes.iter().flatten().find_map(|volume| {
        let limit = size_limit(volume)?;
        let used = *usage.volumes.get(&volume.name)?;
        exceeds(used, limit).then(|| format!("Usage of EmptyDir volume \"{}\" exceeds the limit \"{limit}\". ", volume.name))
    })
}

fn over_pod(pod: &Pod, usage: &Usage) -> Option<String> {
    let limit = *pod_limits(pod).get(STORAGE)?;
    let volumes = pod::spec(pod).volumes.iter().flatten().filter(|volume| is_on_disk(volume));
    let used = volumes.filter_map(|volume| usage.volumes.get(&volume.name)).chain(usage.containers.values()).sum();
    exceeds(used, limit).then(|| format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "))
}

fn over_container(pod: &Pod, usage: &Usage) -> Option<String> {
    pod::regular_containers(pod).iter().find_map(|container| {
        let limit = pod::limit(container.resources.as_ref(), STORAGE).filter(|limit| !limit.is_zero())?;
        let used = *usage.containers.get(&container.name)?;
        exceeds(used, limit).then(|| format!("Container {} exceeded its local ephemeral storage limit \"{limit}\". ", container.name))
    })
}

/// Bytes that a file or a directory with all that is in it takes on its disk; what vanishes meanwhile counts nothing.
pub fn disk_usage(path: &Path) -> u64 {
    let Ok(root) = fs::symlink_metadata(path) else { return 0 };
    let (mut bytes, mut linked) = (root.blocks() * 512, BTreeSet::new());
    let mut rest = vec![path.to_owned()];
    while let Some(dir) = rest.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
            if metadata.dev() != root.dev() || metadata.nlink() > 1 && !metadata.is_dir() && !linked.insert(metadata.ino()) {
                continue;
            }
            bytes += metadata.blocks() * 512;
            if metadata.is_dir() {
                rest.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    fn usage(volumes: &[(&str, u64)], containers: &[(&str, u64)]) -> Usage {
        let map = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect();
        Usage { volumes: map(volumes), containers: map(containers) }
    }

    #[test]
    fn who_takes_more_than_its_limit_goes() {
        const MIB: u64 = 1 << 20;
        let volume = json!({"containers": [{"name": "c"}], "volumes": [{"name": "a", "emptyDir": {}}, {"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]});
        let limit = |amount: &str| json!({"limits": {"ephemeral-storage": amount}});
        let two = json!({
            "containers": [{"name": "c", "resources": limit("2Mi")}, {"name": "d", "resources": limit("1Mi")}],
            "volumes": [{"name": "disk", "emptyDir": {}}, {"name": "memory", "emptyDir": {"medium": "Memory"}}],
        });
        let mut critical = volume.clone();
        critical["priority"] = json!(CRITICAL);
        let over = "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ";
        let cases = [
            (&volume, usage(&[("a", 9 * MIB), ("v", MIB)], &[]), None),
            (&volume, usage(&[("v", MIB + 1)], &[]), Some(over)),
            (&critical, usage(&[("v", MIB + 1)], &[]), None),
            (&two, usage(&[("disk", MIB), ("memory", 9 * MIB)], &[("c", 2 * MIB)]), None),
            (
                &two,
                usage(&[("disk", MIB), ("memory", 9 * MIB)], &[("c", 2 * MIB), ("d", 1)]),
                Some("Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. "),
            ),
            (&two, usage(&[], &[("d", MIB + 1)]), Some("Container d exceeded its local ephemeral storage limit \"1Mi\". ")),
        ];
        for (spec, usage, expected) in cases {
            let failed = verdict(&pod(spec.clone()), &usage);
            assert!(failed.as_ref().is_none_or(|failed| failed.reason == EVICTED));
            assert_eq!(failed.map(|failed| failed.message).as_deref(), expected, "{usage:?}");
        }
        assert!(is_limited(&pod(volume)) && is_limited(&pod(two.clone())) && !is_limited(&pod(critical)));
        assert!(limits_containers(&pod(two)) && !is_limited(&pod(json!({"containers": [], "volumes": [{"name": "a", "emptyDir": {}}]}))));
    }

    #[test]
    fn measures_what_is_on_the_disk() {
        let dir = std::env::temp_dir().join(format!("skiff-usage-{}", std::process::id()));
        fs::create_dir_all(dir.join("deep/er")).unwrap();
        let empty = disk_usage(&dir);
        fs::write(dir.join("deep/er/file"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(dir.join("deep/er/file"), dir.join("again")).unwrap();
        std::os::unix::fs::symlink("/", dir.join("away")).unwrap();
        let more = disk_usage(&dir) - empty;
        assert!((1 << 20..2 << 20).contains(&more), "{more}");
        assert_eq!(disk_usage(&dir.join("nothing")), 0);
        fs::remove_dir_all(dir).unwrap();
    }
}
