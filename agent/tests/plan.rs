//! The planner against a model of a runtime: whatever a node is found with, carrying out plan after plan ends with what the pod asks for,
//! and no plan ever does what must not be done.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use skiff_agent::Timings;
use skiff_agent::clock::after;
use skiff_agent::pod::{self, Kind};
use skiff_agent::runtime::{ContainerState, Exit, ExitReason, ObservedContainer, ObservedPod, ObservedSandbox, SandboxState};
use skiff_agent::sync::memory::{Delay, Memory};
use skiff_agent::sync::plan::{Action, End, Plan, View, plan};
use skiff_agent::sync::spec::hash;
use std::net::Ipv4Addr;
use std::time::Duration;

fn epoch() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

/// A runtime as small as can be: it does what plans say, and its containers end when the script says so.
struct Model {
    pod: Pod,
    observed: ObservedPod,
    memory: Memory,
    end: Option<End>,
    now: Timestamp,
    number: u32,
    /// Exit codes still to come, by container; a container without one runs on.
    script: Vec<(String, i32)>,
}

impl Model {
    fn new(pod: Pod) -> Self {
        Self { pod, observed: ObservedPod::default(), memory: Memory::default(), end: None, now: epoch(), number: 0, script: Vec::new() }
    }

    fn plan(&self) -> Plan {
        let timings = &Timings::KUBERNETES;
        plan(View { pod: &self.pod, observed: &self.observed, memory: &self.memory, end: self.end.as_ref(), timings, now: self.now })
    }

    fn exited(&self, code: i32) -> ContainerState {
        let reason = if code == 0 { ExitReason::Completed } else { ExitReason::Error };
        ContainerState::Exited(Exit { code, reason, message: String::new(), started_at: self.now, finished_at: self.now })
    }

    fn check(&self, action: &Action) {
        match action {
            Action::Start { name, kind, .. } => {
                assert!(self.end.is_none(), "{name} started in a pod that ends");
                let running = self.observed.containers.iter().any(|container| container.name == *name && container.state.is_running());
                assert!(!running, "{name} started twice");
                let ready = self.observed.sandboxes.iter().any(|sandbox| sandbox.state == SandboxState::Ready);
                assert!(ready, "{name} started without a sandbox");
                if *kind == Kind::Regular {
                    for init in pod::init_containers(&self.pod).iter().filter(|init| !pod::is_sidecar(init)) {
                        let of = self.observed.containers.iter().filter(|container| container.name == init.name);
                        let running = of.clone().any(|container| container.state.is_running());
                        assert!(!running, "{name} started beside {}", init.name);
                    }
                }
            }
            Action::CreateSandbox { .. } => {
                let live = self.observed.containers.iter().any(|container| container.state.is_running());
                assert!(!live, "a second sandbox beside running containers");
            }
            Action::RemoveContainer { id } => {
                let running = self.observed.containers.iter().any(|container| container.id == *id && container.state.is_running());
                assert!(!running, "a running container removed");
            }
            Action::Mount
            | Action::Kill { .. }
            | Action::Resize { .. }
            | Action::TellSandboxChanged
            | Action::KillAll { .. }
            | Action::StopSandbox { .. }
            | Action::RemoveSandbox { .. }
            | Action::TellBackOff { .. }
            | Action::Fail(_) => {}
        }
    }

    fn act(&mut self, action: Action) {
        self.check(&action);
        self.number += 1;
        match action {
            Action::Mount => self.memory.mounted = true,
            Action::CreateSandbox { attempt } => self.observed.sandboxes.push(sandbox(self.number, attempt, SandboxState::Ready, self.now)),
            Action::Start { name, attempt, finished, .. } => {
                if finished.is_some() {
                    let delay = Delay::next(self.memory.crash.get(&name).copied(), self.now, Timings::KUBERNETES.crash);
                    self.memory.crash.insert(name.clone(), delay);
                }
                let spec = pod::find(&self.pod, &name).expect("it is the pod's").1;
                let at = self.observed.sandboxes.iter().max_by_key(|sandbox| sandbox.attempt).map(|sandbox| sandbox.id.clone()).unwrap_or_default();
                let mut made = container(self.number, &name, attempt, &hash(&spec), &at, self.now);
                if let Some(next) = self.script.iter().position(|(of, _)| *of == name) {
                    let (_, code) = self.script.remove(next);
                    made.state = self.exited(code);
                }
                self.observed.containers.push(made);
            }
            Action::Resize { name, id } => {
                let (_, spec) = pod::find(&self.pod, &name).expect("it is the pod's");
                self.memory.applied.insert(id, spec.resources.unwrap_or_default());
            }
            Action::Kill { id, .. } => self.end_containers(|container| container.id == id),
            Action::KillAll { .. } => self.end_containers(|_| true),
            Action::StopSandbox { id } => self.observed.sandboxes.iter_mut().filter(|one| one.id == id).for_each(|one| one.state = SandboxState::NotReady),
            Action::RemoveContainer { id } => self.observed.containers.retain(|container| container.id != id),
            Action::RemoveSandbox { id } => {
                self.observed.sandboxes.retain(|sandbox| sandbox.id != id);
                self.observed.containers.retain(|container| container.sandbox != id);
            }
            Action::Fail(failed) => self.end = Some(End { grace: Duration::ZERO, failed: Some(failed), deleted: false, gone: false }),
            Action::TellSandboxChanged | Action::TellBackOff { .. } => {}
        }
    }

