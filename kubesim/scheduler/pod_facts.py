"""What the scheduler knows of a Pod: facts of its spec, shared by every Pod of one template, and the Pod itself.

Facts are remembered by the identity of the parts of the spec that they come from, because Pods of one template share those parts
(ARCHITECTURE.md), also when each has a spec of its own around them. Two Pods of equal but not shared parts have two equal facts.
"""

from collections.abc import Mapping
from operator import is_
from typing import Any

from kubesim._core.placement import Demand
from kubesim.scheduler.affinity_terms import NO_TERMS, carried_terms, has_pod_terms
from kubesim.scheduler.pod_index import AffinityTerm, GroupKey
from kubesim.scheduler.requests import PodRequests, is_sidecar, requests_of

Object = dict[str, Any]
PortKey = tuple[str, str, int]  # (ip, protocol, port)

DEFAULT_SCHEDULER_NAME = "default-scheduler"
ANY_ADDRESS = "0.0.0.0"
NO_LABELS: Mapping[str, str] = {}
FACTS_MAX = 16384
TERMINAL_PHASES = ("Succeeded", "Failed")
# What any plugin may read of a spec. hostname, volumes of ConfigMaps and the like differ between Pods without a difference here.
PARTS = (
    "containers",
    "initContainers",
    "overhead",
    "resources",
    "tolerations",
    "affinity",
    "nodeSelector",
    "schedulingGates",
    "topologySpreadConstraints",
    "volumes",
    "resourceClaims",
    "schedulingGroup",
)

SCALARS = ("priority", "preemptionPolicy", "schedulerName", "hostNetwork")


class PodFacts:
    """What follows from a Pod's spec alone."""

    __slots__ = (
        "_terms",
        "claims",
        "demand",
        "gates",
        "group",
        "has_claims",
        "has_pod_terms",
        "host_ports",
        "parts",
        "preemption_policy",
        "priority",
        "requests",
        "scalars",
        "scheduler_name",
        "spec",
        "state",
    )

    def __init__(self, spec: Object) -> None:
        self.spec = spec  # any spec of these facts; its nodeName is not a fact
        self.parts = tuple(spec.get(name) for name in PARTS)
        self.scalars = tuple(spec.get(name) for name in SCALARS)
        self.requests: PodRequests = requests_of(spec)
        self.host_ports: tuple[PortKey, ...] = host_ports(spec)
        self.priority: int = spec.get("priority") or 0
        self.preemption_policy: str = spec.get("preemptionPolicy") or "PreemptLowerPriority"
        self.scheduler_name: str = spec.get("schedulerName") or DEFAULT_SCHEDULER_NAME
        self.gates: tuple[str, ...] = tuple(gate["name"] for gate in spec.get("schedulingGates") or ())
        self.group: str = (spec.get("schedulingGroup") or {}).get("podGroupName") or ""
        self.demand: Demand | None = None  # set by the node table, whose columns it speaks of
        self.state: Any = None  # the cycle's shared state of the last signature: (epoch, identity, state)
        volumes = spec.get("volumes") or ()
        self.claims = tuple(v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v)
        self.has_claims = any("persistentVolumeClaim" in v or "ephemeral" in v for v in volumes)
        self.has_pod_terms = has_pod_terms(spec)
        self._terms: dict[str, tuple[AffinityTerm, ...]] = {}

    def terms(self, namespace: str) -> tuple[AffinityTerm, ...]:
        """What the Pod's affinity terms mean for Pods that come later, when it is in this namespace."""
        if not self.has_pod_terms:
            return NO_TERMS
        terms = self._terms.get(namespace)
        if terms is None:
            terms = self._terms[namespace] = carried_terms(self.spec, namespace)
        return terms

    def hold_for(self, spec: Object) -> bool:
        """Whether these are the facts of another spec, told by the identity of its parts; false may also mean not shared."""
        get = spec.get  # mapped in C: it is asked for every Pod that is bound
        return tuple(map(get, SCALARS)) == self.scalars and all(map(is_, map(get, PARTS), self.parts))

    def __repr__(self) -> str:
        return f"<PodFacts {self.requests.real}>"


