//! Containers that are only pretended: the same pods, statuses and events as with Docker, without a process.
//!
//! A container starts at once and runs until it is stopped, except that the commands of `skiff/demo:1` that say when they end are
//! understood: `exit CODE [--after 2s]`, and likewise `sleep N` and `sh -c "exit CODE"` of any image, so that Jobs complete and
//! crash loops loop. Any image is here, unless its registry is `skiff.invalid` or on `localhost`: those cannot be pulled, so that
//! pulling errors can be shown. `exec` does nothing, successfully; except `false`, which fails. Nothing listens, so `httpGet` and `tcpSocket` probes do not
//! fail for want of a listener in a sim: they are not this file's affair. Nothing reads a volume: what it would hold is
//! looked up, so that a ConfigMap which is missing is told of, and written nowhere. Nothing outlives the process.

use super::{
    Connection, ContainerSpec, ContainerState, ContainerUsage, ExecRequest, ExecResult, Exit, ExitReason, Image, ListedImage, LogOptions, ObservedContainer,
    ObservedPod, ObservedSandbox, ResourceSpec, Runtime, RuntimeError, RuntimeEvent, SandboxSpec, SandboxState, Session, SessionOutput,
};
use crate::clock::Clock;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// See the module.
pub struct Sim {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Default)]
struct State {
    pods: BTreeMap<String, ObservedPod>,
    /// Pods that changed and have not been told.
    changed: std::collections::BTreeSet<String>,
    number: u64,
    scripts: BTreeMap<String, Script>,
}

/// What a container does once it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    /// Runs for ever.
    Serve,
    /// Ends with this code after that time.
    Exit(i32, Duration),
}

impl Sim {
    /// A runtime with nothing in it.
    pub fn new(clock: Clock) -> Self {
        Self { inner: Arc::new(Inner { clock, state: Mutex::default(), bell: Notify::new() }) }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a container and says so.
    fn change(&self, id: &str, act: impl FnOnce(&mut ObservedContainer)) -> Result<(), RuntimeError> {
        let mut state = self.state();
        let found = state.pods.values_mut().find_map(|pod| {
            let uid = pod.pod.uid.clone();
            pod.containers.iter_mut().find(|container| container.id == id).map(|container| (uid, container))
        });
        let Some((uid, container)) = found else { return Err(missing(id)) };
        act(container);
        state.changed.insert(uid);
        drop(state);
        self.bell.notify_one();
        Ok(())
    }

    fn end(&self, id: &str, code: i32) -> Result<(), RuntimeError> {
        let now = self.clock.now();
        self.change(id, |container| {
            if let ContainerState::Running { started_at } = container.state {
                let reason = if code == 0 { ExitReason::Completed } else { ExitReason::Error };
                container.state = ContainerState::Exited(Exit { code, reason, message: String::new(), started_at, finished_at: now });
            }
        })
    }
}

fn missing(id: &str) -> RuntimeError {
    RuntimeError::NotFound(format!("No such container: {id}"))
}

/// What the command line of a container does.
fn script(spec: &ContainerSpec) -> Script {
    let words: Vec<&str> = spec.command.iter().chain(&spec.args).map(String::as_str).collect();
    let words: Vec<&str> = match words.as_slice() {
        ["sh" | "/bin/sh", "-c", line] => line.split_whitespace().collect(),
        ["demo" | "/demo", rest @ ..] => rest.to_vec(),
        words => words.to_vec(),
    };
    match words.as_slice() {
        ["exit", code] => Script::Exit(code.parse().unwrap_or(2), Duration::ZERO),
        ["exit", code, "--after", time] => Script::Exit(code.parse().unwrap_or(2), duration(time)),
        ["true"] => Script::Exit(0, Duration::ZERO),
        ["false"] => Script::Exit(1, Duration::ZERO),
        ["sleep", time] => Script::Exit(0, duration(time)),
        _ => Script::Serve,
    }
}

/// `2`, `2s`, `500ms`, `1m`.
fn duration(text: &str) -> Duration {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().unwrap_or(0.0);
    let factor = match unit {
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => 1.0,
    };
    Duration::try_from_secs_f64(number * factor).unwrap_or(Duration::MAX)
}

fn image(name: &str) -> Option<Image> {
    let absent = name.starts_with("skiff.invalid/") || name.starts_with("localhost");
    let id = format!("sha256:{:064x}", name.bytes().fold(0u128, |hash, byte| hash.wrapping_mul(31).wrapping_add(u128::from(byte))));
    (!absent).then(|| Image { id, size: 1 << 20, user: String::new(), stop_signal: None })
}

#[async_trait]
impl Runtime for Sim {
    async fn version(&self) -> Result<String, RuntimeError> {
        Ok(concat!("sim://", env!("CARGO_PKG_VERSION")).to_owned())
    }

