"""A watchdog: an audit function that checks rules at every write and raises AssertionError at the one that breaks a rule.

The letters are those of Kubernetes' own tests and documents. Every rule is written from the stored objects alone and shares no code with
the component that it checks. Cost: O(1) per write, O(Pods of the node) per write of a Pod.

A1 revisions grow; A8 a uid is given once. C1 no node is overcommitted; C2 a Pod is bound once. E4 the bounds of a rolling update
(``RollingUpdateBounds``). E11 observedGeneration is never ahead and never goes back. N1 a phase never goes back, a restart count
never falls. No IP is in use twice.
"""

from collections import defaultdict
from typing import Any

from kubesim.api import quantity
from kubesim.apiserver.requests import Object, Request
from kubesim.apiserver.server import ApiServer

PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 1, "Succeeded": 2, "Failed": 2}
RESOURCES = ("cpu", "memory", "ephemeral-storage")


class Watchdog:
    """Checks every write to an apiserver: ``apiserver.audit.append(Watchdog(apiserver))``."""

    def __init__(self, apiserver: ApiServer) -> None:
        self._apiserver = apiserver
        self._born: set[str] = set()
        self._observed: dict[str, int] = {}
        self._pods: dict[str, Object] = {}  # namespace/name -> last state
        self._on_node: dict[str, dict[str, Object]] = defaultdict(dict)  # node -> key -> Pod that takes room there
        self._addresses: dict[str, str] = {}  # IP -> key
        self._revision = 0
        self.write_count = 0
        for pod in apiserver.peek_all("pods"):
            self._pod(_key(pod), pod)

    def __call__(self, time_ns: int, request: Request, obj: Object, revision: int) -> None:
        """Check one write."""
        self.write_count += 1
        assert revision >= self._revision, f"A1: revision {revision} comes after {self._revision}: {request!r}"
        self._revision = revision
        metadata = obj["metadata"]
        if request.verb == "create" and not request.subresource:
            assert metadata["uid"] not in self._born, f"A8: the uid of {request!r} was given before"
            self._born.add(metadata["uid"])
        self._generation(request, obj)
        if request.resource == "pods":
            key = _key(obj)
            self._pod(key, self._apiserver.peek("pods", metadata["namespace"], metadata["name"]))

    def _generation(self, request: Request, obj: Object) -> None:
        observed = (obj.get("status") or {}).get("observedGeneration")
        if observed is None:
            return
        uid, generation = obj["metadata"]["uid"], obj["metadata"].get("generation", 0)
        assert observed <= generation, f"E11: observedGeneration {observed} is ahead of generation {generation}: {request!r}"
        assert observed >= self._observed.get(uid, 0), f"E11: observedGeneration went back to {observed}: {request!r}"
        self._observed[uid] = observed

    def _pod(self, key: str, pod: Object | None) -> None:
        old = self._pods.pop(key, None)
        if pod is None or (old is not None and old["metadata"]["uid"] != pod["metadata"]["uid"]):
            self._forget(key, old)
            old = None
        if pod is None:
            return
        self._pods[key] = pod
        if old is not None:
            self._moves_forward(key, old, pod)
        self._takes_room(key, pod)
        self._has_its_address(key, pod)

    def _forget(self, key: str, old: Object | None) -> None:
        if old is None:
            return
        self._on_node[old["spec"].get("nodeName") or ""].pop(key, None)
        for address in _addresses(old):
            if self._addresses.get(address) == key:
                del self._addresses[address]

    def _moves_forward(self, key: str, old: Object, pod: Object) -> None:
        before, after = old["spec"].get("nodeName"), pod["spec"].get("nodeName")
        assert not before or before == after, f"C2: Pod {key} went from {before} to {after}"
        phases = [(each.get("status") or {}).get("phase", "Pending") for each in (old, pod)]
        assert PHASE_ORDER[phases[0]] <= PHASE_ORDER[phases[1]], f"N1: the phase of Pod {key} went from {phases[0]} to {phases[1]}"
        assert PHASE_ORDER[phases[0]] < 2 or phases[0] == phases[1], f"N1: Pod {key} left {phases[0]}"
        restarts = _restarts(old)
        for name, count in _restarts(pod).items():
            assert count >= restarts.get(name, 0), f"N1: the restart count of {name} in Pod {key} fell to {count}"

    def _takes_room(self, key: str, pod: Object) -> None:
        name = pod["spec"].get("nodeName")
        if not name:
            return
        there = self._on_node[name]
        if is_over(pod):
            there.pop(key, None)
            return
        is_new = key not in there
        there[key] = pod
        if is_new:
            node = self._apiserver.peek("nodes", "", name)
            if node is not None:
                over = overcommitted(node, list(there.values()))
                assert not over, f"C1: Pod {key} overcommits {name}: {over}"

    def _has_its_address(self, key: str, pod: Object) -> None:
        for address in _addresses(pod):
            if is_over(pod):
                if self._addresses.get(address) == key:
                    del self._addresses[address]
            elif not pod["spec"].get("hostNetwork"):
                holder = self._addresses.setdefault(address, key)
                assert holder == key, f"{address} is the IP of Pod {key} and of Pod {holder}"


