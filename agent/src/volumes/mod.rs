//! A pod's volumes: directories of this machine, made and filled before its containers start, and kept up to date while it lives.
//!
//! [`payload`] decides what is in a ConfigMap, Secret, downwardAPI or projected volume (pure); [`atomic`] writes such a volume so that
//! a reader sees all of it old or all of it new; [`host_path`] checks hostPath types; [`sub_path`] resolves mounts of a part; this file
//! puts them in place.

pub mod atomic;
pub mod host_path;
pub mod ownership;
pub mod payload;
pub mod sub_path;

use crate::downward::Facts;
use crate::objects::Sources;
use crate::pod;
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod, Volume};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where each volume of a pod is on this machine, by name.
pub type Places = BTreeMap<String, PathBuf>;

/// Why a volume cannot be set up; the display is the message of the `FailedMount` event.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {message}")]
pub struct MountError {
    /// The volume's name.
    pub volume: String,
    /// Why.
    pub message: String,
}

/// The directory of a pod's files: `<data>/pods/<uid>`.
pub fn pod_dir(data: &Path, uid: &str) -> PathBuf {
    data.join("pods").join(uid)
}

/// Makes every volume of the pod, or brings it up to date. Repeating it is harmless. Returns when all are there, or with the first that cannot be.
/// Without a directory (see [`crate::runtime::Runtime::has_files`]) only what could not be is found out, and there are no places.
pub fn set_up(pod_dir: Option<&Path>, pod: &Pod, sources: &Sources, facts: &Facts) -> Result<Places, MountError> {
    let group = pod::spec(pod).security_context.as_ref().and_then(|context| context.fs_group);
    let mut places = Places::new();
    for volume in pod::spec(pod).volumes.iter().flatten() {
        let failed = |message: String| MountError { volume: volume.name.clone(), message };
        if let Some(path) = place(pod_dir, pod, volume, sources, facts, group).map_err(failed)? {
            places.insert(volume.name.clone(), path);
        }
    }
    Ok(places)
}

fn place(pod_dir: Option<&Path>, pod: &Pod, volume: &Volume, sources: &Sources, facts: &Facts, group: Option<i64>) -> Result<Option<PathBuf>, String> {
    let text = |error: io::Error| error.to_string();
    if let Some(source) = &volume.host_path {
        host_path::check(Path::new(&source.path), source.type_.as_deref().unwrap_or_default())?;
        return Ok(pod_dir.map(|_| PathBuf::from(&source.path)));
    }
    if let Some(source) = &volume.empty_dir {
        let Some(pod_dir) = pod_dir else { return Ok(None) };
        let dir = directory(pod_dir, "empty-dir", &volume.name).map_err(text)?;
        empty_dir(&dir, source, group).map_err(text)?;
        return Ok(Some(dir));
    }
    let payload = payload::of_volume(pod, volume, sources, facts)?;
    let (Some((plugin, files)), Some(pod_dir)) = (payload, pod_dir) else { return Ok(None) };
    let dir = directory(pod_dir, plugin, &volume.name).map_err(text)?;
    let changed = atomic::write(&dir, &files).map_err(text)?;
    if let Some(group) = group.filter(|_| changed) {
        ownership::give(&dir, group, true).map_err(text)?;
    }
    Ok(Some(dir))
}

/// `<pod>/volumes/kubernetes.io~<plugin>/<name>`, as kubelet lays them out.
fn directory(pod_dir: &Path, plugin: &str, name: &str) -> io::Result<PathBuf> {
    let dir = pod_dir.join("volumes").join(format!("kubernetes.io~{plugin}")).join(name);
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

const READY: &str = "empty-dir-ready";

/// Anybody may write into an emptyDir; it is prepared once, for what containers made of it is theirs.
fn empty_dir(dir: &Path, source: &EmptyDirVolumeSource, group: Option<i64>) -> io::Result<()> {
    let marker = dir.parent().unwrap_or(dir).join(format!("..{}-{READY}", dir.file_name().and_then(|name| name.to_str()).unwrap_or_default()));
    if marker.exists() {
        return Ok(());
    }
    if source.medium.as_deref() == Some("Memory") {
        mount_memory(dir, source)?;
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777))?;
    if let Some(group) = group {
        ownership::give(dir, group, false)?;
    }
    fs::write(marker, b"")
}

