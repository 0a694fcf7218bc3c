"""E14, the differential rule (Sieve): a run with faults ends as the run without them, and has made as many objects of each owner.

What differs between any two runs is masked: uids, versions, times, addresses, generated names, and on which node a Pod lies. Node failures
are no faults for this rule: a Pod that is evicted is made again, and should be.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from kubesim.apiserver.requests import Object, Request
from kubesim.cluster.cluster import Cluster

COMPARED = (
    "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch", "cronjobs.batch", "pods",
    "controllerrevisions.apps", "persistentvolumeclaims", "poddisruptionbudgets.policy",
)  # fmt: skip
MASKED = frozenset((
    "uid", "resourceVersion", "creationTimestamp", "managedFields", "lastTransitionTime", "lastUpdateTime", "lastProbeTime", "startTime",
    "startedAt", "finishedAt", "completionTime", "lastScheduleTime", "lastSuccessfulTime", "podIP", "podIPs", "hostIP",
    "hostIPs", "clusterIP", "clusterIPs", "containerID", "imageID", "nodeName", "volumeName", "message", "controller-uid",
    "batch.kubernetes.io/controller-uid", "lastState", "restartCount", "disruptedPods",
))  # fmt: skip


def masked(value: Any) -> Any:
    """A value without what no two runs share."""
    if isinstance(value, dict):
        kept = {key: masked(each) for key, each in value.items() if key not in MASKED}
        if "generateName" in kept:
            kept.pop("name", None)
        return kept
    return [masked(each) for each in value] if isinstance(value, list) else value


def _text(obj: Object) -> str:
    return orjson.dumps(masked(obj), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()


class Differential:
    """Watches one cluster from its start; ``outcome()`` is to be compared with that of another run."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.counts: Counter[tuple[str, str, str]] = Counter()  # (ADDED, resource, owner or name)
        cluster.apiserver.audit.append(self._note)

    def _note(self, now_ns: int, request: Request, obj: Object, revision: int) -> None:
        if request.subresource or request.resource not in COMPARED:
            return
        owners = obj["metadata"].get("ownerReferences") or ()
        of = f"{owners[0]['kind']} {owners[0]['name']}" if owners else obj["metadata"]["name"]
        if request.verb == "create":
            self.counts["ADDED", request.resource, of] += 1

    def outcome(self) -> Mapping[str, Any]:
        """The stored objects without what no two runs share, and how many were made for each owner."""
        objects = {resource: sorted(_text(obj) for obj in self._cluster.objects(resource)) for resource in COMPARED}
        return {"objects": objects, "counts": dict(self.counts)}
