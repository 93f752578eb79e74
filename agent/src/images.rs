//! The images skiff brings along, so that it needs no registry: `skiff/demo:1` and the pause image.
//!
//! Both hold one file, the program of `demo/`, which `build.rs` has linked statically and embedded here. They are imported into Docker
//! beside everything else an agent does at its start; only the first sandbox waits for it. The archive is that of `docker save`, so that the
//! same program makes the same images, whichever agent is first. Images that hold this very program already (a label tells) are left alone.

use std::sync::Arc;

use bollard::Docker;
use bollard::query_parameters::ImportImageOptions;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::runtime::RuntimeError;

/// The program.
static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo"));
/// Tells one build of it from another.
const PROGRAM_HASH: &str = env!("SKIFF_DEMO_HASH");
/// On the images: whose program they hold.
const LABEL: &str = "skiff.dev/program";

/// The image of the program itself.
pub const DEMO: &str = "skiff/demo:1";
/// The image of pause containers.
pub const PAUSE: &str = "skiff/pause:1";

/// The import, under way or done.
#[derive(Clone)]
pub struct OwnImages {
    docker: Docker,
    done: Arc<OnceCell<()>>,
}

impl OwnImages {
    /// Begins to import.
    pub fn begin(docker: Docker) -> Self {
        let images = Self { docker, done: Arc::default() };
        let beside = images.clone();
        tokio::spawn(async move {
            if let Err(fault) = beside.pause().await {
                tracing::warn!(%fault, "cannot import skiff's own images yet"); // whoever needs one tries again
            }
        });
        images
    }

    /// The pause image's name, once both images are there.
    pub async fn pause(&self) -> Result<&'static str, RuntimeError> {
        self.done.get_or_try_init(|| ensure(&self.docker)).await?;
        Ok(PAUSE)
    }

    /// Brings back what has been removed from Docker since.
    pub async fn again(&self) -> Result<(), RuntimeError> {
        ensure(&self.docker).await
    }

    /// Whether this image is one that skiff brings.
    pub fn brings(&self, name: &str) -> bool {
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        [DEMO, PAUSE].contains(&name)
    }
}

/// Imports what is missing.
async fn ensure(docker: &Docker) -> Result<(), RuntimeError> {
    if is_current(docker, DEMO).await? && is_current(docker, PAUSE).await? {
        return Ok(());
    }
    let mut steps =
        std::pin::pin!(docker.import_image(ImportImageOptions { quiet: true, ..ImportImageOptions::default() }, bollard::body_full(archive().into()), None));
    while let Some(step) = steps.next().await {
        let failed = |why: String| RuntimeError::Failed(format!("cannot import {DEMO} and {PAUSE} into Docker: {why}"));
        if let Some(detail) = step.map_err(|fault| failed(fault.to_string()))?.error_detail {
            return Err(failed(detail.message.unwrap_or_default()));
        }
    }
    Ok(())
}

async fn is_current(docker: &Docker, name: &str) -> Result<bool, RuntimeError> {
    match docker.inspect_image(name).await {
        Ok(found) => Ok(found.config.and_then(|config| config.labels).is_some_and(|labels| labels.get(LABEL).is_some_and(|hash| hash == PROGRAM_HASH))),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
        Err(fault) => Err(RuntimeError::Unavailable(format!("cannot look for image {name}: {fault}"))),
    }
}

/// Both images, sharing a layer, as `docker save` writes them.
fn archive() -> Vec<u8> {
    let layer = layer();
    let digest = ring::digest::digest(&ring::digest::SHA256, &layer);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let images = [("demo.json", DEMO, config("serve", &digest)), ("pause.json", PAUSE, config("pause", &digest))];
    let manifest: Vec<Value> = images.iter().map(|(file, name, _)| json!({"Config": file, "RepoTags": [name], "Layers": ["layer.tar"]})).collect();
    let mut tar = Vec::with_capacity(layer.len() + 16 * 1024);
    entry(&mut tar, "manifest.json", 0o644, b'0', Value::Array(manifest).to_string().as_bytes());
    for (file, _, config) in &images {
        entry(&mut tar, file, 0o644, b'0', config.to_string().as_bytes());
    }
    entry(&mut tar, "layer.tar", 0o644, b'0', &layer);
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// An image's configuration: what it runs, and its one layer by the digest of its bytes.
fn config(command: &str, layer: &str) -> Value {
    json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Entrypoint": ["/bin/demo"], "Cmd": [command], "Env": ["PATH=/bin"], "Labels": {LABEL: PROGRAM_HASH}},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "skiff"}],
    })
}

/// A tar archive with the directories that programs expect and the program.
fn layer() -> Vec<u8> {
    let mut tar = Vec::with_capacity(PROGRAM.len() + 8 * 1024);
    for (path, mode) in [("bin/", 0o755), ("etc/", 0o755), ("tmp/", 0o1777)] {
        entry(&mut tar, path, mode, b'5', &[]);
    }
    entry(&mut tar, "etc/passwd", 0o644, b'0', b"root:x:0:0:root:/:/bin/demo\nnobody:x:65534:65534:nobody:/:/bin/demo\n");
    entry(&mut tar, "etc/group", 0o644, b'0', b"root:x:0:\nnogroup:x:65534:\n");
    entry(&mut tar, "bin/demo", 0o755, b'0', PROGRAM);
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// Appends one entry in the format that POSIX calls ustar.
fn entry(tar: &mut Vec<u8>, path: &str, mode: u32, kind: u8, data: &[u8]) {
    let mut header = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, path.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0"); // owner: root
    put(116, b"0000000\0"); // group: root
    put(124, format!("{:011o}\0", data.len()).as_bytes());
    put(136, b"00000000000\0"); // time: always the same, so that the same program makes the same layer
    put(148, b"        "); // the checksum counts itself as spaces
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_whole_blocks_and_its_checksums_hold() {
        let tar = layer();
        assert_eq!((tar.len() % 512, archive().len() % 512), (0, 0));
        let header = &tar[..512];
        let sum: u32 = header.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum();
        assert_eq!(&header[148..154], format!("{sum:06o}").as_bytes());
        assert_eq!(&header[..4], b"bin/");
    }

    #[test]
    fn the_program_is_an_executable() {
        assert_eq!(&PROGRAM[..4], b"\x7fELF");
    }
}