    fn end_containers(&mut self, which: impl Fn(&ObservedContainer) -> bool) {
        let dead = self.exited(137);
        self.observed
            .containers
            .iter_mut()
            .filter(|container| container.state.is_running() && which(container))
            .for_each(|container| container.state = dead.clone());
    }

    /// Carries out plans until one has nothing to do; time passes only where a plan waits for it.
    fn settle(&mut self) -> Plan {
        for _ in 0..200 {
            let mut plan = self.plan();
            for (name, waiting) in plan.waiting.drain(..) {
                self.memory.waiting.insert(name, waiting);
            }
            if plan.actions.is_empty() {
                match plan.wake {
                    Some(wake) => self.now = self.now.max(wake),
                    None if self.end_running_init() => {}
                    None => return plan,
                }
                continue;
            }
            for action in plan.actions {
                self.act(action);
            }
        }
        panic!("it never settles: {:#?}", self.observed);
    }

    /// An init container that was found running ends well, some time.
    fn end_running_init(&mut self) -> bool {
        let done = self.exited(0);
        let found = self.observed.containers.iter_mut().find(|container| container.name.starts_with('i') && container.state.is_running());
        found.map(|container| container.state = done).is_some()
    }

    fn runs(&self, name: &str) -> bool {
        self.observed.containers.iter().any(|container| container.name == name && container.state.is_running())
    }
}

fn sandbox(number: u32, attempt: u32, state: SandboxState, now: Timestamp) -> ObservedSandbox {
    ObservedSandbox { id: format!("s{number}"), attempt, state, ip: Some(Ipv4Addr::new(10, 5, 1, 2)), host_network: false, created_at: now }
}

fn container(number: u32, name: &str, attempt: u32, hash: &str, sandbox: &str, now: Timestamp) -> ObservedContainer {
    ObservedContainer {
        id: format!("c{number}"),
        sandbox: sandbox.to_owned(),
        name: name.to_owned(),
        attempt,
        image: String::new(),
        image_id: String::new(),
        hash: hash.to_owned(),
        labels: Default::default(),
        created_at: after(now, Duration::from_millis(u64::from(number))),
        state: ContainerState::Running { started_at: now },
        user: None,
    }
}

fn pod(policy: &str) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"restartPolicy": policy,
        "initContainers": [{"name": "i1", "image": "i"}, {"name": "s", "image": "i", "restartPolicy": "Always"}, {"name": "i2", "image": "i"}],
        "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}}))
    .expect("a pod")
}

/// Sandboxes (ready, attempt) and containers (which, attempt, state, sandbox).
type Found = (Vec<(bool, u32)>, Vec<(usize, u32, u8, usize)>);

/// Anything a node may be found with after its agent, its Docker or its machine died at any moment.
fn found() -> impl Strategy<Value = Found> {
    let sandboxes = prop::collection::vec((any::<bool>(), 0..4u32), 0..3);
    let containers = prop::collection::vec((0..5usize, 0..3u32, 0..4u8, 0..3usize), 0..8);
    (sandboxes, containers)
}

