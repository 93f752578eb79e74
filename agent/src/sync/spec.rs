//! What a pod's sandbox and containers are made of, resolved from the pod: pure functions.

use crate::expand::expand;
use crate::pod;
use crate::runtime::{ContainerSpec, Image, Mount, NamespaceMode, PortMapping, Propagation, Protocol, ResourceSpec, SandboxSpec, Seccomp, SecuritySpec};
use k8s_openapi::api::core::v1::{Container, Pod, SeccompProfile};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

/// Label on containers: the grace period, for an agent that finds one whose pod is gone.
pub const GRACE_LABEL: &str = "io.kubernetes.pod.terminationGracePeriod";

/// A hash of what makes a running container another one: its name and image (`kubecontainer.HashContainer`), as 16 hex digits (FNV-1a).
pub fn hash(container: &Container) -> String {
    let image = container.image.as_deref().unwrap_or_default();
    let bytes = container.name.bytes().chain([0]).chain(image.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// The sandbox.
pub fn sandbox(pod: &Pod, attempt: u32, ip: Option<Ipv4Addr>, cluster_domain: &str) -> Result<SandboxSpec, String> {
    let spec = pod::spec(pod);
    let host_network = pod::host_network(pod);
    let context = spec.security_context.as_ref();
    let mode = |node: Option<bool>| if node == Some(true) { NamespaceMode::Node } else { NamespaceMode::Pod };
    let all = || pod::regular_containers(pod).iter().chain(pod::init_containers(pod));
    Ok(SandboxSpec {
        pod: pod::id(pod),
        attempt,
        hostname: if host_network { None } else { Some(crate::files::uts_name(pod, cluster_domain)?) },
        ip: ip.filter(|_| !host_network),
        network: mode(spec.host_network),
        ipc: mode(spec.host_ipc),
        pid: pid_mode(pod),
        ports: if host_network { Vec::new() } else { all().flat_map(ports).collect() },
        sysctls: context.and_then(|context| context.sysctls.as_ref()).into_iter().flatten().map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect(),
        privileged: all().any(|container| security_of(container).and_then(|context| context.privileged) == Some(true)),
        labels: pod.metadata.labels.clone().unwrap_or_default(),
    })
}

fn pid_mode(pod: &Pod) -> NamespaceMode {
    let spec = pod::spec(pod);
    match (spec.host_pid, spec.share_process_namespace) {
        (Some(true), _) => NamespaceMode::Node,
        (_, Some(true)) => NamespaceMode::Pod,
        _ => NamespaceMode::Container,
    }
}

fn ports(container: &Container) -> Vec<PortMapping> {
    let published = container.ports.iter().flatten().filter_map(|port| {
        let host_port = u16::try_from(port.host_port?).ok().filter(|port| *port != 0)?;
        let protocol = match port.protocol.as_deref() {
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            _ => Protocol::Tcp,
        };
        // Every address of the machine means the node's own: a machine has many nodes here.
        let host_ip = port.host_ip.as_deref().and_then(|ip| ip.parse().ok()).filter(|ip: &Ipv4Addr| !ip.is_unspecified());
        Some(PortMapping { host_port, container_port: u16::try_from(port.container_port).ok()?, protocol, host_ip })
    });
    published.collect()
}

fn security_of(container: &Container) -> Option<&k8s_openapi::api::core::v1::SecurityContext> {
    container.security_context.as_ref()
}

/// What is known when a container is made.
pub struct Parts<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The container.
    pub container: &'a Container,
    /// Its image.
    pub image: &'a Image,
    /// How often it was started before.
    pub attempt: u32,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// Its mounts.
    pub mounts: Vec<Mount>,
    /// The node's memory, for the OOM score.
    pub memory_capacity: i64,
    /// For an ephemeral container: the container whose processes it sees.
    pub target: Option<String>,
    /// Seccomp profiles of `Localhost`, by path: their text.
    pub profiles: &'a dyn Fn(&str) -> Result<String, String>,
}

/// A container. The error is that of `CreateContainerConfigError`.
pub fn container(parts: Parts<'_>) -> Result<ContainerSpec, String> {
    let Parts { pod, container, image, .. } = parts;
    let security = security(pod, container, image, parts.profiles)?;
    let resources = resources(pod, container, parts.memory_capacity);
    let values: BTreeMap<&str, &str> = parts.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let words = |list: Option<&Vec<String>>| list.into_iter().flatten().map(|word| expand(word, |name| values.get(name).copied())).collect::<Vec<_>>();
    let (command, args) = (words(container.command.as_ref()), words(container.args.as_ref()));
    let grace = super::plan::grace(pod).as_secs().to_string();
    Ok(ContainerSpec {
        pod: pod::id(pod),
        name: container.name.clone(),
        attempt: parts.attempt,
        image_id: image.id.clone(),
        image: container.image.clone().unwrap_or_default(),
        command,
        args,
        working_dir: container.working_dir.clone().unwrap_or_default(),
        mounts: parts.mounts,
        devices: Vec::new(),
        security,
        resources,
        tty: container.tty.unwrap_or(false),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        stop_signal: container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.clone()),
        pid: pid_mode(pod),
        target: parts.target,
        hash: hash(container),
        labels: [(GRACE_LABEL.to_owned(), grace)].into(),
        env: parts.env,
    })
}

