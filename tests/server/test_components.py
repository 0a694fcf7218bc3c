"""The start-up requests of kube-scheduler and kube-controller-manager v1.36, in JSON and in protobuf, as a logging proxy saw them.

What decides is that every informer gets its initial state and the marked bookmark after it, that a lease can be taken, and that the
garbage collector finds nothing in discovery that it cannot watch.
"""

import orjson
import pytest

from kubesim.api.protobuf import message, read_message
from kubesim.server.apiserver import protobuf

WATCH_LIST = "allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeout=7m&timeoutSeconds=420&watch=true"
JSON, PROTOBUF = "application/json", "application/vnd.kubernetes.protobuf, */*"
PARTIAL = "as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA = f"application/vnd.kubernetes.protobuf;{PARTIAL},application/json;{PARTIAL},application/json"
SCHEDULER = (
    "services", "resource.k8s.io/v1/deviceclasses", "storage.k8s.io/v1/volumeattachments", "persistentvolumeclaims", "apps/v1/statefulsets",
    "policy/v1/poddisruptionbudgets", "storage.k8s.io/v1/csidrivers", "namespaces", "apps/v1/replicasets", "replicationcontrollers",
    "resource.k8s.io/v1/resourceclaims", "resource.k8s.io/v1/resourceslices", "storage.k8s.io/v1/csinodes", "nodes", "persistentvolumes",
    "storage.k8s.io/v1/storageclasses", "storage.k8s.io/v1/csistoragecapacities",
    "pods?fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed",
)  # fmt: skip
CONTROLLERS = (
    "serviceaccounts", "namespaces", "apps/v1/deployments", "endpoints", "coordination.k8s.io/v1/leases",
    "discovery.k8s.io/v1/endpointslices",
    "pods", "configmaps", "replicationcontrollers", "resource.k8s.io/v1/resourceclaimtemplates",
    "admissionregistration.k8s.io/v1/validatingadmissionpolicies", "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "admissionregistration.k8s.io/v1/mutatingadmissionpolicies", "admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings",
    "networking.k8s.io/v1/networkpolicies", "storage.k8s.io/v1/volumeattachments", "resourcequotas", "secrets", "services",
    "apps/v1/statefulsets", "autoscaling/v2/horizontalpodautoscalers", "resource.k8s.io/v1/resourceclaims", "apps/v1/controllerrevisions",
    "policy/v1/poddisruptionbudgets", "resource.k8s.io/v1/resourceslices", "storage.k8s.io/v1/csidrivers", "apps/v1/replicasets", "nodes",
    "podtemplates", "rbac.authorization.k8s.io/v1/roles", "limitranges", "storage.k8s.io/v1/volumeattributesclasses",
    "rbac.authorization.k8s.io/v1/rolebindings", "resource.k8s.io/v1/deviceclasses", "storage.k8s.io/v1/csistoragecapacities",
    "networking.k8s.io/v1/servicecidrs", "persistentvolumes", "batch/v1/jobs", "storage.k8s.io/v1/storageclasses", "persistentvolumeclaims",
    "batch/v1/cronjobs", "networking.k8s.io/v1/ingresses", "rbac.authorization.k8s.io/v1/clusterroles", "apps/v1/daemonsets",
    "networking.k8s.io/v1/ipaddresses", "certificates.k8s.io/v1/certificatesigningrequests", "storage.k8s.io/v1/csinodes",
    "rbac.authorization.k8s.io/v1/clusterrolebindings", "flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
    "flowcontrol.apiserver.k8s.io/v1/flowschemas", "networking.k8s.io/v1/ingressclasses",
    "admissionregistration.k8s.io/v1/validatingwebhookconfigurations", "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "scheduling.k8s.io/v1/priorityclasses", "node.k8s.io/v1/runtimeclasses",
)  # fmt: skip
METADATA_ONLY = ("apiextensions.k8s.io/v1/customresourcedefinitions", "apiregistration.k8s.io/v1/apiservices")


def path_of(resource: str) -> str:
    """The path of a collection."""
    where, _, query = resource.partition("?")
    base = f"/apis/{where}" if "/" in where else f"/api/v1/{where}"
    return f"{base}?{query}&{WATCH_LIST}" if query else f"{base}?{WATCH_LIST}"


def events_of(body: bytes, content_type: str) -> list[tuple[str, dict]]:
    """(type, object) of each event of a stream."""
    if content_type == JSON:
        return [(line["type"], line["object"]) for line in map(orjson.loads, body.splitlines())]
    assert content_type == "application/vnd.kubernetes.protobuf;stream=watch"
    found, at = [], 0
    while at < len(body):
        size = int.from_bytes(body[at : at + 4], "big")
        frame = body[at + 4 : at + 4 + size]
        fields = protobuf.plain_fields(frame, 0, len(frame))
        raw = protobuf.plain_fields(fields[2], 0, len(fields[2]))[1]
        found.append((fields[1].decode(), protobuf.decode(raw)))
        at += 4 + size
    return found