    fn has_network(&self) -> bool {
        false
    }

    fn has_files(&self) -> bool {
        false
    }

    async fn pods(&self) -> Result<Vec<ObservedPod>, RuntimeError> {
        Ok(self.inner.state().pods.values().cloned().collect())
    }

    async fn pod(&self, uid: &str) -> Result<Option<ObservedPod>, RuntimeError> {
        Ok(self.inner.state().pods.get(uid).cloned())
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let inner = self.inner.clone();
        futures::stream::unfold(inner, |inner| async move {
            loop {
                let next = inner.state().changed.pop_first();
                if let Some(uid) = next {
                    return Some((RuntimeEvent::Pod(uid), inner));
                }
                inner.bell.notified().await;
            }
        })
        .boxed()
    }

    async fn create_sandbox(&self, spec: &SandboxSpec) -> Result<String, RuntimeError> {
        let mut state = self.inner.state();
        state.number += 1;
        let id = format!("sandbox{:057x}", state.number);
        let sandbox = ObservedSandbox {
            id: id.clone(),
            attempt: spec.attempt,
            state: SandboxState::Created,
            ip: spec.ip,
            host_network: spec.network == super::NamespaceMode::Node,
            created_at: self.inner.clock.now(),
        };
        let pod = state.pods.entry(spec.pod.uid.clone()).or_insert_with(|| ObservedPod { pod: spec.pod.clone(), ..ObservedPod::default() });
        pod.sandboxes.insert(0, sandbox);
        Ok(id)
    }

    async fn start_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        self.set_sandbox(id, SandboxState::Ready)
    }

