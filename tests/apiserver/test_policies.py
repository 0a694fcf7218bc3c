"""LimitRanger, PodSecurity and the strict half of ServiceAccount: tables of Pods and what becomes of them."""

from typing import Any

import pytest

from kubesim.api.errors import ApiError
from kubesim.api.pod_security import violations
from kubesim.apiserver.admission import SERVE_PROFILE
from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel

from .builders import namespace, pod

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