/// Who it runs as (`determineEffectiveSecurityContext`, `verifyRunAsNonRoot`).
fn security(pod: &Pod, container: &Container, image: &Image, profiles: &dyn Fn(&str) -> Result<String, String>) -> Result<SecuritySpec, String> {
    let of_pod = pod::spec(pod).security_context.as_ref();
    let own = security_of(container);
    let uid = pod::run_as_user(pod, container);
    let gid = own.and_then(|own| own.run_as_group).or_else(|| of_pod.and_then(|pod| pod.run_as_group));
    let non_root = own.and_then(|own| own.run_as_non_root).or_else(|| of_pod.and_then(|pod| pod.run_as_non_root)) == Some(true);
    if non_root {
        verify_non_root(pod, container, uid, &image.user)?;
    }
    let mut groups: Vec<i64> = of_pod.and_then(|pod| pod.supplemental_groups.clone()).unwrap_or_default();
    groups.extend(of_pod.and_then(|pod| pod.fs_group));
    let profile = own.and_then(|own| own.seccomp_profile.as_ref()).or_else(|| of_pod.and_then(|pod| pod.seccomp_profile.as_ref()));
    let capabilities = own.and_then(|own| own.capabilities.as_ref());
    let names = |list: Option<&Vec<String>>| list.into_iter().flatten().map(|name| name.trim_start_matches("CAP_").to_owned()).collect();
    Ok(SecuritySpec {
        uid,
        gid,
        groups,
        privileged: own.and_then(|own| own.privileged).unwrap_or(false),
        add_capabilities: names(capabilities.and_then(|capabilities| capabilities.add.as_ref())),
        drop_capabilities: names(capabilities.and_then(|capabilities| capabilities.drop.as_ref())),
        read_only_root: own.and_then(|own| own.read_only_root_filesystem).unwrap_or(false),
        no_new_privileges: own.and_then(|own| own.allow_privilege_escalation) == Some(false),
        seccomp: seccomp(profile, profiles)?,
        unmasked_proc: own.and_then(|own| own.proc_mount.as_deref()) == Some("Unmasked"),
    })
}

fn seccomp(profile: Option<&SeccompProfile>, profiles: &dyn Fn(&str) -> Result<String, String>) -> Result<Seccomp, String> {
    match profile.map(|profile| (profile.type_.as_str(), profile.localhost_profile.as_deref().unwrap_or_default())) {
        Some(("RuntimeDefault", _)) => Ok(Seccomp::RuntimeDefault),
        Some(("Localhost", path)) => Ok(Seccomp::Profile(profiles(path)?)),
        _ => Ok(Seccomp::Unconfined),
    }
}

