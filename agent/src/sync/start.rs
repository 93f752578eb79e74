//! Starting a container: image, configuration, create, start, postStart hook; each step's failure has its own reason and its own
//! events, worded as kubelet words them (`startContainer`, `image_manager.go`).

use super::inbox::Inbox;
use super::memory::{Delay, Memory, Waiting};
use super::spec::{self, Parts};
use super::stop;
use crate::clock::after;
use crate::env::environment;
use crate::hooks;
use crate::objects;
use crate::pod::{self, Kind};
use crate::runtime::{Image, Mount, RuntimeError};
use crate::shared::Shared;
use crate::volumes::Places;
use k8s_openapi::api::core::v1::{Container, Pod};
use skiff_client::events::Type;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// Which start.
pub struct Start<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The container.
    pub container: &'a Container,
    /// In which list it is.
    pub kind: Kind,
    /// How often it was started before.
    pub attempt: u32,
    /// Where the volumes are.
    pub places: &'a Places,
    /// The sandbox, made and perhaps still starting.
    pub sandbox: &'a str,
    /// For an ephemeral container: the container whose processes it sees.
    pub target: Option<String>,
}

/// Why it did not start, as `state.waiting` shows it, and how long before the next try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotStarted {
    /// What the status shows.
    pub waiting: Waiting,
    /// Not before.
    pub retry: Duration,
}

impl Start<'_> {
    fn tell(&self, shared: &Shared, kind: Type, reason: &str, message: impl Into<String>) {
        shared.tell_container(self.pod, (self.kind, &self.container.name), kind, reason, message);
    }

    /// An event `Failed` and the reason to wait.
    fn failed(&self, shared: &Shared, reason: &str, message: String) -> NotStarted {
        let shown = if message.is_empty() { reason } else { &message };
        self.tell(shared, Type::Warning, "Failed", format!("Error: {shown}"));
        NotStarted { waiting: Waiting::new(reason, message), retry: shared.config.timings.retry }
    }
}

/// See the module. `sandbox_ready` is awaited between creating and starting.
///
/// Whoever deletes a pod waits neither for its image nor for its hook: news in `inbox` that it must go ends both. What the runtime was asked
/// to make is awaited: given up halfway it would be made all the same, and nobody would know of it.
pub async fn start(
    shared: &Shared,
    start: &Start<'_>,
    memory: &mut Memory,
    sandbox_ready: impl Future<Output = Result<(), RuntimeError>>,
    inbox: &Inbox,
) -> Result<(), StartError> {
    let image = tokio::select! {
        image = image(shared, start, memory) => image?,
        () = inbox.told_to_go() => return Ok(()),
    };
    let spec = configure(shared, start, &image).await.map_err(|message| start.failed(shared, "CreateContainerConfigError", message))?;
    let runtime = &shared.config.runtime;
    let created = runtime.create_container(start.sandbox, &spec).await;
    let id = created.map_err(|error| start.failed(shared, "CreateContainerError", error.to_string()))?;
    sandbox_ready.await.map_err(StartError::Sandbox)?;
    if inbox.is_told_to_go() {
        return Ok(());
    }
    start.tell(shared, Type::Normal, "Created", "Container created");
    runtime.start_container(&id).await.map_err(|error| start.failed(shared, "RunContainerError", error.to_string()))?;
    start.tell(shared, Type::Normal, "Started", "Container started");
    tokio::select! {
        hooked = post_start(shared, start, &id) => hooked,
        () = inbox.told_to_go() => Ok(()),
    }
}

/// What stopped a start.
#[derive(Debug)]
pub enum StartError {
    /// The container waits.
    Container(NotStarted),
    /// The sandbox did not start.
    Sandbox(RuntimeError),
}

impl From<NotStarted> for StartError {
    fn from(error: NotStarted) -> Self {
        Self::Container(error)
    }
}

