//! `skiff get|apply|describe|logs|delete`: what machines without kubectl need, over the same REST API that kubectl speaks.
//! Tables are the server's; objects are applied as kubectl does.

mod manifest;
mod print;
mod rest;
mod three_way;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::cluster::files::Files;
use crate::say::say;
use rest::{Kind, Refused, Rest};

/// How often an object is patched anew when somebody else wrote in between.
const TRIES: usize = 16;

/// Where objects are: shared by all these commands.
#[derive(Clone, Debug, Args)]
pub struct Scope {
    /// The namespace
    #[arg(short, long, default_value = "default")]
    namespace: String,
}

/// How objects are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table with more columns
    Wide,
    /// YAML
    Yaml,
    /// JSON
    Json,
    /// kind/name
    Name,
}

/// `skiff apply`
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// A file, a folder, a URL, or - for standard input (may be given again)
    #[arg(short = 'f', long = "filename", required = true)]
    filenames: Vec<String>,
    #[command(flatten)]
    scope: Scope,
}

/// `skiff get`
#[derive(Clone, Debug, Args)]
pub struct GetArgs {
    /// What kind: pods, po, deployments.apps, all
    kind: String,
    /// Only these
    names: Vec<String>,
    /// Of every namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long, default_value = "")]
    selector: String,
    /// In which form
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    scope: Scope,
}

/// `skiff describe`
#[derive(Clone, Debug, Args)]
pub struct DescribeArgs {
    /// What kind
    kind: String,
    /// Its name
    name: String,
    #[command(flatten)]
    scope: Scope,
}

/// `skiff logs`
#[derive(Clone, Debug, Args)]
pub struct LogsArgs {
    /// The pod
    pod: String,
    /// Which container, where there are several
    #[arg(short, long)]
    container: Option<String>,
    /// Go on as the log grows
    #[arg(short, long)]
    follow: bool,
    /// Of the container's earlier run
    #[arg(short, long)]
    previous: bool,
    /// Only the last lines
    #[arg(long)]
    tail: Option<u64>,
    /// With the time of each line
    #[arg(long)]
    timestamps: bool,
    #[command(flatten)]
    scope: Scope,
}

/// `skiff delete`
#[derive(Clone, Debug, Args)]
pub struct DeleteArgs {
    /// What kind
    #[arg(required_unless_present = "filenames")]
    kind: Option<String>,
    /// Which
    names: Vec<String>,
    /// What these manifests name (may be given again)
    #[arg(short = 'f', long = "filename", conflicts_with = "kind")]
    filenames: Vec<String>,
    #[command(flatten)]
    scope: Scope,
}

/// Creates or changes what the manifests say.
pub async fn apply(files: &Files, args: ApplyArgs) -> Result<()> {
    let rest = Rest::new(files)?;
    let kinds = rest.kinds().await?;
    for document in manifest::read_all(&args.filenames).await? {
        let (kind, name, namespace) = place(&kinds, &document, &args.scope.namespace)?;
        let path = kind.path(&namespace, &name);
        let before = rest.get_optional(&path).await?;
        let done = match before {
            None => rest.create(&kind.path(&namespace, ""), &three_way::annotated(&document)).await.map(|_| "created"),
            Some(stored) => change(&rest, &path, stored, &document).await,
        };
        let what = done.with_context(|| format!("{} \"{name}\"", kind.singular_group()))?;
        say!("{}/{name} {what}", kind.singular_group());
    }
    Ok(())
}