fn verify_non_root(pod: &Pod, container: &Container, uid: Option<i64>, image_user: &str) -> Result<(), String> {
    let id = pod::id(pod);
    let whom = format!("(pod: \"{}_{}({})\", container: {})", id.name, id.namespace, id.uid, container.name);
    match (uid, image_user.parse::<i64>()) {
        (Some(0), _) => Err(format!("container's runAsUser breaks non-root policy {whom}")),
        (Some(_), _) => Ok(()),
        (None, Ok(0)) => Err(format!("container has runAsNonRoot and image will run as root {whom}")),
        (None, Ok(_)) => Ok(()),
        (None, Err(_)) if image_user.is_empty() => Err(format!("container has runAsNonRoot and image will run as root {whom}")),
        (None, Err(_)) => Err(format!("container has runAsNonRoot and image has non-numeric user ({image_user}), cannot verify user is non-root {whom}")),
    }
}

/// CPU as shares and quota, memory as a limit, and the OOM score (`cm/helpers_linux.go`, `qos/policy.go`).
pub fn resources(pod: &Pod, container: &Container, memory_capacity: i64) -> ResourceSpec {
    let resources = container.resources.as_ref();
    // A container without a limit of its own is bounded by the pod's: `getCPULimit`, `getMemoryLimit`.
    let of_pod = pod::spec(pod).resources.as_ref();
    let limit = |name: &str| pod::limit(resources, name).filter(|limit| !limit.is_zero()).or_else(|| pod::limit(of_pod, name));
    let (cpu, cpu_limit) = (pod::request(resources, "cpu"), limit("cpu"));
    let millis = cpu.or(cpu_limit).map_or(0, |cpu| cpu.millis());
    let quota = cpu_limit.map_or(0, |limit| limit.millis()).saturating_mul(100);
    let memory = pod::request(resources, "memory").map_or(0, |memory| memory.units());
    let oom = match pod::qos(pod).as_str() {
        "Guaranteed" => -997,
        "BestEffort" => 1000,
        _ => (1000 - (i128::from(memory) * 1000 / i128::from(memory_capacity.max(1)))).clamp(3, 999) as i64,
    };
    ResourceSpec {
        cpu_shares: (millis.saturating_mul(1024) / 1000).clamp(2, 262_144),
        cpu_quota: if quota == 0 { 0 } else { quota.max(1000) },
        cpu_period: if quota == 0 { 0 } else { 100_000 },
        memory_limit: limit("memory").map_or(0, |limit| limit.units()),
        oom_score_adj: oom,
    }
}

/// The mounts a container names, in its order, in the volumes' `places`.
pub fn mounts(container: &Container, places: &crate::volumes::Places, env: &[(String, String)]) -> Result<Vec<Mount>, String> {
    let values: BTreeMap<&str, &str> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let place = places.get(&mount.name).ok_or_else(|| format!("cannot find volume \"{}\" to mount into container \"{}\"", mount.name, container.name))?;
        let sub_path = match (&mount.sub_path, &mount.sub_path_expr) {
            (_, Some(expression)) if !expression.is_empty() => crate::expand::expand_strictly(expression, |name| values.get(name).copied())?,
            (Some(path), _) => path.clone(),
            _ => String::new(),
        };
        let host_path = if sub_path.is_empty() { place.clone() } else { crate::volumes::sub_path::resolve(place, &sub_path)? };
        let propagation = match mount.mount_propagation.as_deref() {
            Some("HostToContainer") => Propagation::HostToContainer,
            Some("Bidirectional") => Propagation::Bidirectional,
            _ => Propagation::Private,
        };
        let container_path = if mount.mount_path.starts_with('/') { mount.mount_path.clone() } else { format!("/{}", mount.mount_path) };
        mounts.push(Mount { host_path, container_path, read_only: mount.read_only.unwrap_or(false), propagation });
    }
    Ok(mounts)
}

