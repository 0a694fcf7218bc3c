"""Which Pods of a ReplicaSet go first when it has too many.

In this order: unassigned before assigned; Pending, Unknown, Running; not ready before ready; lower deletion cost; more Pods of the same
owner on the node; ready for a shorter time (in powers of two, then by uid); more restarts; younger (in powers of two, then by uid).

Upstream: pkg/controller/controller_utils.go (ActivePodsWithRanks), pkg/controller/replicaset/replica_set.go (getPodsToDelete).
"""

from collections.abc import Mapping, Sequence
from functools import cmp_to_key
from typing import NamedTuple

from kubesim.apiserver.requests import Object
from kubesim.controllers.owned_pods import ready_condition
from kubesim.kernel.time import parse_time

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}


class _Facts(NamedTuple):
    """What counts about a Pod; ``first`` decides before everything else."""

    first: tuple[bool, int, bool, int, int]  # assigned, phase, ready, cost, minus the Pods on its node
    ready_ns: int  # 0 when not ready, or ready without a time
    restarts: tuple[int, int]
    created_ns: int
    uid: str
    pod: Object


def pods_to_delete(pods: Sequence[Object], count: int, on_node: Mapping[str, int], now_ns: int) -> list[Object]:
    """Choose ``count`` of a ReplicaSet's active Pods; ``on_node`` counts the owner's active Pods per node. O(n log n)."""
    if count >= len(pods):
        return list(pods)
    facts = [_facts(pod, on_node) for pod in pods]

    def compare(one: _Facts, other: _Facts) -> int:
        return _compare(one, other, now_ns)

    facts.sort(key=cmp_to_key(compare))
    return [fact.pod for fact in facts[:count]]


def deletion_cost(pod: Object) -> int:
    """The annotation as an int32; 0 when it is absent or none."""
    text = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit()) or (len(digits) > 1 and digits[0] == "0"):
        return 0
    cost = int(text)
    return cost if -(2**31) <= cost < 2**31 else 0


def _facts(pod: Object, on_node: Mapping[str, int]) -> _Facts:
    metadata, status = pod["metadata"], pod.get("status") or {}
    node = pod["spec"].get("nodeName", "")
    condition = ready_condition(pod)
    ready = condition is not None and condition["status"] == "True"
    ready_time = condition.get("lastTransitionTime") if ready and condition else None
    created = metadata.get("creationTimestamp")
    ready_ns, created_ns = parse_time(ready_time) if ready_time else 0, parse_time(created) if created else 0
    first = (bool(node), PHASE_ORDER.get(status.get("phase", ""), 0), ready, deletion_cost(pod), -on_node.get(node, 0))
    return _Facts(first, ready_ns, _restarts(pod), created_ns, metadata.get("uid", ""), pod)


def _restarts(pod: Object) -> tuple[int, int]:
    """The most restarts of a container, and of a restartable init container."""
    status = pod.get("status") or {}
    regular = max((container.get("restartCount", 0) for container in status.get("containerStatuses") or ()), default=0)
    sidecars = {container["name"] for container in pod["spec"].get("initContainers") or () if container.get("restartPolicy") == "Always"}
    statuses = status.get("initContainerStatuses") or ()
    return regular, max((container.get("restartCount", 0) for container in statuses if container["name"] in sidecars), default=0)


def _compare(one: _Facts, other: _Facts, now_ns: int) -> int:
    """Negative when ``one`` goes first."""
    if one.first != other.first:
        return -1 if one.first < other.first else 1
    if one.first[2] and one.ready_ns != other.ready_ns:
        return _compare_times(one, other, one.ready_ns, other.ready_ns, now_ns)
    if one.restarts != other.restarts:
        return -1 if one.restarts > other.restarts else 1
    if one.created_ns != other.created_ns:
        return _compare_times(one, other, one.created_ns, other.created_ns, now_ns)
    return 0


def _compare_times(one: _Facts, other: _Facts, one_ns: int, other_ns: int, now_ns: int) -> int:
    """The later time goes first, as far as the powers of two of their ages differ; else the lower uid. No time is the latest."""
    if not one_ns or not other_ns:
        return -1 if not one_ns else 1
    difference = _age_rank(now_ns - one_ns) - _age_rank(now_ns - other_ns)
    if difference:
        return difference
    return -1 if one.uid < other.uid else 1


def _age_rank(age_ns: int) -> int:
    """floor(log2(age)), -1 for no age."""
    return age_ns.bit_length() - 1 if age_ns > 0 else -1