fn furnish(model: &mut Model, (sandboxes, containers): Found) {
    for (number, (ready, attempt)) in sandboxes.into_iter().enumerate() {
        let state = if ready { SandboxState::Ready } else { SandboxState::NotReady };
        model.observed.sandboxes.push(sandbox(1000 + number as u32, attempt + number as u32, state, model.now));
    }
    for (index, (which, attempt, state, place)) in containers.into_iter().enumerate() {
        let name = ["i1", "s", "i2", "a", "b"][which];
        if model.observed.containers.iter().any(|other| other.name == name && (other.attempt == attempt || other.state.is_running())) {
            continue;
        }
        let spec = pod::find(&model.pod, name).expect("it is the pod's").1;
        let at = model.observed.sandboxes.get(place).map(|sandbox| sandbox.id.clone()).unwrap_or_default();
        let mut made = container(2000 + index as u32, name, attempt, &hash(&spec), &at, model.now);
        let alive = model.observed.sandboxes.get(place).is_some_and(|sandbox| sandbox.state == SandboxState::Ready);
        made.state = match state {
            0 if alive => made.state,
            0 | 1 => model.exited(0),
            2 => model.exited(1),
            _ => ContainerState::Created,
        };
        model.observed.containers.push(made);
    }
    // An init container only runs before anything after it has been made.
    let place = |name: &str| ["i1", "s", "i2", "a", "b"].iter().position(|other| *other == name);
    let last = model.observed.containers.iter().filter_map(|container| place(&container.name)).max();
    let done = model.exited(0);
    let early = model.observed.containers.iter_mut().filter(|container| container.name.starts_with('i') && place(&container.name) < last);
    early.filter(|container| container.state.is_running()).for_each(|container| container.state = done.clone());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pod_that_always_restarts_comes_to_run(found in found(), crashes in prop::collection::vec((0..5usize, 1..3i32), 0..6)) {
        let mut model = Model::new(pod("Always"));
        furnish(&mut model, found);
        // Init containers succeed in the end; whatever crashes is started again.
        let names = ["i1", "s", "i2", "a", "b"];
        model.script = crashes.into_iter().map(|(which, code)| (names[which].to_owned(), code)).collect();
        model.script.extend([("i1".to_owned(), 0), ("i2".to_owned(), 0)].into_iter().cycle().take(40));
        let plan = model.settle();
        prop_assert!(!plan.ended);
        for name in ["s", "a", "b"] {
            prop_assert!(model.runs(name), "{name} does not run: {:#?}", model.observed);
        }
        let ready = model.observed.sandboxes.iter().filter(|sandbox| sandbox.state == SandboxState::Ready).count();
        prop_assert_eq!(ready, 1);
    }

    #[test]
    fn a_deleted_pod_leaves_nothing(found in found()) {
        let mut model = Model::new(pod("Always"));
        furnish(&mut model, found);
        model.end = Some(End { grace: Duration::from_secs(30), failed: None, deleted: true, gone: false });
        for _ in 0..10 {
            let plan = model.plan();
            if plan.ended {
                break;
            }
            plan.actions.into_iter().for_each(|action| model.act(action));
        }
        prop_assert!(model.plan().ended, "it never ends: {:#?}", model.observed);
        model.end = Some(End { grace: Duration::ZERO, failed: None, deleted: true, gone: true });
        model.plan().actions.into_iter().for_each(|action| model.act(action));
        prop_assert!(model.observed.containers.is_empty() && model.observed.sandboxes.is_empty(), "{:#?}", model.observed);
    }

    #[test]
    fn a_pod_that_never_restarts_runs_each_container_once(codes in prop::collection::vec(0..2i32, 4)) {
        let mut model = Model::new(pod("Never"));
        model.script = ["i1", "i2", "a", "b"].iter().zip(&codes).map(|(name, code)| ((*name).to_owned(), *code)).collect();
        let plan = model.settle();
        prop_assert!(plan.ended);
        for name in ["i1", "i2", "a", "b"] {
            let times = model.observed.containers.iter().filter(|container| container.name == name).count();
            prop_assert!(times <= 1, "{name} ran {times} times");
        }
        let failed_init = codes[0] != 0 || codes[1] != 0;
        let ran = model.observed.containers.iter().any(|container| container.name == "a");
        prop_assert_eq!(ran, !failed_init);
    }
}

#[test]
fn a_table_of_first_steps() {
    let simple = |policy: &str| -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"},
            "spec": {"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]}}))
        .expect("a pod")
    };
    let mut model = Model::new(simple("Always"));
    assert_eq!(model.plan().actions, [Action::Mount]);
    model.memory.mounted = true;
    let start = |attempt, finished| Action::Start { name: "c".into(), kind: Kind::Regular, attempt, finished };
    assert_eq!(model.plan().actions, [Action::CreateSandbox { attempt: 0 }, start(0, None)]);
    model.act(Action::CreateSandbox { attempt: 0 });
    model.act(start(0, None));
    // Nobody has told yet what resources it has.
    let id = model.observed.containers[0].id.clone();
    assert_eq!(model.plan().actions, [Action::Resize { name: "c".into(), id: id.clone() }]);
    model.act(Action::Resize { name: "c".into(), id });
    assert_eq!(model.plan(), Plan::default());
    // Its first end is followed by a start at once, its second by a wait of ten seconds.
    model.observed.containers[0].state = model.exited(1);
    assert_eq!(model.plan().actions, [start(1, Some(epoch()))]);
    model.act(start(1, Some(epoch())));
    model.observed.containers[1].state = model.exited(1);
    let plan = model.plan();
    assert_eq!(plan.wake, Some(after(epoch(), Duration::from_secs(10))));
    assert_eq!(plan.waiting[0].1.message, "back-off 10s restarting failed container=c pod=p_ns(u)");
    assert_eq!(plan.actions, [Action::TellBackOff { name: "c".into(), kind: Kind::Regular }]);
    model.now = after(epoch(), Duration::from_secs(10));
    assert_eq!(model.plan().actions, [start(2, Some(epoch()))]);
    // A dead sandbox is replaced, and that is told.
    model.observed.sandboxes[0].state = SandboxState::NotReady;
    let actions = model.plan().actions;
    assert_eq!(actions[..2], [Action::TellSandboxChanged, Action::CreateSandbox { attempt: 1 }]);
}
