//! What Docker is asked to make: pure translations of a [`SandboxSpec`] and a [`ContainerSpec`] into Docker's create bodies.
//!
//! A sandbox is a pause container with an address of its own; a pod's containers join its network and IPC namespaces, and its
//! PID namespace where the pod shares that.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, DeviceMapping, EndpointIpamConfig, EndpointSettings, HostConfig, HostConfigLogConfig, Mount as DockerMount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, NetworkingConfig, PortBinding,
};

use super::super::{ContainerSpec, Mount, NamespaceMode, PortMapping, Propagation, Protocol, ResourceSpec, SandboxSpec, Seccomp, SecuritySpec};
use super::labels::Owner;
use super::powers::Powers;

/// A pause container is the last to be killed for memory (kubelet's `PodInfraOOMAdj`).
const SANDBOX_OOM_SCORE_ADJ: i64 = -998;
/// Docker's least CPU weight.
const LEAST_CPU_SHARES: i64 = 2;
/// Kubelet's `containerLogMaxSize` and `containerLogMaxFiles`.
const LOG_MAX_SIZE: &str = "10m";
const LOG_MAX_FILES: &str = "5";

/// Where sandboxes live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The cluster's Docker network.
    pub network: String,
    /// The node's InternalIP: where host ports are published. None: on every address.
    pub address: Option<Ipv4Addr>,
    /// What Docker itself may do.
    pub powers: Powers,
}

/// A sandbox's namespaces, as its containers need to know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Shared {
    /// The network is the node's.
    pub host_network: bool,
    /// IPC is the node's.
    pub host_ipc: bool,
}

