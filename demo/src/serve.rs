//! The web server: who am I (`/`), how am I (`/healthz`, `/ready`), and ways to break it.
//!
//! A thread a connection. When it is told to end it stops listening, lets the requests under way finish, and exits 0: what a
//! rolling update without a lost request asks of a server.

use std::io::BufReader;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{self, Answer, Request};
use crate::{fetch, load, signal};

/// Connections served at once; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 512;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long requests under way may last after a SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

/// What all connections share.
struct Server {
    started: Instant,
    about: About,
    requests: AtomicU64,
    unhealthy: AtomicBool,
    unready: AtomicBool,
    /// Connections open, and requests being answered.
    open: AtomicUsize,
    busy: AtomicUsize,
}

/// Who answers: what does not change as long as the pod lives.
struct About {
    pod: String,
    namespace: String,
    node: String,
    ip: String,
    version: String,
}

/// Serves until it is told to end.
pub fn run() -> ExitCode {
    let port = match std::env::var("PORT").map(|port| port.parse()) {
        Ok(Ok(port)) => port,
        Ok(Err(_)) => {
            eprintln!("demo: $PORT is no port");
            return ExitCode::from(64);
        }
        Err(_) => 8080,
    };
    match listen(port).and_then(|listener| signal::wait_for_term().map(|term| (listener, term))) {
        Ok((listener, term)) => serve(listener, term),
        Err(fault) => {
            eprintln!("demo: port {port}: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Both families where there are two.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))
}

fn serve(listener: TcpListener, term: signal::Term) -> ExitCode {
    let server = Arc::new(Server {
        started: Instant::now(),
        about: About::find(),
        requests: AtomicU64::new(0),
        unhealthy: AtomicBool::new(false),
        unready: AtomicBool::new(false),
        open: AtomicUsize::new(0),
        busy: AtomicUsize::new(0),
    });
    println!("demo {} listening on port {}", server.about.version, listener.local_addr().map_or(0, |address| address.port()));
    let accepting = Arc::clone(&server);
    thread::spawn(move || accept(&listener, &accepting));
    if let Err(fault) = term.wait() {
        eprintln!("demo: waiting for a signal: {fault}");
        return ExitCode::FAILURE;
    }
    println!("asked to end: finishing {} requests", server.busy.load(Ordering::SeqCst));
    let asked = Instant::now();
    while server.busy.load(Ordering::SeqCst) > 0 && asked.elapsed() < DRAIN {
        thread::sleep(Duration::from_millis(5));
    }
    ExitCode::SUCCESS
}

fn accept(listener: &TcpListener, server: &Arc<Server>) {
    loop {
        while server.open.load(Ordering::SeqCst) >= CONNECTIONS {
            thread::sleep(Duration::from_millis(1));
        }
        let (connection, from) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(fault) => {
                eprintln!("accept: {fault}"); // out of file descriptors, say: others will close
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        let server = Arc::clone(server);
        server.open.fetch_add(1, Ordering::SeqCst);
        thread::spawn(move || {
            match converse(connection, from, &server) {
                Err(fault) if fault.kind() == std::io::ErrorKind::InvalidData => eprintln!("{from}: {fault}"),
                Ok(()) | Err(_) => {} // a connection that broke or fell silent is no news
            }
            server.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Answers one request after another.
fn converse(connection: TcpStream, from: SocketAddr, server: &Server) -> std::io::Result<()> {
    connection.set_read_timeout(Some(SILENCE))?;
    connection.set_nodelay(true)?;
    let mut writer = connection.try_clone()?;
    let mut reader = BufReader::new(connection);
    loop {
        let request = match http::read(&mut reader) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(fault) => {
                if fault.kind() == std::io::ErrorKind::InvalidData {
                    http::write(&mut writer, &Answer::text(400, format!("{fault}\n")), false, false)?;
                }
                return Err(fault);
            }
        };
        server.busy.fetch_add(1, Ordering::SeqCst);
        let answer = respond(server, &request);
        if !matches!(request.path.as_str(), "/healthz" | "/ready") {
            println!("{} {} {} from {}", request.method, request.path, answer.code, from.ip().to_canonical());
        }
        let wrote = http::write(&mut writer, &answer, request.keep_alive, request.method == "HEAD");
        server.busy.fetch_sub(1, Ordering::SeqCst);
        wrote?;
        if !request.keep_alive {
            return Ok(());
        }
    }
}

/// The page for a path.
fn respond(server: &Server, request: &Request) -> Answer {
    server.requests.fetch_add(1, Ordering::SeqCst);
    let state = |broken: &AtomicBool| if broken.load(Ordering::SeqCst) { Answer::text(500, "broken on request\n") } else { Answer::text(200, "ok\n") };
    let set = |flag: &AtomicBool, to: bool| {
        flag.store(to, Ordering::SeqCst);
        Answer::text(200, if to { "answers 500 from now on\n" } else { "answers 200 from now on\n" })
    };
    match request.path.as_str() {
        "/" => Answer::json(server.describe()),
        "/healthz" => state(&server.unhealthy),
        "/ready" => state(&server.unready),
        "/fail/healthz" => set(&server.unhealthy, true),
        "/fail/ready" => set(&server.unready, true),
        "/fix/healthz" => set(&server.unhealthy, false),
        "/fix/ready" => set(&server.unready, false),
        "/crash" => {
            println!("crashing on request");
            std::process::exit(1)
        }
        "/burn" => burn(request).unwrap_or_else(|fault| Answer::text(400, fault)),
        "/alloc" => match request.number("mib", 64) {
            Ok(mib) => Answer::text(200, format!("{} MiB taken in all\n", load::allocate(mib))),
            Err(fault) => Answer::text(400, fault),
        },
        "/env" => Answer::text(200, crate::environment()),
        "/fetch" => match request.parameter("url") {
            Some(url) => {
                fetch::get(url).map_or_else(|fault| Answer::text(502, format!("{fault}\n")), |got| Answer { body: got.body, ..Answer::text(got.code, "") })
            }
            None => Answer::text(400, "url= is missing\n"),
        },
        "/resolve" => match request.parameter("name") {
            Some(name) => fetch::resolve(name).map_or_else(|fault| Answer::text(502, format!("{fault}\n")), |found| Answer::text(200, found)),
            None => Answer::text(400, "name= is missing\n"),
        },
        _ => Answer::text(404, "/ /healthz /ready /fail/healthz /fail/ready /fix/healthz /fix/ready /crash /burn /alloc /env /fetch /resolve\n"),
    }
}

fn burn(request: &Request) -> Result<Answer, String> {
    let (millicores, seconds) = (request.number("millicores", 500)?, request.number("seconds", 30)?);
    load::burn(millicores, Duration::from_secs(seconds.min(86_400)));
    Ok(Answer::text(200, format!("using {millicores} millicores for {seconds} s\n")))
}

impl Server {
    fn describe(&self) -> String {
        let About { pod, namespace, node, ip, version } = &self.about;
        let text = [("pod", pod), ("namespace", namespace), ("node", node), ("ip", ip), ("version", version)]
            .map(|(key, value)| format!("\"{key}\":{}", http::quote(value)));
        format!("{{{},\"uptimeSeconds\":{},\"requests\":{}}}\n", text.join(","), self.started.elapsed().as_secs(), self.requests.load(Ordering::SeqCst))
    }
}

impl About {
    /// From the environment, as manifests give it by `fieldRef`; what is not given is looked for where a pod shows it anyway.
    fn find() -> Self {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            pod: given("POD_NAME").or_else(|| given("HOSTNAME")).unwrap_or_default(),
            namespace: given("POD_NAMESPACE").or_else(namespace).unwrap_or_default(),
            node: given("NODE_NAME").unwrap_or_default(),
            ip: given("POD_IP").or_else(own_address).unwrap_or_default(),
            version: given("VERSION").unwrap_or_else(|| "1".to_owned()),
        }
    }
}

/// The namespace as the pod's service account or its DNS search path tells it.
fn namespace() -> Option<String> {
    if let Ok(told) = std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace") {
        return Some(told.trim().to_owned());
    }
    let resolv = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    searched_namespace(&resolv)
}

fn searched_namespace(resolv: &str) -> Option<String> {
    let search = resolv.lines().find_map(|line| line.strip_prefix("search "))?;
    search.split_whitespace().find_map(|domain| domain.split_once(".svc.")).map(|(namespace, _)| namespace.to_owned())
}

/// The address that packets to elsewhere would leave from; nothing is sent.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        let about = About { pod: "p".into(), namespace: "n".into(), node: "node-1".into(), ip: "10.0.0.2".into(), version: "2".into() };
        Server {
            started: Instant::now(),
            about,
            requests: AtomicU64::new(0),
            unhealthy: AtomicBool::new(false),
            unready: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
        }
    }

    fn ask(server: &Server, target: &str) -> (u16, String) {
        let head = format!("GET {target} HTTP/1.1\r\n\r\n");
        let request = http::read(&mut head.as_bytes()).unwrap().unwrap();
        let answer = respond(server, &request);
        (answer.code, String::from_utf8(answer.body).unwrap())
    }

    #[test]
    fn says_who_it_is() {
        let expected = "{\"pod\":\"p\",\"namespace\":\"n\",\"node\":\"node-1\",\"ip\":\"10.0.0.2\",\"version\":\"2\",\"uptimeSeconds\":0,\"requests\":1}\n";
        assert_eq!(ask(&server(), "/"), (200, expected.to_owned()));
    }

    #[test]
    fn breaks_and_mends() {
        let server = server();
        for (target, code) in [
            ("/healthz", 200),
            ("/ready", 200),
            ("/fail/ready", 200),
            ("/ready", 500),
            ("/healthz", 200),
            ("/fail/healthz", 200),
            ("/healthz", 500),
            ("/fix/ready", 200),
            ("/ready", 200),
        ] {
            assert_eq!(ask(&server, target).0, code, "{target}");
        }
    }

    #[test]
    fn bad_requests() {
        for (target, code) in [("/burn?millicores=much", 400), ("/fetch", 400), ("/resolve", 400), ("/fetch?url=ftp://x", 502), ("/nothing", 404)] {
            assert_eq!(ask(&server(), target).0, code, "{target}");
        }
    }

    #[test]
    fn namespace_from_the_search_path() {
        assert_eq!(searched_namespace("nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\n"), Some("shop".to_owned()));
        assert_eq!(searched_namespace("search lan\n"), None);
    }
}