/// The image, pulled if the policy asks for it.
async fn image(shared: &Shared, start: &Start<'_>, memory: &mut Memory) -> Result<Image, NotStarted> {
    let name = start.container.image.as_deref().unwrap_or_default();
    let policy = start.container.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
    let here = match shared.config.runtime.image(name).await {
        Ok(here) => here,
        Err(RuntimeError::InvalidImage(message)) => {
            let message = format!("Failed to apply default image tag \"{name}\": {message}");
            start.tell(shared, Type::Warning, "InspectFailed", message.clone());
            start.tell(shared, Type::Warning, "Failed", "Error: InvalidImageName");
            return Err(NotStarted { waiting: Waiting::new("InvalidImageName", message), retry: shared.config.timings.retry });
        }
        Err(error) => {
            let message = format!("Failed to inspect image \"{name}\": {error}");
            start.tell(shared, Type::Warning, "InspectFailed", message.clone());
            start.tell(shared, Type::Warning, "Failed", "Error: ImageInspectError");
            return Err(NotStarted { waiting: Waiting::new("ImageInspectError", message), retry: shared.config.timings.retry });
        }
    };
    match (policy, here) {
        ("Always", _) | ("IfNotPresent", None) => pull(shared, start, memory, name).await,
        ("Never", None) => {
            let message = format!("Container image \"{name}\" is not present with pull policy of Never");
            start.tell(shared, Type::Warning, "ErrImageNeverPull", message.clone());
            start.tell(shared, Type::Warning, "Failed", "Error: ErrImageNeverPull");
            Err(NotStarted { waiting: Waiting::new("ErrImageNeverPull", message), retry: shared.config.timings.retry })
        }
        (_, Some(image)) => {
            let message = format!("Container image \"{name}\" already present on machine and can be accessed by the pod");
            start.tell(shared, Type::Normal, "Pulled", message);
            memory.pull.remove(name);
            Ok(image)
        }
        (_, None) => pull(shared, start, memory, name).await,
    }
}

