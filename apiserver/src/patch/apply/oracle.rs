//! Stories of applies and updates, and what Kubernetes' own merge made of each step: `oracle/README.md` says how they are written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::resets::Resets;
use super::*;

const STORIES: &str = include_str!("oracle/stories.jsonl");

#[derive(Deserialize)]
struct Step {
    op: String,
    manager: String,
    #[serde(default)]
    force: bool,
    object: Value,
    #[serde(default)]
    conflicts: Vec<String>,
    #[serde(default)]
    live: Value,
    #[serde(default)]
    managers: BTreeMap<String, Value>,
}

#[test]
fn kubernetes_merges_the_same() {
    let gvk = Gvk::parse("apps/v1", "Deployment");
    let convert = |object: &Value, _: &str| Some(object.clone());
    let scope = Scope { gvk: &gvk, subresource: "", resets: Resets::Out(&[]), convert: &convert, now: "2026-01-01T00:00:00Z" };
    let mut told = 0;
    for (number, story) in STORIES.lines().enumerate() {
        let steps: Vec<Step> = serde_json::from_str(story).unwrap();
        let mut live = Value::Null;
        let mut managers = Managers::default();
        for (index, step) in steps.into_iter().enumerate() {
            let place = format!("story {number}, step {index}: {} by {} of {}\non {live}", step.op, step.manager, step.object);
            let mut conflicts = Vec::new();
            if step.op == "start" {
                live = step.object;
                continue; // owned by nobody, as defaults are
            }
            if step.op == "apply" {
                let id = Id::new(&step.manager, Operation::Apply, "", "");
                match update::apply(&scope, &live, &step.object, managers.clone(), &id, step.force) {
                    Ok((changed, after)) => {
                        live = changed.unwrap_or(live);
                        managers = after;
                    }
                    Err(ApplyError::Conflicts(found)) => {
                        let each = |(id, set): &(Id, Set)| set.paths().into_iter().map(|path| format!("{} {path}", id.manager)).collect::<Vec<_>>();
                        conflicts = found.by_manager.iter().flat_map(each).collect();
                        conflicts.sort();
                    }
                    Err(other) => panic!("{place}: {other}"),
                }
            } else {
                note(&scope, &live, &step.object, &mut managers, &step.manager).unwrap();
                live = step.object;
            }
            assert_eq!(conflicts, step.conflicts, "{place}");
            if conflicts.is_empty() {
                assert_eq!(live, step.live, "{place}");
                let owned: BTreeMap<String, Value> = managers.all.iter().map(|(id, owned)| (id.manager.clone(), owned.set.to_fields())).collect();
                assert_eq!(owned, step.managers, "{place}");
            }
            told += 1;
        }
    }
    assert!(told > 200, "{told} steps");
}
