//! Addresses and ports of Services: which are taken is kept in memory and read off the stored Services at start.
//!
//! See `pkg/registry/core/service/storage/{storage,alloc}.go`. One address family: IPv4, `10.96.0.0/16`; node ports 30000–32767.
//! A write first gets a [`Claim`]; dropped unkept (the write failed) it gives back what it took, kept it gives up what the change freed.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use skiff_proto::status::Status;

use crate::error::{FieldError, failure};
use crate::kinds::json::{int, is_empty, items, text};
use crate::registry::meta;
use crate::store::Store;

/// First address of the range, and how many there are.
const RANGE: (u32, u32) = (0x0A60_0000, 1 << 16);
/// The range as messages show it.
const CIDR: &str = "10.96.0.0/16";
/// First and last node port.
const PORTS: (u16, u16) = (30_000, 32_767);

/// What is taken.
#[derive(Default)]
struct Taken {
    addresses: BTreeSet<u32>,
    ports: BTreeSet<u16>,
    /// Where to look for the next free ones: what was freed last is reused last.
    next_address: u32,
    next_port: u16,
}

/// Hands out addresses and ports.
#[derive(Clone, Default)]
pub struct Allocator {
    taken: Arc<Mutex<Taken>>,
}

/// What a write took and what it would free.
pub struct Claim {
    taken: Option<Arc<Mutex<Taken>>>,
    addresses: Vec<u32>,
    ports: Vec<u16>,
    freed_addresses: Vec<u32>,
    freed_ports: Vec<u16>,
}

impl Claim {
    /// Nothing was allocated.
    pub fn nothing() -> Self {
        Self { taken: None, addresses: Vec::new(), ports: Vec::new(), freed_addresses: Vec::new(), freed_ports: Vec::new() }
    }