/// A pause container.
pub fn sandbox(spec: &SandboxSpec, owner: &Owner, place: &Place, image: &str) -> ContainerCreateBody {
    let on_node = spec.network == NamespaceMode::Node;
    let endpoint = EndpointSettings {
        ipam_config: spec.ip.map(|ip| EndpointIpamConfig { ipv4_address: Some(ip.to_string()), ..EndpointIpamConfig::default() }),
        ..EndpointSettings::default()
    };
    let (exposed_ports, port_bindings) = if on_node { (Vec::new(), HashMap::new()) } else { ports(&spec.ports, place.address) };
    ContainerCreateBody {
        hostname: spec.hostname.clone(),
        image: Some(image.to_owned()),
        labels: Some(owner.sandbox_labels(spec)),
        exposed_ports: Some(exposed_ports),
        networking_config: (!on_node).then(|| NetworkingConfig { endpoints_config: Some(HashMap::from([(place.network.clone(), endpoint)])) }),
        host_config: Some(HostConfig {
            network_mode: Some(if on_node { "host".to_owned() } else { place.network.clone() }),
            ipc_mode: Some(if spec.ipc == NamespaceMode::Node { "host" } else { "shareable" }.to_owned()),
            pid_mode: (spec.pid == NamespaceMode::Node).then(|| "host".to_owned()),
            port_bindings: Some(port_bindings),
            sysctls: Some(spec.sysctls.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),
            oom_score_adj: Some(SANDBOX_OOM_SCORE_ADJ.max(place.powers.least_oom_score_adj())),
            cpu_shares: Some(LEAST_CPU_SHARES),
            readonly_rootfs: Some(true),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// `["80/tcp"]`, and `{"80/tcp": [{10.20.0.11, 8080}]}`.
fn ports(mappings: &[PortMapping], address: Option<Ipv4Addr>) -> (Vec<String>, HashMap<String, Option<Vec<PortBinding>>>) {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    let mut exposed = Vec::new();
    for mapping in mappings {
        let protocol = match mapping.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        let port = format!("{}/{protocol}", mapping.container_port);
        let host_ip = mapping.host_ip.filter(|ip| !ip.is_unspecified()).or(address);
        let binding = PortBinding { host_ip: host_ip.map(|ip| ip.to_string()), host_port: Some(mapping.host_port.to_string()) };
        if !exposed.contains(&port) {
            exposed.push(port.clone());
        }
        bindings.entry(port).or_default().get_or_insert_default().push(binding);
    }
    (exposed, bindings)
}

/// A container in the sandbox with this id. `image_user` is the image's own user, needed only where the spec names a group alone.
pub fn container(spec: &ContainerSpec, owner: &Owner, place: &Place, sandbox: &str, shared: Shared, image_user: &str) -> ContainerCreateBody {
    let join = format!("container:{sandbox}");
    let pid_mode = match (&spec.target, spec.pid) {
        (Some(target), _) => Some(format!("container:{target}")),
        (None, NamespaceMode::Pod) => Some(join.clone()),
        (None, NamespaceMode::Container) => None,
        (None, NamespaceMode::Node) => Some("host".to_owned()),
    };
    let host_config = HostConfig {
        network_mode: Some(if shared.host_network { "host".to_owned() } else { join.clone() }),
        ipc_mode: Some(if shared.host_ipc { "host".to_owned() } else { join }),
        pid_mode,
        mounts: Some(spec.mounts.iter().map(mount).collect()),
        devices: Some(spec.devices.iter().map(|(host, inside)| device(&host.to_string_lossy(), inside)).collect()),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([("max-size", LOG_MAX_SIZE), ("max-file", LOG_MAX_FILES)].map(|(k, v)| (k.to_owned(), v.to_owned())))),
        }),
        ..HostConfig::default()
    };
    let given = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
    ContainerCreateBody {
        image: Some(spec.image_id.clone()),
        entrypoint: given(&spec.command),
        cmd: given(&spec.args),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: (!spec.working_dir.is_empty()).then(|| spec.working_dir.clone()),
        user: user(&spec.security, image_user),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin),
        stdin_once: Some(spec.stdin_once),
        stop_signal: spec.stop_signal.clone(),
        // A health check of the image is none of Kubernetes' business.
        healthcheck: Some(bollard::models::HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        labels: Some(owner.container_labels(sandbox, spec)),
        host_config: Some(limit(secure(host_config, &spec.security, &place.powers), &spec.resources, place.powers.least_oom_score_adj())),
        ..ContainerCreateBody::default()
    }
}

fn mount(mount: &Mount) -> DockerMount {
    let propagation = match mount.propagation {
        Propagation::Private => MountBindOptionsPropagationEnum::RPRIVATE,
        Propagation::HostToContainer => MountBindOptionsPropagationEnum::RSLAVE,
        Propagation::Bidirectional => MountBindOptionsPropagationEnum::RSHARED,
    };
    DockerMount {
        typ: Some(MountType::BIND),
        source: Some(mount.host_path.to_string_lossy().into_owned()),
        target: Some(mount.container_path.clone()),
        read_only: Some(mount.read_only),
        bind_options: Some(MountBindOptions { propagation: Some(propagation), ..MountBindOptions::default() }),
        ..DockerMount::default()
    }
}

fn device(host: &str, inside: &str) -> DeviceMapping {
    DeviceMapping { path_on_host: Some(host.to_owned()), path_in_container: Some(inside.to_owned()), cgroup_permissions: Some("rwm".to_owned()) }
}

/// `uid`, `uid:gid`, or with a group alone the image's user and that group. None: as the image says.
fn user(security: &SecuritySpec, image_user: &str) -> Option<String> {
    match (security.uid, security.gid) {
        (None, None) => None,
        (Some(uid), None) => Some(uid.to_string()),
        (Some(uid), Some(gid)) => Some(format!("{uid}:{gid}")),
        (None, Some(gid)) => {
            let name = image_user.split(':').next().filter(|name| !name.is_empty()).unwrap_or("0");
            Some(format!("{name}:{gid}"))
        }
    }
}

fn secure(config: HostConfig, security: &SecuritySpec, powers: &Powers) -> HostConfig {
    if security.privileged && !powers.are_full() {
        return nearly_privileged(config, security, powers);
    }
    let mut options = Vec::new();
    if security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &security.seccomp {
        Seccomp::Unconfined => options.push("seccomp=unconfined".to_owned()),
        Seccomp::RuntimeDefault => {}
        Seccomp::Profile(json) => options.push(format!("seccomp={json}")),
    }
    HostConfig {
        privileged: Some(security.privileged),
        cap_add: Some(security.add_capabilities.clone()),
        cap_drop: Some(security.drop_capabilities.clone()),
        readonly_rootfs: Some(security.read_only_root),
        group_add: Some(security.groups.iter().map(i64::to_string).collect()),
        security_opt: Some(options),
        masked_paths: security.unmasked_proc.then(Vec::new),
        readonly_paths: security.unmasked_proc.then(Vec::new),
        ..config
    }
}

/// Where Docker lacks a capability it cannot start a container with `--privileged` at all, for that asks for every one. This is the rest of what the flag
/// means: the capabilities there are, no filters, all of `/proc` and `/sys`, and every device that the container cares to make a node of.
fn nearly_privileged(config: HostConfig, security: &SecuritySpec, powers: &Powers) -> HostConfig {
    HostConfig {
        cap_add: Some(powers.names()),
        security_opt: Some(["seccomp=unconfined", "apparmor=unconfined", "label=disable"].map(str::to_owned).to_vec()),
        masked_paths: Some(Vec::new()),
        readonly_paths: Some(Vec::new()),
        device_cgroup_rules: Some(vec!["a *:* rwm".to_owned()]),
        readonly_rootfs: Some(security.read_only_root),
        group_add: Some(security.groups.iter().map(i64::to_string).collect()),
        ..config
    }
}

fn limit(config: HostConfig, resources: &ResourceSpec, least_oom_score_adj: i64) -> HostConfig {
    let set = |value: i64| (value != 0).then_some(value);
    HostConfig {
        cpu_shares: set(resources.cpu_shares),
        cpu_quota: set(resources.cpu_quota),
        cpu_period: set(resources.cpu_period),
        memory: set(resources.memory_limit),
        memory_swap: set(resources.memory_limit), // as much as memory: no swap
        oom_score_adj: Some(resources.oom_score_adj.max(least_oom_score_adj)),
        ..config
    }
}

/// The same resources for a container that runs already. No quota is said with -1: Docker takes 0 for "as it was". A limit of memory is
/// never taken away in place (Kubernetes restarts the container for that), and Docker would refuse a -1.
pub fn update(resources: &ResourceSpec) -> ContainerUpdateBody {
    let some = |value: i64| Some(value).filter(|value| *value > 0);
    ContainerUpdateBody {
        cpu_shares: some(resources.cpu_shares),
        cpu_quota: Some(if resources.cpu_quota == 0 { -1 } else { resources.cpu_quota }),
        cpu_period: some(resources.cpu_period),
        memory: some(resources.memory_limit),
        memory_swap: some(resources.memory_limit),
        ..ContainerUpdateBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// All but `CAP_SYS_RESOURCE`.
    const LESS: &str = "CapEff:\t000001fffeffffff\n";
    const ALL: &str = "CapEff:\t000001ffffffffff\n";

    fn owner() -> Owner {
        Owner { cluster: "c".into(), node: "n".into() }
    }

    fn place() -> Place {
        Place { network: "skiff-c".into(), address: Some(Ipv4Addr::new(10, 20, 0, 11)), powers: Powers::read(LESS) }
    }

    fn host(spec: &ContainerSpec, shared: Shared) -> HostConfig {
        container(spec, &owner(), &place(), "pause", shared, "").host_config.unwrap()
    }

    #[test]
    fn users() {
        for (uid, gid, image, expected) in [
            (None, None, "app", None),
            (Some(0), None, "app", Some("0")),
            (Some(1000), Some(2000), "app", Some("1000:2000")),
            (None, Some(2000), "app:staff", Some("app:2000")),
            (None, Some(2000), "", Some("0:2000")),
        ] {
            let security = SecuritySpec { uid, gid, ..SecuritySpec::default() };
            assert_eq!(user(&security, image).as_deref(), expected, "{uid:?} {gid:?} {image}");
        }
    }

    #[test]
    fn a_sandbox_has_its_address_and_ports() {
        let mapping = |host_port, container_port, host_ip| PortMapping { host_port, container_port, protocol: Protocol::Tcp, host_ip };
        let elsewhere = Ipv4Addr::LOCALHOST;
        let spec = SandboxSpec {
            ip: Some(Ipv4Addr::new(10, 20, 1, 5)),
            ports: vec![mapping(8080, 80, None), mapping(8081, 80, Some(elsewhere)), mapping(53, 53, Some(Ipv4Addr::UNSPECIFIED))],
            ..SandboxSpec::default()
        };
        let body = sandbox(&spec, &owner(), &place(), "pause:1");
        assert_eq!(body.exposed_ports, Some(vec!["80/tcp".to_owned(), "53/tcp".to_owned()]));
        let host = body.host_config.unwrap();
        assert_eq!((host.network_mode.as_deref(), host.ipc_mode.as_deref()), (Some("skiff-c"), Some("shareable")));
        let bound: Vec<_> = host.port_bindings.unwrap()["80/tcp"].clone().unwrap().into_iter().map(|b| (b.host_ip.unwrap(), b.host_port.unwrap())).collect();
        assert_eq!(bound, [("10.20.0.11".to_owned(), "8080".to_owned()), ("127.0.0.1".to_owned(), "8081".to_owned())]);
        let endpoints = body.networking_config.unwrap().endpoints_config.unwrap();
        assert_eq!(endpoints["skiff-c"].ipam_config.clone().unwrap().ipv4_address.as_deref(), Some("10.20.1.5"));
    }

    #[test]
    fn a_sandbox_on_the_node_publishes_nothing() {
        let ports = vec![PortMapping { host_port: 80, container_port: 80, protocol: Protocol::Udp, host_ip: None }];
        let spec = SandboxSpec { network: NamespaceMode::Node, ipc: NamespaceMode::Node, pid: NamespaceMode::Node, ports, ..SandboxSpec::default() };
        let body = sandbox(&spec, &owner(), &place(), "pause:1");
        assert_eq!(body.networking_config, None);
        let host = body.host_config.unwrap();
        assert_eq!([host.network_mode, host.ipc_mode, host.pid_mode], ["host", "host", "host"].map(|mode| Some(mode.to_owned())));
        assert_eq!(host.port_bindings, Some(HashMap::new()));
    }

    #[test]
    fn namespaces_of_a_container() {
        let of = |pid, target: Option<&str>, shared| {
            let config = host(&ContainerSpec { pid, target: target.map(str::to_owned), ..ContainerSpec::default() }, shared);
            (config.network_mode.unwrap(), config.ipc_mode.unwrap(), config.pid_mode)
        };
        let (own, node) = (Shared::default(), Shared { host_network: true, host_ipc: true });
        let pause = || "container:pause".to_owned();
        assert_eq!(of(NamespaceMode::Container, None, own), (pause(), pause(), None));
        assert_eq!(of(NamespaceMode::Pod, None, own), (pause(), pause(), Some(pause())));
        assert_eq!(of(NamespaceMode::Node, None, node), ("host".into(), "host".into(), Some("host".into())));
        assert_eq!(of(NamespaceMode::Pod, Some("app"), own).2, Some("container:app".into()));
    }

    #[test]
    fn security_and_limits() {
        let spec = ContainerSpec {
            security: SecuritySpec {
                groups: vec![3000, 4000],
                add_capabilities: vec!["NET_ADMIN".into()],
                drop_capabilities: vec!["ALL".into()],
                read_only_root: true,
                no_new_privileges: true,
                seccomp: Seccomp::RuntimeDefault,
                ..SecuritySpec::default()
            },
            resources: ResourceSpec { cpu_shares: 102, cpu_quota: 20_000, cpu_period: 100_000, memory_limit: 64 << 20, oom_score_adj: 900 },
            ..ContainerSpec::default()
        };
        let config = host(&spec, Shared::default());
        assert_eq!(config.group_add, Some(vec!["3000".to_owned(), "4000".to_owned()]));
        assert_eq!(config.security_opt, Some(vec!["no-new-privileges".to_owned()]));
        assert_eq!((config.memory, config.memory_swap, config.cpu_quota, config.oom_score_adj), (Some(64 << 20), Some(64 << 20), Some(20_000), Some(900)));
        assert_eq!((config.readonly_rootfs, config.masked_paths), (Some(true), None));

        let nothing = host(&ContainerSpec::default(), Shared::default());
        assert_eq!(nothing.security_opt, Some(vec!["seccomp=unconfined".to_owned()]));
        assert_eq!((nothing.memory, nothing.cpu_shares), (None, None));
        let bare = ContainerSpec { security: SecuritySpec { unmasked_proc: true, ..SecuritySpec::default() }, ..ContainerSpec::default() };
        assert_eq!(host(&bare, Shared::default()).masked_paths, Some(Vec::new()));
    }

    #[test]
    fn docker_cannot_give_what_it_has_not() {
        let mighty = Place { powers: Powers::read(ALL), ..place() };
        let of = |spec: &ContainerSpec, place: &Place| container(spec, &owner(), place, "pause", Shared::default(), "").host_config.unwrap();
        let guaranteed = ContainerSpec { resources: ResourceSpec { oom_score_adj: -997, ..ResourceSpec::default() }, ..ContainerSpec::default() };
        assert_eq!(of(&guaranteed, &mighty).oom_score_adj, Some(-997));
        assert_eq!(of(&guaranteed, &place()).oom_score_adj, Some(0));
        let privileged = ContainerSpec { security: SecuritySpec { privileged: true, ..SecuritySpec::default() }, ..ContainerSpec::default() };
        assert_eq!(of(&privileged, &mighty).privileged, Some(true));
        let less = of(&privileged, &place());
        assert_eq!((less.privileged, less.masked_paths, less.device_cgroup_rules), (None, Some(vec![]), Some(vec!["a *:* rwm".to_owned()])));
        assert!(less.cap_add.unwrap().contains(&"SYS_ADMIN".to_owned()));
    }

    #[test]
    fn what_the_image_says_is_kept() {
        let body = container(&ContainerSpec::default(), &owner(), &place(), "pause", Shared::default(), "");
        assert_eq!((body.entrypoint, body.cmd, body.working_dir, body.user), (None, None, None, None));
        let spec = ContainerSpec {
            command: vec!["/bin/sh".into()],
            args: vec!["-c".into(), "true".into()],
            env: vec![("A".into(), "b=c".into())],
            ..ContainerSpec::default()
        };
        let body = container(&spec, &owner(), &place(), "pause", Shared::default(), "");
        assert_eq!((body.entrypoint, body.cmd), (Some(spec.command), Some(spec.args)));
        assert_eq!(body.env, Some(vec!["A=b=c".to_owned()]));
    }

    #[test]
    fn mounts() {
        let spec = Mount { host_path: PathBuf::from("/a:b"), container_path: "/c".into(), read_only: true, propagation: Propagation::HostToContainer };
        let asked = mount(&spec);
        assert_eq!((asked.source.as_deref(), asked.target.as_deref(), asked.read_only), (Some("/a:b"), Some("/c"), Some(true)));
        assert_eq!(asked.bind_options.unwrap().propagation, Some(MountBindOptionsPropagationEnum::RSLAVE));
    }
}