class RollingUpdateBounds:
    """E4, for an update that starts from a complete Deployment and is disturbed by nothing else.

    At every write: the ReplicaSets want at most ``replicas + maxSurge`` Pods, and at least ``replicas - maxUnavailable`` are available.
    """

    def __init__(self, apiserver: ApiServer, namespace: str, name: str) -> None:
        self._apiserver = apiserver
        self._address = (namespace, name)
        self.write_count = 0

    def __call__(self, time_ns: int, request: Request, obj: Object, revision: int) -> None:
        """Check the state after one write."""
        if request.resource not in ("replicasets.apps", "deployments.apps", "pods"):
            return
        deployment = self._apiserver.peek("deployments.apps", *self._address)
        if deployment is None:
            return
        self.write_count += 1
        surge, unavailable = bounds(deployment)
        replicas = deployment["spec"]["replicas"]
        owned = [each for each in self._apiserver.peek_all("replicasets.apps", self._address[0]) if is_owned(each, deployment)]
        wanted = sum(each["spec"]["replicas"] for each in owned)
        assert wanted <= replicas + surge, f"E4: the ReplicaSets want {wanted} Pods; at most {replicas} + {surge} at {request!r}"
        available = sum((each.get("status") or {}).get("availableReplicas", 0) for each in owned)
        assert available >= replicas - unavailable, f"E4: {available} available; at least {replicas} - {unavailable} at {request!r}"


def bounds(deployment: Object) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) as numbers: surge rounds up, unavailable down, and both 0 means one unavailable."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, deployment["spec"]["replicas"]
    rolling = strategy.get("rollingUpdate") or {}
    replicas = deployment["spec"]["replicas"]
    surge = _scaled(rolling.get("maxSurge", "25%"), replicas, 99)
    unavailable = _scaled(rolling.get("maxUnavailable", "25%"), replicas, 0)
    return surge, unavailable or (0 if surge else 1)


def _scaled(value: Any, replicas: int, rounding: int) -> int:
    if isinstance(value, int):
        return value
    return (int(value.rstrip("%")) * replicas + rounding) // 100


def is_owned(obj: Object, owner: Object) -> bool:
    """Whether ``owner`` is the controller of ``obj``."""
    references = obj["metadata"].get("ownerReferences") or ()
    return any(each.get("controller") and each["uid"] == owner["metadata"]["uid"] for each in references)


def is_over(pod: Object) -> bool:
    """Whether a Pod has ended and takes no more room."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def requests(pod: Object) -> dict[str, int]:
    """What a Pod asks of its node, in nanos: the sum of its containers, or its largest init container, plus its overhead."""
    total: dict[str, int] = {}
    for container in pod["spec"]["containers"]:
        for name, amount in _asked(container).items():
            total[name] = total.get(name, 0) + amount
    side = dict.fromkeys(RESOURCES, 0)
    for container in pod["spec"].get("initContainers") or ():
        asked = _asked(container)
        if container.get("restartPolicy") == "Always":  # a sidecar runs on beside what comes after it
            for name, amount in asked.items():
                side[name] = side.get(name, 0) + amount
                total[name] = total.get(name, 0) + amount
        else:
            for name, amount in asked.items():
                total[name] = max(total.get(name, 0), amount + side.get(name, 0))
    for name, text in (pod["spec"].get("overhead") or {}).items():
        total[name] = total.get(name, 0) + quantity.parse(str(text)).nanos
    return total


def _asked(container: Object) -> dict[str, int]:
    asked = (container.get("resources") or {}).get("requests") or {}
    return {name: quantity.parse(str(text)).nanos for name, text in asked.items()}


def overcommitted(node: Object, pods: list[Object]) -> str:
    """What of a node is given away more than once, in words; empty when nothing is."""
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    if "pods" in allocatable and len(pods) > int(allocatable["pods"]):
        return f"{len(pods)} Pods of at most {allocatable['pods']}"
    used: dict[str, int] = {}
    for pod in pods:
        for name, amount in requests(pod).items():
            used[name] = used.get(name, 0) + amount
    for name, amount in used.items():
        room = quantity.parse(str(allocatable.get(name, "0"))).nanos
        if amount > room:
            return f"{name}: {amount / quantity.NANO} of {room / quantity.NANO}"
    ports: set[tuple[Any, ...]] = set()
    for pod in pods:
        for port in _host_ports(pod):
            if port in ports:
                return f"host port {port}"
            ports.add(port)
    return ""


def _host_ports(pod: Object) -> list[tuple[Any, ...]]:
    return [
        (port.get("hostIP") or "0.0.0.0", port.get("protocol", "TCP"), port["hostPort"])
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("hostPort")
    ]


def _restarts(pod: Object) -> dict[str, int]:
    return {each["name"]: each.get("restartCount", 0) for each in (pod.get("status") or {}).get("containerStatuses") or ()}


def _addresses(pod: Object) -> list[str]:
    return [each["ip"] for each in (pod.get("status") or {}).get("podIPs") or ()]


def _key(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
