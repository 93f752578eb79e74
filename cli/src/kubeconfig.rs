//! The user's own kubeconfig: gets the context `skiff`, and loses it again. Everything else in it stays as it is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_yaml_ng::{Mapping, Value};

const NAME: &str = "skiff";
const LISTS: [&str; 3] = ["clusters", "users", "contexts"];

/// Puts cluster, user and context `skiff` of `from` into the user's kubeconfig and makes it current; answers which file that is.
pub fn merge(from: &Path) -> Result<PathBuf> {
    let path = user_file();
    let text = std::fs::read_to_string(from).with_context(|| from.display().to_string())?;
    let ours: Value = serde_yaml_ng::from_str(&text).with_context(|| from.display().to_string())?;
    let mut theirs = read(&path)?;
    remove(&mut theirs);
    add(&mut theirs, &ours);
    write(&path, &theirs)?;
    Ok(path)
}

/// Takes `skiff` out of the user's kubeconfig again.
pub fn unmerge() -> Result<()> {
    let path = user_file();
    if !path.exists() {
        return Ok(());
    }
    let mut theirs = read(&path)?;
    remove(&mut theirs);
    write(&path, &theirs)
}

/// The first file of `$KUBECONFIG`, else `~/.kube/config`: where kubectl writes.
fn user_file() -> PathBuf {
    let named = std::env::var("KUBECONFIG").ok().and_then(|list| list.split(':').find(|one| !one.is_empty()).map(PathBuf::from));
    named.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
        home.join(".kube").join("config")
    })
}

fn read(path: &Path) -> Result<Value> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let value: Value = serde_yaml_ng::from_str(&text).with_context(|| format!("{} is no kubeconfig", path.display()))?;
    if value.is_mapping() {
        return Ok(value);
    }
    let mut empty = Mapping::new();
    empty.insert("apiVersion".into(), "v1".into());
    empty.insert("kind".into(), "Config".into());
    Ok(Value::Mapping(empty))
}

fn write(path: &Path, config: &Value) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let new = path.with_extension("skiff-new");
    let options = || {
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)
    };
    std::io::Write::write_all(&mut options().with_context(|| new.display().to_string())?, serde_yaml_ng::to_string(config)?.as_bytes())?;
    std::fs::rename(&new, path).with_context(|| path.display().to_string())
}

fn remove(config: &mut Value) {
    for list in LISTS {
        if let Some(entries) = config.get_mut(list).and_then(Value::as_sequence_mut) {
            entries.retain(|entry| entry.get("name").and_then(Value::as_str) != Some(NAME));
        }
    }
    if config.get("current-context").and_then(Value::as_str) == Some(NAME) {
        config["current-context"] = "".into();
    }
}

fn add(config: &mut Value, ours: &Value) {
    for list in LISTS {
        let new = ours.get(list).and_then(Value::as_sequence).cloned().unwrap_or_default();
        match config.get_mut(list).and_then(Value::as_sequence_mut) {
            Some(entries) => entries.extend(new),
            None => config[list] = Value::Sequence(new),
        }
    }
    config["current-context"] = NAME.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "clusters: [{name: skiff, cluster: {server: 's'}}]\nusers: [{name: skiff, user: {}}]\ncontexts: [{name: skiff, context: {cluster: skiff, user: skiff}}]\n";

    #[test]
    fn other_contexts_stay() {
        let mut theirs: Value = serde_yaml_ng::from_str("contexts: [{name: work, context: {}}]\ncurrent-context: work\npreferences: {colors: true}\n").unwrap();
        let before = theirs.clone();
        add(&mut theirs, &serde_yaml_ng::from_str(OURS).unwrap());
        assert_eq!(theirs["current-context"], Value::from("skiff"));
        assert_eq!(theirs["contexts"].as_sequence().unwrap().len(), 2);
        remove(&mut theirs);
        assert_eq!(theirs["contexts"], before["contexts"]);
        assert_eq!(theirs["preferences"], before["preferences"]);
        assert_eq!(theirs["current-context"], Value::from(""), "what it was before is not known");
    }

    #[test]
    fn merging_twice_changes_nothing() {
        let (mut once, ours) = (Value::Mapping(Mapping::new()), serde_yaml_ng::from_str(OURS).unwrap());
        add(&mut once, &ours);
        let mut twice = once.clone();
        remove(&mut twice);
        add(&mut twice, &ours);
        assert_eq!(once, twice);
    }
}
