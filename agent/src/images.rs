//! The images skiff brings along, so that it needs no registry: `skiff/demo:1` and the pause image.
//!
//! Both hold one file, the program of `demo/`, which `build.rs` has linked statically and embedded here. They are imported into Docker
//! beside everything else an agent does at its start; only the first sandbox waits for it. An image that holds this very program
//! already (its label tells) is left alone.

use std::collections::HashMap;

use bollard::Docker;
use bollard::query_parameters::CreateImageOptions;
use futures::StreamExt;
use std::sync::Arc;
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
        let import = async {
            let (demo, pause) = futures::join!(ensure(&self.docker, DEMO, "serve"), ensure(&self.docker, PAUSE, "pause"));
            demo.and(pause)
        };
        self.done.get_or_try_init(|| import).await?;
        Ok(PAUSE)
    }

    /// Whether this image is one that skiff brings.
    pub fn brings(&self, name: &str) -> bool {
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        [DEMO, PAUSE].contains(&name)
    }
}

async fn ensure(docker: &Docker, name: &str, command: &str) -> Result<(), RuntimeError> {
    let labels = match docker.inspect_image(name).await {
        Ok(found) => found.config.and_then(|config| config.labels).unwrap_or_default(),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => HashMap::new(),
        Err(fault) => return Err(RuntimeError::Unavailable(format!("cannot look for image {name}: {fault}"))),
    };
    if labels.get(LABEL).is_some_and(|hash| hash == PROGRAM_HASH) {
        return Ok(());
    }
    let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(repository.to_owned()),
        tag: Some(tag.to_owned()),
        changes: vec![
            "ENTRYPOINT [\"/bin/demo\"]".to_owned(),
            format!("CMD [\"{command}\"]"),
            "ENV PATH=/bin".to_owned(),
            format!("LABEL {LABEL}={PROGRAM_HASH}"),
        ],
        ..CreateImageOptions::default()
    };
    let mut steps = std::pin::pin!(docker.create_image(Some(options), Some(bollard::body_full(archive().into())), None));
    while let Some(step) = steps.next().await {
        let failed = |why: String| RuntimeError::Failed(format!("cannot import image {name}: {why}"));
        if let Some(detail) = step.map_err(|fault| failed(fault.to_string()))?.error_detail {
            return Err(failed(detail.message.unwrap_or_default()));
        }
    }
    Ok(())
}

/// A tar archive with the directories that programs expect and the program.
fn archive() -> Vec<u8> {
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
        let tar = archive();
        assert_eq!(tar.len() % 512, 0);
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
