//! Removing what a node or a whole cluster has left in Docker, for whoever stops it: labels say what is whose, nothing else is touched.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};
use futures::future::join_all;

use super::{connect, error, labels, network};
use crate::runtime::RuntimeError;

/// How often, and after which pause, removing is tried again where Docker is still busy with what it was asked for before.
const TRIES: usize = 100;
const NETWORK_TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Whether Docker can be reached; the error says why not.
pub async fn reachable() -> Result<(), RuntimeError> {
    let docker = connect().await?;
    docker.ping().await.map(drop).map_err(error::general)
}

/// Kills and removes every container of one node.
pub async fn remove_node(cluster: &str, node: &str) -> Result<(), RuntimeError> {
    let docker = connect().await?;
    remove_containers(&docker, &[format!("{}={cluster}", labels::CLUSTER), format!("{}={node}", labels::NODE)]).await
}

/// Kills and removes every container of a cluster, and its network.
pub async fn remove_cluster(cluster: &str) -> Result<(), RuntimeError> {
    let docker = connect().await?;
    let ours = [format!("{}={cluster}", labels::CLUSTER)];
    let mut tries = 0;
    loop {
        remove_containers(&docker, &ours).await?;
        match network::remove_bridge(&docker, cluster).await {
            // A container that an agent was about to start or remove when it was stopped: Docker finishes what it was asked for.
            Err(RuntimeError::Failed(why)) if why.contains("active endpoints") && tries < NETWORK_TRIES => tries += 1,
            // Docker 20.10 sometimes miscounts what is connected where containers come and go at once, and counts anew only when it is restarted.
            // The network is empty and does no harm; the next `up` with this data takes it again.
            Err(RuntimeError::Failed(why)) if why.contains("active endpoints") => {
                tracing::warn!(%why, "Docker keeps the cluster's empty network until Docker is restarted");
                return Ok(());
            }
            done => return done,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Removes until nothing is left: what is being removed by somebody else is gone only when the list says so.
async fn remove_containers(docker: &Docker, labels: &[String]) -> Result<(), RuntimeError> {
    for _ in 0..TRIES {
        let filters = HashMap::from([("label".to_owned(), labels.to_vec())]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let containers = docker.list_containers(Some(options)).await.map_err(error::general)?;
        if containers.is_empty() {
            return Ok(());
        }
        let ids = containers.into_iter().filter_map(|container| container.id);
        let removals = ids.map(|id| async move {
            let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
            let removed = docker.remove_container(&id, Some(options)).await;
            let elsewhere = removed.as_ref().is_err_and(|fault| error::code(fault) == Some(409));
            error::gone_is_fine(removed).map(|()| elsewhere)
        });
        let removed: Vec<bool> = join_all(removals).await.into_iter().collect::<Result<_, _>>()?;
        if removed.contains(&true) {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Err(RuntimeError::Failed("Docker does not get done with removing containers".to_owned()))
}
