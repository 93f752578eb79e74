//! One scenario: its steps in order, in a namespace of a fresh server.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use regex::{Captures, Regex};
use serde_json::{Value, json};
use skiff_proto::identity::UserInfo;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::differ::{differences, short};
use super::inside::Inside;
use super::normal::{Normal, regex};
use super::place::{pick, set};
use super::python;
use super::step::{Anonymous, Recorded, Step, Watch};

/// Fills the place of `{run}`: as long and of the letters as when it was recorded.
const RUN: &str = "rbcdfg2456";
/// The only response headers that are compared.
const HEADERS: [&str; 4] = ["Content-Type", "Warning", "Retry-After", "Allow"];
/// How long `until` is waited for, and how long between two tries. The clock is paused: neither takes time.
const PATIENCE: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(50);

static NAMES: LazyLock<Regex> = LazyLock::new(|| regex(r"\{([A-Za-z]\w*)\}"));

/// What is wrong, a sentence each. `text`: the file, of which what is not expected was not made up by the server.
pub async fn run(recorded: &Recorded, text: &str) -> Vec<String> {
    let server = Inside::start().await;
    let namespace = format!("gold-{RUN}");
    let source = source(text);
    let uses_namespace = source.contains("{ns}");
    let vars = BTreeMap::from([("run".to_owned(), json!(RUN)), ("ns".to_owned(), json!(namespace))]);
    let mut scenario = Scenario { server, normal: Normal::new(source, &namespace, RUN), vars, problems: Vec::new() };
    if uses_namespace {
        let body = Bytes::from(json!({"metadata": {"name": namespace}}).to_string());
        let create = Request::post("/api/v1/namespaces").header("content-type", "application/json").body(Full::new(body)).unwrap();
        assert_eq!(scenario.send(create, None).await.status(), 201, "the namespace is made");
    }
    let mut watches = Vec::new();
    for (index, step) in recorded.steps.iter().enumerate() {
        if let Some(watch) = scenario.step(index + 1, step).await {
            watches.push((index + 1, step, watch));
        }
    }
    for (number, step, watch) in watches {
        let answer = watch.await.unwrap();
        scenario.judge(number, step, answer);
    }
    scenario.problems
}

/// The steps as they are written, without what is expected.
fn source(text: &str) -> String {
    let mut whole: Value = serde_json::from_str(text).unwrap();
    for step in whole["steps"].as_array_mut().unwrap() {
        step.as_object_mut().unwrap().remove("expect");
    }
    whole["steps"].to_string()
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    document: Value,
}

struct Scenario {
    server: Inside,
    normal: Normal,
    vars: BTreeMap<String, Value>,
    problems: Vec<String>,
}

