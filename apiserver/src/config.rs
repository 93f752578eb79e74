//! What an API server is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::http::SetLogLevel;

/// How patient the cluster is: `--timings`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timings {
    /// For one machine: pods of a dead node are replaced at once.
    #[default]
    Fast,
    /// Kubernetes' own defaults: pods stay for 300 s on a node that is gone.
    Kubernetes,
}

impl Timings {
    /// `DefaultTolerationSeconds`.
    pub fn toleration_seconds(self) -> i64 {
        match self {
            Self::Fast => 0,
            Self::Kubernetes => 300,
        }
    }
}

/// See the module.
pub struct Config {
    /// Holds `pki/`, `kubeconfig` and `store/`.
    pub data_dir: PathBuf,
    /// Where to listen; the first is the one that the kubeconfig names. Port 0: any free one.
    pub listen: Vec<SocketAddr>,
    /// How patient the cluster is.
    pub timings: Timings,
    /// `ServiceAccount` admission: pods need an account, and get its token. `--disable-admission-plugins=ServiceAccount` turns it off.
    pub service_accounts: bool,
    /// Changes what this process logs; `None`: it stays as it is.
    pub set_log_level: Option<SetLogLevel>,
}

impl Config {
    /// Listens on loopback only. Pods get no accounts: nobody makes any unless controllers run.
    pub fn new(data_dir: PathBuf, port: u16, timings: Timings) -> Self {
        Self { data_dir, listen: vec![SocketAddr::from(([127, 0, 0, 1], port))], timings, service_accounts: false, set_log_level: None }
    }
}
