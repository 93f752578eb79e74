//! Manifests: YAML or JSON documents out of files, folders, URLs and standard input.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// Every document of all of these, in order; the items of a `List` one by one.
pub async fn read_all(names: &[String]) -> Result<Vec<Value>> {
    let mut documents = Vec::new();
    for name in names {
        for (origin, text) in texts(name).await? {
            documents.extend(parse(&text).with_context(|| origin)?);
        }
    }
    if documents.is_empty() && !names.is_empty() {
        bail!("no objects in {}", names.join(", "));
    }
    Ok(documents)
}

async fn texts(name: &str) -> Result<Vec<(String, String)>> {
    if name == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        return Ok(vec![("standard input".to_owned(), text)]);
    }
    if name.starts_with("http://") || name.starts_with("https://") {
        let text = super::rest::fetch(name).await.with_context(|| name.to_owned())?;
        return Ok(vec![(name.to_owned(), text)]);
    }
    let path = Path::new(name);
    let mut files = vec![path.to_path_buf()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| name.to_owned())?;
        files = entries.flatten().map(|entry| entry.path()).filter(|file| has_manifest_suffix(file)).collect();
        files.sort();
    }
    files.into_iter().map(|file| Ok((file.display().to_string(), std::fs::read_to_string(&file).with_context(|| file.display().to_string())?))).collect()
}

fn has_manifest_suffix(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| ["yaml", "yml", "json"].iter().any(|known| suffix == *known))
}

fn parse(text: &str) -> Result<Vec<Value>> {
    let mut documents = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let value = Value::deserialize(document)?;
        match value {
            Value::Null => {}
            Value::Object(object) if object.get("kind").and_then(Value::as_str) == Some("List") => {
                documents.extend(object.get("items").and_then(Value::as_array).cloned().unwrap_or_default());
            }
            Value::Object(_) => documents.push(value),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => bail!("a document that is no object: {value}"),
        }
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists() {
        let text = "kind: A\n---\n---\nkind: List\nitems: [{kind: B}, {kind: C}]\n---\n{\"kind\": \"D\"}\n";
        let kinds: Vec<String> = parse(text).unwrap().iter().map(|one| one["kind"].as_str().unwrap().to_owned()).collect();
        assert_eq!(kinds, ["A", "B", "C", "D"]);
        assert!(parse("just text").is_err());
    }
}
