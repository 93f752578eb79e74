//! Slices: one service at a time, and any sequence of pods.

use proptest::prelude::*;

use super::*;

fn service() -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "svc", "labels": {"a": "b"}},
        "spec": {"selector": {"app": "a"}, "clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]},
    }))
    .unwrap()
}

fn pod(number: usize, ready: bool, leaving: bool) -> Arc<Pod> {
    let ip = format!("10.0.{}.{}", number / 250, number % 250 + 1);
    let mut json = json!({
        "metadata": {"name": format!("p{number}"), "namespace": "ns", "uid": format!("u{number}")}, "spec": {"nodeName": "node-1"},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    });
    if leaving {
        json["metadata"]["deletionTimestamp"] = "2025-01-01T00:00:00Z".into();
    }
    Arc::new(serde_json::from_value(json).unwrap())
}

fn node(_: &str) -> Option<Arc<Node>> {
    Some(Arc::new(serde_json::from_value(json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "z"}}})).unwrap()))
}

/// What the API server would hold after these steps.
fn apply(slices: &[Arc<EndpointSlice>], steps: &[Step], next: &mut usize) -> Vec<Arc<EndpointSlice>> {
    let mut slices: Vec<EndpointSlice> = slices.iter().map(|slice| (**slice).clone()).collect();
    for step in steps {
        match step {
            Step::Create(object) => {
                let mut slice: EndpointSlice = serde_json::from_value(object.clone()).unwrap();
                *next += 1;
                slice.metadata.name = format!("web-{next}");
                slice.metadata.uid = format!("slice-{next}");
                slices.push(slice);
            }
            Step::Update(name, patch) => {
                let slice = slices.iter_mut().find(|slice| slice.metadata.name == *name).unwrap();
                slice.endpoints = serde_json::from_value(patch["endpoints"].clone()).unwrap();
            }
            Step::Delete(name, _) => slices.retain(|slice| slice.metadata.name != *name),
        }
    }
    slices.into_iter().map(Arc::new).collect()
}

#[test]
fn an_endpoint_says_whether_to_send_it_anything() {
    let cases = [(true, false, (true, true, false)), (false, false, (false, false, false)), (true, true, (false, true, true))];
    for (ready, leaving, (expected, serving, terminating)) in cases {
        let steps = plan(&service(), &[pod(1, ready, leaving)], &[], node);
        let [Step::Create(slice)] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!(slice["endpoints"][0]["conditions"], json!({"ready": expected, "serving": serving, "terminating": terminating}));
    }
}

#[test]
fn a_slice_is_as_kubernetes_makes_it() {
    let steps = plan(&service(), &[pod(1, true, false)], &[], node);
    let expected = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "generateName": "web-", "namespace": "ns",
            "labels": {"a": "b", SERVICE_NAME: "web", MANAGED_BY: CONTROLLER},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "svc", "controller": true, "blockOwnerDeletion": true}],
        },
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{
            "addresses": ["10.0.0.2"], "conditions": {"ready": true, "serving": true, "terminating": false}, "nodeName": "node-1", "zone": "z",
            "targetRef": {"kind": "Pod", "namespace": "ns", "name": "p1", "uid": "u1"},
        }],
    });
    assert_eq!(steps, [Step::Create(expected)]);
}

#[test]
fn a_service_without_pods_has_one_empty_slice() {
    let steps = plan(&service(), &[], &[], node);
    let [Step::Create(slice)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!((&slice["ports"], &slice["endpoints"]), (&json!([]), &json!([])));
    let slices = apply(&[], &steps, &mut 0);
    assert!(plan(&service(), &[], &slices, node).is_empty());
}

proptest! {
    /// Whatever pods come and go: after one plan nothing is left to do, every pod is in exactly one slice, and no slice is too full.
    #[test]
    fn converges(rounds in prop::collection::vec(prop::collection::btree_map(0usize..260, (any::<bool>(), any::<bool>()), 0..230), 1..5)) {
        let (mut slices, mut next) = (Vec::new(), 0);
        for pods in rounds {
            let pods: Vec<Arc<Pod>> = pods.into_iter().map(|(number, (ready, leaving))| pod(number, ready, leaving)).collect();
            let steps = plan(&service(), &pods, &slices, node);
            slices = apply(&slices, &steps, &mut next);
            prop_assert!(plan(&service(), &pods, &slices, node).is_empty(), "left to do");
            let mut published: Vec<&str> = slices.iter().flat_map(|slice| &slice.endpoints).map(|endpoint| endpoint.target_ref.as_ref().unwrap().name.as_str()).collect();
            let mut expected: Vec<&str> = pods.iter().map(|pod| pod.metadata.name.as_str()).collect();
            published.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(published, expected);
            prop_assert!(slices.iter().all(|slice| slice.endpoints.len() <= CAPACITY));
            prop_assert!(!slices.is_empty());
        }
    }
}
