//! What a request for a stream asks for, read off its query and the object. Pure.
//!
//! See `pkg/registry/core/pod/strategy.go`, `pkg/apis/core/validation/validation.go` (`ValidatePodLogOptions`) and
//! `apimachinery/pkg/util/net/port_split.go`.

use serde_json::Value;
use skiff_proto::k8s_openapi::jiff::Timestamp;
use skiff_proto::status::Status;
use skiff_proto::v1;

use crate::error::{FieldError, failure};
use crate::http::query::Query;

/// A pod, as far as streams into it need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
    /// `spec.nodeName`; empty: not scheduled.
    pub node: String,
    /// `status.podIP`; empty: none yet.
    pub ip: String,
    /// Names of `spec.containers`.
    pub containers: Vec<String>,
    /// Names of init and ephemeral containers.
    pub others: Vec<String>,
    /// The first port that a container names.
    pub first_port: Option<u64>,
}

impl Pod {
    /// Reads a pod's JSON.
    pub fn read(json: &[u8]) -> Result<Self, Status> {
        let pod: Value = serde_json::from_slice(json).map_err(crate::http::table::damaged)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let names = |list: &Value| list.as_array().into_iter().flatten().map(|one| text(&one["name"])).collect::<Vec<_>>();
        let (metadata, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
        let ip = status["podIPs"].get(0).map_or(&status["podIP"], |first| &first["ip"]);
        let first_port = spec["containers"].as_array().into_iter().flatten().find_map(|container| container["ports"].get(0)?["containerPort"].as_u64());
        Ok(Self {
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            node: text(&spec["nodeName"]),
            ip: text(ip),
            containers: names(&spec["containers"]),
            others: [names(&spec["initContainers"]), names(&spec["ephemeralContainers"])].concat(),
            first_port,
        })
    }

    /// The container that is meant: the only one where none is named.
    pub fn container(&self, asked: &str) -> Result<String, Status> {
        let name = &self.name;
        match (asked, self.containers.as_slice()) {
            ("", [only]) => Ok(only.clone()),
            ("", []) => Err(failure::bad_request(format!("a container name must be specified for pod {name}"))),
            ("", _) => {
                // Go visits init containers first, then containers, then ephemeral ones; without a name only the first two are told
                let all = [self.others.as_slice(), self.containers.as_slice()].concat();
                Err(failure::bad_request(format!("a container name must be specified for pod {name}, choose one of: [{}]", all.join(" "))))
            }
            (asked, _) if self.containers.iter().chain(&self.others).any(|have| have == asked) => Ok(asked.to_owned()),
            _ => Err(failure::bad_request(format!("container {asked} is not valid for pod {name}"))),
        }
    }

    /// The node whose agent is asked.
    pub fn node(&self) -> Result<&str, Status> {
        if self.node.is_empty() { Err(failure::bad_request(format!("pod {} does not have a host assigned", self.name))) } else { Ok(&self.node) }
    }
}

/// `PodLogOptions` as the agent takes them. `now`: seconds since the epoch.
pub fn log_request(pod: &Pod, query: &Query, now: i64) -> Result<v1::LogsRequest, Status> {
    let number = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(parse_int).transpose();
    let (tail_lines, limit_bytes, since_seconds) = (number("tailLines")?, number("limitBytes")?, number("sinceSeconds")?);
    let since_time = query.get("sinceTime").filter(|text| !text.is_empty()).map(parse_time).transpose()?;
    let stream = query.get("stream").unwrap_or("All");
    let mut errors = Vec::new();
    if let Some(lines) = tail_lines.filter(|lines| *lines < 0) {
        errors.push(FieldError::invalid("tailLines", lines, "must be greater than or equal to 0"));
    }
    if let Some(bytes) = limit_bytes.filter(|bytes| *bytes < 1) {
        errors.push(FieldError::invalid("limitBytes", bytes, "must be greater than 0"));
    }
    match (since_seconds, since_time) {
        (Some(_), Some(_)) => errors.push(FieldError::forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified")),
        (Some(seconds), None) if seconds < 1 => errors.push(FieldError::invalid("sinceSeconds", seconds, "must be greater than 0")),
        (Some(_) | None, None) | (None, Some(_)) => {}
    }
    if !matches!(stream, "All" | "Stdout" | "Stderr") {
        errors.push(FieldError::not_supported("stream", stream, &["All", "Stdout", "Stderr"]));
    } else if stream != "All" && tail_lines.is_some() {
        errors.push(FieldError::forbidden("", "`tailLines` and specific `stream` are mutually exclusive for now"));
    }
    if !errors.is_empty() {
        return Err(failure::invalid("", "PodLogOptions", &pod.name, &errors));
    }
    let since_nanos = since_time.or_else(|| since_seconds.map(|seconds| i128::from(now.saturating_sub(seconds)) * 1_000_000_000));
    Ok(v1::LogsRequest {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        container: pod.container(query.get("container").unwrap_or_default())?,
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        tail_lines,
        limit_bytes,
        since_nanos: since_nanos.map(|nanos| i64::try_from(nanos).unwrap_or_default()),
        stream: stream.to_owned(),
    })
}

/// `PodExecOptions` (`is_exec`) or `PodAttachOptions`.
pub fn exec_request(pod: &Pod, query: &Query, is_exec: bool) -> Result<v1::ExecStart, Status> {
    let start = v1::ExecStart {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        container: pod.container(query.get("container").unwrap_or_default())?,
        command: if is_exec { query.all("command").map(str::to_owned).collect() } else { Vec::new() },
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        tty: query.flag("tty"),
    };
    pod.node()?;
    if !(start.stdin || start.stdout || start.stderr) {
        return Err(failure::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    if is_exec && start.command.is_empty() {
        return Err(failure::bad_request("you must specify at least one command for the container"));
    }
    Ok(start)
}

fn parse_int(text: &str) -> Result<i64, Status> {
    text.parse().map_err(|_| failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
}

fn parse_time(text: &str) -> Result<i128, Status> {
    let time: Result<Timestamp, _> = text.parse();
    let fault = |_| failure::bad_request(format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""));
    time.map(|time| time.as_nanosecond()).map_err(fault)
}

/// `name`, `name:port` or `scheme:name:port`, as a proxied object is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyName<'a> {
    /// `http`, `https` or nothing.
    pub scheme: &'a str,
    /// The object.
    pub name: &'a str,
    /// A number or a name; empty: not said.
    pub port: &'a str,
}

/// Takes the name of a proxied object apart.
pub fn proxy_name(id: &str) -> Option<ProxyName<'_>> {
    let mut parts = id.split(':');
    let (first, second, third) = (parts.next()?, parts.next(), parts.next());
    let (scheme, name, port) = match (second, third) {
        (None, _) => ("", first, ""),
        (Some(port), None) => ("", first, port),
        (Some(name), Some(port)) => (first, name, port),
    };
    let valid = parts.next().is_none() && !name.is_empty() && matches!(scheme, "" | "http" | "https");
    valid.then_some(ProxyName { scheme, name, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(containers: &[&str], others: &[&str]) -> Pod {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Pod { namespace: "d".into(), name: "p".into(), node: "n".into(), containers: own(containers), others: own(others), ..Pod::default() }
    }

    #[test]
    fn reads_a_pod() {
        let json = br#"{"metadata":{"name":"p","namespace":"d","uid":"u"},"spec":{"nodeName":"n","initContainers":[{"name":"i"}],
            "containers":[{"name":"a"},{"name":"b","ports":[{"containerPort":8080}]}]},"status":{"podIP":"10.0.0.9","podIPs":[{"ip":"10.0.0.9"}]}}"#;
        let read = Pod::read(json).unwrap();
        assert_eq!((read.ip.as_str(), read.first_port, read.uid.as_str()), ("10.0.0.9", Some(8080), "u"));
        assert_eq!((read.containers, read.others), (vec!["a".to_owned(), "b".to_owned()], vec!["i".to_owned()]));
    }

    #[test]
    fn names_the_container_or_asks_for_it() {
        assert_eq!(pod(&["a"], &[]).container("").unwrap(), "a");
        assert_eq!(pod(&["a", "b"], &["i"]).container("i").unwrap(), "i");
        for (pod, asked, message) in [
            (pod(&["a", "b"], &[]), "", "a container name must be specified for pod p, choose one of: [a b]"),
            (pod(&["a", "b"], &["i"]), "", "a container name must be specified for pod p, choose one of: [i a b]"),
            (pod(&["a"], &[]), "x", "container x is not valid for pod p"),
        ] {
            assert_eq!(pod.container(asked).unwrap_err().message, message);
        }
    }

    #[test]
    fn log_options_are_checked() {
        let asked = |query: &str| log_request(&pod(&["a"], &[]), &Query::parse(query), 1_000).map_err(|status| status.message);
        let read = asked("follow=true&tailLines=5&sinceTime=2026-01-02T03:04:05Z&timestamps=1").unwrap();
        assert_eq!((read.follow, read.timestamps, read.tail_lines, read.since_nanos), (true, true, Some(5), Some(1_767_323_045_000_000_000)));
        assert_eq!(asked("sinceSeconds=10").unwrap().since_nanos, Some(990_000_000_000));
        for (query, message) in [
            ("tailLines=-1", "PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"),
            ("limitBytes=0", "PodLogOptions \"p\" is invalid: limitBytes: Invalid value: 0: must be greater than 0"),
            ("sinceSeconds=0", "PodLogOptions \"p\" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0"),
            ("tailLines=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ] {
            assert_eq!(asked(query), Err(message.to_owned()));
        }
    }

    #[test]
    fn exec_needs_a_stream_and_a_command() {
        let asked = |query: &str| exec_request(&pod(&["a"], &[]), &Query::parse(query), true).map_err(|status| status.message);
        assert_eq!(asked("command=sh&command=-c&stdout=1").unwrap().command, ["sh", "-c"]);
        assert_eq!(asked("command=sh"), Err("you must specify at least 1 of stdin, stdout, stderr".to_owned()));
        assert_eq!(asked("stdout=true"), Err("you must specify at least one command for the container".to_owned()));
    }

    #[test]
    fn proxied_names_are_taken_apart() {
        let name = |id: &'static str| proxy_name(id).map(|one| (one.scheme, one.name, one.port));
        assert_eq!(name("web"), Some(("", "web", "")));
        assert_eq!(name("web:80"), Some(("", "web", "80")));
        assert_eq!(name("https:web:tls"), Some(("https", "web", "tls")));
        assert_eq!(name("http:web:"), Some(("http", "web", "")));
        assert_eq!(name("ftp:web:21"), None);
        assert_eq!(name("a:b:c:d"), None);
    }
}
