"""Resource claims of Pods: made, noted, allocated by the scheduler, given up. Rows of pkg/controller/resourceclaim/controller_test.go."""

from typing import Any

from kubesim.api.kinds import KINDS
from kubesim.cluster.cluster import Cluster

CLASS = {"kind": "DeviceClass", "metadata": {"name": "gpu"}, "spec": {}}


def manifests() -> list[dict[str, Any]]:
    version = KINDS.get("resourceclaims.resource.k8s.io").api_version
    request = {"name": "one", "exactly": {"deviceClassName": "gpu"}}
    template = {
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "gpu", "namespace": "default"},
        "spec": {"spec": {"devices": {"requests": [request]}}},
    }
    devices = {"driver": "gpu.example.com", "nodeName": "node-1", "pool": {"name": "node-1", "generation": 1, "resourceSliceCount": 1}}
    slices = {"kind": "ResourceSlice", "metadata": {"name": "node-1"}, "spec": {**devices, "devices": [{"name": "gpu-0"}]}}
    return [{"apiVersion": version, **each} for each in (CLASS, template, slices)]


def pod(name: str, seconds: str) -> dict[str, Any]:
    container = {"name": "main", "image": "registry.example/train:1", "resources": {"claims": [{"name": "gpu"}]}}
    claims = [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]
    spec = {"restartPolicy": "Never", "containers": [container], "resourceClaims": claims}
    annotations = {"kubesim.dev/run-for": seconds}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": annotations}, "spec": spec}


def test_a_pod_gets_its_claim_and_gives_it_up_when_it_ends() -> None:
    """syncPod creates claim and status entry; syncClaim removes the reservation, deallocates, and deletes what was the Pod's."""
    cluster = Cluster(nodes=2)
    cluster.apply(manifests())
    cluster.apply([pod("first", "60s")])
    cluster.run_for("10s")
    (claim,) = cluster.list("ResourceClaim")
    first = cluster.get("Pod", "first")
    assert first["status"]["phase"] == "Running" and first["spec"]["nodeName"] == "node-1"
    assert first["status"]["resourceClaimStatuses"] == [{"name": "gpu", "resourceClaimName": claim["metadata"]["name"]}]
    assert claim["metadata"]["annotations"]["resource.kubernetes.io/pod-claim-name"] == "gpu"
    assert claim["metadata"]["generateName"] == "first-gpu-"
    assert claim["metadata"]["ownerReferences"][0]["name"] == "first"
    assert [each["name"] for each in claim["status"]["reservedFor"]] == ["first"] and claim["status"]["allocation"]
    cluster.apply([pod("second", "30s")])  # there is one device only
    cluster.run_for("20s")
    assert cluster.get("Pod", "second")["status"]["phase"] == "Pending"
    cluster.run_until_converged()
    assert cluster.get("Pod", "second")["status"]["phase"] == "Succeeded"
    assert cluster.list("ResourceClaim") == []


def test_a_template_that_is_missing_is_said_and_waited_for() -> None:
    """handleClaim: FailedResourceClaimCreation."""
    cluster = Cluster(nodes=2)
    definition, template, slices = manifests()
    cluster.apply([definition, slices])
    cluster.apply([pod("early", "10s")])
    cluster.run_for("10s")
    told = [event["message"] for event in cluster.list("Event") if event["reason"] == "FailedResourceClaimCreation"]
    assert told and told[0].startswith('PodResourceClaim gpu: resource claim template "gpu":')
    cluster.apply([template])
    cluster.run_until_converged()
    assert cluster.get("Pod", "early")["status"]["phase"] == "Succeeded"
