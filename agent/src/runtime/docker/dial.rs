//! A TCP connection to a port as the pod's own processes would make it, `localhost` included: what `kubectl port-forward` promises.
//!
//! A socket belongs for ever to the network namespace it was made in. So a thread of its own enters the pod's namespace, connects,
//! and ends; the socket it leaves behind goes on working here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long one attempt to connect may last.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects to `localhost:port` in the network namespace of process `pid`, or, where that namespace may not be entered, to `address:port` from outside.
pub async fn dial(pid: i64, address: Option<Ipv4Addr>, port: u16) -> io::Result<tokio::net::TcpStream> {
    let (answer, connected) = tokio::sync::oneshot::channel();
    // Not a thread of a pool: it stays in the namespace it has entered.
    std::thread::Builder::new().name("dial".to_owned()).spawn(move || {
        let connected = match enter(pid) {
            Ok(()) => connect(&[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)], port),
            Err(fault) => match address {
                Some(address) => connect(&[IpAddr::V4(address)], port),
                None => Err(fault),
            },
        };
        answer.send(connected) // nobody is waiting any more: the connection closes
    })?;
    let stream = connected.await.map_err(|_| io::Error::other("the connecting thread died"))??;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    tokio::net::TcpStream::from_std(stream)
}

/// What went wrong, as Go's `net` package would say it.
pub fn told(fault: &io::Error) -> String {
    match fault.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ => fault.to_string(), // the system's words: Go has the same for the rest
    }
}

fn enter(pid: i64) -> io::Result<()> {
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net"))?;
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

fn connect(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut first = None;
    for address in addresses {
        match TcpStream::connect_timeout(&SocketAddr::new(*address, port), PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(fault) => first = first.or(Some(fault)),
        }
    }
    Err(first.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable)))
}