class PodInfo:
    """One Pod: the object as last seen, and its facts."""

    __slots__ = ("counted_as", "facts", "key", "namespace", "node_name", "obj", "row", "uid")

    def __init__(self, obj: Object, facts: PodFacts) -> None:
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or "default"
        self.obj = obj
        self.facts = facts
        self.namespace: str = namespace
        self.counted_as: GroupKey | None = None  # the node table's, while it holds the Pod
        self.key: str = f"{namespace}/{metadata['name']}"
        self.uid: str = metadata.get("uid") or self.key
        self.node_name: str = obj["spec"].get("nodeName") or ""
        self.row = -1  # the node table's, while it holds the Pod

    @property
    def labels(self) -> Mapping[str, str]:
        """The Pod's labels."""
        return self.obj["metadata"].get("labels") or NO_LABELS

    @property
    def is_terminating(self) -> bool:
        """Whether the Pod is being deleted."""
        return bool(self.obj["metadata"].get("deletionTimestamp"))

    def group_key(self) -> GroupKey:
        """What selectors can see of the Pod."""
        metadata = self.obj["metadata"]
        labels = metadata.get("labels")
        return self.namespace, tuple(labels.items()) if labels else (), "deletionTimestamp" in metadata

    def owner(self) -> tuple[str, str] | None:
        """(kind, name) of the controller, or None."""
        for reference in self.obj["metadata"].get("ownerReferences") or ():
            if reference.get("controller"):
                return reference["kind"], reference["name"]
        return None

    def __repr__(self) -> str:
        return f"<PodInfo {self.key} on {self.node_name or 'no node'}>"


class FactsMemo:
    """Facts by the identity of a spec's parts; at most ``FACTS_MAX``, oldest out first."""

    __slots__ = ("_by_parts", "_by_spec")

    def __init__(self) -> None:
        self._by_spec: dict[int, tuple[Object, PodFacts]] = {}  # the spec is held, so that its id stays its own
        self._by_parts: dict[tuple[Any, ...], PodFacts] = {}

    def facts(self, spec: Object) -> PodFacts:
        """The facts of a spec; O(1) when its parts were seen before."""
        known = self._by_spec.get(id(spec))
        if known is not None and known[0] is spec:
            return known[1]
        key = (*[id(spec.get(name)) for name in PARTS], *[spec.get(name) for name in SCALARS])
        facts = self._by_parts.get(key)
        if facts is None:
            facts = self._by_parts[key] = PodFacts(spec)
            _forget_oldest(self._by_parts)
        if not spec.get("nodeName"):  # a bound Pod's spec is its own; a template's is worth remembering
            self._by_spec[id(spec)] = (spec, facts)
            _forget_oldest(self._by_spec)
        return facts

    def info(self, obj: Object) -> PodInfo:
        """A Pod object with its facts."""
        return PodInfo(obj, self.facts(obj["spec"]))


def _forget_oldest(memo: dict[Any, Any]) -> None:
    if len(memo) > FACTS_MAX:
        del memo[next(iter(memo))]


def is_terminal(obj: Object) -> bool:
    """Whether the Pod's containers have all stopped for good."""
    return (obj.get("status") or {}).get("phase") in TERMINAL_PHASES


def host_ports(spec: Mapping[str, Any]) -> tuple[PortKey, ...]:
    """The host ports of containers and sidecars; plain init containers do not count."""
    found: dict[PortKey, None] = {}
    sidecars = [container for container in spec.get("initContainers") or () if is_sidecar(container)]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            number = port.get("hostPort") or 0
            if number > 0:
                found[(port.get("hostIP") or ANY_ADDRESS, port.get("protocol") or "TCP", number)] = None
    return tuple(found)
