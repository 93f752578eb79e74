//! The row of a pod in `kubectl get`. See `pkg/printers/internalversion/printers.go` (`printPod`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::kinds::json::{flag, has, int, is_empty, items, text};
use crate::kinds::table::{age, name, parse_time, since};
use crate::kinds::workload::podspec::default::is_sidecar;

/// What is gathered over a pod's containers.
#[derive(Default)]
struct Tally {
    restarts: i64,
    ready: usize,
    /// Text and instant of the last restart.
    last: Option<(i64, Value)>,
}

impl Tally {
    fn restarted(&mut self, container: &Value) {
        self.restarts += int(&container["restartCount"]);
        let finished = &container["lastState"]["terminated"]["finishedAt"];
        if let Some(then) = finished.as_str().and_then(parse_time)
            && self.last.as_ref().is_none_or(|(before, _)| *before < then)
        {
            self.last = Some((then, finished.clone()));
        }
    }
}

/// Name, Ready, Status, Restarts, Age; IP, Node, Nominated Node, Readiness Gates.
pub fn row(pod: &Value, now: i64) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let total = items(&spec["containers"]).len() + items(&spec["initContainers"]).iter().filter(|c| is_sidecar(c)).count();
    let (reason, tally) = reason_and_tally(pod);
    let mut restarts = tally.restarts.to_string();
    if let (true, Some((_, finished))) = (tally.restarts != 0, &tally.last) {
        restarts = format!("{restarts} ({} ago)", since(finished, now));
    }
    let or_none = |value: &Value| Value::from(if text(value).is_empty() { "<none>" } else { text(value) });
    vec![
        name(pod),
        format!("{}/{total}", tally.ready).into(),
        reason.into(),
        restarts.into(),
        age(pod, now),
        or_none(&status["podIPs"][0]["ip"]),
        or_none(&spec["nodeName"]),
        or_none(&status["nominatedNodeName"]),
        readiness_gates(pod).into(),
    ]
}

/// The row of a pod that is over says so.
pub fn row_conditions(pod: &Value) -> Vec<Value> {
    let condition = |reason: &str, message: &str| vec![json!({"type": "Completed", "status": "True", "reason": reason, "message": message})];
    match text(&pod["status"]["phase"]) {
        "Succeeded" => condition("Succeeded", "The pod has completed successfully."),
        "Failed" => condition("Failed", "The pod failed."),
        _ => Vec::new(),
    }
}

fn reason_and_tally(pod: &Value) -> (String, Tally) {
    let status = &pod["status"];
    let phase = text(&status["phase"]);
    let mut reason = if text(&status["reason"]).is_empty() { phase } else { text(&status["reason"]) }.to_owned();
    let gated = |condition: &Value| text(&condition["type"]) == "PodScheduled" && text(&condition["reason"]) == "SchedulingGated";
    if items(&status["conditions"]).iter().any(gated) {
        "SchedulingGated".clone_into(&mut reason);
    }
    let starting = initialization(pod);
    let mut tally = starting.all;
    if let Some(why) = starting.blocked {
        reason = why;
        if is_true(status, "Initialized") {
            tally = starting.sidecars;
            running(status, &mut reason, &mut tally);
        }
    } else {
        tally = Tally { ready: tally.ready, ..starting.sidecars };
        running(status, &mut reason, &mut tally);
    }
    if has(&pod["metadata"], "deletionTimestamp") {
        if text(&status["reason"]) == "NodeLost" {
            "Unknown".clone_into(&mut reason);
        } else if !matches!(phase, "Failed" | "Succeeded") {
            "Terminating".clone_into(&mut reason);
        }
    }
    (reason, tally)
}

/// What init containers say: restarts of all, restarts of sidecars, and why the pod is still starting.
struct Initialization {
    all: Tally,
    sidecars: Tally,
    blocked: Option<String>,
}

fn initialization(pod: &Value) -> Initialization {
    let inits = items(&pod["spec"]["initContainers"]);
    let sidecars: BTreeSet<&str> = inits.iter().filter(|c| is_sidecar(c)).map(|c| text(&c["name"])).collect();
    let mut found = Initialization { all: Tally::default(), sidecars: Tally::default(), blocked: None };
    for (index, container) in items(&pod["status"]["initContainerStatuses"]).iter().enumerate() {
        let sidecar = sidecars.contains(text(&container["name"]));
        found.all.restarted(container);
        if sidecar {
            found.sidecars.restarted(container);
        }
        let state = &container["state"];
        let over = has(state, "terminated");
        let waiting = text(&state["waiting"]["reason"]);
        if over && int(&state["terminated"]["exitCode"]) == 0 {
            continue;
        }
        if sidecar && flag(&container["started"]) {
            let ready = usize::from(flag(&container["ready"]));
            found.all.ready += ready;
            found.sidecars.ready += ready;
            continue;
        }
        found.blocked = Some(if over {
            format!("Init:{}", ending(&state["terminated"]))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", inits.len())
        });
        break;
    }
    found
}

