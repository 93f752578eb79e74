//! The cluster's bridge: one Docker network a cluster, on the first free `10.x.0.0/16`.
//!
//! Node N owns `10.x.N.0/24` of it for its pods (its podCIDR), and the address `10.x.0.<10+N>`, which its agent adds to the bridge
//! device, so that the machine and every pod reach it, and two nodes' host ports do not collide.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::Docker;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptions;
use tokio::process::Command;

use super::super::RuntimeError;
use super::{error, labels};

/// The most nodes that fit on one bridge.
pub const MAX_NODES: u8 = 240;

/// A cluster's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Docker's name for it: `skiff-<cluster>`.
    pub network: String,
    /// The kernel's name for it: `br-0123456789ab`.
    pub device: String,
    /// The x of `10.x.0.0/16`.
    pub second_byte: u8,
}

impl Bridge {
    /// `10.x.0.0/16`.
    pub fn cidr(&self) -> String {
        subnet(self.second_byte)
    }

    /// The machine's own address on it.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second_byte, 0, 1)
    }

    /// The InternalIP of node `index`, from 1 to [`MAX_NODES`].
    pub fn node_address(&self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second_byte, 0, index.saturating_add(10))
    }

    /// The podCIDR of node `index`.
    pub fn pod_cidr(&self, index: u8) -> String {
        format!("10.{}.{index}.0/24", self.second_byte)
    }

    /// Gives the machine the address on the bridge's device. It may have it already. The error says what to do about it.
    pub async fn add_address(&self, address: Ipv4Addr) -> Result<(), String> {
        let local = format!("{address}/16");
        let output =
            Command::new("ip").args(["address", "replace", &local, "dev", &self.device]).output().await.map_err(|e| format!("cannot run `ip`: {e}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`ip address replace {local} dev {}` failed: {}", self.device, said.trim()))
    }
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The cluster's Docker network.
    pub network: String,
    /// The node's InternalIP.
    pub address: Ipv4Addr,
    /// Where its pods' addresses come from: the first address, and the length of the prefix.
    pub pod_cidr: (Ipv4Addr, u8),
    /// Why the InternalIP is one that pods cannot reach, where that is so.
    pub warning: Option<String>,
}

/// Makes sure of the network, and of node `index`'s place on it. Where the machine may not be given another address, the node is known by
/// `127.<x>.0.<index>`, which this machine reaches without being asked.
pub async fn settle(docker: &Docker, cluster: &str, index: u8) -> Result<Settled, RuntimeError> {
    let bridge = ensure_bridge(docker, cluster).await?;
    let pod_cidr = (Ipv4Addr::new(10, bridge.second_byte, index, 0), 24);
    let address = bridge.node_address(index);
    let (address, warning) = match bridge.add_address(address).await {
        Ok(()) => (address, None),
        Err(why) => (Ipv4Addr::new(127, bridge.second_byte, 0, index), Some(why)),
    };
    Ok(Settled { network: bridge.network, address, pod_cidr, warning })
}

/// The bridge's device may have been made anew while Docker was away, without the node's address.
pub async fn resettle(docker: &Docker, cluster: &str, address: Ipv4Addr) -> Result<(), RuntimeError> {
    match find_bridge(docker, cluster).await? {
        Some(bridge) if address.octets()[..2] == [10, bridge.second_byte] => bridge.add_address(address).await.map_err(RuntimeError::Failed),
        Some(_) | None => Ok(()),
    }
}

fn subnet(second_byte: u8) -> String {
    format!("10.{second_byte}.0.0/16")
}

/// The cluster's network, made where it is missing.
pub async fn ensure_bridge(docker: &Docker, cluster: &str) -> Result<Bridge, RuntimeError> {
    if let Some(found) = find_bridge(docker, cluster).await? {
        return Ok(found);
    }
    let _alone = lock().await.map_err(|fault| RuntimeError::Failed(format!("cannot lock the making of networks: {fault}")))?;
    if let Some(found) = find_bridge(docker, cluster).await? {
        return Ok(found); // another agent of the cluster was faster
    }
    let networks = docker.list_networks(None::<ListNetworksOptions>).await.map_err(error::general)?;
    let configs = networks.iter().filter_map(|network| network.ipam.as_ref()?.config.as_ref()).flatten();
    let mut taken: Vec<Cidr> = configs.filter_map(|config| Cidr::parse(config.subnet.as_deref()?)).collect();
    let docker_only = taken.clone();
    taken.extend(routes(&tokio::fs::read_to_string("/proc/net/route").await.unwrap_or_default())); // without it, Docker's own check remains
    let mut candidates = free(&taken);
    candidates.extend(free(&docker_only).into_iter().filter(|x| Cidr::parse(&subnet(*x)).is_some_and(|c| taken.iter().any(|t| t.overlaps(&c) && t.bits < 16))));
    for second_byte in candidates {
        match docker.create_network(request(cluster, second_byte)).await {
            Ok(_) => return find_bridge(docker, cluster).await?.ok_or_else(|| RuntimeError::Failed(format!("the network of cluster {cluster} vanished"))),
            Err(fault) if error::message(&fault).contains("overlap") => {} // with something else than a network of Docker's: the next
            Err(fault) => return Err(error::general(fault)),
        }
    }
    Err(RuntimeError::Failed("no free 10.x.0.0/16 for the cluster's network".to_owned()))
}