    /// The write happened (or, in a dry run, would have): what it took stays taken, what it freed is free.
    pub fn keep(mut self, dry_run: bool) {
        if dry_run {
            return; // dropped: gives back
        }
        let Some(taken) = self.taken.take() else { return };
        let mut taken = lock(&taken);
        for address in &self.freed_addresses {
            taken.addresses.remove(address);
        }
        for port in &self.freed_ports {
            taken.ports.remove(port);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(taken) = &self.taken else { return };
        let mut taken = lock(taken);
        for address in &self.addresses {
            taken.addresses.remove(address);
        }
        for port in &self.ports {
            taken.ports.remove(port);
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner) // sets of numbers: usable whatever panicked
}

impl Allocator {
    /// With everything taken that stored Services have.
    pub fn of(store: &Store) -> Self {
        let allocator = Self::default();
        {
            let mut taken = lock(&allocator.taken);
            for version in store.list("services", None).items {
                let service: Value = serde_json::from_slice(&version.json).unwrap_or_default(); // the registry wrote it: it parses
                taken.addresses.extend(addresses(&service));
                taken.ports.extend(ports(&service));
            }
        }
        allocator
    }

    /// Fills in the addresses and ports of a Service that is created (`old` is none) or changed.
    /// A dry run does not ask whether a requested port is in the range, as Kubernetes' does not.
    pub fn allocate(&self, service: &mut Value, old: Option<&Value>, dry_run: bool) -> Result<Claim, Status> {
        let mut claim = Claim::nothing();
        claim.taken = Some(self.taken.clone());
        if let Some(old) = old {
            keep_allocated(service, old);
        }
        normalize(service, old);
        families(service, old)?;
        let mut taken = lock(&self.taken);
        let addressed = cluster_ip(&mut taken, service, old, &mut claim);
        let done = addressed.and_then(|()| node_ports(&mut taken, service, old, &mut claim, dry_run));
        drop(taken); // before the claim, which may give back
        done.map(|()| claim)
    }

    /// A Service is gone.
    pub fn release(&self, service: &Value) {
        let mut taken = lock(&self.taken);
        for address in addresses(service) {
            taken.addresses.remove(&address);
        }
        for port in ports(service) {
            taken.ports.remove(&port);
        }
    }
}

fn kind_of(service: &Value) -> &str {
    match text(&service["spec"]["type"]) {
        "" => "ClusterIP",
        given => given,
    }
}

fn is_external_name(service: &Value) -> bool {
    kind_of(service) == "ExternalName"
}

fn is_headless(service: &Value) -> bool {
    text(&service["spec"]["clusterIP"]) == "None" || items(&service["spec"]["clusterIPs"]).first().is_some_and(|ip| text(ip) == "None")
}

fn needs_node_ports(service: &Value) -> bool {
    match kind_of(service) {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false, // ClusterIP, ExternalName
    }
}

fn needs_health_check(service: &Value) -> bool {
    kind_of(service) == "LoadBalancer" && text(&service["spec"]["externalTrafficPolicy"]) == "Local"
}

/// The cluster addresses of a Service.
fn addresses(service: &Value) -> Vec<u32> {
    if is_external_name(service) {
        return Vec::new();
    }
    let listed = items(&service["spec"]["clusterIPs"]).iter().map(text);
    listed.filter_map(|ip| ip.parse::<Ipv4Addr>().ok()).map(u32::from).collect()
}

/// The node ports of a Service.
fn ports(service: &Value) -> Vec<u16> {
    let listed = items(&service["spec"]["ports"]).iter().map(|port| int(&port["nodePort"]));
    let all = listed.chain([int(&service["spec"]["healthCheckNodePort"])]);
    all.filter(|port| *port != 0).filter_map(|port| u16::try_from(port).ok()).collect()
}

/// The ports to change (indexing to change would make a list of a Service that has none).
fn ports_mut(service: &mut Value) -> impl Iterator<Item = &mut Value> {
    service.get_mut("spec").and_then(|spec| spec.get_mut("ports")).and_then(Value::as_array_mut).into_iter().flatten()
}

/// `patchAllocatedValues`: a client that sends its manifest again need not know what was allocated.
fn keep_allocated(service: &mut Value, old: &Value) {
    if !is_external_name(service) && !is_external_name(old) {
        for key in ["clusterIP", "clusterIPs"] {
            if is_empty(&service["spec"][key]) && !is_empty(&old["spec"][key]) {
                service["spec"][key] = old["spec"][key].clone();
            }
        }
    }
    if needs_node_ports(service) && needs_node_ports(old) {
        let numbers =
            |of: &Value| -> BTreeSet<i64> { items(&of["spec"]["ports"]).iter().map(|port| int(&port["nodePort"])).filter(|port| *port != 0).collect() };
        let used: BTreeSet<i64> = numbers(old).intersection(&numbers(service)).copied().collect();
        for port in ports_mut(service) {
            if int(&port["nodePort"]) != 0 {
                continue;
            }
            let same = items(&old["spec"]["ports"]).iter().rfind(|had| text(&had["name"]) == text(&port["name"]));
            if let Some(number) = same.map(|had| int(&had["nodePort"])).filter(|number| *number != 0 && !used.contains(number)) {
                port["nodePort"] = Value::from(number);
            }
        }
    }
    if needs_health_check(service) && needs_health_check(old) && int(&service["spec"]["healthCheckNodePort"]) == 0 {
        service["spec"]["healthCheckNodePort"] = old["spec"]["healthCheckNodePort"].clone();
    }
}

/// `normalizeClusterIPs`: old clients know only `clusterIP`.
fn normalize(service: &mut Value, old: Option<&Value>) {
    let single = text(&service["spec"]["clusterIP"]).to_owned();
    let plural = service["spec"]["clusterIPs"].clone();
    let Some(old) = old else {
        if !single.is_empty() && is_empty(&plural) {
            service["spec"]["clusterIPs"] = json!([single]);
        }
        return;
    };
    let had = text(&old["spec"]["clusterIP"]);
    if !is_empty(&old["spec"]["clusterIPs"]) && is_empty(&plural) && had == single {
        service["spec"]["clusterIPs"] = old["spec"]["clusterIPs"].clone();
    }
    let same = service["spec"]["clusterIPs"] == old["spec"]["clusterIPs"] || (is_empty(&service["spec"]["clusterIPs"]) && is_empty(&old["spec"]["clusterIPs"]));
    if had != single && same {
        if !had.is_empty() && single.is_empty() {
            if let Some(spec) = service["spec"].as_object_mut() {
                spec.remove("clusterIPs");
            }
        } else {
            service["spec"]["clusterIPs"] = json!([single]);
        }
    }
}

/// `initIPFamilyFields`, on a cluster of one family.
fn families(service: &mut Value, old: Option<&Value>) -> Result<(), Status> {
    if is_external_name(service) {
        return Ok(());
    }
    let free = is_headless(service) && is_empty(&service["spec"]["selector"]);
    if text(&service["spec"]["ipFamilyPolicy"]).is_empty() {
        let before = old.map_or("", |old| text(&old["spec"]["ipFamilyPolicy"]));
        let policy = match before {
            "" if free => "RequireDualStack",
            "" => "SingleStack",
            before => before,
        };
        service["spec"]["ipFamilyPolicy"] = Value::from(policy);
    }
    let policy = text(&service["spec"]["ipFamilyPolicy"]).to_owned();
    let mut errors = well_formed(service, &policy);
    if !errors.is_empty() {
        return Err(failure::invalid("", "Service", meta::get(service, "name"), &errors));
    }
    if policy == "SingleStack" {
        for (key, what) in [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")] {
            if items(&service["spec"][key]).len() == 2 {
                let why = format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
                errors.push(FieldError::invalid("spec.ipFamilyPolicy", policy.as_str(), why));
            }
        }
    }
    let mut wanted: Vec<String> = items(&service["spec"]["ipFamilies"]).iter().map(|one| text(one).to_owned()).collect();
    for (index, ip) in items(&service["spec"]["clusterIPs"]).iter().map(text).enumerate() {
        if ip == "None" {
            break;
        }
        if index >= wanted.len() {
            if ip.contains(':') {
                let why = "IPv6 is not configured on this cluster";
                errors.push(FieldError::invalid(format!("spec.clusterIPs[{index}]"), service["spec"]["clusterIPs"].clone(), why));
            } else {
                wanted.push("IPv4".to_owned());
            }
        }
    }
    if errors.is_empty() && !free {
        if policy == "RequireDualStack" {
            errors.push(FieldError::invalid("spec.ipFamilyPolicy", policy.as_str(), "this cluster is not configured for dual-stack services"));
        }
        for (index, family) in wanted.iter().enumerate().filter(|(_, family)| *family != "IPv4") {
            errors.push(FieldError::invalid(format!("spec.ipFamilies[{index}]"), family.as_str(), "not configured on this cluster"));
        }
    }
    if !errors.is_empty() {
        return Err(failure::invalid("", "Service", meta::get(service, "name"), &errors));
    }
    if wanted.is_empty() {
        wanted.push("IPv4".to_owned());
    }
    if free && wanted.len() < 2 && policy != "SingleStack" {
        wanted.push(if wanted[0] == "IPv4" { "IPv6".to_owned() } else { "IPv4".to_owned() });
    }
    service["spec"]["ipFamilies"] = Value::from(wanted);
    Ok(())
}

/// `ValidateServiceClusterIPsRelatedFields`: policy, families and addresses, each by itself and with the others.
fn well_formed(service: &Value, policy: &str) -> Vec<FieldError> {
    let spec = &service["spec"];
    let mut errors = Vec::new();
    if !matches!(policy, "PreferDualStack" | "RequireDualStack" | "SingleStack") {
        let known = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        errors.push(FieldError::not_supported("spec.ipFamilyPolicy", policy, &known));
    }
    let mut seen = BTreeSet::new();
    for (index, family) in items(&spec["ipFamilies"]).iter().map(text).enumerate() {
        let path = format!("spec.ipFamilies[{index}]");
        if !matches!(family, "IPv4" | "IPv6") {
            errors.push(FieldError::not_supported(path, family, &["IPv4", "IPv6"]));
        } else if !seen.insert(family) {
            errors.push(FieldError::duplicate(path, family));
        }
    }
    let (single, all) = (text(&spec["clusterIP"]), items(&spec["clusterIPs"]));
    if all.first().map(text).is_some_and(|first| first != single) {
        let why = if single.is_empty() { "must be empty when `clusterIP` is not specified" } else { "first value must match `clusterIP`" };
        errors.push(FieldError::invalid("spec.clusterIPs", spec["clusterIPs"].clone(), why));
    }
    errors
}

fn cluster_ip(taken: &mut Taken, service: &mut Value, old: Option<&Value>, claim: &mut Claim) -> Result<(), Status> {
    if let Some(old) = old
        && !is_external_name(old)
    {
        if is_external_name(service) && !is_headless(old) {
            claim.freed_addresses = addresses(old);
        }
        return Ok(());
    }
    if is_external_name(service) || is_headless(service) {
        return Ok(());
    }
    let wanted = items(&service["spec"]["clusterIPs"]).first().map_or("", text).to_owned();
    let invalid = |service: &Value, why: String| {
        let fault = FieldError::invalid("spec.clusterIPs", service["spec"]["clusterIPs"].clone(), why);
        Err(failure::invalid("", "Service", meta::get(service, "name"), &[fault]))
    };
    let address = if wanted.is_empty() {
        taken.free_address().ok_or_else(|| failure::internal("failed to allocate a serviceIP: range is full"))?
    } else {
        let Ok(address) = wanted.parse::<Ipv4Addr>() else { return Ok(()) }; // validation says what is wrong with it
        let address = u32::from(address);
        if address <= RANGE.0 || address >= RANGE.0 + RANGE.1 - 1 {
            return invalid(
                service,
                format!(
                    "failed to allocate IP {wanted}: the provided network does not match the current range: the provided IP ({wanted}) is not in the valid range. The range of valid IPs is {CIDR}"
                ),
            );
        }
        if taken.addresses.contains(&address) {
            return invalid(service, format!("failed to allocate IP {wanted}: provided IP is already allocated"));
        }
        address
    };
    taken.addresses.insert(address);
    claim.addresses.push(address);
    let shown = Ipv4Addr::from(address).to_string();
    service["spec"]["clusterIP"] = Value::from(shown.as_str());
    service["spec"]["clusterIPs"] = json!([shown]);
    Ok(())
}

/// Ports of the Service that were its own before are its own still; others are taken, or found.
fn node_ports(taken: &mut Taken, service: &mut Value, old: Option<&Value>, claim: &mut Claim, dry_run: bool) -> Result<(), Status> {
    let before: BTreeSet<u16> = old.map(ports).unwrap_or_default().into_iter().collect();
    let exposed = matches!(kind_of(service), "NodePort" | "LoadBalancer");
    if exposed {
        let name = meta::get(service, "name").to_owned();
        let finds = needs_node_ports(service);
        let requested: Vec<(i64, i64)> = items(&service["spec"]["ports"]).iter().map(|port| (int(&port["port"]), int(&port["nodePort"]))).collect();
        let mut given: Vec<(i64, u16)> = Vec::new();
        for (index, port) in ports_mut(service).enumerate() {
            let number = int(&port["port"]);
            let mut wanted = int(&port["nodePort"]);
            if wanted == 0 && !finds {
                continue;
            }
            let shared = given.iter().find(|(known, _)| *known == number).map(|(_, shared)| *shared);
            if wanted == 0 {
                // Two protocols of one port share a node port, a requested one first.
                let asked = requested.iter().find(|(known, asked)| *known == number && *asked != 0).map(|(_, asked)| *asked);
                wanted = shared.map(i64::from).or(asked).unwrap_or(0);
            }
            let mine = u16::try_from(wanted).ok().filter(|wanted| before.contains(wanted) || claim.ports.contains(wanted));
            let node_port = match (mine, wanted) {
                (Some(mine), _) => mine,
                (None, 0) => taken.free_port().ok_or_else(|| failure::internal("failed to allocate a nodePort: range is full"))?,
                (None, wanted) => taken.asked_port(wanted, dry_run).map_err(|why| {
                    let fault = FieldError::invalid(format!("spec.ports[{index}].nodePort"), wanted, why);
                    failure::invalid("", "Service", &name, &[fault])
                })?,
            };
            if mine.is_none() {
                taken.ports.insert(node_port);
                claim.ports.push(node_port);
            }
            given.push((number, node_port));
            port["nodePort"] = Value::from(node_port);
        }
    }
    if needs_health_check(service) && !old.is_some_and(needs_health_check) {
        let wanted = int(&service["spec"]["healthCheckNodePort"]);
        let found = if wanted == 0 { taken.free_port().ok_or_else(|| "range is full".to_owned()) } else { taken.asked_port(wanted, dry_run) };
        let port = found.map_err(|why| failure::internal(&format!("failed to allocate requested HealthCheck NodePort {wanted}: {why}")))?;
        taken.ports.insert(port);
        claim.ports.push(port);
        service["spec"]["healthCheckNodePort"] = Value::from(port);
    }
    let kept: BTreeSet<u16> = if exposed { ports(service).into_iter().collect() } else { BTreeSet::new() };
    claim.freed_ports = before.difference(&kept).copied().collect();
    Ok(())
}

impl Taken {
    /// The next free address, skipping the band at the bottom that is kept for addresses that people choose.
    fn free_address(&mut self) -> Option<u32> {
        let (first, size) = (RANGE.0 + 1, RANGE.1 - 2);
        let band = 256.min(size / 16).max(16);
        let upper = (0..size - band).map(|step| first + band + (self.next_address + step) % (size - band));
        let lower = first..first + band;
        let found = upper.chain(lower).find(|address| !self.addresses.contains(address))?;
        self.next_address = (found.saturating_sub(first + band) + 1) % (size - band);
        Some(found)
    }

    /// The next free node port, skipping the band at the bottom that is kept for ports that people choose.
    fn free_port(&mut self) -> Option<u16> {
        let (first, size) = (PORTS.0, PORTS.1 - PORTS.0 + 1);
        let band = 86; // min(max(16, size / 32), 128)
        let upper = (0..size - band).map(|step| first + band + (self.next_port + step) % (size - band));
        let found = upper.chain(first..first + band).find(|port| !self.ports.contains(port))?;
        self.next_port = (found.saturating_sub(first + band) + 1) % (size - band);
        Some(found)
    }

    fn asked_port(&mut self, wanted: i64, dry_run: bool) -> Result<u16, String> {
        let port = u16::try_from(wanted).ok().filter(|port| dry_run || (PORTS.0..=PORTS.1).contains(port));
        let Some(port) = port else {
            return Err(format!("provided port is not in the valid range. The range of valid ports is {}-{}", PORTS.0, PORTS.1));
        };
        if self.ports.contains(&port) { Err("provided port is already allocated".to_owned()) } else { Ok(port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_gives_back_what_it_took() {
        let allocator = Allocator::default();
        let mut service = json!({"metadata": {"name": "a"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
        let claim = allocator.allocate(&mut service, None, false).unwrap();
        let ip = service["spec"]["clusterIP"].clone();
        drop(claim);
        let mut asked = json!({"metadata": {"name": "b"}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}});
        allocator.allocate(&mut asked, None, false).unwrap().keep(false);
        let mut again = json!({"metadata": {"name": "c"}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}});
        let refused = allocator.allocate(&mut again, None, false).err().unwrap();
        assert!(refused.message.ends_with("provided IP is already allocated"), "{}", refused.message);
        allocator.release(&asked);
        assert!(allocator.allocate(&mut again, None, false).is_ok());
    }

    #[test]
    fn a_change_of_type_frees_ports_and_addresses() {
        let allocator = Allocator::default();
        let mut old = json!({"metadata": {"name": "a"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
        allocator.allocate(&mut old, None, false).unwrap().keep(false);
        let port = old["spec"]["ports"][0]["nodePort"].clone();
        assert!(port.as_i64().unwrap() >= 30_000);
        let mut same = json!({"metadata": {"name": "a"}, "spec": {"type": "NodePort", "ports": [{"port": 80, "targetPort": 8080}]}});
        allocator.allocate(&mut same, Some(&old), false).unwrap().keep(false);
        assert_eq!((&same["spec"]["ports"][0]["nodePort"], &same["spec"]["clusterIP"]), (&port, &old["spec"]["clusterIP"]));
        let mut external = json!({"metadata": {"name": "a"}, "spec": {"type": "ExternalName", "externalName": "x.y"}});
        allocator.allocate(&mut external, Some(&same), false).unwrap().keep(false);
        assert!(lock(&allocator.taken).addresses.is_empty() && lock(&allocator.taken).ports.is_empty());
    }

    #[test]
    fn one_family_only() {
        let allocator = Allocator::default();
        let mut service = json!({"metadata": {"name": "a"}, "spec": {"ipFamilyPolicy": "RequireDualStack"}});
        assert!(allocator.allocate(&mut service, None, false).is_err());
        let mut free = json!({"metadata": {"name": "a"}, "spec": {"clusterIP": "None"}});
        allocator.allocate(&mut free, None, false).unwrap().keep(false);
        assert_eq!(free["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    }
}
