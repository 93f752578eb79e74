//! Writes the files of a volume so that a reader never sees half an update (`pkg/volume/util/atomic_writer.go`).
//!
//! The files are in a directory with a time for a name; `..data` is a symbolic link to it, and what containers see are links through
//! `..data`. An update makes a new directory and renames a new link over `..data`.

use super::payload::{File, Files};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Makes the directory hold exactly these files; answers whether anything changed.
pub fn write(dir: &Path, files: &Files) -> io::Result<bool> {
    let old = fs::read_link(dir.join(DATA)).ok();
    if let Some(old) = &old
        && same(&dir.join(old), files)?
    {
        return Ok(false);
    }
    let fresh = fresh_name(dir);
    let target = dir.join(&fresh);
    fs::create_dir(&target)?;
    fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?;
    for (path, file) in files {
        put(&target.join(path), file)?;
    }
    let link = dir.join(NEW_DATA);
    remove_if_there(&link)?;
    symlink(&fresh, &link)?;
    fs::rename(&link, dir.join(DATA))?;
    links(dir, files)?;
    if let Some(old) = old {
        fs::remove_dir_all(dir.join(old))?;
    }
    Ok(true)
}

fn fresh_name(dir: &Path) -> String {
    let now = crate::clock::machine();
    let stamp = now.strftime("..%Y_%m_%d_%H_%M_%S.").to_string();
    let mut name = format!("{stamp}{:09}", now.subsec_nanosecond());
    while dir.join(&name).exists() {
        name.push('0');
    }
    name
}

fn put(path: &Path, file: &File) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, &file.data)?;
    let mut mode = file.mode;
    match chown(path, file.owner, None) {
        // An agent that is not root cannot give it away: then everybody may read it, or its reader could not.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(path = %path.display(), owner = file.owner, "cannot be given to its user");
            mode |= 0o044;
        }
        other => other?,
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn same(dir: &Path, files: &Files) -> io::Result<bool> {
    let mut found = BTreeSet::new();
    collect(dir, "", &mut found)?;
    if found.len() != files.len() {
        return Ok(false);
    }
    for (path, file) in files {
        if !found.contains(path) || fs::read(dir.join(path))? != file.data {
            return Ok(false);
        }
    }
    Ok(true)
}

fn collect(dir: &Path, prefix: &str, into: &mut BTreeSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), into)?;
        } else {
            into.insert(name);
        }
    }
    Ok(())
}

/// One link for each first part of a path; links to what is gone are removed.
fn links(dir: &Path, files: &Files) -> io::Result<()> {
    let wanted: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for name in &wanted {
        let link = dir.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), &link)?;
        }
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !wanted.contains(name.as_ref()) {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, &str)]) -> Files {
        of.iter().map(|(path, data)| ((*path).to_owned(), File { mode: 0o640, owner: None, data: data.as_bytes().to_vec() })).collect()
    }

    #[test]
    fn replaces_everything_at_once() {
        let dir = std::env::temp_dir().join(format!("skiff-atomic-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let first = files(&[("a", "1"), ("sub/b", "2"), ("sub/c", "3")]);
        assert!(write(&dir, &first).unwrap());
        assert!(!write(&dir, &first).unwrap(), "the same again is no change");
        assert_eq!(fs::read_to_string(dir.join("sub/b")).unwrap(), "2");
        assert_eq!(fs::read_link(dir.join("a")).unwrap(), Path::new("..data/a"));
        assert_eq!(fs::metadata(dir.join("a")).unwrap().permissions().mode() & 0o777, 0o640);
        let generation = fs::read_link(dir.join(DATA)).unwrap();
        assert!(write(&dir, &files(&[("a", "9"), ("d", "4")])).unwrap());
        assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "9");
        assert!(!dir.join("sub").exists() && fs::symlink_metadata(dir.join("sub")).is_err());
        assert!(!dir.join(generation).exists(), "the old generation is removed");
        assert!(write(&dir, &files(&[])).unwrap());
        let visible = fs::read_dir(&dir).unwrap().filter(|entry| !entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("..")).count();
        assert_eq!(visible, 0);
        fs::remove_dir_all(&dir).unwrap();
    }
}