async fn pull(shared: &Shared, start: &Start<'_>, memory: &mut Memory, name: &str) -> Result<Image, NotStarted> {
    let config = &shared.config;
    let limits = config.timings.pull;
    if let Some((delay, error)) = memory.pull.get(name) {
        let until = after(delay.since, delay.delay);
        let now = config.clock.now();
        if until > now {
            let message = format!("Back-off pulling image \"{name}\"");
            start.tell(shared, Type::Normal, "BackOff", message.clone());
            start.tell(shared, Type::Warning, "Failed", "Error: ImagePullBackOff");
            let waiting = Waiting::new("ImagePullBackOff", format!("{message}: ErrImagePull: {error}"));
            return Err(NotStarted { waiting, retry: crate::clock::between(now, until) });
        }
    }
    let secrets = pod::spec(start.pod).image_pull_secrets.as_deref().unwrap_or_default();
    if !secrets.is_empty() {
        let names = secrets.iter().map(|secret| secret.name.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("Image pull secrets are not used by this node yet ({names}); attempting to pull the image may not succeed.");
        start.tell(shared, Type::Warning, "FailedToRetrieveImagePullSecret", message);
    }
    start.tell(shared, Type::Normal, "Pulling", format!("Pulling image \"{name}\""));
    let began = config.clock.now();
    match config.runtime.pull_image(name).await {
        Ok(image) => {
            memory.pull.remove(name);
            let took = seconds(crate::clock::between(began, config.clock.now()));
            let message = format!("Successfully pulled image \"{name}\" in {took} ({took} including waiting). Image size: {} bytes.", image.size);
            start.tell(shared, Type::Normal, "Pulled", message);
            Ok(image)
        }
        Err(error) => {
            let error = error.to_string();
            let before = memory.pull.get(name).map(|(delay, _)| *delay);
            let delay = Delay::next(before, config.clock.now(), limits);
            memory.pull.insert(name.to_owned(), (delay, error.clone()));
            start.tell(shared, Type::Warning, "Failed", format!("Failed to pull image \"{name}\": {error}"));
            start.tell(shared, Type::Warning, "Failed", "Error: ErrImagePull");
            // The back-off itself is told in time, before it is over.
            let retry = (delay.delay / 4).min(Duration::from_secs(2));
            Err(NotStarted { waiting: Waiting::new("ErrImagePull", error), retry })
        }
    }
}

/// As Go prints a duration of milliseconds: `12ms`, `1.234s`.
fn seconds(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Everything a container is made of: environment, mounts, who it runs as.
async fn configure(shared: &Shared, start: &Start<'_>, image: &Image) -> Result<crate::runtime::ContainerSpec, String> {
    let Start { pod, container, .. } = start;
    let id = pod::id(pod);
    let names = objects::of_environment(std::iter::once(*container));
    let sources = objects::read(&*shared.config.api, &id.namespace, &names).await;
    let links = pod::spec(pod).enable_service_links.unwrap_or(true);
    let services = objects::services_for(&shared.services, &id.namespace, links);
    let env = environment(pod, container, &sources, &services, &shared.facts(pod))?;
    let mut mounts = Vec::new();
    if shared.config.runtime.has_files() {
        mounts = spec::mounts(container, start.places, &env)?;
        files(shared, start, &mut mounts).map_err(|error| error.to_string())?;
    }
    let profiles = shared.config.data_dir.join("seccomp");
    let profile = |path: &str| fs::read_to_string(profiles.join(path)).map_err(|error| format!("cannot load seccomp profile \"{path}\": {error}"));
    spec::container(Parts {
        pod,
        container,
        image,
        attempt: start.attempt,
        env,
        mounts,
        memory_capacity: shared.memory(),
        target: start.target.clone(),
        profiles: &profile,
    })
}

/// Where a container's termination message is on this machine.
pub fn termination_log(shared: &Shared, uid: &str, container: &str, attempt: u32) -> PathBuf {
    shared.pod_dir(uid).join("containers").join(container).join(attempt.to_string())
}

fn files(shared: &Shared, start: &Start<'_>, mounts: &mut Vec<Mount>) -> io::Result<()> {
    let pod = start.pod;
    let uid = pod::id(pod).uid;
    let dir = shared.pod_dir(&uid);
    fs::create_dir_all(&dir)?;
    let config = &shared.config;
    let machine = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let hosts = crate::files::hosts(pod, shared.address(pod), &config.cluster_domain, &machine("/etc/hosts"));
    let resolv = crate::files::resolv_conf(pod, config.cluster_dns, &config.cluster_domain, &machine("/etc/resolv.conf"));
    for (name, text, path) in [("etc-hosts", hosts, "/etc/hosts"), ("resolv.conf", resolv, "/etc/resolv.conf")] {
        let file = dir.join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
        spec::add_file(mounts, &file, path);
    }
    let log = termination_log(shared, &uid, &start.container.name, start.attempt);
    fs::create_dir_all(log.parent().unwrap_or(&dir))?;
    fs::write(&log, b"")?;
    // Whoever the container runs as may write it.
    fs::set_permissions(&log, fs::Permissions::from_mode(0o666))?;
    let path = start.container.termination_message_path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/dev/termination-log");
    spec::add_file(mounts, &log, path);
    Ok(())
}

async fn post_start(shared: &Shared, start: &Start<'_>, id: &str) -> Result<(), StartError> {
    let Some(handler) = start.container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref()) else { return Ok(()) };
    let Err(message) = hooks::run(shared, start.pod, start.container, id, handler, hooks::LONGEST).await else { return Ok(()) };
    tracing::info!(pod = %pod::id(start.pod).name, container = %start.container.name, %message, "postStart hook failed");
    start.tell(shared, Type::Warning, "FailedPostStartHook", "PostStartHook failed");
    let kill = stop::Kill {
        pod: start.pod,
        container: start.container,
        kind: start.kind,
        id,
        message: "FailedPostStartHook".into(),
        grace: super::plan::grace(start.pod),
    };
    stop::container(shared, &kill).await.map_err(StartError::Sandbox)?;
    let waiting = Waiting::new("PostStartHookError", "PostStartHook failed");
    Err(StartError::Container(NotStarted { waiting, retry: Duration::ZERO }))
}