impl Scenario {
    /// Runs a step; a watch in the background is still to be judged.
    async fn step(&mut self, number: usize, step: &Step) -> Option<JoinHandle<Answer>> {
        if let Some(seconds) = step.sleep {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        }
        if let Some(watch) = step.watch {
            let response = self.send(self.request(step), step.r#as).await;
            let reading = tokio::spawn(read_watch(response, watch));
            if watch.background {
                return Some(reading);
            }
            let answer = reading.await.unwrap();
            self.judge(number, step, answer);
            return None;
        }
        let end = Instant::now() + PATIENCE;
        let answer = loop {
            let answer = read(self.send(self.request(step), step.r#as).await).await;
            let holds = step.until.iter().all(|check| self.failing(&answer, check).is_none());
            if holds || Instant::now() > end {
                break answer;
            }
            tokio::time::sleep(AGAIN).await;
        };
        self.learn(step, &answer);
        self.judge(number, step, answer);
        None
    }

    /// What later steps need of this answer.
    fn learn(&mut self, step: &Step, answer: &Answer) {
        let body: Value = step.body.as_ref().map(|body| serde_json::from_str(&self.fill(body.get())).unwrap()).unwrap_or_default();
        if let Some(prefix) = body["metadata"]["generateName"].as_str() {
            self.normal.generates(prefix);
        }
        self.normal.remember(&answer.document);
        for (name, path) in &step.save {
            self.vars.insert(name.clone(), pick(&answer.document, path));
        }
    }

    /// Puts saved values in the place of their names; names that are not known stay.
    fn fill(&self, text: &str) -> String {
        let value = |found: &Captures<'_>| self.vars.get(&found[1]).map_or_else(|| found[0].to_owned(), python::text);
        NAMES.replace_all(text, value).into_owned()
    }

    fn request(&self, step: &Step) -> Request<Full<Bytes>> {
        let asked = self.fill(&step.r#do);
        let (method, path) = asked.split_once(' ').unwrap();
        let body = match (&step.text, &step.body) {
            (Some(text), _) => Some(self.fill(text)),
            (None, Some(body)) => Some(padded(self.fill(body.get()), step)),
            (None, None) => None,
        };
        let mut headers = BTreeMap::from([("user-agent".to_owned(), Some("golden/1".to_owned())), ("accept".to_owned(), Some("application/json".to_owned()))]);
        if body.is_some() {
            headers.insert("content-type".to_owned(), Some("application/json".to_owned()));
        }
        headers.extend(step.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_deref().map(|value| self.fill(value)))));
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.body(Full::new(body.unwrap_or_default().into())).unwrap()
    }

    async fn send(&self, request: Request<Full<Bytes>>, caller: Option<Anonymous>) -> Response<Incoming> {
        let user = caller.is_none().then(UserInfo::admin);
        self.server.rest(user).await.send_request(request).await.unwrap()
    }

    /// A sentence where `PATH OP VALUE` does not hold. PATH may be `$status`.
    fn failing(&self, answer: &Answer, check: &str) -> Option<String> {
        let filled = self.fill(check);
        let mut words = filled.splitn(3, ' ');
        let (path, op, want) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or_default());
        let got = if path == "$status" { json!(answer.status) } else { pick(&answer.document, path) };
        let text = python::text(&got);
        let (have, wanted) = (text.parse::<u64>(), want.parse::<u64>());
        let ordered = || match (have.as_ref(), wanted.as_ref()) {
            (Ok(have), Ok(wanted)) => Some(have.cmp(wanted)),
            (Err(_), Err(_)) => Some(text.as_str().cmp(want)),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => None,
        };
        let holds = match op {
            "==" => text == want,
            "!=" => text != want,
            "<" => ordered().is_some_and(std::cmp::Ordering::is_lt),
            ">" => ordered().is_some_and(std::cmp::Ordering::is_gt),
            "<=" => ordered().is_some_and(std::cmp::Ordering::is_le),
            ">=" => ordered().is_some_and(std::cmp::Ordering::is_ge),
            "~" => regex(want).is_match(&text),
            "exists" => !got.is_null(),
            "absent" => got.is_null(),
            other => panic!("{check}: {other} is no operator"),
        };
        (!holds).then(|| format!("check {check} ({filled}): got {}", short(&got)))
    }

    /// Notes where an answer is not the recorded one.
    fn judge(&mut self, number: usize, step: &Step, answer: Answer) {
        let mut found: Vec<String> = step.check.iter().filter_map(|check| self.failing(&answer, check)).collect();
        let headers: Value = HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), self.header(name, step, &answer)?))).collect();
        differences(&json!(step.expect.status), &json!(answer.status), "status", &mut found);
        differences(&json!(step.expect.headers), &headers, "headers", &mut found);
        differences(&step.expect.body, &self.normal.document(answer.document, step), "", &mut found);
        self.problems.extend(found.into_iter().map(|what| format!("step {number} ({}): {what}", step.r#do)));
    }

    fn header(&self, name: &str, step: &Step, answer: &Answer) -> Option<Value> {
        if step.ignore_headers.iter().any(|ignored| ignored == name) || (name == "Allow" && answer.status != 405) {
            return None;
        }
        let mut values: Vec<&str> = answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        let first = *values.first()?;
        match name {
            "Warning" => {
                values.sort_unstable();
                Some(values.into_iter().map(|value| self.normal.text(value, "")).collect())
            }
            "Content-Type" => Some(json!(self.normal.text(&first.replace(' ', "").to_lowercase(), ""))),
            _ => Some(json!(self.normal.text(first, ""))),
        }
    }
}

/// The body with its long value, if it has one.
fn padded(body: String, step: &Step) -> String {
    let Some(pad) = &step.pad else { return body };
    let mut document: Value = serde_json::from_str(&body).unwrap();
    set(&mut document, &pad.path, json!("x".repeat(pad.bytes)));
    document.to_string()
}

async fn read(response: Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let document = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
    Answer { status: parts.status.as_u16(), headers: parts.headers, document }
}

/// The events as a list: as many as asked for, or until the stream ends or the time is over.
async fn read_watch(response: Response<Incoming>, wanted: Watch) -> Answer {
    if response.status() != 200 {
        return read(response).await;
    }
    let end = Instant::now() + Duration::from_secs_f64(wanted.seconds);
    let (parts, mut body) = response.into_parts();
    let (mut events, mut unread) = (Vec::new(), Vec::new());
    while events.len() < wanted.events {
        let Ok(frame) = timeout_at(end, body.frame()).await else { break };
        let Some(frame) = frame else {
            events.extend(wanted.end.then(|| json!("stream ended")));
            break;
        };
        unread.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
        while let Some(at) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=at).collect();
            let event: Value = serde_json::from_slice(&line).unwrap();
            // bookmarks that do not end the initial events may come at any time
            if event["type"] != "BOOKMARK" || event.to_string().contains("initial-events-end") {
                events.push(event);
            }
        }
    }
    events.truncate(wanted.events);
    Answer { status: parts.status.as_u16(), headers: parts.headers, document: json!(events) }
}
