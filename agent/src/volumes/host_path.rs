//! hostPath: what must be there, and what is made where it is not (`pkg/volume/hostpath`).

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

/// Checks the type, making what an `…OrCreate` asks for. A path without a type is made a directory where nothing is, as Docker does.
pub fn check(path: &Path, kind: &str) -> Result<(), String> {
    let shown = path.display();
    let create = |made: std::io::Result<()>| made.map_err(|error| format!("hostPath type check failed: {shown}: {error}"));
    let there = path.exists();
    match kind {
        "DirectoryOrCreate" if !there => {
            create(fs::create_dir_all(path).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755))))?;
        }
        "FileOrCreate" if !there => {
            create(fs::write(path, b"").and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o644))))?;
        }
        "" => {
            if !there {
                create(fs::create_dir_all(path))?;
            }
            return Ok(());
        }
        _ => {}
    }
    let file_type = fs::metadata(path).ok().map(|metadata| metadata.file_type());
    let (fits, what) = match kind {
        "Directory" | "DirectoryOrCreate" => (file_type.is_some_and(|kind| kind.is_dir()), "directory"),
        "File" | "FileOrCreate" => (file_type.is_some_and(|kind| kind.is_file()), "file"),
        "Socket" => (file_type.is_some_and(|kind| kind.is_socket()), "socket file"),
        "CharDevice" => (file_type.is_some_and(|kind| kind.is_char_device()), "character device"),
        "BlockDevice" => (file_type.is_some_and(|kind| kind.is_block_device()), "block device"),
        other => return Err(format!("{other} is an invalid volume type")),
    };
    if fits { Ok(()) } else { Err(format!("hostPath type check failed: {shown} is not a {what}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        let dir = std::env::temp_dir().join(format!("skiff-hostpath-{}", std::process::id()));
        let (made, file) = (dir.join("made"), dir.join("file"));
        assert_eq!(check(&made, "Directory"), Err(format!("hostPath type check failed: {} is not a directory", made.display())));
        assert_eq!(check(&made, "DirectoryOrCreate"), Ok(()));
        assert_eq!(check(&made, "Directory"), Ok(()));
        assert_eq!(check(&made, "File"), Err(format!("hostPath type check failed: {} is not a file", made.display())));
        assert_eq!(check(&file, "FileOrCreate"), Ok(()));
        assert_eq!(check(&file, "Socket"), Err(format!("hostPath type check failed: {} is not a socket file", file.display())));
        assert_eq!(check(Path::new("/dev/null"), "CharDevice"), Ok(()));
        fs::remove_dir_all(&dir).unwrap();
    }
}
