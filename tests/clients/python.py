"""Python's own Kubernetes client against a cluster: argument 1 is the kubeconfig. Ends with 0 if everything it does works."""

import sys
import time

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream

config.load_kube_config(sys.argv[1])
core, apps = client.CoreV1Api(), client.AppsV1Api()
assert client.VersionApi().get_code().minor == "35"
assert [node.metadata.name for node in core.list_node().items] == ["node-1"]

core.create_namespace({"metadata": {"name": "python"}})
made = core.create_namespaced_config_map("python", client.V1ConfigMap(metadata=client.V1ObjectMeta(name="m", labels={"a": "1"}), data={"k": "1"}))
assert made.data == {"k": "1"} and made.metadata.uid
try:
    core.create_namespaced_config_map("python", {"metadata": {"name": "m"}})
    raise AssertionError("created twice")
except ApiException as error:
    assert error.status == 409 and '"reason":"AlreadyExists"' in error.body, error
assert core.patch_namespaced_config_map("m", "python", {"data": {"l": "2"}}).data == {"k": "1", "l": "2"}
made.data = {"stale": "yes"}
try:
    core.replace_namespaced_config_map("m", "python", made)
    raise AssertionError("replaced a newer one")
except ApiException as error:
    assert error.status == 409, error
assert [one.metadata.name for one in core.list_namespaced_config_map("python", label_selector="a=1").items] == ["m"]

container = {"name": "c", "image": "skiff/demo:1"}
template = {"metadata": {"labels": {"app": "web"}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}
apps.create_namespaced_deployment("python", {"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}})
ready = set()
for event in watch.Watch().stream(core.list_namespaced_pod, "python", label_selector="app=web", timeout_seconds=90):
    pod = event["object"]
    if any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or []):
        ready.add(pod.metadata.name)
    if len(ready) == 2:
        break
assert len(ready) == 2, ready
pod = sorted(ready)[0]
for _ in range(100):
    if "listening on port 8080" in core.read_namespaced_pod_log(pod, "python"):
        break
    time.sleep(0.1)
else:
    raise AssertionError("no log")
said = stream(core.connect_get_namespaced_pod_exec, pod, "python", command=["demo", "env"], stdout=True, stderr=True, stdin=False, tty=False)
assert "PATH=" in said, said
apps.patch_namespaced_deployment_scale("web", "python", {"spec": {"replicas": 1}})
assert apps.read_namespaced_deployment_scale("web", "python").spec.replicas == 1
core.delete_namespace("python")
for _ in range(600):
    if "python" not in [namespace.metadata.name for namespace in core.list_namespace().items]:
        break
    time.sleep(0.1)
else:
    raise AssertionError("the namespace stays")
print("works")
