"""The APIServices of the groups that the server serves itself. Nothing is aggregated; clients list and describe them.

Upstream: pkg/controlplane/apiserver/aggregator.go (autoregistration and the priorities).
"""

from collections.abc import Iterator
from typing import Any

from kubesim.api.kinds.registry import resource_table
from kubesim.apiserver.requests import Request

Object = dict[str, Any]
GROUP = "apiregistration.k8s.io"
RESOURCE = f"apiservices.{GROUP}"
VERSION_PRIORITY, VERSION_PRIORITIES = 15, {("", "v1"): 1, ("autoscaling", "v2"): 30, ("events.k8s.io", "v1"): 5}
GROUP_PRIORITIES = {
    "": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700, "authorization.k8s.io": 17600,
    "autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100,
    "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "admissionregistration.k8s.io": 16700, "apiextensions.k8s.io": 16700,
    "scheduling.k8s.io": 16600, "coordination.k8s.io": 16500, "node.k8s.io": 16300, "discovery.k8s.io": 16200,
    "resource.k8s.io": 16200, "flowcontrol.apiserver.k8s.io": 16100,
}  # fmt: skip


def api_service_requests(user: str) -> Iterator[Request]:
    """The creates."""
    versions = [("", "v1")] + [(row["name"], each["version"]) for row in resource_table()["groups"] for each in row["versions"]]
    for group, version in versions:
        if group == GROUP:
            continue
        name = f"{version}.{group}"
        spec: Object = {"version": version, "groupPriorityMinimum": GROUP_PRIORITIES[group]}
        spec |= {"group": group} if group else {}
        spec["versionPriority"] = VERSION_PRIORITIES.get((group, version), VERSION_PRIORITY)
        metadata = {"name": name, "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}}
        body = {"apiVersion": f"{GROUP}/v1", "kind": "APIService", "metadata": metadata, "spec": spec}
        yield Request("create", RESOURCE, "", name, body, user=user)
