//! What the end-to-end tests are made of: a cluster of the real binary in a folder of its own on a free port ([`Cluster`]), the real
//! `kubectl`, and patience with a limit ([`eventually`]). Everything a test starts is gone when it ends, passed or failed.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc)] // a test stops at the first surprise

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The binary under test: `$SKIFF_BIN`, else the one beside this test's.
pub fn skiff() -> PathBuf {
    std::env::var_os("SKIFF_BIN").map_or_else(
        || {
            let test = std::env::current_exe().unwrap();
            test.ancestors().nth(2).unwrap().join("skiff")
        },
        PathBuf::from,
    )
}

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What a command printed, and whether it succeeded.
#[derive(Debug)]
pub struct Said {
    /// Exit code; -1: ended by a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Standard output; panics unless the command succeeded.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// Standard error; panics unless the command failed.
    pub fn failed(self) -> String {
        assert_ne!(self.code, 0, "succeeded with: {}", self.out);
        self.err
    }
}

/// A cluster of the real binary. Dropped, it is purged.
pub struct Cluster {
    dir: PathBuf,
    port: u16,
    /// `$DOCKER_HOST` of everything that is run for it; none: the machine's own Docker.
    docker_host: Option<String>,
}

impl Cluster {
    /// A place and a port for a cluster; nothing is started.
    pub fn prepare() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("skiff-e2e-{}-{number}", std::process::id()));
        Self { dir, port: free_port(), docker_host: None }
    }

    /// The same, for a cluster that uses another Docker than the machine's.
    pub fn prepare_with_docker(host: &str) -> Self {
        let mut cluster = Self::prepare();
        cluster.docker_host = Some(host.to_owned());
        cluster
    }

    /// A cluster with these further flags of `up`.
    pub fn up(flags: &[&str]) -> Self {
        let cluster = Self::prepare();
        cluster.start(flags).ok();
        cluster
    }

    /// `skiff up` with these further flags.
    pub fn start(&self, flags: &[&str]) -> Said {
        let port = self.port.to_string();
        let mut args = vec!["up", "--no-kubeconfig", "--port", &port];
        args.extend(flags);
        self.skiff(&args)
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The API server's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs `skiff` on this cluster.
    pub fn skiff(&self, args: &[&str]) -> Said {
        self.skiff_with(args, "")
    }

    /// Runs `skiff` with something on its standard input.
    pub fn skiff_with(&self, args: &[&str], stdin: &str) -> Said {
        let mut command = Command::new(skiff());
        command.args(args).env("SKIFF_DATA_DIR", &self.dir).env("HOME", &self.dir).env_remove("KUBECONFIG").envs(self.docker_env());
        run(&mut command, stdin)
    }

    fn docker_env(&self) -> impl Iterator<Item = (&'static str, &String)> {
        self.docker_host.iter().map(|host| ("DOCKER_HOST", host))
    }

    /// Runs `docker` on the Docker that this cluster uses.
    pub fn docker(&self, args: &[&str]) -> Said {
        run(Command::new("docker").args(args).envs(self.docker_env()), "")
    }

    /// Runs `kubectl` on this cluster.
    pub fn kubectl(&self, args: &[&str]) -> Said {
        self.kubectl_with(args, "")
    }

    /// Runs `kubectl` with something on its standard input.
    pub fn kubectl_with(&self, args: &[&str], stdin: &str) -> Said {
        run(&mut self.kubectl_command(args), stdin)
    }

    /// A `kubectl` to be started by the test itself.
    pub fn kubectl_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(self.dir.join("kubeconfig")).args(args).env("HOME", &self.dir).env_remove("KUBECONFIG");
        command
    }

    /// A request as the administrator, with nothing between the test and the server: the code and the body of the answer.
    pub fn http(&self, method: &str, path: &str, content_type: &str, body: &str) -> (u16, serde_json::Value) {
        let pki = self.dir.join("pki");
        let mut curl = Command::new("curl");
        curl.args(["-s", "-w", "\n%{http_code}", "-X", method, "-H", &format!("Content-Type: {content_type}"), "-H", "Expect:"]);
        for (flag, file) in [("--cacert", "ca.crt"), ("--cert", "admin.crt"), ("--key", "admin.key")] {
            curl.arg(flag).arg(pki.join(file));
        }
        if !body.is_empty() {
            curl.args(["--data-binary", "@-"]);
        }
        let said = run(curl.arg(format!("https://127.0.0.1:{}{path}", self.port)), body);
        let (text, code) = said.out.rsplit_once('\n').unwrap_or_else(|| panic!("{said:?}"));
        (code.parse().unwrap(), serde_json::from_str(text).unwrap_or_else(|_| text.into()))
    }

    /// A value by JSONPath, empty where there is none.
    pub fn get(&self, what: &str, path: &str) -> String {
        let mut args: Vec<&str> = vec!["get"];
        args.extend(what.split(' '));
        let output = format!("jsonpath={path}");
        args.extend(["-o", &output]);
        self.kubectl(&args).out
    }

    /// The pid of a service.
    pub fn pid(&self, service: &str) -> String {
        std::fs::read_to_string(self.dir.join("run").join(format!("{service}.pid"))).unwrap().trim().to_owned()
    }

    /// Sends a service a signal (`-STOP`, `-9`).
    pub fn signal(&self, service: &str, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid(service)]).status().unwrap();
        assert!(status.success(), "{service} was not running");
    }

    /// `kill -9` of a service; returns when it is dead.
    pub fn kill(&self, service: &str) {
        let pid = self.pid(service);
        self.signal(service, "-9");
        let alive = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        eventually(Duration::from_secs(10), || if alive() { Err(format!("{service} lives")) } else { Ok(()) });
    }

    /// The CPU time that a service has used, in hundredths of a second (the kernel's unit, `/proc/<pid>/stat`).
    pub fn cpu_ticks(&self, service: &str) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid(service))).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// An object or a list as the server has it.
    pub fn json(&self, what: &str) -> serde_json::Value {
        let mut args: Vec<&str> = vec!["get"];
        args.extend(what.split(' '));
        args.extend(["-o", "json"]);
        serde_json::from_str(&self.kubectl(&args).ok()).unwrap()
    }

    /// Names of this cluster's containers whose labels match `filter` (`label=…`), running or not.
    pub fn containers(&self, filter: &str) -> Vec<String> {
        self.docker_ps("{{.Names}}", filter)
    }

    /// A line of `docker ps -a` in this form for each of this cluster's containers.
    pub fn docker_ps(&self, format: &str, filter: &str) -> Vec<String> {
        let spec = std::fs::read_to_string(self.dir.join("cluster.json")).unwrap();
        let spec: serde_json::Value = serde_json::from_str(&spec).unwrap();
        let cluster = format!("label=skiff.dev/cluster={}", spec["id"].as_str().unwrap());
        let mut args = vec!["ps", "-a", "--no-trunc", "--format", format, "--filter", &cluster];
        if !filter.is_empty() {
            args.extend(["--filter", filter]);
        }
        self.docker(&args).ok().lines().map(str::to_owned).collect()
    }

    /// Whether the pods of the API and the containers of Docker are the same: each pod that is bound and not over runs in one sandbox and has
    /// each of its containers once, on its own node, and nothing runs or lies about that belongs to no pod. An error says what differs.
    pub fn pods_are_containers(&self) -> Result<(), String> {
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pod in self.json("pods -A")["items"].as_array().unwrap() {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            if !matches!(text(&pod["status"]["phase"]).as_str(), "Running" | "Pending") || pod["spec"]["nodeName"].is_null() {
                continue;
            }
            let mut names = vec!["POD".to_owned()];
            names.extend(pod["spec"]["containers"].as_array().unwrap().iter().map(|container| text(&container["name"])));
            names.sort();
            wanted.insert(format!("{} on {}", text(&pod["metadata"]["uid"]), text(&pod["spec"]["nodeName"])), names);
        }
        let mut running: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let format = r#"{{.Label "io.kubernetes.pod.uid"}} on {{.Label "skiff.dev/node"}}/{{.Label "io.kubernetes.container.name"}}/{{.State}}"#;
        for line in self.docker_ps(format, "") {
            let [pod, container, state] = line.split('/').collect::<Vec<_>>()[..] else { return Err(line) };
            let names = running.entry(pod.to_owned()).or_default();
            if state == "running" {
                names.push(container.to_owned());
            }
        }
        running.values_mut().for_each(|names| names.sort());
        if running == wanted { Ok(()) } else { Err(format!("pods have {wanted:#?}, Docker has {running:#?}")) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in std::fs::read_dir(self.dir.join("log")).into_iter().flatten().flatten() {
                let text = std::fs::read_to_string(log.path()).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                eprintln!("--- {}\n{}", log.path().display(), lines[lines.len().saturating_sub(15)..].join("\n"));
            }
        }
        let said = self.skiff(&["down", "--purge"]);
        if said.code != 0 && !std::thread::panicking() {
            panic!("down --purge: {}", said.err);
        }
        std::fs::remove_dir_all(&self.dir).ok(); // empty by now, or the above has told
    }
}

/// Says why a test cannot be done here, even where what tests print is kept back.
pub fn skip(what: &str, why: &str) {
    std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: {what}: {why}\n").as_bytes()).unwrap();
}

/// Runs a command to its end.
pub fn run(command: &mut Command, stdin: &str) -> Said {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error} (of skiff itself: build it first, cargo build -p skiff)"));
    // It may end before it has read everything; what it says then is what counts.
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes()).ok();
    Said::of(child.wait_with_output().unwrap())
}

/// Waits until `holds` answers `Ok`; panics with its last answer after `limit`. Limits are long: they end a hang, they measure nothing.
pub fn eventually<T>(limit: Duration, mut holds: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + limit;
    loop {
        match holds() {
            Ok(value) => return value,
            Err(why) if Instant::now() > end => panic!("not after {} s: {why}", limit.as_secs()),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// `Ok` if equal, else what it is: for [`eventually`].
pub fn equal(have: impl AsRef<str>, want: &str) -> Result<(), String> {
    if have.as_ref() == want { Ok(()) } else { Err(format!("{:?}, not {want:?}", have.as_ref())) }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