@pytest.mark.parametrize("accept", [JSON, PROTOBUF], ids=["json", "protobuf"])
def test_every_informer_is_synced(door, accept: str) -> None:
    for resource in dict.fromkeys((*SCHEDULER, *CONTROLLERS)):
        answer = door.watch(path_of(resource), accept)
        assert answer.status == 200, resource
        events = events_of(answer.body, answer.content_type)
        type_, last = events[-1]
        assert type_ == "BOOKMARK", resource
        assert last["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}, resource
        assert {each for each, _ in events[:-1]} <= {"ADDED"}, resource


@pytest.mark.parametrize("resource", [*METADATA_ONLY, "namespaces", "rbac.authorization.k8s.io/v1/clusterroles"])
def test_metadata_informers_get_metadata(door, resource: str) -> None:
    answer = door.watch(path_of(resource), METADATA)
    events = events_of(answer.body, answer.content_type)
    assert {obj["kind"] for _, obj in events} == {"PartialObjectMetadata"}
    assert all("spec" not in obj and "rules" not in obj for _, obj in events)


def test_what_discovery_announces_can_be_watched(door) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    for root in ("/api", "/apis"):
        for group in door.ask("GET", root, headers={"accept": accept}).json["items"]:
            for version in group["versions"]:
                prefix = f"{root}/{group['metadata']['name']}" if root == "/apis" else root
                for resource in version["resources"]:
                    if {"list", "watch", "delete"} <= set(resource["verbs"]):
                        path = f"{prefix}/{version['version']}/{resource['resource']}"
                        assert door.watch(f"{path}?{WATCH_LIST}").status == 200, path


@pytest.mark.parametrize("form", ["json", "protobuf"])
def test_a_lease_is_taken_and_renewed(door, form: str) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
    assert door.ask("GET", f"{leases}/kube-scheduler?timeout=5s").status == 404
    spec = {"holderIdentity": "me", "leaseDurationSeconds": 15, "acquireTime": "2026-01-01T00:00:00.000000Z", "leaseTransitions": 0}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "kube-scheduler"}, "spec": spec}

    def send(method: str, path: str, obj: dict) -> tuple[int, dict]:
        if form == "json":
            answer = door.ask(method, path, obj)
            return answer.status, answer.json
        headers = {"content-type": "application/vnd.kubernetes.protobuf", "accept": PROTOBUF}
        answer = door.ask(method, path, protobuf.encode(obj), headers=headers)
        assert answer.content_type == "application/vnd.kubernetes.protobuf"
        return answer.status, protobuf.decode(answer.body)

    status, held = send("POST", leases, lease)
    assert (status, held["spec"]) == (201, spec)
    renewed = {**held, "spec": {**held["spec"], "renewTime": "2026-01-01T00:00:02.000003Z"}}
    status, answer = send("PUT", f"{leases}/kube-scheduler", renewed)
    assert (status, answer["spec"]["renewTime"]) == (200, "2026-01-01T00:00:02.000003Z")
    status, refused = send("PUT", f"{leases}/kube-scheduler", renewed)
    assert (status, refused["kind"], refused["reason"]) == (409, "Status", "Conflict")


def test_a_pod_is_bound_in_protobuf(door) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    door.ask("POST", "/api/v1/namespaces/default/pods", pod)
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p", "namespace": "default"},
        "target": {"kind": "Node", "name": "n"},
    }
    headers = {"content-type": "application/vnd.kubernetes.protobuf", "accept": PROTOBUF}
    answer = door.ask("POST", "/api/v1/namespaces/default/pods/p/binding", protobuf.encode(binding), headers=headers)
    assert (answer.status, protobuf.decode(answer.body)["status"]) == (201, "Success")
    listed = door.ask("GET", "/api/v1/pods?limit=500&resourceVersion=0", headers={"accept": PROTOBUF})
    assert protobuf.decode(listed.body)["items"][0]["spec"]["nodeName"] == "n"


@pytest.mark.parametrize("cut", [3, 4, 20, 40])
def test_a_cut_body_is_refused(door, cut: int) -> None:
    body = protobuf.encode({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"key": "a longer value"}})
    headers = {"content-type": "application/vnd.kubernetes.protobuf"}
    answer = door.ask("POST", "/api/v1/namespaces/default/configmaps", body[:cut], headers=headers)
    assert (answer.status, answer.json["reason"]) == (400, "BadRequest")


def test_the_frames_hold_what_the_table_says(door) -> None:
    frame = protobuf.watch_frame("ADDED", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    event = read_message(message("k8s.io.apimachinery.pkg.apis.meta.v1.WatchEvent"), b"\x0a\x05ADDED", 0, 7)
    assert (event, int.from_bytes(frame[:4], "big")) == ({"type": "ADDED"}, len(frame) - 4)
