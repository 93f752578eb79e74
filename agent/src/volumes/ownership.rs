//! fsGroup: a volume's files belong to the group, and what is made in it does too (`pkg/volume/volume_linux.go`).

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;

/// Gives a directory and everything in it to `group`.
pub fn give(path: &Path, group: i64, read_only: bool) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let group_id = u32::try_from(group).map_err(io::Error::other)?;
    lchown(path, None, Some(group_id))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mut mode = metadata.permissions().mode() & 0o7777;
    mode |= if read_only { 0o440 } else { 0o660 };
    if metadata.is_dir() {
        mode |= 0o2110;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), group, read_only)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn everything_inside_is_given() {
        let dir = std::env::temp_dir().join(format!("skiff-ownership-{}", std::process::id()));
        fs::create_dir_all(dir.join("sub")).unwrap();
        fs::write(dir.join("sub/file"), "x").unwrap();
        fs::set_permissions(dir.join("sub/file"), fs::Permissions::from_mode(0o600)).unwrap();
        // Without privileges only one's own group can be given.
        let own = fs::metadata(&dir).unwrap().gid();
        give(&dir, i64::from(own), false).unwrap();
        assert_eq!(fs::metadata(dir.join("sub")).unwrap().permissions().mode() & 0o2110, 0o2110);
        assert_eq!(fs::metadata(dir.join("sub/file")).unwrap().permissions().mode() & 0o777, 0o660);
        fs::remove_dir_all(&dir).unwrap();
    }
}
