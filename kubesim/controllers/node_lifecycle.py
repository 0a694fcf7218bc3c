"""The node lifecycle controller: a node whose heartbeats stop becomes Unknown; taints follow the conditions.

A heartbeat is a renewal of the node's Lease or of its Ready condition. Upstream looks at all nodes every 5 s; here each node is looked at
when its own deadline has come, at the same 5 s marks, and a standing Lease (ARCHITECTURE.md, Heartbeats) has none. NoExecute taints are
rationed per zone: one per 10 s; fewer when most of a zone is not ready, none when every zone is down. The labels for operating system and
architecture are kept under their old names, too.

Upstream: pkg/controller/nodelifecycle/node_lifecycle_controller.go. Left out: taking NoExecute taints back in a total outage.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, Request, patch, update
from kubesim.client.link import STANDING_ANNOTATION
from kubesim.controllers.contract import DONE, Burst, ControllerBase, EventIntent, Intent, Mapper, Result, View, own_key
from kubesim.controllers.pods_by_node import PodsByNode
from kubesim.kernel.time import SECOND, format_time, parse_time

LEASES, LEASE_NAMESPACE = "leases.coordination.k8s.io", "kube-node-lease"
MONITOR_PERIOD_NS = 5 * SECOND
GRACE_NS = 50 * SECOND
STARTUP_GRACE_NS = 60 * SECOND
HEALTH_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
CONDITION_TAINTS = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
}
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
OLD_LABELS = {"kubernetes.io/os": "beta.kubernetes.io/os", "kubernetes.io/arch": "beta.kubernetes.io/arch"}
OWN_NO_SCHEDULE = frozenset((*CONDITION_TAINTS.values(), UNSCHEDULABLE))
OWN_NO_EXECUTE = frozenset((NOT_READY, UNREACHABLE))

EVICTION_INTERVAL_NS = 10 * SECOND  # --node-eviction-rate=0.1
SLOW_EVICTION_INTERVAL_NS = 100 * SECOND  # --secondary-node-eviction-rate=0.01
LARGE_ZONE_NODES = 50
UNHEALTHY_NODES_MIN, UNHEALTHY_PERCENT = 3, 55


def lease_to_node(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The node of a heartbeat."""
    lease = new if new is not None else old
    return (lease["metadata"]["name"],) if lease is not None and lease["metadata"]["namespace"] == LEASE_NAMESPACE else ()


def ready_of(node: Object) -> Object | None:
    """The Ready condition, or None."""
    return _conditions(node).get("Ready")


def _conditions(node: Object) -> dict[str, Object]:
    return {condition["type"]: condition for condition in (node.get("status") or {}).get("conditions") or ()}


def silence_deadline_ns(node: Object, lease: Object | None) -> int | None:
    """When the node counts as silent if nothing more is heard; None while its Lease stands.

    The first look after a heartbeat sees it, and the first look more than 50 s after that one misses the next.
    """
    ready = ready_of(node)
    if lease is not None and (lease["metadata"].get("annotations") or {}).get(STANDING_ANNOTATION):
        return None
    if ready is None and lease is None:
        return _look_after(parse_time(node["metadata"]["creationTimestamp"]) + STARTUP_GRACE_NS)
    heard_ns = parse_time(node["metadata"]["creationTimestamp"])
    if ready is not None and ready.get("lastHeartbeatTime"):
        heard_ns = parse_time(ready["lastHeartbeatTime"])
    if lease is not None and (lease.get("spec") or {}).get("renewTime"):
        heard_ns = max(heard_ns, parse_time(lease["spec"]["renewTime"]))
    return _look_after(_look_after(heard_ns) + GRACE_NS)


