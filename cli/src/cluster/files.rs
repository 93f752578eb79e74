//! Where a cluster's files are: `DIR/cluster.json`, `kubeconfig`, `pki/`, `store/`, `run/<service>.{pid,addr}`, `log/<service>.log`.

use std::path::{Path, PathBuf};

/// The data directory and what is in it. Only names: nothing is read or made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// `flag`, else `$SKIFF_DATA_DIR` (clap has looked already), else `~/.skiff`.
    pub fn new(flag: Option<PathBuf>) -> Self {
        let dir = flag.unwrap_or_else(default_dir);
        let absolute = std::path::absolute(&dir).unwrap_or(dir);
        Self { dir: absolute }
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether this is the user's own cluster, whose context goes into their kubeconfig.
    pub fn is_default(&self) -> bool {
        self.dir == default_dir()
    }

    /// What was asked of the cluster.
    pub fn spec(&self) -> PathBuf {
        self.dir.join("cluster.json")
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Certificates and keys.
    pub fn pki(&self) -> PathBuf {
        self.dir.join("pki")
    }

    /// Pid and address files.
    pub fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// Logs.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The pid of a service.
    pub fn pid(&self, service: &str) -> PathBuf {
        self.run().join(format!("{service}.pid"))
    }

    /// Where a service listens.
    pub fn addr(&self, service: &str) -> PathBuf {
        self.run().join(format!("{service}.addr"))
    }

    /// What a service logs.
    pub fn log_of(&self, service: &str) -> PathBuf {
        self.log().join(format!("{service}.log"))
    }

    /// An agent's own directory: volumes, logs of containers.
    pub fn node(&self, node: &str) -> PathBuf {
        self.dir.join("nodes").join(node)
    }
}

fn default_dir() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    home.join(".skiff")
}
