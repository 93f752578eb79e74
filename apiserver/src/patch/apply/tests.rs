//! Properties of apply over generated deployments, and what Kubernetes' own documentation tells of it.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::managers::Managers;
use super::*;
use crate::schema::{FieldValidation, canonicalize};

fn gvk() -> Gvk {
    Gvk::parse("apps/v1", "Deployment")
}

fn scoped<T>(gvk: &Gvk, now: &str, with: impl FnOnce(&Scope<'_>) -> T) -> T {
    let convert = |object: &Value, version: &str| (object["apiVersion"] == version).then(|| object.clone());
    with(&Scope { gvk, subresource: "", resets: Resets::of("deployments.apps", ""), convert: &convert, now })
}

/// Applies as the registry does: what comes out is decoded again and has its managers.
fn apply(live: Option<&Value>, wanted: &Value, manager: &str, force: bool) -> Result<Value, ApplyError> {
    let gvk = Gvk::parse(wanted["apiVersion"].as_str().unwrap_or(""), wanted["kind"].as_str().unwrap_or(""));
    let applied = scoped(&gvk, "2026-01-01T00:00:00Z", |scope| applied(scope, live, wanted, manager, force))?;
    let mut object = canonicalize(&gvk, &applied.object, FieldValidation::Strict).unwrap().object;
    if let Some(managers) = applied.managers {
        object["metadata"]["managedFields"] = managers;
    }
    Ok(object)
}

fn update(live: Option<&Value>, mut new: Value, manager: &str) -> Value {
    new = canonicalize(&gvk(), &new, FieldValidation::Strict).unwrap().object;
    let managers = scoped(&gvk(), "2026-01-01T00:00:00Z", |scope| updated(scope, live, &mut new, manager));
    if let Some(managers) = managers {
        new["metadata"]["managedFields"] = managers;
    }
    new
}

fn managers(object: &Value) -> Managers {
    Managers::read(object["metadata"].get("managedFields")).unwrap()
}

fn owned_by(object: &Value, manager: &str) -> Set {
    let all = managers(object).all;
    all.iter().filter(|(id, _)| id.manager == manager).fold(Set::default(), |all, (_, owned)| all.union(&owned.set))
}

fn unmanaged(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("managedFields");
    object
}

/// A part of a deployment, as somebody might apply it. (No zeros and empty maps: as in Kubernetes the object drops them, and so they are new each time.)
fn part() -> impl Strategy<Value = Value> {
    let words = || btree_map("[abc]", "[12]", 0..3);
    let port = (80u16..82, option::of(prop_oneof![Just("TCP"), Just("UDP")]), option::of("[xy]"));
    let container = (option::of("[12]"), btree_map(80u16..82, port, 0..2), btree_map("[AB]", "[12]", 0..3));
    (words(), option::of(1..3i64), btree_map("[cd]", container, 0..3), vec(prop_oneof![Just("a/x"), Just("b/y")], 0..2), option::of(Just(true))).prop_map(
        |(labels, replicas, containers, finalizers, paused)| {
            let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}});
            if !labels.is_empty() {
                object["metadata"]["labels"] = json!(labels);
            }
            if !finalizers.is_empty() {
                object["metadata"]["finalizers"] = json!(finalizers.into_iter().collect::<std::collections::BTreeSet<_>>());
            }
            if let Some(replicas) = replicas {
                object["spec"]["replicas"] = json!(replicas);
            }
            if let Some(paused) = paused {
                object["spec"]["paused"] = json!(paused);
            }
            let list: Vec<Value> = containers
                .into_iter()
                .map(|(name, (image, ports, env))| {
                    let mut one = json!({"name": name, "env": env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>()});
                    if let Some(image) = image {
                        one["image"] = json!(image);
                    }
                    one["ports"] = ports
                        .into_values()
                        .enumerate()
                        .map(|(index, (port, protocol, name))| {
                            let mut one = json!({"containerPort": port + 10 * u16::try_from(index).unwrap()});
                            if let Some(protocol) = protocol {
                                one["protocol"] = json!(protocol);
                            }
                            if let Some(name) = name {
                                one["name"] = json!(name);
                            }
                            one
                        })
                        .collect();
                    one
                })
                .collect();
            object["spec"]["template"] = json!({"spec": {"containers": list}});
            object
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn applying_twice_is_applying_once(one in part(), two in part()) {
        let live = apply(None, &one, "a", false).unwrap();
        let live = apply(Some(&live), &two, "b", true).unwrap();
        prop_assert_eq!(apply(Some(&live), &two, "b", false).unwrap(), live);
    }

    #[test]
    fn the_sole_owner_takes_away_what_it_owned_and_nothing_else(one in part(), two in part()) {
        let before = apply(None, &one, "a", false).unwrap();
        let both = apply(Some(&before), &two, "b", true).unwrap();
        let nothing = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}});
        let after = apply(Some(&both), &nothing, "b", false).unwrap();
        prop_assert!(owned_by(&after, "b").is_empty());
        // what `a` owns is as `b` left it, and of what only `b` had nothing is left
        let (left, kept) = (owned_by(&both, "b").difference(&owned_by(&both, "a")), fields::fields_of(Place::Object(types().of(&gvk()).unwrap()), &after));
        prop_assert_eq!(kept.intersection(&left).difference(&owned_by(&before, "a")), Set::default());
        let owned = owned_by(&after, "a");
        prop_assert_eq!(&owned, &owned_by(&both, "a"));
    }

    #[test]
    fn what_is_equal_is_no_conflict(one in part()) {
        let live = apply(None, &one, "a", false).unwrap();
        let both = apply(Some(&live), &one, "b", false).unwrap();
        prop_assert_eq!(unmanaged(&both), unmanaged(&live));
        prop_assert_eq!(owned_by(&both, "a"), owned_by(&both, "b"));
    }

    #[test]
    fn everything_that_was_written_is_owned(one in part(), two in part(), three in part()) {
        let made = update(None, one, "a");
        let live = apply(Some(&made), &two, "b", true).unwrap();
        let mut third = three.clone();
        third["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
        let live = update(Some(&live), third, "c");
        let all = managers(&live).all.values().fold(Set::default(), |all, owned| all.union(&owned.set));
        let written = resets::without_system_fields(&fields::fields_of(Place::Object(types().of(&gvk()).unwrap()), &three));
        prop_assert_eq!(written.difference(&all), Set::default());
    }

    #[test]
    fn a_creation_is_noted_as_a_change_of_nothing(one in part()) {
        let mut object = canonicalize(&gvk(), &one, FieldValidation::Strict).unwrap().object;
        let now = "2026-01-01T00:00:00Z";
        let text = scoped(&gvk(), now, |scope| created::created(scope, &mut object.clone(), "m"));
        let noted = scoped(&gvk(), now, |scope| updated(scope, None, &mut object, "m"));
        prop_assert_eq!(text.map(|text| serde_json::from_slice::<Value>(&text).unwrap()), noted);
    }

    #[test]
    fn the_order_of_elements_is_no_difference(one in part()) {
        let mut turned = one.clone();
        turned["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().reverse();
        prop_assert_eq!(owned_by(&update(None, one, "a"), "a"), owned_by(&update(None, turned, "a"), "a"));
    }

    #[test]
    fn fields_are_read_as_they_were_written(one in part()) {
        let set = fields::fields_of(Place::Object(types().of(&gvk()).unwrap()), &one);
        prop_assert_eq!(Set::from_fields(&set.to_fields()).unwrap(), set.clone());
        prop_assert_eq!(set.difference(&set), Set::default());
        prop_assert_eq!(set.union(&set), set.clone());
        prop_assert_eq!(set.intersection(&set), set);
    }
}

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

#[test]
fn who_would_change_what_another_owns_is_told_whose_it_is() {
    let live = apply(None, &map(json!({"k": "1", "l": "1", "m": "1"})), "one", false).unwrap();
    let refused: skiff_proto::status::Status = apply(Some(&live), &map(json!({"k": "2", "l": "2", "m": "1"})), "two", false).unwrap_err().into();
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    assert_eq!(refused.message, "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.k\n- .data.l");
    let causes = refused.details.unwrap().causes;
    assert_eq!((causes.len(), causes[1].reason.as_str(), causes[1].field.as_str()), (2, "FieldManagerConflict", ".data.l"));
    let taken = apply(Some(&live), &map(json!({"k": "2", "m": "1"})), "two", true).unwrap();
    assert_eq!(taken["data"], json!({"k": "2", "l": "1", "m": "1"}));
    assert_eq!(owned_by(&taken, "one").to_fields(), json!({"f:data": {"f:l": {}, "f:m": {}}}));
}

#[test]
fn what_an_update_takes_is_no_more_the_appliers_and_stays_when_he_lets_go() {
    let live =
        apply(None, &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 1, "paused": true}}), "one", false)
            .unwrap();
    let mut scaled = live.clone();
    scaled["spec"]["replicas"] = json!(5);
    let scaled = update(Some(&live), scaled, "hpa");
    assert_eq!(owned_by(&scaled, "one").to_fields(), json!({"f:spec": {"f:paused": {}}}));
    let wanted = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"paused": true}});
    assert_eq!(apply(Some(&scaled), &wanted, "one", false).unwrap()["spec"]["replicas"], 5);
}