/// A tmpfs, as large as sizeLimit says. Where this process may not mount, the directory stays one of the disk: slower, and its size unbounded.
fn mount_memory(dir: &Path, source: &EmptyDirVolumeSource) -> io::Result<()> {
    let size = source.size_limit.as_ref().map(pod::quantity).filter(|size| !size.is_zero()).map(|size| format!("size={}", size.units()));
    let output = Command::new("mount").args(["-t", "tmpfs", "-o", size.as_deref().unwrap_or("rw"), "tmpfs"]).arg(dir).output()?;
    if !output.status.success() {
        tracing::warn!(dir = %dir.display(), error = %String::from_utf8_lossy(&output.stderr).trim(), "no tmpfs for an emptyDir of medium Memory");
    }
    Ok(())
}

/// Removes everything a pod had on this machine.
pub fn tear_down(pod_dir: &Path) -> io::Result<()> {
    let memory = pod_dir.join("volumes").join("kubernetes.io~empty-dir");
    for entry in fs::read_dir(&memory).into_iter().flatten().flatten() {
        if is_mount_point(&entry.path()) {
            let output = Command::new("umount").arg(entry.path()).output()?;
            if !output.status.success() {
                return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
            }
        }
    }
    match fs::remove_dir_all(pod_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn is_mount_point(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::symlink_metadata(path).map(|metadata| metadata.dev()).ok();
    path.parent().is_some_and(|parent| device(path) != device(parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pods_volumes_come_and_go() {
        let dir = std::env::temp_dir().join(format!("skiff-volumes-{}", std::process::id()));
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": [], "volumes": [
            {"name": "e", "emptyDir": {}}, {"name": "h", "hostPath": {"path": "/tmp", "type": "Directory"}},
            {"name": "c", "configMap": {"name": "map"}}, {"name": "d", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}
        ]}}))
        .unwrap();
        let mut sources = Sources::default();
        let facts = Facts { node_ip: std::net::Ipv4Addr::LOCALHOST, pod_ip: None, allocatable: BTreeMap::new() };
        let missing = crate::objects::Missing { not_found: true, message: String::new() };
        sources.config_maps.insert("map".into(), Err(missing));
        let error = set_up(Some(&dir), &pod, &sources, &facts).unwrap_err();
        assert_eq!(error.to_string(), "MountVolume.SetUp failed for volume \"c\" : configmap \"map\" not found");
        assert_eq!(set_up(None, &pod, &sources, &facts).unwrap_err(), error, "the same is found out where nothing is written");
        sources.config_maps.insert("map".into(), Ok(serde_json::from_value(json!({"data": {"k": "v"}})).unwrap()));
        let places = set_up(Some(&dir), &pod, &sources, &facts).unwrap();
        assert_eq!(places["h"], Path::new("/tmp"));
        assert_eq!(fs::read(places["c"].join("k")).unwrap(), b"v");
        assert_eq!(fs::read(places["d"].join("name")).unwrap(), b"p");
        assert_eq!(fs::metadata(&places["e"]).unwrap().permissions().mode() & 0o777, 0o777);
        fs::write(places["e"].join("kept"), "x").unwrap();
        set_up(Some(&dir), &pod, &sources, &facts).unwrap();
        assert_eq!(fs::read(places["e"].join("kept")).unwrap(), b"x");
        tear_down(&dir).unwrap();
        assert!(!dir.exists());
        tear_down(&dir).unwrap();
    }
}
