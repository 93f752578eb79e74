//! An API server by itself: `cargo run -p skiff-apiserver --example serve -- DATA_DIR PORT`.

use skiff_apiserver::config::{Config, Timings};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let data_dir = words.next().ok_or("which data directory?")?;
    let port = words.next().map_or(Ok(6443), |word| word.parse())?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        // Without a signal handler the process just dies, as it would without this task.
        if tokio::signal::ctrl_c().await.is_ok() {
            stopped.cancel();
        }
    });
    Ok(skiff_apiserver::run(Config::new(data_dir.into(), port, Timings::Kubernetes), None, stop).await?)
}
