//! `skiff down`: ends the cluster's processes and containers; `--purge` forgets the cluster, too.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::files::Files;
use super::process;
use super::spec::{ClusterSpec, Runtime};
use crate::kubeconfig;
use crate::say::say;

/// A process has this long to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stops everything. What is stored stays, unless `purge`.
pub async fn down(files: &Files, purge: bool) -> Result<()> {
    let spec = ClusterSpec::read(&files.spec())?;
    let services = process::known(files);
    if spec.is_none() && services.is_empty() {
        say!("There is no cluster in {}.", files.dir().display());
        return Ok(());
    }
    // Agents first, so that nothing is restarted; all are told before any is waited for.
    for service in services.iter().filter(|service| service.starts_with("agent-")) {
        process::terminate(files, service)?;
    }
    let is_agent = |service: &&String| service.starts_with("agent-");
    for service in services.iter().filter(is_agent) {
        process::stop(files, service, PATIENCE)?;
    }
    let control_plane: Vec<&String> = services.iter().filter(|service| !is_agent(service)).collect();
    for service in &control_plane {
        process::terminate(files, service)?;
    }
    for service in control_plane {
        process::stop(files, service, PATIENCE)?;
    }
    if let Some(spec) = spec.filter(|spec| spec.runtime == Runtime::Docker) {
        skiff_agent::runtime::docker::clean::remove_cluster(&spec.id).await.context("removing the cluster's containers and network")?;
    }
    if purge {
        forget(files)?;
        say!("The cluster in {} is gone.", files.dir().display());
    } else {
        say!("The cluster is stopped; `skiff up` resumes it with its objects, `skiff down --purge` forgets it.");
    }
    Ok(())
}

/// Removes what skiff made in the data directory, and the directory if nothing else is in it.
fn forget(files: &Files) -> Result<()> {
    if files.is_default() {
        kubeconfig::unmerge()?;
    }
    for dir in ["pki", "store", "run", "log", "nodes"] {
        unmount_below(&files.dir().join(dir))?;
        ignore_missing(std::fs::remove_dir_all(files.dir().join(dir)))?;
    }
    for file in [files.spec(), files.kubeconfig()] {
        ignore_missing(std::fs::remove_file(file))?;
    }
    // Fails where the user keeps something else there, which is theirs.
    std::fs::remove_dir(files.dir()).ok();
    Ok(())
}

/// Unmounts what pods have mounted below a folder (emptyDirs in memory), deepest first.
fn unmount_below(dir: &Path) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
    let mut below: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|place| Path::new(place).starts_with(dir)).collect();
    below.sort_by_key(|place| std::cmp::Reverse(place.len()));
    for place in below {
        let status = std::process::Command::new("umount").arg(place).status().context("umount")?;
        anyhow::ensure!(status.success(), "{place} cannot be unmounted");
    }
    Ok(())
}

fn ignore_missing(result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