def _look_after(time_ns: int) -> int:
    return (time_ns // MONITOR_PERIOD_NS + 1) * MONITOR_PERIOD_NS


class NodeLifecycleController(ControllerBase):
    """Reconciles Nodes by name."""

    name = "node-controller"
    resource = "nodes"
    watches: Mapping[str, Mapper] = {"nodes": own_key, LEASES: lease_to_node}
    derives: Sequence[Callable[[Any], Any]] = (PodsByNode,)

    def __init__(self) -> None:
        self._zones = Zones()
        self._ready: dict[str, str] = {}  # node -> status of Ready when last looked at

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Note a silent node, tell its Pods, bring the taints to what the conditions say."""
        node = view.get("nodes", key)
        if node is None:
            self._zones.forget(key)
            self._ready.pop(key, None)
            return DONE
        silent = unknown_conditions(node)
        deadline_ns = silence_deadline_ns(node, view.get(LEASES, f"{LEASE_NAMESPACE}/{key}")) if silent else None
        if silent and deadline_ns is not None and now_ns >= deadline_ns:
            return Result([_silenced(node, silent, now_ns)])
        status = (ready_of(node) or {}).get("status", "")
        intents = self._on_change(key, node, status, view, now_ns)
        self._zones.note(key, node, status == "True")
        taints, wait_ns = self._taints(key, node, status, now_ns)
        if taints is not None:
            intents.append(_taint_request(node, taints))
        labels = old_labels(node)
        if labels:
            intents.append(patch("nodes", "", key, {"metadata": {"labels": labels}}, "strategic"))
        waits = [wait for wait in (wait_ns, None if deadline_ns is None else deadline_ns - now_ns) if wait is not None]
        return Result(intents, min(waits, default=None))

    def _on_change(self, key: str, node: Object, status: str, view: View, now_ns: int) -> list[Intent]:
        """When a node is new: an event. When it stops being ready: an event, and its Pods are not ready either."""
        before = self._ready.get(key)
        self._ready[key] = status
        if before is None:
            return [EventIntent(node, "Normal", "RegisteredNode", f"Node {key} event: Registered Node {key} in Controller")]
        if before != "True" or status == "True":
            return []
        message = f"Node {key} status is now: NodeNotReady"
        intents: list[Intent] = [EventIntent(node, "Normal", "NodeNotReady", message)]
        requests = []
        for pod_key in view.derived(PodsByNode).on(key):
            pod = view.get("pods", pod_key)
            request = _unready(pod, now_ns) if pod is not None else None
            if pod is not None and request is not None:
                requests.append(request)
                intents.append(EventIntent(pod, "Warning", "NodeNotReady", "Node is not ready"))

        def after(error: ApiError | None) -> Sequence[Intent]:
            if error is not None:
                self._ready[key] = "True"  # do it again
            return ()

        return [Burst(requests, after=after), *intents] if requests else intents

    def _taints(self, key: str, node: Object, status: str, now_ns: int) -> tuple[list[Object] | None, int | None]:
        """The taints the node should have (None: it has them), and when to ask again for a NoExecute taint."""
        known = (node.get("spec") or {}).get("taints") or []
        wanted: dict[tuple[str, str], None] = dict.fromkeys((taint, "NoSchedule") for taint in condition_taints(node))
        no_execute = CONDITION_TAINTS.get(("Ready", status))
        wait_ns = None
        if no_execute is not None:
            has_one = any(taint["effect"] == "NoExecute" and taint["key"] in OWN_NO_EXECUTE for taint in known)
            wait_ns = None if has_one else self._zones.wait_ns(key, now_ns)
            if wait_ns is None:
                wanted[no_execute, "NoExecute"] = None
        kept = [taint for taint in known if (taint["key"], taint["effect"]) in wanted or not _is_ours(taint)]
        have = {(taint["key"], taint["effect"]) for taint in kept}
        time = format_time(now_ns)
        added = [{"key": taint, "effect": effect, "timeAdded": time} for taint, effect in wanted if (taint, effect) not in have]
        return (None if not added and len(kept) == len(known) else [*kept, *added]), wait_ns


def condition_taints(node: Object) -> list[str]:
    """The NoSchedule taints that conditions and cordoning ask for."""
    statuses = {type_: condition.get("status") for type_, condition in _conditions(node).items()}
    taints = [key for (type_, status), key in CONDITION_TAINTS.items() if statuses.get(type_) == status]
    return [*taints, UNSCHEDULABLE] if (node.get("spec") or {}).get("unschedulable") else taints


def old_labels(node: Object) -> dict[str, str]:
    """The old labels that a node lacks or has with another value than their successors."""
    labels = node["metadata"].get("labels") or {}
    return {old: labels[new] for new, old in OLD_LABELS.items() if new in labels and labels.get(old) != labels[new]}


def _is_ours(taint: Object) -> bool:
    ours = {"NoSchedule": OWN_NO_SCHEDULE, "NoExecute": OWN_NO_EXECUTE}.get(taint["effect"], ())
    return taint["key"] in ours


def unknown_conditions(node: Object) -> list[str]:
    """The health conditions that are not Unknown yet."""
    known = _conditions(node)
    return [type_ for type_ in HEALTH_CONDITIONS if known.get(type_, {}).get("status") != "Unknown"]


def _silenced(node: Object, silent: Sequence[str], now_ns: int) -> Request:
    """The node with its health conditions Unknown."""
    now = format_time(now_ns)
    conditions = []
    for condition in (node.get("status") or {}).get("conditions") or ():
        if condition["type"] in silent:
            message = "Kubelet stopped posting node status."
            condition = {**condition, "status": "Unknown", "lastTransitionTime": now, "reason": "NodeStatusUnknown", "message": message}
        conditions.append(condition)
    known = {condition["type"] for condition in conditions}
    created = node["metadata"]["creationTimestamp"]
    for type_ in silent:
        if type_ not in known:
            new = {"type": type_, "status": "Unknown", "lastHeartbeatTime": created, "lastTransitionTime": now}
            conditions.append({**new, "reason": "NodeStatusNeverUpdated", "message": "Kubelet never posted node status."})
    return update("nodes", {**node, "status": {**(node.get("status") or {}), "conditions": conditions}}, "status")


def _unready(pod: Object, now_ns: int) -> Request | None:
    """The Pod with its Ready condition False; None when it is not True."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    for index, condition in enumerate(conditions):
        if condition["type"] == "Ready" and condition["status"] == "True":
            changed = {**condition, "status": "False", "lastTransitionTime": format_time(now_ns)}
            status = {**pod["status"], "conditions": [*conditions[:index], changed, *conditions[index + 1 :]]}
            return update("pods", {**pod, "status": status}, "status")
    return None


def _taint_request(node: Object, taints: list[Object]) -> Request:
    metadata = node["metadata"]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"taints": taints or None}}
    return patch("nodes", "", metadata["name"], body)


