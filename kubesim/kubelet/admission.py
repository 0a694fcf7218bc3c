"""The last guard: whether a node takes a Pod that was bound to it, and what the admitted Pods of the node use.

A Pod that does not fit is refused (phase Failed) and never runs, whatever a scheduler decided: no node is ever overcommitted.
Checked in upstream's order: resources, node affinity and selector, node name, host ports, NoExecute taints; the first failure counts.

Upstream: pkg/kubelet/lifecycle/predicate.go, pkg/scheduler/scheduler.go (AdmissionCheck).
"""

from typing import Any

from kubesim.api.memo import IdentityMemo
from kubesim.api.quantity import milli_value, value
from kubesim.api.selectors import Selector, node_requirement
from kubesim.apiserver.requests import Object
from kubesim.kubelet.facts import TemplateFacts

Refusal = tuple[str, str]  # (reason, message) of the failed Pod
ANY_ADDRESS = "0.0.0.0"


class NodeResources:
    """What a node has to give and what its admitted Pods use. CPU in millicores, the rest in units (bytes)."""

    __slots__ = (
        "allocatable", "cpu", "cpu_used", "ephemeral", "ephemeral_used", "labels", "memory", "memory_used", "name",
        "no_execute", "pods", "pods_used", "ports", "scalars_used",
    )  # fmt: skip

    def __init__(self, node: Object) -> None:
        self.pods_used = self.cpu_used = self.memory_used = self.ephemeral_used = 0
        self.scalars_used: dict[str, int] = {}
        self.ports: dict[tuple[str, str, int], int] = {}
        self.update(node)

    def update(self, node: Object) -> None:
        """Take over the node's allocatable resources, labels and taints; what Pods use stays."""
        metadata, status = node["metadata"], node.get("status") or {}
        amounts = status.get("allocatable") or status.get("capacity") or {}
        self.name: str = metadata["name"]
        self.labels: dict[str, str] = metadata.get("labels") or {}
        self.allocatable = {name: milli_value(text) if name == "cpu" else value(text) for name, text in amounts.items()}
        self.cpu = self.allocatable.get("cpu", 0)
        self.memory = self.allocatable.get("memory", 0)
        self.ephemeral = self.allocatable.get("ephemeral-storage", 0)
        self.pods = self.allocatable.get("pods", 0)
        taints = (node.get("spec") or {}).get("taints") or ()
        self.no_execute = tuple(taint for taint in taints if taint.get("effect") == "NoExecute")

    def take(self, facts: TemplateFacts) -> None:
        """Count an admitted Pod. O(1) plus its host ports and extended resources."""
        self.pods_used += 1
        self.cpu_used += facts.cpu
        self.memory_used += facts.memory
        self.ephemeral_used += facts.ephemeral
        for name, amount in facts.scalars:
            self.scalars_used[name] = self.scalars_used.get(name, 0) + amount
        for port in facts.host_ports:
            self.ports[port] = self.ports.get(port, 0) + 1

    def give_back(self, facts: TemplateFacts) -> None:
        """Undo ``take``: the Pod's containers have stopped."""
        self.pods_used -= 1
        self.cpu_used -= facts.cpu
        self.memory_used -= facts.memory
        self.ephemeral_used -= facts.ephemeral
        for name, amount in facts.scalars:
            self.scalars_used[name] -= amount
        for port in facts.host_ports:
            self.ports[port] -= 1
            if not self.ports[port]:
                del self.ports[port]


def admit(facts: TemplateFacts, spec: Object, node: NodeResources) -> Refusal | None:
    """Return None when the node takes the Pod, else upstream's reason and message. Changes nothing."""
    if (
        node.pods_used >= node.pods
        or (facts.cpu and node.cpu_used + facts.cpu > node.cpu)
        or (facts.memory and node.memory_used + facts.memory > node.memory)
        or (facts.ephemeral and node.ephemeral_used + facts.ephemeral > node.ephemeral)
        or facts.scalars
    ):
        refusal = _check_resources(facts, node)
        if refusal is not None:
            return refusal
    if ("nodeSelector" in spec or "affinity" in spec) and not matches_node(spec, node.labels, node.name):
        return _predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    if spec.get("nodeName") != node.name:
        return _predicate("NodeName", "node(s) didn't match the requested node name")
    if facts.host_ports and any(_conflicts(port, node.ports) for port in facts.host_ports):
        return _predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    if node.no_execute and not all(tolerates(spec, taint) for taint in node.no_execute):
        return _predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    return None


def _predicate(name: str, description: str) -> Refusal:
    return name, f"Predicate {name} failed: {description}"


def _check_resources(facts: TemplateFacts, node: NodeResources) -> Refusal | None:
    rows = [("pods", 1, node.pods_used, node.pods), ("cpu", facts.cpu, node.cpu_used, node.cpu)]
    rows.append(("memory", facts.memory, node.memory_used, node.memory))
    rows.append(("ephemeral-storage", facts.ephemeral, node.ephemeral_used, node.ephemeral))
    rows += [(name, amount, node.scalars_used.get(name, 0), node.allocatable.get(name, 0)) for name, amount in facts.scalars]
    for name, requested, used, capacity in rows:
        if requested and used + requested > capacity:
            text = f"Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
            return f"OutOf{name}", text
    return None


def matches_node(spec: Object, labels: dict[str, str], name: str) -> bool:
    """Whether a node fits a Pod's ``nodeSelector`` and required node affinity (terms are alternatives, an empty one matches nothing)."""
    for key, wanted in (spec.get("nodeSelector") or {}).items():
        if labels.get(key) != wanted:
            return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(
        selector.matches(labels) and all(_matches_field(field, name) for field in fields)
        for selector, fields in _compiled(required.get("nodeSelectorTerms") or ())
    )


def _compile(terms: Any) -> list[tuple[Selector, Any]]:
    return [
        (Selector(tuple(node_requirement(each) for each in term.get("matchExpressions") or ())), term.get("matchFields") or ())
        for term in terms
        if term.get("matchExpressions") or term.get("matchFields")
    ]


_compiled: IdentityMemo[list[tuple[Selector, Any]]] = IdentityMemo(_compile)


def _matches_field(field: Object, name: str) -> bool:
    """The only node field there is: metadata.name, with In or NotIn and one value."""
    inside = field.get("key") == "metadata.name" and name in (field.get("values") or ())
    return inside if field["operator"] == "In" else not inside


def _conflicts(port: tuple[str, str, int], used: dict[tuple[str, str, int], int]) -> bool:
    """Equal protocol and number meet when an address is equal or one of them is every address."""
    address, protocol, number = port
    if address == ANY_ADDRESS:
        return any(other[1] == protocol and other[2] == number for other in used)
    return port in used or (ANY_ADDRESS, protocol, number) in used


def tolerates(spec: Object, taint: Any) -> bool:
    """Whether one of a Pod's tolerations covers a taint."""
    for toleration in spec.get("tolerations") or ():
        if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
            continue
        key = toleration.get("key")
        if key and key != taint["key"]:
            continue
        operator = toleration.get("operator") or "Equal"
        if operator == "Exists" or (key and (toleration.get("value") or "") == (taint.get("value") or "")):
            return True
    return False
