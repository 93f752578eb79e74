//! Clusters to be measured: each in a folder of its own on a free port, purged when dropped.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use futures::stream;
use skiff_client::api::Api;
use skiff_client::grpc::{Credentials, Grpc};
use skiff_proto::v1;

use super::http::Connector;
use crate::cluster::files::Files;
use crate::cluster::process;

/// A folder and a port.
pub struct Lab {
    /// Where its files are.
    pub files: Files,
    /// Where its API server listens.
    pub port: u16,
}

impl Lab {
    /// A free place; nothing runs.
    pub fn new() -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let dir: PathBuf = std::env::temp_dir().join(format!("skiff-bench-{}-{port}", std::process::id()));
        Ok(Self { files: Files::new(Some(dir)), port })
    }

    /// With an API server alone.
    pub async fn with_apiserver() -> Result<Self> {
        let lab = Self::new()?;
        lab.start_apiserver()?;
        lab.ready().await?;
        Ok(lab)
    }

    /// With a whole cluster.
    pub fn with_cluster(flags: &[&str]) -> Result<Self> {
        let lab = Self::new()?;
        lab.up(flags)?;
        Ok(lab)
    }

    /// Starts the API server's process.
    pub fn start_apiserver(&self) -> Result<u32> {
        let data_dir = self.files.dir().display().to_string();
        let without_controllers = ["--disable-admission-plugins", "ServiceAccount"];
        let args = ["apiserver", "--port", &self.port.to_string(), "--timings", "fast", "--data-dir", &data_dir];
        process::start(&self.files, "apiserver", &[&args[..], &without_controllers].concat().into_iter().map(str::to_owned).collect::<Vec<_>>())
    }

    /// Ends the API server's process.
    pub fn stop_apiserver(&self) -> Result<()> {
        process::stop(&self.files, "apiserver", Duration::from_secs(20))
    }

    /// Until `/readyz` answers.
    pub async fn ready(&self) -> Result<()> {
        for _ in 0..60_000 {
            if let Ok(connector) = Connector::new(self)
                && let Ok(mut client) = connector.connect().await
                && let Ok((200, _)) = client.get("/readyz").await
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::bail!("the API server is not ready: {}", process::log_tail(&self.files, "apiserver", 3))
    }

    /// `skiff up` with these further flags.
    pub fn up(&self, flags: &[&str]) -> Result<()> {
        let port = self.port.to_string();
        let mut args = vec!["up", "--no-kubeconfig", "--port", &port];
        args.extend(flags);
        self.skiff(&args)
    }

    /// Runs `skiff` on this folder.
    pub fn skiff(&self, args: &[&str]) -> Result<()> {
        let program = std::env::current_exe()?;
        let output = Command::new(program).args(args).arg("--data-dir").arg(self.files.dir()).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "skiff {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// The API over gRPC, as the administrator, on a connection of its own.
    pub fn api(&self) -> Result<Arc<dyn Api>> {
        let credentials = Credentials::of(&self.files.pki(), "admin");
        Ok(Arc::new(Grpc::new(&format!("https://127.0.0.1:{}", self.port), &credentials)?))
    }

    /// Creates many objects, `at_once` at a time.
    pub async fn fill(&self, resource: &str, count: usize, at_once: usize, json: impl Fn(usize) -> String) -> Result<()> {
        let api = self.api()?;
        let requests = (0..count).map(|number| {
            let request = v1::CreateRequest { resource: resource.to_owned(), namespace: "default".to_owned(), json: json(number).into(), ..Default::default() };
            let api = api.clone();
            async move { api.create(request).await.map(drop) }
        });
        let mut answers = stream::iter(requests).buffer_unordered(at_once);
        while let Some(answer) = answers.next().await {
            answer.context("filling the store")?;
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.skiff(&["down", "--purge"]) {
            eprintln!("skiff: {error:#}");
        }
        // Left only where an API server ran without a cluster, and then it is ours whole.
        std::fs::remove_dir_all(self.files.dir()).ok();
    }
}