class Zones:
    """How many nodes of each zone are ready, and when the next of a zone may be emptied."""

    def __init__(self) -> None:
        self._node: dict[str, tuple[str, bool]] = {}
        self._counts: dict[str, list[int]] = {}  # zone -> [not ready, ready]
        self._allowed_ns: dict[str, int] = {}

    def note(self, name: str, node: Object, ready: bool) -> None:
        """Count a node as it is now."""
        labels = node["metadata"].get("labels") or {}
        zone = f"{labels.get('topology.kubernetes.io/region', '')}:{labels.get('topology.kubernetes.io/zone', '')}"
        if self._node.get(name) != (zone, ready):
            self.forget(name)
            self._node[name] = (zone, ready)
            self._counts.setdefault(zone, [0, 0])[ready] += 1

    def forget(self, name: str) -> None:
        """The node is gone."""
        known = self._node.pop(name, None)
        if known is not None:
            self._counts[known[0]][known[1]] -= 1

    def wait_ns(self, name: str, now_ns: int) -> int | None:
        """None if this node may be tainted NoExecute now (which uses its zone's ration up), else the ns until it may ask again."""
        zone = self._node[name][0]
        interval_ns = self._interval_ns(zone)
        if interval_ns is None:
            return MONITOR_PERIOD_NS
        allowed_ns = self._allowed_ns.get(zone, 0)
        if now_ns < allowed_ns:
            return allowed_ns - now_ns
        self._allowed_ns[zone] = now_ns + interval_ns
        return None

    def _interval_ns(self, zone: str) -> int | None:
        """The time between two nodes of a zone; None for never."""
        not_ready, ready = self._counts[zone]
        if ready == 0:
            all_down = all(counts[1] == 0 for counts in self._counts.values())
            return None if all_down else EVICTION_INTERVAL_NS
        if not_ready >= UNHEALTHY_NODES_MIN and not_ready * 100 >= UNHEALTHY_PERCENT * (not_ready + ready):
            return SLOW_EVICTION_INTERVAL_NS if not_ready + ready > LARGE_ZONE_NODES else None
        return EVICTION_INTERVAL_NS


CONTROLLER = NodeLifecycleController
