//! Which pod has which address of the node's block: each pod keeps its own, and a freed one is the last to be given again.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The addresses of one node's block.
#[derive(Debug, Clone)]
pub struct Addresses {
    first: u32,
    count: u32,
    next: u32,
    by_pod: BTreeMap<String, Ipv4Addr>,
}

impl Addresses {
    /// Of a block such as 10.5.1.0/24; its first two addresses (network, gateway) and its last (broadcast) are never given.
    pub fn new((base, prefix): (Ipv4Addr, u8)) -> Self {
        let size = 1u32.checked_shl(u32::from(32 - prefix.min(32))).unwrap_or(u32::MAX);
        let mask = if prefix == 0 { 0 } else { u32::MAX << (32 - u32::from(prefix.min(32))) };
        Self { first: (u32::from(base) & mask).saturating_add(2), count: size.saturating_sub(3), next: 0, by_pod: BTreeMap::new() }
    }

    /// The pod's address; none where all are taken.
    pub fn assign(&mut self, uid: &str) -> Option<Ipv4Addr> {
        if let Some(ip) = self.by_pod.get(uid) {
            return Some(*ip);
        }
        for _ in 0..self.count {
            let ip = Ipv4Addr::from(self.first + self.next);
            self.next = (self.next + 1) % self.count;
            if !self.by_pod.values().any(|taken| *taken == ip) {
                self.by_pod.insert(uid.to_owned(), ip);
                return Some(ip);
            }
        }
        None
    }

    /// The pod was found running with this address.
    pub fn adopt(&mut self, uid: &str, ip: Ipv4Addr) {
        self.by_pod.insert(uid.to_owned(), ip);
    }

    /// The pod is gone.
    pub fn free(&mut self, uid: &str) {
        self.by_pod.remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_once_and_again_as_late_as_possible() {
        let mut addresses = Addresses::new((Ipv4Addr::new(10, 5, 1, 0), 29));
        let given: Vec<u8> = ["a", "b", "c", "d", "e"].iter().map(|pod| addresses.assign(pod).unwrap().octets()[3]).collect();
        assert_eq!(given, [2, 3, 4, 5, 6]);
        assert_eq!(addresses.assign("f"), None);
        assert_eq!(addresses.assign("b"), Some(Ipv4Addr::new(10, 5, 1, 3)));
        addresses.free("d");
        addresses.free("a");
        assert_eq!(addresses.assign("g"), Some(Ipv4Addr::new(10, 5, 1, 2)));
        assert_eq!(addresses.assign("h"), Some(Ipv4Addr::new(10, 5, 1, 5)));
        addresses.free("g");
        addresses.adopt("x", Ipv4Addr::new(10, 5, 1, 2));
        assert_eq!(addresses.assign("y"), None);
    }
}
