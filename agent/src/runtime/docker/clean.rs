//! Removing what a node or a whole cluster has left in Docker, for whoever stops it: labels say what is whose, nothing else is touched.

use std::collections::HashMap;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};
use futures::future::join_all;

use super::{connect, error, labels, network};
use crate::runtime::RuntimeError;

/// Whether Docker can be reached; the error says why not.
pub async fn reachable() -> Result<(), RuntimeError> {
    let docker = connect().await?;
    docker.ping().await.map(drop).map_err(error::general)
}

/// Kills and removes every container of one node.
pub async fn remove_node(cluster: &str, node: &str) -> Result<(), RuntimeError> {
    let docker = connect().await?;
    remove_containers(&docker, vec![format!("{}={cluster}", labels::CLUSTER), format!("{}={node}", labels::NODE)]).await
}

/// Kills and removes every container of a cluster, and its network.
pub async fn remove_cluster(cluster: &str) -> Result<(), RuntimeError> {
    let docker = connect().await?;
    remove_containers(&docker, vec![format!("{}={cluster}", labels::CLUSTER)]).await?;
    network::remove_bridge(&docker, cluster).await
}

async fn remove_containers(docker: &Docker, labels: Vec<String>) -> Result<(), RuntimeError> {
    let filters = HashMap::from([("label".to_owned(), labels)]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let containers = docker.list_containers(Some(options)).await.map_err(error::general)?;
    let ids = containers.into_iter().filter_map(|container| container.id);
    let removals = ids.map(|id| async move {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        error::gone_is_fine(docker.remove_container(&id, Some(options)).await)
    });
    join_all(removals).await.into_iter().collect()
}
