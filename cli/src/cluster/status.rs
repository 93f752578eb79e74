//! `skiff status`: which processes run, and which nodes are Ready. Nothing supervises: what is dead is shown dead.

use anyhow::Result;

use super::files::Files;
use super::services::CONTROL_PLANE;
use super::spec::ClusterSpec;
use super::{process, wait};
use crate::say::say;

/// Prints the state of the cluster; answers whether everything runs and is Ready.
pub async fn status(files: &Files) -> Result<bool> {
    let Some(spec) = ClusterSpec::read(&files.spec())? else {
        say!("There is no cluster in {}: `skiff up` makes one.", files.dir().display());
        return Ok(false);
    };
    say!("cluster {} in {} ({}, --timings {})\n", spec.id, files.dir().display(), spec.runtime.as_str(), spec.timings.as_str());
    say!("{:<20} {:>8} {:>10}  {:<24} LOG", "SERVICE", "PID", "MEMORY", "ADDRESS");
    let mut fine = true;
    for service in CONTROL_PLANE.iter().map(|service| (*service).to_owned()).chain(spec.agent_services()) {
        let pid = process::running(files, &service);
        fine &= pid.is_some();
        let memory = pid.and_then(process::resident_kib).map_or("-".to_owned(), |kib| format!("{:.1} MiB", kib as f64 / 1024.0));
        let address = std::fs::read_to_string(files.addr(&service)).unwrap_or_default();
        let address = if pid.is_some() { address.trim() } else { "" };
        let shown = pid.map_or("dead".to_owned(), |pid| pid.to_string());
        say!("{service:<20} {shown:>8} {memory:>10}  {address:<24} {}", files.log_of(&service).display());
    }
    say!();
    if process::running(files, "apiserver").is_none() {
        say!("The API server is dead: `skiff up` starts what is dead.");
        return Ok(false);
    }
    let ready = wait::ready_nodes(&*wait::admin(files, spec.port)?).await?;
    for node in &spec.nodes {
        let is_ready = ready.contains(&node.name);
        fine &= is_ready;
        say!("{:<20} {}", node.name, if is_ready { "Ready" } else { "NotReady" });
    }
    Ok(fine)
}
