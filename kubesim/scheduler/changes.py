"""What changed between two states of an object, as the events that may make a Pod schedulable.

Upstream: pkg/scheduler/framework/events.go (NodeSchedulingPropertiesChange, PodSchedulingPropertiesChange).
"""

from typing import Any

from kubesim.scheduler.contract import (
    ASSIGNED_POD_LABEL,
    ASSIGNED_POD_SCALE_DOWN,
    NODE_ALLOCATABLE,
    NODE_CONDITION,
    NODE_LABEL,
    NODE_TAINT,
    POD_CLAIMS,
    POD_GATES_ELIMINATED,
    POD_LABEL,
    POD_SCALE_DOWN,
    POD_TOLERATION,
    ClusterEvent,
)
from kubesim.scheduler.requests import requests_of

Object = dict[str, Any]


def node_changes(old: Object, new: Object) -> list[ClusterEvent]:
    """The events of a changed node, in upstream's order; what is the same object costs an identity test."""
    found = []
    old_status, new_status = old.get("status") or {}, new.get("status") or {}
    if _differ(old_status, new_status, "allocatable"):
        found.append(NODE_ALLOCATABLE)
    if _differ(old["metadata"], new["metadata"], "labels"):
        found.append(NODE_LABEL)
    old_spec, new_spec = old.get("spec") or {}, new.get("spec") or {}
    if old_spec is not new_spec and (
        _differ(old_spec, new_spec, "taints") or bool(old_spec.get("unschedulable")) != bool(new_spec.get("unschedulable"))
    ):
        found.append(NODE_TAINT)
    if old_status is not new_status and _conditions(old_status) != _conditions(new_status):
        found.append(NODE_CONDITION)
    return found


def assigned_pod_changes(old: Object, new: Object) -> list[ClusterEvent]:
    """The events of a bound Pod that changed: what may make room for, or match, another one."""
    found = []
    if _differ(old["metadata"], new["metadata"], "labels"):
        found.append(ASSIGNED_POD_LABEL)
    if _scaled_down(old, new):
        found.append(ASSIGNED_POD_SCALE_DOWN)
    return found


def waiting_pod_changes(old: Object, new: Object) -> list[ClusterEvent]:
    """The events of a Pod in the queue that changed itself."""
    found = []
    if _differ(old["metadata"], new["metadata"], "labels"):
        found.append(POD_LABEL)
    if _differ(old.get("status") or {}, new.get("status") or {}, "resourceClaimStatuses"):
        found.append(POD_CLAIMS)
    old_spec, new_spec = old["spec"], new["spec"]
    if old_spec is new_spec:
        return found
    if _scaled_down(old, new):
        found.append(POD_SCALE_DOWN)
    if old_spec.get("schedulingGates") and not new_spec.get("schedulingGates"):
        found.append(POD_GATES_ELIMINATED)
    if _differ(old_spec, new_spec, "tolerations"):
        found.append(POD_TOLERATION)
    return found


def _differ(old: Object, new: Object, field: str) -> bool:
    """Whether a field differs; absent and empty are the same."""
    before, after = old.get(field), new.get(field)
    return before is not after and (before or None) != (after or None)


def _conditions(status: Object) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in status.get("conditions") or ()}


def _scaled_down(old: Object, new: Object) -> bool:
    """Whether any request became smaller."""
    before, after = old["spec"], new["spec"]
    if before is after or all(before.get(part) is after.get(part) for part in ("containers", "initContainers", "resources")):
        return False
    was, now = requests_of(before).real, requests_of(after).real
    return any(now.get(name, 0) < amount for name, amount in was.items())