#[test]
fn faults_of_a_body_are_told_with_their_paths() {
    let deployment = |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}, "spec": spec});
    let table = [
        (deployment(json!({"replicas": "1"})), "n/d; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string"),
        (deployment(json!({"paused": 1})), "n/d; apps/v1, Kind=Deployment): .spec.paused: expected boolean, got &{1}"),
        (deployment(json!([1])), "n/d; apps/v1, Kind=Deployment): .spec: expected map, got &{[1]}"),
        (
            deployment(json!({"template": {"spec": {"containers": [{"name": "c", "ports": [{"name": "x"}, {"protocol": "TCP"}]}]}}})),
            "n/d; apps/v1, Kind=Deployment): .spec.template.spec.containers[name=\"c\"].ports: duplicate entries for key [containerPort=0,protocol=\"TCP\"]",
        ),
        (
            deployment(json!({"paused": 1, "x": 2})),
            "n/d; apps/v1, Kind=Deployment): errors:\n  .spec.paused: expected boolean, got &{1}\n  .spec.x: field not declared in schema",
        ),
    ];
    for (body, told) in table {
        assert_eq!(apply(None, &body, "m", false), Err(ApplyError::Unanswered(format!("failed to create typed patch object ({told}"))));
    }
}

#[test]
fn the_oldest_of_many_updaters_become_one() {
    let mut live = update(None, json!({"metadata": {"name": "d", "labels": {"l0": "x"}}}), "m0");
    for index in 1..14 {
        let mut next = live.clone();
        next["metadata"]["labels"][format!("l{index}")] = json!("x");
        let mut new = next;
        let now = format!("2026-01-01T00:00:{index:02}Z");
        let managers = scoped(&gvk(), &now, |scope| updated(scope, Some(&live), &mut new, &format!("m{index}")));
        new["metadata"]["managedFields"] = managers.unwrap();
        live = new;
    }
    let names: Vec<String> = managers(&live).all.into_keys().map(|id| id.manager).collect();
    assert_eq!(names.len(), 10, "{names:?}");
    assert_eq!(owned_by(&live, "ancient-changes").paths().len(), 6, "five labels and the map of labels"); // m0 … m4
    assert_eq!(managers(&live).all.len(), 10);
}

#[test]
fn a_list_of_one_empty_entry_forgets_everybody() {
    let live = update(None, json!({"metadata": {"name": "d", "labels": {"a": "x"}}}), "m");
    let reset = json!({"metadata": {"name": "d", "labels": {"a": "y"}, "managedFields": [{}]}});
    assert_eq!(update(Some(&live), reset, "n")["metadata"].get("managedFields"), None);
    // one that cannot be read is as good as none: the stored one counts
    let wrong = json!({"metadata": {"name": "d", "labels": {"a": "x"}, "managedFields": [{"manager": "evil", "operation": "Apply"}]}});
    assert_eq!(owned_by(&update(Some(&live), wrong, "n"), "m"), owned_by(&live, "m"));
}
