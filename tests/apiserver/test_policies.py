"""LimitRanger, PodSecurity and the strict half of ServiceAccount: tables of Pods and what becomes of them."""

from typing import Any

import pytest

from kubesim.api.errors import ApiError
from kubesim.api.kinds import KINDS
from kubesim.api.kinds.parts.privileged import forbid_privileged
from kubesim.api.pod_security import violations
from kubesim.apiserver.admission import SERVE_PROFILE
from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel

from .builders import SPEC, deployment, namespace, pod, service

Object = dict[str, Any]
LIMITS = [
    {"type": "Container", "default": {"cpu": "400m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}, "min": {"cpu": "50m"},
     "maxLimitRequestRatio": {"cpu": "10"}},
    {"type": "Pod", "max": {"cpu": "1500m"}},
]  # fmt: skip
OVER = "[maximum cpu usage per Container is 1, but limit is 2, maximum cpu usage per Pod is 1500m, but limit is 2]"
RATIO = "cpu max limit to request ratio per Container is 10, but provided ratio is 18.000000"


def server_of(*without: str) -> ApiServer:
    """A server with the profile of kubesim serve."""
    kernel = Kernel(seed=1)
    profile = tuple(name for name in SERVE_PROFILE if name not in without)
    server = ApiServer(kernel, LocalEtcd(kernel), profile=profile, debug=True)
    server.call(Request("create", "namespaces", "", "x", namespace("x")))
    return server


def create(server: ApiServer, resource: str, obj: Object, **options: Any) -> Object:
    """Create in the namespace x."""
    created: Object = server.call(Request("create", resource, "x", obj["metadata"].get("name", ""), obj, options=options))
    return created


def limited() -> ApiServer:
    """A server whose namespace x has a LimitRange."""
    server = server_of("ServiceAccountRules", "ServiceAccountToken")
    create(server, "limitranges", {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": LIMITS}})
    return server


def with_resources(**resources: Object) -> Object:
    """A Pod of one container with resources."""
    return pod(spec={"containers": [{"name": "c", "image": "i", "resources": resources}]})


def test_limits_are_filled_in_and_told() -> None:
    made = create(limited(), "pods", pod())
    assert made["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "100m"}, "limits": {"cpu": "400m"}}
    told = "LimitRanger plugin set: cpu request for container app; cpu limit for container app"
    assert made["metadata"]["annotations"] == {"kubernetes.io/limit-ranger": told}


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        ({"limits": {"cpu": "2"}}, OVER),
        ({"requests": {"cpu": "50m"}, "limits": {"cpu": "900m"}}, RATIO),
        ({"requests": {"cpu": "45m"}}, "minimum cpu usage per Container is 50m, but request is 45m"),
    ],
)
def test_bounds(resources: Object, why: str) -> None:
    with pytest.raises(ApiError) as caught:
        create(limited(), "pods", with_resources(**resources))
    assert caught.value.code == 403 and caught.value.message == f'pods "p" is forbidden: {why}'


@pytest.mark.parametrize(
    ("spec", "level", "found"),
    [
        ({}, "privileged", []),
        ({}, "baseline", []),
        ({"hostNetwork": True, "hostPID": True}, "baseline", ["host namespaces (hostNetwork=true, hostPID=true)"]),
        ({"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}, "baseline", ['hostPath volumes (volume "h")']),
        (
            {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}},
            "restricted",
            [
                'allowPrivilegeEscalation != false (container "app" must set securityContext.allowPrivilegeEscalation=false)',
                'unrestricted capabilities (container "app" must set securityContext.capabilities.drop=["ALL"])',
            ],
        ),
    ],
)
def test_standards(spec: Object, level: str, found: list[str]) -> None:
    assert [str(violation) for violation in violations(pod(spec=spec), level)] == found


def test_a_namespace_enforces_and_warns() -> None:
    server = server_of("ServiceAccountRules", "ServiceAccountToken")
    labels = {"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted"}
    server.call(Request("patch", "namespaces", "", "x", {"metadata": {"labels": labels}}, options={"patchType": "merge"}))
    warnings: list[str] = []
    create(server, "pods", pod(), warnings=warnings)
    assert len(warnings) == 1 and warnings[0].startswith('would violate PodSecurity "restricted:latest": allowPrivilegeEscalation')
    with pytest.raises(ApiError, match=r'violates PodSecurity "baseline:latest": host namespaces \(hostPID=true\)'):
        create(server, "pods", pod("q", {"hostPID": True}))


def test_the_account_must_exist_and_its_token_is_mounted() -> None:
    server = server_of()
    with pytest.raises(ApiError, match='error looking up service account x/default: serviceaccount "default" not found'):
        create(server, "pods", pod())
    create(server, "serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
    first, second = create(server, "pods", pod()), create(server, "pods", pod("q"))
    names = [made["spec"]["volumes"][0]["name"] for made in (first, second)]
    assert all(name.startswith("kube-api-access-") for name in names) and names[0] != names[1]


QUOTA = {
    "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
    "spec": {"hard": {"services.nodeports": "1", "requests.storage": "5Gi"}},
}  # fmt: skip


def quota_of(server: ApiServer, **used: str) -> None:
    """A quota whose usage has been counted."""
    made = create(server, "resourcequotas", QUOTA)
    status = {"hard": QUOTA["spec"]["hard"], "used": {"services.nodeports": "0", "requests.storage": "0", **used}}
    server.call(Request("update", "resourcequotas", "x", "q", {**made, "status": status}, "status"))


def patched(server: ApiServer, resource: str, name: str, body: Object) -> Object:
    """Merge into an object of the namespace x."""
    found: Object = server.call(Request("patch", resource, "x", name, body, options={"patchType": "merge"}))
    return found


def used(server: ApiServer) -> Object:
    """The usage of the quota."""
    found: Object = server.get("resourcequotas", "x", "q")["status"]["used"]
    return found


def test_an_update_is_charged_for_what_it_uses_more() -> None:
    server = server_of("ServiceAccountRules", "ServiceAccountToken")
    quota_of(server)
    create(server, "services", service("s"))
    patched(server, "services", "s", {"spec": {"type": "NodePort"}})
    assert used(server)["services.nodeports"] == "1"
    patched(server, "services", "s", {"spec": {"type": "ClusterIP"}})
    assert used(server)["services.nodeports"] == "0"
    create(server, "services", service("two", ports=[{"name": "a", "port": 1}, {"name": "b", "port": 2}]))
    with pytest.raises(ApiError, match="exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, limited: "):
        patched(server, "services", "two", {"spec": {"type": "NodePort"}})


def test_without_privileges() -> None:
    kernel = Kernel(seed=1)
    server = ApiServer(kernel, LocalEtcd(kernel), kinds=forbid_privileged(KINDS))
    strong = {"name": "c", "image": "i", "securityContext": {"privileged": True}}
    for resource, obj, path in (
        ("pods", pod(spec={"containers": [strong]}), "spec.containers[0]"),
        ("deployments.apps", with_template(deployment(), {"initContainers": [strong], **SPEC}), "spec.template.spec.initContainers[0]"),
    ):
        with pytest.raises(ApiError) as caught:
            server.call(Request("create", resource, "default", obj["metadata"]["name"], obj))
        assert (caught.value.code, f"{path}.securityContext.privileged: Forbidden: disallowed by cluster policy" in str(caught.value)) == (
            422, True
        )  # fmt: skip
    server.call(Request("create", "pods", "default", "p", pod()))


def with_template(owner: Object, spec: Object) -> Object:
    """A workload with another Pod spec."""
    template = {**owner["spec"]["template"], "spec": spec}
    return {**owner, "spec": {**owner["spec"], "template": template}}


def test_a_system_priority_class_stays() -> None:
    server = server_of()
    with pytest.raises(ApiError, match="is forbidden: this is a system priority class and cannot be deleted"):
        server.call(Request("delete", "priorityclasses.scheduling.k8s.io", "", "system-node-critical"))