/// Makes a stored object what the manifest says, and says whether that changed it.
async fn change(rest: &Rest, path: &str, mut stored: Value, document: &Value) -> Result<&'static str> {
    let fixed = !document["metadata"]["resourceVersion"].is_null();
    let mut tries = 0;
    loop {
        tries += 1;
        match rest.patch(path, &three_way::patch(&stored, document)).await {
            Ok(after) if after["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"] => return Ok("unchanged"),
            Ok(_) => return Ok("configured"),
            // somebody else wrote in between
            Err(error) if !fixed && tries < TRIES && error.downcast_ref().is_some_and(|Refused(status)| status.is_conflict()) => {
                stored = rest.get(path).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Shows objects.
pub async fn get(files: &Files, args: GetArgs) -> Result<()> {
    let rest = Rest::new(files)?;
    let kinds = rest.kinds().await?;
    let chosen = Kind::choose(&kinds, &args.kind)?;
    let headed = chosen.len() > 1;
    let mut shown = false;
    for kind in chosen {
        let namespace = if args.all_namespaces { "" } else { &args.scope.namespace };
        let paths: Vec<String> = match args.names.as_slice() {
            [] => vec![format!("{}?labelSelector={}", kind.path(namespace, ""), rest::escape(&args.selector))],
            names => names.iter().map(|name| kind.path(namespace, name)).collect(),
        };
        for path in paths {
            shown |= match args.output {
                None | Some(Output::Wide) => {
                    let table = rest.table(&path).await?;
                    let with_namespace = args.all_namespaces && kind.namespaced;
                    print::table(&table, args.output.is_some(), with_namespace, headed.then(|| kind.singular_group()))
                }
                Some(output) => print_objects(&rest.get(&path).await?, output, kind)?,
            };
        }
    }
    if !shown {
        let place = if args.all_namespaces { String::new() } else { format!(" in {} namespace", args.scope.namespace) };
        eprintln!("No resources found{place}.");
    }
    Ok(())
}

fn print_objects(answer: &Value, output: Output, kind: &Kind) -> Result<bool> {
    match output {
        Output::Json => say!("{}", serde_json::to_string_pretty(answer)?),
        Output::Yaml => say!("{}", serde_yaml_ng::to_string(answer)?.trim_end()),
        Output::Name | Output::Wide => {
            let single = std::slice::from_ref(answer);
            for object in answer["items"].as_array().map_or(single, Vec::as_slice) {
                say!("{}/{}", kind.singular_group(), object["metadata"]["name"].as_str().unwrap_or_default());
            }
        }
    }
    Ok(true)
}

/// Shows one object whole, and what happened to it.
pub async fn describe(files: &Files, args: DescribeArgs) -> Result<()> {
    let rest = Rest::new(files)?;
    let kinds = rest.kinds().await?;
    let chosen = Kind::choose(&kinds, &args.kind)?;
    let kind = chosen.first().context("no such kind")?;
    let mut object = rest.get(&kind.path(&args.scope.namespace, &args.name)).await?;
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    say!("{}", serde_yaml_ng::to_string(&object)?.trim_end());
    let namespace = if kind.namespaced { args.scope.namespace.as_str() } else { "default" };
    let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector={}", rest::escape(&format!("involvedObject.uid={uid}")));
    let table = rest.table(&path).await?;
    say!("---");
    if !print::table(&table, false, false, None) {
        say!("Events: <none>");
    }
    Ok(())
}

/// Prints a container's log.
pub async fn logs(files: &Files, args: LogsArgs) -> Result<()> {
    let rest = Rest::new(files)?;
    let mut path = format!("/api/v1/namespaces/{}/pods/{}/log?follow={}", args.scope.namespace, args.pod, args.follow);
    path.push_str(&format!("&previous={}&timestamps={}", args.previous, args.timestamps));
    if let Some(container) = &args.container {
        path.push_str(&format!("&container={container}"));
    }
    if let Some(lines) = args.tail {
        path.push_str(&format!("&tailLines={lines}"));
    }
    rest.stream_to_stdout(&path).await
}

/// Deletes objects.
pub async fn delete(files: &Files, args: DeleteArgs) -> Result<()> {
    let rest = Rest::new(files)?;
    let kinds = rest.kinds().await?;
    let mut doomed: Vec<(Kind, String, String)> = Vec::new();
    if let Some(wanted) = &args.kind {
        if args.names.is_empty() {
            bail!("say which {wanted} to delete");
        }
        let chosen = Kind::choose(&kinds, wanted)?;
        let kind = chosen.first().context("no such kind")?;
        doomed.extend(args.names.iter().map(|name| ((*kind).clone(), name.clone(), args.scope.namespace.clone())));
    }
    for document in manifest::read_all(&args.filenames).await? {
        doomed.push(place(&kinds, &document, &args.scope.namespace)?);
    }
    for (kind, name, namespace) in doomed {
        rest.delete(&kind.path(&namespace, &name)).await.with_context(|| format!("{} \"{name}\"", kind.singular_group()))?;
        say!("{} \"{name}\" deleted", kind.singular_group());
    }
    Ok(())
}

/// The kind, name and namespace of a manifest's document.
fn place(kinds: &[Kind], document: &Value, namespace: &str) -> Result<(Kind, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&document["apiVersion"]), text(&document["kind"]));
    let found = kinds.iter().find(|one| one.kind == kind && one.api_version() == api_version);
    let found = found.with_context(|| format!("no matches for kind \"{kind}\" in version \"{api_version}\""))?;
    let name = text(&document["metadata"]["name"]);
    if name.is_empty() {
        bail!("a {kind} without metadata.name");
    }
    let own = text(&document["metadata"]["namespace"]);
    Ok((found.clone(), name, if own.is_empty() { namespace.to_owned() } else { own }))
}
