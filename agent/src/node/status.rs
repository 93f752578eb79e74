//! What a Node object says: capacity, addresses, conditions with kubelet's reasons, and what the machine is. Pure, but for [`Facts::read`].

use super::pressure::Pressure;
use crate::config::Config;
use crate::runtime::ListedImage;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

/// `nodeStatusMaxImages`
const IMAGES: usize = 50;
/// `MaxNamesPerImageInNodeStatus`
const NAMES: usize = 5;

/// What does not change while an agent runs.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The `Node` service's port.
    pub port: Option<u16>,
    /// `docker://20.10.24`
    pub runtime: String,
    /// Of `nodeInfo`.
    pub kernel: String,
    /// Of `nodeInfo`.
    pub os_image: String,
    /// Of `nodeInfo`.
    pub machine_id: String,
    /// Of `nodeInfo`.
    pub boot_id: String,
}

impl Facts {
    /// Reads them from the machine. What it does not tell stays empty, as on any machine that has no such file.
    pub async fn read(config: &Config, port: Option<u16>) -> Self {
        let file = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let release = file("/etc/os-release");
        let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|name| name.trim_matches('"').to_owned());
        Self {
            port,
            runtime: config.runtime.version().await.unwrap_or_default(),
            kernel: file("/proc/sys/kernel/osrelease"),
            os_image: pretty.unwrap_or_default(),
            machine_id: file("/etc/machine-id"),
            boot_id: file("/proc/sys/kernel/random/boot_id"),
        }
    }
}

/// Go's name of this architecture.
pub fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The whole object, to be created.
pub fn node(config: &Config, facts: &Facts, trouble: &Trouble, now: Timestamp) -> Value {
    let mut labels: Map<String, Value> = config.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    for (key, value) in [
        ("beta.kubernetes.io/arch", arch()),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", arch()),
        ("kubernetes.io/hostname", config.node_name.as_str()),
        ("kubernetes.io/os", "linux"),
    ] {
        labels.insert(key.to_owned(), json!(value));
    }
    let cidr = format!("{}/{}", config.pod_cidr.0, config.pod_cidr.1);
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": config.node_name, "labels": labels, "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        "status": of(config, facts, &[], trouble, None, now),
    })
}

/// What is wrong with the node, if anything.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// Why the container runtime cannot be used.
    pub runtime: Option<String>,
    /// What the machine is short of.
    pub pressure: Pressure,
}

/// The status.
pub fn of(config: &Config, facts: &Facts, images: &[ListedImage], trouble: &Trouble, old: Option<&Node>, now: Timestamp) -> Value {
    let capacity: Map<String, Value> = config.capacity.iter().map(|(name, value)| (name.clone(), json!(value.to_string()))).collect();
    let mut status = json!({
        "capacity": capacity,
        "allocatable": capacity,
        "addresses": [
            {"type": "InternalIP", "address": config.node_ip.to_string()},
            {"type": "Hostname", "address": config.node_name},
        ],
        "conditions": conditions(trouble, old, now),
        "nodeInfo": {
            "architecture": arch(),
            "bootID": facts.boot_id,
            "containerRuntimeVersion": facts.runtime,
            "kernelVersion": facts.kernel,
            "kubeProxyVersion": "",
            "kubeletVersion": concat!("v1.35.0+skiff.", env!("CARGO_PKG_VERSION")),
            "machineID": facts.machine_id,
            "operatingSystem": "linux",
            "osImage": facts.os_image,
            "systemUUID": facts.machine_id,
        },
        "images": listed(images),
    });
    if let Some(port) = facts.port {
        status["daemonEndpoints"] = json!({"kubeletEndpoint": {"Port": port}});
    }
    status
}

/// The conditions, with their transition times kept where nothing changed (`nodestatus/setters.go`).
fn conditions(trouble: &Trouble, old: Option<&Node>, now: Timestamp) -> Vec<Value> {
    let ready = match &trouble.runtime {
        None => ("Ready", "True", "KubeletReady", "kubelet is posting ready status".to_owned()),
        Some(trouble) => ("Ready", "False", "KubeletNotReady", format!("container runtime is down: {trouble}")),
    };
    let memory = match trouble.pressure.memory {
        false => ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available".to_owned()),
        true => ("MemoryPressure", "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available".to_owned()),
    };
    let disk = match trouble.pressure.disk {
        false => ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure".to_owned()),
        true => ("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure".to_owned()),
    };
    let machine = [
        memory,
        disk,
        // Kubelet knows no least number of process ids unless it is told one.
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available".to_owned()),
    ];
    let before = |kind: &str, status: &str| {
        let conditions = old?.status.as_ref()?.conditions.as_ref()?;
        let same = conditions.iter().find(|condition| condition.type_ == kind && condition.status == status)?;
        Some(same.last_transition_time.as_ref()?.0)
    };
    let made = machine.into_iter().chain([ready]).map(|(kind, status, reason, message)| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": second(now), "lastTransitionTime": second(before(kind, status).unwrap_or(now)),
        })
    });
    made.collect()
}

/// The largest images first.
fn listed(images: &[ListedImage]) -> Vec<Value> {
    let mut images: Vec<&ListedImage> = images.iter().collect();
    images.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.names.cmp(&b.names)));
    let images = images.into_iter().take(IMAGES);
    images.map(|image| json!({"names": image.names.iter().take(NAMES).collect::<Vec<_>>(), "sizeBytes": image.size})).collect()
}

/// A status without its times: what a change is a change of.
pub fn essence(status: &Value) -> Value {
    let mut status = status.clone();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        if let Some(fields) = condition.as_object_mut() {
            fields.remove("lastHeartbeatTime");
            fields.remove("lastTransitionTime");
        }
    }
    status
}

fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// metav1.MicroTime.
pub fn micro_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_are_kept_and_trouble_is_told() {
        let early: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let late: Timestamp = "2026-01-01T01:00:00.5Z".parse().unwrap();
        let old: Node = serde_json::from_value(json!({"status": {"conditions": conditions(&Trouble::default(), None, early)}})).unwrap();
        let now = conditions(&Trouble::default(), Some(&old), late);
        assert_eq!(now[3]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert_eq!(now[3]["lastHeartbeatTime"], "2026-01-01T01:00:00Z");
        let down = conditions(&Trouble { runtime: Some("gone".into()), ..Trouble::default() }, Some(&old), late);
        assert_eq!(down[3]["message"], "container runtime is down: gone");
        assert_eq!((&down[3]["status"], &down[3]["lastTransitionTime"]), (&json!("False"), &json!("2026-01-01T01:00:00Z")));
        assert_eq!(essence(&json!({"conditions": now})), essence(&json!({"conditions": conditions(&Trouble::default(), None, early)})));
        let short = conditions(&Trouble { pressure: Pressure { memory: true, disk: true }, ..Trouble::default() }, Some(&old), late);
        for (condition, reason) in [(&short[0], "KubeletHasInsufficientMemory"), (&short[1], "KubeletHasDiskPressure")] {
            assert_eq!((&condition["status"], &condition["reason"]), (&json!("True"), &json!(reason)));
            assert_eq!(condition["lastTransitionTime"], "2026-01-01T01:00:00Z");
        }
        assert_eq!(micro_time(late), "2026-01-01T01:00:00.500000Z");
    }
}
