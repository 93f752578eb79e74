//! The files every container gets: `/etc/hosts` and `/etc/resolv.conf`, as kubelet writes them; pure functions that make text.

use crate::pod;
use k8s_openapi::api::core::v1::Pod;
use std::net::Ipv4Addr;

/// The pod's hostname: spec.hostname, else its name cut to 63 bytes (`GeneratePodHostNameAndDomain`).
pub fn hostname(pod: &Pod) -> String {
    let spec = pod::spec(pod);
    if let Some(name) = &spec.hostname_override {
        return name.clone();
    }
    let name = spec.hostname.clone().filter(|name| !name.is_empty()).or_else(|| pod.metadata.name.clone()).unwrap_or_default();
    let mut short = name.get(..63).unwrap_or(&name).to_owned();
    while short.ends_with(['-', '.']) {
        short.pop();
    }
    short
}

/// `<subdomain>.<namespace>.svc.<cluster domain>`, if the pod has a subdomain.
pub fn domain(pod: &Pod, cluster_domain: &str) -> Option<String> {
    let subdomain = pod::spec(pod).subdomain.as_deref().filter(|subdomain| !subdomain.is_empty())?;
    Some(format!("{subdomain}.{}.svc.{cluster_domain}", pod::id(pod).namespace))
}

/// What the sandbox is called in its UTS namespace: the FQDN where the pod asks for it and it fits 64 bytes.
pub fn uts_name(pod: &Pod, cluster_domain: &str) -> Result<String, String> {
    let name = hostname(pod);
    match domain(pod, cluster_domain).filter(|_| pod::spec(pod).set_hostname_as_fqdn == Some(true)) {
        None => Ok(name),
        Some(domain) => {
            let whole = format!("{name}.{domain}");
            let long = format!(
                "failed to construct FQDN from pod hostname and cluster domain, FQDN {whole} is too long (64 characters is the max, {} characters requested)",
                whole.len()
            );
            if whole.len() > 64 { Err(long) } else { Ok(whole) }
        }
    }
}

/// `/etc/hosts`. With the machine's network it is the machine's own, `machine`, and the aliases.
pub fn hosts(pod: &Pod, ip: Option<Ipv4Addr>, cluster_domain: &str, machine: &str) -> String {
    let mut text = String::new();
    if pod::host_network(pod) {
        text.push_str("# Kubernetes-managed hosts file (host network).\n");
        text.push_str(machine);
    } else {
        text.push_str("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        text.push_str("fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
        let name = hostname(pod);
        if let Some(ip) = ip {
            match domain(pod, cluster_domain) {
                Some(domain) => text.push_str(&format!("{ip}\t{name}.{domain}\t{name}\n")),
                None => text.push_str(&format!("{ip}\t{name}\n")),
            }
        }
    }
    let aliases = pod::spec(pod).host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
            text.push_str(&format!("{}\t{names}\n", alias.ip));
        }
    }
    text
}

#[derive(Default)]
struct Resolver {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

/// `/etc/resolv.conf` (`dns.Configurer.GetPodDNS`): `machine` is the machine's own.
pub fn resolv_conf(pod: &Pod, cluster_dns: Option<Ipv4Addr>, cluster_domain: &str, machine: &str) -> String {
    let spec = pod::spec(pod);
    let host = parse(machine);
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = match policy {
        "None" => return write(configured(pod, Resolver::default())),
        "Default" => None,
        "ClusterFirst" if pod::host_network(pod) => None,
        _ => cluster_dns,
    };
    let resolver = match cluster {
        None => host,
        Some(server) => {
            let namespace = pod::id(pod).namespace;
            let mut searches = vec![format!("{namespace}.svc.{cluster_domain}"), format!("svc.{cluster_domain}"), cluster_domain.to_owned()];
            searches.extend(host.searches.into_iter().filter(|search| search != cluster_domain));
            Resolver { servers: vec![server.to_string()], searches, options: vec!["ndots:5".into()] }
        }
    };
    write(configured(pod, resolver))
}

/// Adds spec.dnsConfig.
fn configured(pod: &Pod, mut resolver: Resolver) -> Resolver {
    let Some(config) = &pod::spec(pod).dns_config else { return resolver };
    let add = |list: &mut Vec<String>, more: Option<&Vec<String>>| {
        for item in more.into_iter().flatten() {
            if !list.contains(item) {
                list.push(item.clone());
            }
        }
    };
    add(&mut resolver.servers, config.nameservers.as_ref());
    add(&mut resolver.searches, config.searches.as_ref());
    for option in config.options.iter().flatten() {
        let name = option.name.clone().unwrap_or_default();
        resolver.options.retain(|other| other.split(':').next() != Some(&name));
        resolver.options.push(option.value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}:{value}")));
    }
    resolver
}

fn parse(text: &str) -> Resolver {
    let mut resolver = Resolver::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => resolver.servers.extend(words.next().map(str::to_owned)),
            Some("search") => resolver.searches = words.filter(|word| *word != ".").map(str::to_owned).collect(),
            Some("options") => resolver.options = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    resolver
}

fn write(resolver: Resolver) -> String {
    let mut text = String::new();
    if !resolver.searches.is_empty() {
        text.push_str(&format!("search {}\n", resolver.searches.join(" ")));
    }
    for server in resolver.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !resolver.options.is_empty() {
        text.push_str(&format!("options {}\n", resolver.options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "web-0", "namespace": "ns"}, "spec": spec})).unwrap()
    }

    #[test]
    fn hosts_as_kubelet_writes_them() {
        let header = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";
        let ip = Some(Ipv4Addr::new(10, 0, 1, 5));
        assert_eq!(hosts(&pod(json!({"containers": []})), ip, "cluster.local", ""), format!("{header}10.0.1.5\tweb-0\n"));
        let named = pod(json!({"containers": [], "hostname": "h", "subdomain": "s", "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]}));
        let expected = format!("{header}10.0.1.5\th.s.ns.svc.cluster.local\th\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n");
        assert_eq!(hosts(&named, ip, "cluster.local", ""), expected);
    }

    #[test]
    fn resolvers() {
        let machine = "nameserver 8.8.8.8\nsearch corp.example\noptions edns0\n";
        let dns = Some(Ipv4Addr::new(10, 96, 0, 10));
        let cases = [
            (json!({}), "search ns.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.96.0.10\noptions ndots:5\n"),
            (json!({"dnsPolicy": "Default"}), "search corp.example\nnameserver 8.8.8.8\noptions edns0\n"),
            (json!({"hostNetwork": true}), "search corp.example\nnameserver 8.8.8.8\noptions edns0\n"),
            (
                json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet", "dnsConfig": {"options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}}),
                "search ns.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.96.0.10\noptions ndots:2 edns0\n",
            ),
            (json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["x"]}}), "search x\nnameserver 1.1.1.1\n"),
        ];
        for (mut spec, expected) in cases {
            spec["containers"] = json!([]);
            assert_eq!(resolv_conf(&pod(spec.clone()), dns, "cluster.local", machine), expected, "{spec}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(hostname(&pod(json!({"containers": []}))), "web-0");
        let fqdn = pod(json!({"containers": [], "subdomain": "s", "setHostnameAsFQDN": true}));
        assert_eq!(uts_name(&fqdn, "cluster.local").as_deref(), Ok("web-0.s.ns.svc.cluster.local"));
    }
}
