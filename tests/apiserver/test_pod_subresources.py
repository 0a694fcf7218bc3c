"""ephemeralcontainers, resize, approval, and what is warned about."""

from typing import Any

import pytest

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel

from .builders import pod, service

Object = dict[str, Any]
AMOUNTS = {"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}}


def patch(server: ApiServer, subresource: str, spec: Object, patch_type: str = "strategic") -> Object:
    """Patch a subresource of the Pod p."""
    options = {"patchType": patch_type}
    changed: Object = server.call(Request("patch", "pods", "default", "p", {"spec": spec}, subresource, options))
    return changed


@pytest.fixture
def server() -> ApiServer:
    """A server on a fresh etcd."""
    kernel = Kernel(seed=7)
    return ApiServer(kernel, LocalEtcd(kernel), debug=True)


@pytest.fixture
def with_pod(server: ApiServer) -> ApiServer:
    """A server with a Pod of one container."""
    spec = {"containers": [{"name": "app", "image": "i", "resources": AMOUNTS}]}
    server.call(Request("create", "pods", "default", "p", pod(spec=spec)))
    return server


def test_ephemeral_containers_are_added_and_stay(with_pod: ApiServer) -> None:
    first = patch(with_pod, "ephemeralcontainers", {"ephemeralContainers": [{"name": "dbg", "image": "i"}], "hostNetwork": True})
    assert first["metadata"]["generation"] == 2 and "hostNetwork" not in first["spec"]
    assert [container["name"] for container in first["spec"]["ephemeralContainers"]] == ["dbg"]
    with pytest.raises(ApiError, match='existing ephemeral containers "dbg" may not be changed\n@@ '):
        patch(with_pod, "ephemeralcontainers", {"ephemeralContainers": [{"name": "dbg", "image": "other"}]})
    with pytest.raises(ApiError, match='existing ephemeral containers "dbg" may not be removed'):
        patch(with_pod, "ephemeralcontainers", {"ephemeralContainers": []}, "merge")


def test_ephemeral_containers_cannot_be_born(server: ApiServer) -> None:
    with pytest.raises(ApiError, match=r"spec\.ephemeralContainers: Forbidden: cannot be set on create"):
        server.call(Request("create", "pods", "default", "p", pod(spec={"ephemeralContainers": [{"name": "dbg", "image": "i"}]})))


RESIZES = [
    ({"requests": {"cpu": "900m"}}, 'Invalid value: "900m": must be less than or equal to cpu limit of 200m'),
    ({"limits": None, "requests": None}, "Pod QOS Class may not change as a result of resizing"),
]


@pytest.mark.parametrize(("resources", "why"), RESIZES)
def test_resizes_that_are_refused(with_pod: ApiServer, resources: Object, why: str) -> None:
    with pytest.raises(ApiError) as caught:
        patch(with_pod, "resize", {"containers": [{"name": "app", "resources": resources}]})
    assert caught.value.code == 422 and why in caught.value.message


def test_a_resize_changes_resources_only(with_pod: ApiServer) -> None:
    changed = patch(with_pod, "resize", {"containers": [{"name": "app", "image": "other", "resources": {"requests": {"cpu": "150m"}}}]})
    container = changed["spec"]["containers"][0]
    assert container["image"] == "i" and container["resources"]["requests"] == {"cpu": "150m"}
    assert changed["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("resource", "obj", "warning"),
    [
        ("pods", pod("a.b"), "[must not contain dots]"),
        ("pods", pod(spec={"volumes": [{"name": "x", "projected": {}}]}), 'volume "x" (Projected) has no sources provided'),
        ("services", service(externalIPs=["10.0.0.9"]), "spec.externalIPs is deprecated"),
    ],
)
def test_warnings(server: ApiServer, resource: str, obj: Object, warning: str) -> None:
    warnings: list[str] = []
    server.call(Request("create", resource, "default", obj["metadata"]["name"], obj, options={"warnings": warnings}))
    assert len(warnings) == 1 and warning in warnings[0]


def test_a_decision_about_a_certificate(server: ApiServer) -> None:
    text = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K"
    spec = {"request": text, "signerName": "example.com/x", "usages": ["client auth"], "username": "somebody else"}
    obj = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "c"}, "spec": spec}
    name = "certificatesigningrequests.certificates.k8s.io"
    made = server.call(Request("create", name, "", "c", obj, user="ann"))
    assert made["spec"]["username"] == "ann"
    status = {"conditions": [{"type": "Approved", "status": "True"}]}
    approved = server.call(Request("update", name, "", "c", {**made, "spec": {}, "status": status}, "approval"))
    assert approved["spec"] == made["spec"]
    assert approved["status"]["conditions"][0]["lastTransitionTime"] == server.now_text()