    async fn stop_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        self.set_sandbox(id, SandboxState::NotReady)
    }

    async fn remove_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let mut state = self.inner.state();
        for pod in state.pods.values_mut() {
            pod.sandboxes.retain(|sandbox| sandbox.id != id);
            pod.containers.retain(|container| container.sandbox != id);
        }
        state.pods.retain(|_, pod| !pod.sandboxes.is_empty() || !pod.containers.is_empty());
        Ok(())
    }

    async fn create_container(&self, sandbox: &str, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        let mut state = self.inner.state();
        state.number += 1;
        let id = format!("{:064x}", state.number);
        let container = ObservedContainer::created(id.clone(), sandbox, spec, self.inner.clock.now());
        let Some(pod) = state.pods.get_mut(&spec.pod.uid) else { return Err(missing(sandbox)) };
        pod.containers.insert(0, container);
        state.scripts.insert(id.clone(), script(spec));
        Ok(id)
    }

    async fn start_container(&self, id: &str) -> Result<(), RuntimeError> {
        let now = self.inner.clock.now();
        self.inner.change(id, |container| container.state = ContainerState::Running { started_at: now })?;
        let script = self.inner.state().scripts.get(id).copied().unwrap_or(Script::Serve);
        match script {
            Script::Serve => Ok(()),
            Script::Exit(code, Duration::ZERO) => self.inner.end(id, code),
            Script::Exit(code, after) => {
                let (inner, id) = (self.inner.clone(), id.to_owned());
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    // Removed meanwhile: nothing ends.
                    let _ = inner.end(&id, code);
                });
                Ok(())
            }
        }
    }

    async fn stop_container(&self, id: &str, _grace: Duration) -> Result<(), RuntimeError> {
        match self.inner.end(id, 0) {
            Err(RuntimeError::NotFound(_)) => Ok(()),
            other => other,
        }
    }

    async fn remove_container(&self, id: &str) -> Result<(), RuntimeError> {
        let mut state = self.inner.state();
        state.scripts.remove(id);
        for pod in state.pods.values_mut() {
            pod.containers.retain(|container| container.id != id);
        }
        state.pods.retain(|_, pod| !pod.sandboxes.is_empty() || !pod.containers.is_empty());
        Ok(())
    }

    async fn update_container(&self, id: &str, _resources: &ResourceSpec) -> Result<(), RuntimeError> {
        self.inner.change(id, |_| {})
    }

    async fn image(&self, name: &str) -> Result<Option<Image>, RuntimeError> {
        Ok(image(name))
    }

    async fn pull_image(&self, name: &str) -> Result<Image, RuntimeError> {
        image(name).ok_or_else(|| RuntimeError::Pull(format!("failed to pull and unpack image \"{name}\": the registry cannot be reached")))
    }

    async fn images(&self) -> Result<Vec<ListedImage>, RuntimeError> {
        Ok(Vec::new())
    }

    async fn exec(&self, id: &str, command: &[String], _timeout: Duration, _limit: usize) -> Result<ExecResult, RuntimeError> {
        let running = self.inner.state().pods.values().flat_map(|pod| &pod.containers).any(|container| container.id == id && container.state.is_running());
        if !running {
            return Err(missing(id));
        }
        let code = i32::from(command.first().is_some_and(|word| word == "false"));
        Ok(ExecResult { code, output: Vec::new() })
    }

    async fn logs(&self, _id: &str, _options: &LogOptions) -> Result<BoxStream<'static, Result<Bytes, RuntimeError>>, RuntimeError> {
        Ok(futures::stream::once(async { Ok(Bytes::from_static(b"this container is only pretended (runtime sim)\n")) }).boxed())
    }

    async fn exec_stream(&self, _id: &str, request: &ExecRequest) -> Result<Session, RuntimeError> {
        let (input, _) = tokio::sync::mpsc::channel(1);
        let text = format!("pretended: {}\n", request.command.join(" "));
        let output = vec![Ok(SessionOutput::Stdout(text.into())), Ok(SessionOutput::End(0))];
        Ok(Session { input, output: futures::stream::iter(output).boxed() })
    }

    async fn attach(&self, _id: &str, _request: &ExecRequest) -> Result<Session, RuntimeError> {
        Err(RuntimeError::Unsupported("runtime sim has no processes to attach to".into()))
    }

    async fn dial(&self, _sandbox: &str, _port: u16) -> Result<Box<dyn Connection>, RuntimeError> {
        Err(RuntimeError::Unsupported("runtime sim has no network: nothing listens".into()))
    }

    async fn disk_usage(&self, _uid: &str) -> Result<BTreeMap<String, u64>, RuntimeError> {
        Ok(BTreeMap::new()) // what is pretended writes nothing
    }

    async fn stats(&self) -> Result<Vec<ContainerUsage>, RuntimeError> {
        let state = self.inner.state();
        let usage = |pod: &ObservedPod, container: &ObservedContainer| ContainerUsage {
            pod: pod.pod.clone(),
            container: container.name.clone(),
            cpu_nanos: 0,
            memory_bytes: 0,
        };
        let running = |pod: &ObservedPod| {
            let running = pod.containers.iter().filter(|container| container.state.is_running());
            running.map(|container| usage(pod, container)).collect::<Vec<_>>()
        };
        Ok(state.pods.values().flat_map(running).collect())
    }
}

impl Sim {
    fn set_sandbox(&self, id: &str, to: SandboxState) -> Result<(), RuntimeError> {
        let mut state = self.inner.state();
        for pod in state.pods.values_mut() {
            for sandbox in pod.sandboxes.iter_mut().filter(|sandbox| sandbox.id == id) {
                sandbox.state = to;
            }
        }
        Ok(())
    }

    /// Kills a container with a code, as a person with `docker kill` would; for tests.
    pub fn kill(&self, id: &str, code: i32) -> Result<(), RuntimeError> {
        self.inner.end(id, code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let cases: [(&[&str], Script); 8] = [
            (&["exit", "3"], Script::Exit(3, Duration::ZERO)),
            (&["demo", "exit", "1", "--after", "2s"], Script::Exit(1, Duration::from_secs(2))),
            (&["sh", "-c", "exit 2"], Script::Exit(2, Duration::ZERO)),
            (&["sh", "-c", "sleep 600"], Script::Exit(0, Duration::from_secs(600))),
            (&["sleep", "500ms"], Script::Exit(0, Duration::from_millis(500))),
            (&["true"], Script::Exit(0, Duration::ZERO)),
            (&["serve"], Script::Serve),
            (&[], Script::Serve),
        ];
        for (words, expected) in cases {
            let spec = ContainerSpec { args: words.iter().map(|word| (*word).to_owned()).collect(), ..ContainerSpec::default() };
            assert_eq!(script(&spec), expected, "{words:?}");
        }
    }
}