/// Why a container ended: its reason, else its signal or exit code.
fn ending(terminated: &Value) -> String {
    match (text(&terminated["reason"]), int(&terminated["signal"])) {
        ("", 0) => format!("ExitCode:{}", int(&terminated["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// What the containers proper say, the first one having the last word.
fn running(status: &Value, reason: &mut String, tally: &mut Tally) {
    let mut any_running = false;
    let mut failed = None;
    for container in items(&status["containerStatuses"]).iter().rev() {
        tally.restarted(container);
        let state = &container["state"];
        let waiting = text(&state["waiting"]["reason"]);
        if !waiting.is_empty() {
            waiting.clone_into(reason);
        } else if has(state, "terminated") {
            *reason = ending(&state["terminated"]);
            if int(&state["terminated"]["exitCode"]) != 0 {
                failed = Some(reason.clone());
            }
        } else if flag(&container["ready"]) && has(state, "running") {
            any_running = true;
            tally.ready += 1;
        }
    }
    if reason == "Completed" {
        if any_running && is_true(status, "Ready") {
            "Running".clone_into(reason);
        } else if let Some(failed) = failed {
            *reason = failed;
        } else if any_running {
            "NotReady".clone_into(reason);
        }
    }
}

fn is_true(status: &Value, kind: &str) -> bool {
    items(&status["conditions"]).iter().find(|c| text(&c["type"]) == kind).is_some_and(|c| text(&c["status"]) == "True")
}

fn readiness_gates(pod: &Value) -> String {
    let gates = &pod["spec"]["readinessGates"];
    if is_empty(gates) {
        return "<none>".to_owned();
    }
    let met = items(gates).iter().filter(|gate| is_true(&pod["status"], text(&gate["conditionType"]))).count();
    format!("{met}/{}", items(gates).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(spec: Value, status: Value) -> (String, String, String) {
        let row = row(&json!({"metadata": {"name": "p", "creationTimestamp": "1970-01-01T00:00:00Z"}, "spec": spec, "status": status}), 100);
        let cell = |index: usize| row[index].as_str().unwrap().to_owned();
        (cell(1), cell(2), cell(3))
    }

    fn told(ready: &str, status: &str, restarts: &str) -> (String, String, String) {
        (ready.to_owned(), status.to_owned(), restarts.to_owned())
    }

    #[test]
    fn states_as_kubernetes_tests_them() {
        // pkg/printers/internalversion/printers_test.go, TestPrintPod
        let two = || json!({"containers": [{}, {}]});
        let running = json!({"ready": true, "restartCount": 3, "state": {"running": {}}});
        assert_eq!(shown(two(), json!({"phase": "podPhase", "containerStatuses": [running, {"restartCount": 3}]})), told("1/2", "podPhase", "6"));
        assert_eq!(
            shown(
                two(),
                json!({"phase": "podPhase", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerWaitingReason"}}, "restartCount": 3}, {"state": {"running": {}}, "restartCount": 3}]})
            ),
            told("0/2", "ContainerWaitingReason", "6")
        );
        assert_eq!(
            shown(
                two(),
                json!({"phase": "podPhase", "containerStatuses": [{"state": {"terminated": {"exitCode": 1}}, "restartCount": 3}, {"state": {"terminated": {"signal": 9, "exitCode": 137}}, "restartCount": 0}]})
            ),
            told("0/2", "ExitCode:1", "3")
        );
        assert_eq!(
            shown(
                two(),
                json!({"phase": "Running", "containerStatuses": [running, {"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}], "conditions": [{"type": "Ready", "status": "True"}]})
            ),
            told("1/2", "Completed", "3").with_running()
        );
    }

    trait Running {
        fn with_running(self) -> Self;
    }
    impl Running for (String, String, String) {
        fn with_running(mut self) -> Self {
            self.1 = "Running".to_owned();
            self
        }
    }

    #[test]
    fn starting_pods() {
        let spec = || json!({"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}], "containers": [{"name": "a"}]});
        assert_eq!(
            shown(spec(), json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "restartCount": 2, "state": {"running": {}}}]})),
            told("0/2", "Init:0/2", "2")
        );
        assert_eq!(
            shown(
                spec(),
                json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "restartCount": 3, "state": {"terminated": {"exitCode": 0}}}, {"name": "s", "ready": true, "started": true, "restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": {"finishedAt": "1970-01-01T00:01:00Z"}}}],
                "containerStatuses": [{"name": "a", "ready": true, "state": {"running": {}}}]})
            ),
            told("2/2", "Pending", "1 (40s ago)")
        );
        assert_eq!(
            shown(spec(), json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}]})),
            told("0/2", "Init:Error", "0")
        );
    }
}
