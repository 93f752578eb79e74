//! `NodePorts`: no two pods of a node take the same host port.

use crate::cache::NodeInfo;
use crate::framework::{Context, Filter, Rejection};
use crate::view::PodView;

/// See the module.
pub struct NodePorts;

impl Filter for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn filter(&self, pod: &PodView, node: &NodeInfo, _context: &Context<'_>) -> Result<(), Rejection> {
        let wanted = &pod.constraints().host_ports;
        let taken = wanted.iter().any(|port| node.ports.iter().any(|other| port.conflicts(other)));
        if taken { Err(Rejection::resolvable("node(s) didn't have free ports for the requested pod ports")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use crate::view::HostPort;

    #[test]
    fn conflicts_table() {
        let port = |ip: &str, protocol: &str, port| HostPort { ip: ip.into(), protocol: protocol.into(), port };
        for (one, other, conflict) in [
            (port("", "TCP", 80), port("10.0.0.1", "TCP", 80), true),
            (port("10.0.0.1", "TCP", 80), port("10.0.0.2", "TCP", 80), false),
            (port("10.0.0.1", "TCP", 80), port("0.0.0.0", "TCP", 80), true),
            (port("10.0.0.1", "TCP", 80), port("10.0.0.1", "UDP", 80), false),
            (port("10.0.0.1", "TCP", 80), port("10.0.0.1", "TCP", 81), false),
            (port("10.0.0.1", "TCP", 80), port("10.0.0.1", "TCP", 80), true),
        ] {
            assert_eq!((one.conflicts(&other), other.conflicts(&one)), (conflict, conflict), "{one:?} {other:?}");
        }
    }
}
