//! Docker is restarted: by its service manager, and after it was killed. It is a Docker of the test's own, so that nobody else's containers end.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use skiff_tests::{Cluster, equal, eventually, repository, run, skip};

const SOON: Duration = Duration::from_secs(120);

/// A dockerd with directories, a socket and namespaces of its own. Dropped, it is gone with all that it had.
struct Dockerd {
    dir: PathBuf,
    process: Option<Child>,
    /// Its default bridge. Not `none`: that makes dockerd remove `docker0`, which is the machine's Docker's.
    bridge: String,
    /// The devices of its networks, which outlive it where it cannot remove them.
    bridges: Vec<String>,
}

impl Dockerd {
    /// None: not on this machine; that has been told.
    fn start() -> Option<Self> {
        if run(Command::new("id").arg("-u"), "").ok().trim() != "0" || run(Command::new("sh").args(["-c", "command -v dockerd"]), "").code != 0 {
            skip("Docker restarted", "a Docker of its own needs root and dockerd");
            return None;
        }
        let dir = std::env::temp_dir().join(format!("skiff-dockerd-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("daemon.json"), "{}").unwrap(); // not the machine's, which may say what the flags say
        let bridge = format!("skiff{}", std::process::id());
        let mut dockerd = Self { dir, process: None, bridge, bridges: Vec::new() };
        dockerd.make_bridge();
        dockerd.run();
        Some(dockerd)
    }

    /// With an address out of the range that is for tests of networks (RFC 2544).
    fn make_bridge(&self) {
        let address = format!("198.18.{}.1/28", std::process::id() % 256);
        for words in
            [&["link", "add", &self.bridge, "type", "bridge"][..], &["addr", "add", &address, "dev", &self.bridge], &["link", "set", &self.bridge, "up"]]
        {
            run(Command::new("ip").args(words), "").ok();
        }
    }

    fn host(&self) -> String {
        format!("unix://{}", self.dir.join("docker.sock").display())
    }

    /// Starts it, and waits until it answers.
    fn run(&mut self) {
        let log = File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let place = |name: &str| self.dir.join(name).display().to_string();
        let name = format!("skiff-{}", std::process::id());
        let mut command = Command::new("dockerd");
        command.args(["--host", &self.host(), "--config-file", &place("daemon.json"), "--pidfile", &place("pid")]);
        command.args(["--data-root", &place("data"), "--exec-root", &place("run")]);
        command.args(["--containerd-namespace", &name, "--containerd-plugins-namespace", &format!("{name}-plugins")]);
        command.args(["--bridge", &self.bridge, "--iptables=false", "--ip-forward=false", "--ip-masq=false"]);
        self.process = Some(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        eventually(SOON, || {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "dockerd ended");
            let said = run(Command::new("docker").args(["--host", &self.host(), "info"]), "");
            if said.code == 0 { Ok(()) } else { Err(said.err) }
        });
    }

    /// Notes which devices it has made.
    fn note_bridges(&mut self) {
        let networks = run(Command::new("docker").args(["--host", &self.host(), "network", "ls", "-q", "--filter", "driver=bridge"]), "").ok();
        self.bridges = networks.lines().map(|id| format!("br-{id}")).collect();
    }

    /// Ends it by a signal, and waits for its end.
    fn end(&mut self, signal: &str) {
        let mut process = self.process.take().unwrap();
        run(Command::new("kill").args([signal, &process.id().to_string()]), "").ok();
        process.wait().unwrap();
        // A containerd dies with a dockerd that is killed. Where nobody buries it, the next dockerd takes its remains for a living one.
        let pid_file = self.dir.join("run/containerd/containerd.pid");
        if let Ok(pid) = std::fs::read_to_string(&pid_file) {
            let alive = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "));
            eventually(SOON, || if alive() { Err(format!("containerd {} lives", pid.trim())) } else { Ok(()) });
            std::fs::remove_file(pid_file).ok(); // it may have removed it itself
        }
    }

    /// Whatever still runs of it: containerd, shims, and the processes in containers.
    fn remains(&self) -> Vec<String> {
        let mut all: Vec<(String, String, bool)> = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
            let parent = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(1)).unwrap_or_default().to_owned();
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let named = String::from_utf8_lossy(&line).contains(&format!("{}/", self.dir.display()));
            all.push((pid, parent, named));
        }
        let mut ours: Vec<String> = all.iter().filter(|(_, _, named)| *named).map(|(pid, ..)| pid.clone()).collect();
        let mut looked = 0;
        while let Some(parent) = ours.get(looked).cloned() {
            ours.extend(all.iter().filter(|(_, of, named)| *of == parent && !*named).map(|(pid, ..)| pid.clone()));
            looked += 1;
        }
        ours
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- dockerd\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        if let Some(process) = &mut self.process {
            run(Command::new("kill").arg(process.id().to_string()), "");
            process.wait().ok(); // it may have ended by itself
        }
        for pid in self.remains() {
            run(Command::new("kill").args(["-9", &pid]), "");
        }
        for bridge in self.bridges.iter().chain([&self.bridge]) {
            run(Command::new("ip").args(["link", "delete", bridge]), ""); // `down --purge` has removed it, where Docker answered
        }
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let ours = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|place| place.starts_with(&self.dir.display().to_string()));
        for place in ours.collect::<Vec<_>>().into_iter().rev() {
            run(Command::new("umount").args(["-l", place]), "");
        }
        std::fs::remove_dir_all(&self.dir).ok(); // what cannot be removed is in the machine's temporary directory
    }
}

#[test]
fn nodes_recover_when_docker_is_restarted() {
    let Some(mut dockerd) = Dockerd::start() else { return };
    let cluster = Cluster::prepare_with_docker(&dockerd.host());
    cluster.start(&["--nodes", "2"]).ok();
    dockerd.note_bridges();
    cluster.kubectl(&["apply", "-f", repository().join("examples/web.yaml").to_str().unwrap()]).ok();
    let ready = || {
        eventually(SOON, || {
            equal(cluster.get("nodes", "{.items[*].status.conditions[?(@.type==\"Ready\")].status}"), "True True")?;
            equal(cluster.get("deployment web", "{.status.replicas} {.status.readyReplicas}"), "6 6")?;
            cluster.pods_are_containers()
        });
    };
    ready();
    let restarts =
        || -> u32 { cluster.get("pods", "{.items[*].status.containerStatuses[*].restartCount}").split(' ').map(|count| count.parse::<u32>().unwrap()).sum() };
    assert_eq!(restarts(), 0);

    // As `systemctl restart docker` does: Docker stops every container, and starts none of them again.
    dockerd.end("-TERM");
    let told = "{.items[*].status.conditions[?(@.type==\"Ready\")].message}";
    eventually(SOON, || if cluster.get("nodes", told).contains("container runtime is down") { Ok(()) } else { Err(cluster.get("nodes", told)) });
    dockerd.run();
    ready();

    // Killed, it leaves the containers to run, and ends them when it is back.
    dockerd.end("-KILL");
    std::thread::sleep(Duration::from_secs(1));
    dockerd.run();
    ready();
    let pod = cluster.get("pods", "{.items[0].metadata.name}");
    assert!(cluster.kubectl(&["logs", &pod]).ok().contains("listening on port 8080"));
}
