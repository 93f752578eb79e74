//! What containers use now: one reading each, without Docker's second of waiting for a difference.

use std::collections::BTreeMap;

use bollard::Docker;
use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::{InspectContainerOptions, StatsOptions};
use futures::{StreamExt, stream};

use super::super::{ContainerUsage, PodId};

/// Containers asked about at once.
const AT_ONCE: usize = 8;

/// Reads each of these containers (id, pod, name); one that has ended meanwhile is left out.
pub async fn read(docker: &Docker, running: Vec<(String, PodId, String)>) -> Vec<ContainerUsage> {
    let options = StatsOptions { stream: false, one_shot: true };
    let usages = stream::iter(running).map(|(id, pod, container)| {
        let options = options.clone();
        async move {
            let answer = docker.stats(&id, Some(options)).boxed().next().await?.ok()?;
            usage(pod, container, &answer)
        }
    });
    usages.buffer_unordered(AT_ONCE).filter_map(|usage| async { usage }).collect().await
}

/// What these containers (id, name) take of the disk, by name: their writable layers and their logs, those of earlier runs too. One that is gone counts nothing.
pub async fn disk(docker: &Docker, containers: Vec<(String, String)>) -> BTreeMap<String, u64> {
    let sizes = stream::iter(containers).map(|(id, name)| async move {
        let seen = docker.inspect_container(&id, Some(InspectContainerOptions { size: true })).await.ok()?;
        let layer = seen.size_rw.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        let log = seen.log_path.filter(|path| !path.is_empty()).map_or(0, |path| crate::evict::disk_usage(std::path::Path::new(&path)));
        Some((name, layer + log))
    });
    let sizes: Vec<Option<(String, u64)>> = sizes.buffer_unordered(AT_ONCE).collect().await;
    sizes.into_iter().flatten().fold(BTreeMap::new(), |mut sums, (name, bytes)| {
        *sums.entry(name).or_insert(0) += bytes;
        sums
    })
}

/// CPU time, and the working set as kubelet counts it: usage without the inactive file pages.
fn usage(pod: PodId, container: String, stats: &ContainerStatsResponse) -> Option<ContainerUsage> {
    let memory = stats.memory_stats.as_ref()?;
    let pages = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name)).copied();
    let inactive = pages("total_inactive_file").or_else(|| pages("inactive_file")).unwrap_or(0); // cgroup v1, v2
    let cpu_nanos = stats.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage?;
    Some(ContainerUsage { pod, container, cpu_nanos, memory_bytes: memory.usage?.saturating_sub(inactive) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_set() {
        let read = |json: &str| usage(PodId::default(), "app".into(), &serde_json::from_str(json).unwrap()).map(|usage| (usage.cpu_nanos, usage.memory_bytes));
        let v1 = r#"{"cpu_stats":{"cpu_usage":{"total_usage":5}},"memory_stats":{"usage":100,"stats":{"total_inactive_file":30,"inactive_file":1}}}"#;
        let v2 = r#"{"cpu_stats":{"cpu_usage":{"total_usage":5}},"memory_stats":{"usage":100,"stats":{"inactive_file":40}}}"#;
        let ended = r#"{"cpu_stats":{"cpu_usage":{"total_usage":0}},"memory_stats":{}}"#;
        assert_eq!([read(v1), read(v2), read(ended)], [Some((5, 70)), Some((5, 60)), None]);
    }
}
