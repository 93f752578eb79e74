//! Mounting a part of a volume: `subPath` must not lead out of it, by `..` or by a link (`pkg/volume/util/subpath`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// The path to mount: inside `volume`, made a directory where nothing is.
pub fn resolve(volume: &Path, sub_path: &str) -> Result<PathBuf, String> {
    let relative = Path::new(sub_path);
    if relative.is_absolute() {
        return Err(format!("error SubPath `{sub_path}` must not be an absolute path"));
    }
    if relative.components().any(|part| part == Component::ParentDir) {
        return Err(format!("unable to provision SubPath `{sub_path}`: must not contain '..'"));
    }
    let prepared = |error: std::io::Error| format!("failed to prepare subPath for volumeMount \"{sub_path}\": {error}");
    let root = fs::canonicalize(volume).map_err(prepared)?;
    let mut path = root.clone();
    for part in relative.components() {
        path.push(part);
        if fs::symlink_metadata(&path).is_err() {
            fs::create_dir(&path).map_err(prepared)?;
            let mode = fs::metadata(&root).map_err(prepared)?.permissions().mode() & 0o7777;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(prepared)?;
        }
        path = fs::canonicalize(&path).map_err(prepared)?;
        if !path.starts_with(&root) {
            return Err(format!(
                "failed to prepare subPath for volumeMount \"{sub_path}\": subpath {} not within volume path {}",
                path.display(),
                root.display()
            ));
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_inside() {
        let base = std::env::temp_dir().join(format!("skiff-subpath-{}", std::process::id()));
        let dir = base.join("volume");
        fs::create_dir_all(&dir).unwrap();
        std::os::unix::fs::symlink("..", dir.join("up")).unwrap();
        std::os::unix::fs::symlink("real", dir.join("alias")).unwrap();
        let real = fs::canonicalize(&dir).unwrap();
        assert_eq!(resolve(&dir, "a/b"), Ok(real.join("a/b")));
        assert!(real.join("a/b").is_dir());
        fs::create_dir(dir.join("real")).unwrap();
        assert_eq!(resolve(&dir, "alias"), Ok(real.join("real")));
        for bad in ["../x", "up", "up/x", "/etc"] {
            assert!(resolve(&dir, bad).is_err(), "{bad}");
        }
        assert!(!base.join("x").exists());
        fs::remove_dir_all(&base).unwrap();
    }
}
