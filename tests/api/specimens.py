"""One good object of each kind whose validation is tested by table, and ways to spoil it."""

import copy
from typing import Any

from kubesim.api.kinds import KINDS
from kubesim.api.kinds.parts import judgement

Object = dict[str, Any]
CONTAINER: Object = {"name": "c", "image": "i"}
TEMPLATE: Object = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}}
SELECTOR: Object = {"matchLabels": {"a": "b"}}
_CLUSTER_WIDE = {"name": "x"}
_NAMESPACED = {"name": "x", "namespace": "ns"}
JOB_TEMPLATE: Object = {"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}

GOOD: dict[str, Object] = {
    "services": {"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}},
    "endpointslices.discovery.k8s.io": {"addressType": "IPv4", "endpoints": [{"addresses": ["10.4.0.4"]}], "ports": [{"port": 80}]},
    "deployments.apps": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    "replicasets.apps": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    "statefulsets.apps": {"spec": {"serviceName": "s", "selector": SELECTOR, "template": TEMPLATE}},
    "daemonsets.apps": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    "jobs.batch": {"spec": {"template": JOB_TEMPLATE}},
    "configmaps": {"data": {"a": "b"}},
    "pods": {"spec": {"containers": [CONTAINER]}},
    "endpoints": {"subsets": [{"addresses": [{"ip": "10.4.0.4"}], "ports": [{"port": 80}]}]},
    "storageclasses.storage.k8s.io": {"provisioner": "example.com/disks"},
    "horizontalpodautoscalers.autoscaling": {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3}},
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": {
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {}}}}
    },
    "apiservices.apiregistration.k8s.io": {
        "metadata": {"name": "v1.example.com", "uid": "u1", "resourceVersion": "1"},
        "spec": {"group": "example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 10},
    },
}


def good(resource: str, changes: Object | None = None) -> Object:
    """A good object of a resource, defaulted as the server does it after ``changes``: paths with dots to values; None takes away."""
    kind = KINDS.by_resource(resource)
    metadata = {**(_NAMESPACED if kind.namespaced else _CLUSTER_WIDE), "uid": "u1", "resourceVersion": "1"}
    obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **GOOD[resource]}
    return kind.default(spoiled(obj, changes or {}))


def created(resource: str, changes: Object | None = None) -> Object:
    """The same as it would be stored."""
    return KINDS.by_resource(resource).prepare_create(good(resource, changes))


def spoiled(obj: Object, changes: Object) -> Object:
    """A copy with some values changed; a path is the names and indices to it with dots between, ``\\`` stands for a dot in a name."""
    obj = copy.deepcopy(obj)
    for path, value in changes.items():
        *inner, last = [step.replace("\\", ".") for step in path.split(".")]
        at: Any = obj
        for step in inner:
            at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
        if isinstance(at, list):
            at[int(last) : int(last) + 1] = [value]
        elif value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return obj


def create_errors(resource: str, changes: Object) -> list[str]:
    """What the kind has against a good object with some values changed, as ``field: message``."""
    kind = KINDS.by_resource(resource)
    obj = created(resource, changes)
    return [f"{error.field}: {error.message}" for error in judgement.create_errors(kind, obj)]


def change_errors(resource: str, changes: Object, before: Object | None = None) -> list[str]:
    """What the kind has against an update of a good object (with ``before`` changed) to one with ``changes``."""
    kind = KINDS.by_resource(resource)
    old = created(resource, before)
    new = kind.prepare_update(kind.default(spoiled(old, changes)), old)
    return [f"{error.field}: {error.message}" for error in judgement.update_errors(kind, new, old)]