/// One agent of this machine at a time makes a network: Docker makes two of one name if it is asked twice at once.
async fn lock() -> std::io::Result<std::fs::File> {
    let lock = || {
        let path = std::env::temp_dir().join("skiff-network.lock");
        // Another user may own the file: then it can be locked, not created.
        let file = std::fs::File::open(&path).or_else(|_| std::fs::File::create(&path))?;
        file.lock()?;
        Ok(file)
    };
    tokio::task::spawn_blocking(lock).await.map_err(std::io::Error::other)?
}

/// The cluster's network, where there is one.
pub async fn find_bridge(docker: &Docker, cluster: &str) -> Result<Option<Bridge>, RuntimeError> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{}={cluster}", labels::CLUSTER)])]);
    let networks = docker.list_networks(Some(ListNetworksOptions { filters: Some(filters) })).await.map_err(error::general)?;
    Ok(networks.into_iter().find_map(|network| {
        let subnet = network.ipam?.config?.into_iter().find_map(|config| config.subnet)?;
        let [10, second_byte, _, _] = Cidr::parse(&subnet)?.base.octets() else { return None };
        let device = format!("br-{}", network.id?.get(..12)?);
        Some(Bridge { network: network.name?, device, second_byte })
    }))
}

/// Removes the cluster's network; its containers have been removed before.
pub async fn remove_bridge(docker: &Docker, cluster: &str) -> Result<(), RuntimeError> {
    match find_bridge(docker, cluster).await? {
        Some(bridge) => error::gone_is_fine(docker.remove_network(&bridge.network).await),
        None => Ok(()),
    }
}

fn request(cluster: &str, second_byte: u8) -> NetworkCreateRequest {
    let config = IpamConfig { subnet: Some(subnet(second_byte)), gateway: Some(Ipv4Addr::new(10, second_byte, 0, 1).to_string()), ..IpamConfig::default() };
    NetworkCreateRequest {
        name: format!("skiff-{cluster}"),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
        labels: Some(HashMap::from([(labels::CLUSTER.to_owned(), cluster.to_owned())])),
        ..NetworkCreateRequest::default()
    }
}

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cidr {
    base: Ipv4Addr,
    bits: u32,
}

impl Cidr {
    fn parse(text: &str) -> Option<Self> {
        let (base, bits) = text.split_once('/')?;
        Some(Self { base: base.parse().ok()?, bits: bits.parse().ok().filter(|bits| *bits <= 32)? })
    }

    fn overlaps(&self, other: &Self) -> bool {
        let bits = self.bits.min(other.bits);
        bits == 0 || (self.base.to_bits() ^ other.base.to_bits()) >> (32 - bits) == 0
    }
}

/// The networks that the machine's routing table reaches, but for the default route.
fn routes(proc_net_route: &str) -> Vec<Cidr> {
    let hex = |word: &str| u32::from_str_radix(word, 16).ok().map(u32::swap_bytes);
    proc_net_route
        .lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (base, mask) = (hex(words.get(1)?)?, hex(words.get(7)?)?);
            (mask != 0).then(|| Cidr { base: Ipv4Addr::from_bits(base), bits: mask.count_ones() })
        })
        .collect()
}

/// Every x whose `10.x.0.0/16` overlaps with nothing, in order. 10.0 and 10.1 are too popular elsewhere to begin with them; 10.96 holds services.
fn free(taken: &[Cidr]) -> Vec<u8> {
    let services = Cidr { base: Ipv4Addr::new(10, 96, 0, 0), bits: 12 };
    (20..=254u8).filter(|x| Cidr::parse(&subnet(*x)).is_some_and(|cidr| !taken.iter().chain([&services]).any(|taken| taken.overlaps(&cidr)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_one() {
        let cidrs = |texts: &[&str]| -> Vec<Cidr> { texts.iter().map(|text| Cidr::parse(text).unwrap()).collect() };
        assert_eq!(free(&[])[0], 20);
        assert_eq!(free(&cidrs(&["10.20.0.0/16", "10.21.3.0/24", "172.17.0.0/16"]))[0], 22);
        assert_eq!(free(&cidrs(&["10.0.0.0/8"])), Vec::<u8>::new());
        assert!(!free(&[]).contains(&96), "the services' addresses");
        assert_eq!(free(&cidrs(&["10.16.0.0/12"]))[0], 32);
    }

    #[test]
    fn routing_tables() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t0000140A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(routes(table), [Cidr { base: Ipv4Addr::new(10, 20, 0, 0), bits: 16 }]);
    }

    #[test]
    fn addresses() {
        let bridge = Bridge { network: "skiff-c".into(), device: "br-0".into(), second_byte: 20 };
        assert_eq!((bridge.node_address(1).to_string(), bridge.pod_cidr(1)), ("10.20.0.11".to_owned(), "10.20.1.0/24".to_owned()));
        assert_eq!((bridge.cidr(), bridge.gateway().to_string()), ("10.20.0.0/16".to_owned(), "10.20.0.1".to_owned()));
    }
}