/// A file of the agent's, mounted unless the container mounts something there itself.
pub fn add_file(mounts: &mut Vec<Mount>, host_path: &Path, container_path: &str) {
    if !mounts.iter().any(|mount| mount.container_path == container_path) {
        let mount = Mount { host_path: host_path.to_owned(), container_path: container_path.to_owned(), read_only: false, propagation: Propagation::Private };
        mounts.push(mount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn made(pod_part: Value, container: Value, image_user: &str) -> Result<ContainerSpec, String> {
        let mut spec = pod_part;
        let mut container = container;
        container["name"] = "c".into();
        spec["containers"] = json!([container]);
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": spec})).unwrap();
        let image = Image { id: "sha256:1".into(), user: image_user.into(), ..Image::default() };
        super::container(Parts {
            pod: &pod,
            container: &pod::regular_containers(&pod)[0],
            image: &image,
            attempt: 0,
            env: vec![("A".into(), "1".into())],
            mounts: Vec::new(),
            memory_capacity: 1 << 30,
            target: None,
            profiles: &|path| Err(format!("no {path}")),
        })
    }

    #[test]
    fn non_root_policy() {
        let whom = "(pod: \"p_ns(u)\", container: c)";
        let must = json!({"securityContext": {"runAsNonRoot": true}});
        let cases = [
            (json!({}), "", Err(format!("container has runAsNonRoot and image will run as root {whom}"))),
            (json!({}), "0", Err(format!("container has runAsNonRoot and image will run as root {whom}"))),
            (json!({}), "1000", Ok(None)),
            (json!({}), "app", Err(format!("container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root {whom}"))),
            (json!({"securityContext": {"runAsUser": 0}}), "1", Err(format!("container's runAsUser breaks non-root policy {whom}"))),
            (json!({"securityContext": {"runAsUser": 7}}), "", Ok(Some(7))),
        ];
        for (container, user, expected) in cases {
            assert_eq!(made(must.clone(), container, user).map(|spec| spec.security.uid), expected);
        }
    }

    #[test]
    fn resources_as_the_kernel_takes_them() {
        let cases = [
            (json!({}), (2, 0, 0, 1000)),
            (json!({"requests": {"cpu": "500m", "memory": "512Mi"}}), (512, 0, 0, 500)),
            (json!({"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "250m", "memory": "64Mi"}}), (256, 25_000, 64 << 20, -997)),
            (json!({"requests": {"cpu": "1m"}, "limits": {"cpu": "1m"}}), (2, 1000, 0, 999)),
        ];
        for (resources, (shares, quota, memory, oom)) in cases {
            let spec = made(json!({}), json!({"resources": resources}), "").unwrap().resources;
            assert_eq!((spec.cpu_shares, spec.cpu_quota, spec.memory_limit, spec.oom_score_adj), (shares, quota, memory, oom), "{resources}");
        }
    }

    #[test]
    fn a_container_without_a_limit_has_the_pods() {
        let pod = || json!({"resources": {"limits": {"cpu": "1", "memory": "64Mi"}}});
        let of = |resources: Value| {
            let spec = made(pod(), json!({"resources": resources}), "").unwrap().resources;
            (spec.cpu_shares, spec.cpu_quota, spec.memory_limit)
        };
        assert_eq!(of(json!({})), (1024, 100_000, 64 << 20));
        assert_eq!(of(json!({"limits": {"memory": "16Mi"}, "requests": {"cpu": "100m"}})), (102, 100_000, 16 << 20));
    }

    #[test]
    fn words_are_expanded() {
        let spec = made(json!({}), json!({"command": ["a", "$(A)"], "args": ["$(B)", "$$(A)"]}), "").unwrap();
        assert_eq!((spec.command.join(" "), spec.args.join(" ")), ("a 1".into(), "$(B) $(A)".into()));
    }

    #[test]
    fn a_missing_profile_is_said() {
        let container = json!({"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "x.json"}}});
        assert_eq!(made(json!({}), container, ""), Err("no x.json".into()));
    }
}
