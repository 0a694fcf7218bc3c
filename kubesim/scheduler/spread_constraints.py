"""Topology spread constraints, compiled: the Pod's own, or the profile's defaults with the selector of its Services and owner.

Upstream: plugins/podtopologyspread/common.go, plugins/helper/spread.go (DefaultSelector).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kubesim.api import selectors
from kubesim.api.selectors import EQUALS, IN, Requirement
from kubesim.scheduler.objects import Objects
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.pod_index import PodSelector, Question, Requirements

HARD, SOFT = "DoNotSchedule", "ScheduleAnyway"
HONOR = "Honor"
OWNERS = {"ReplicationController": "replicationcontrollers", "ReplicaSet": "replicasets", "StatefulSet": "statefulsets"}
SYSTEM_DEFAULTS: tuple[Mapping[str, Any], ...] = (
    {"topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": SOFT, "maxSkew": 3},
    {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": SOFT, "maxSkew": 5},
)


class Constraint(NamedTuple):
    """One constraint; ``requirements`` None selects nothing, () everything."""

    key: str
    max_skew: int
    requirements: Requirements
    is_self_matched: bool
    domain_count_min: int
    honors_affinity: bool
    honors_taints: bool

    def question(self, namespace: str) -> Question | None:
        """What to count; None when nothing counts, as for an empty selector."""
        if not self.requirements:
            return None
        return Question((PodSelector(frozenset((namespace,)), self.requirements),), counts_terminating=False)


def compiled(constraints: Sequence[Mapping[str, Any]], action: str, labels: Mapping[str, str]) -> tuple[Constraint, ...]:
    """The constraints with this action, ``matchLabelKeys`` merged in (again, where the apiserver has done it)."""
    found = []
    for constraint in constraints:
        if constraint["whenUnsatisfiable"] == action:
            requirements = selectors.from_object(constraint.get("labelSelector")).requirements
            keys = constraint.get("matchLabelKeys") or ()
            if keys and requirements is not None:
                merged = [Requirement(key, IN, (labels[key],)) for key in keys if key in labels]
                requirements = (*requirements, *[r for r in merged if r not in requirements])
            found.append(_compile(constraint, requirements, labels))
    return tuple(found)


def _compile(constraint: Mapping[str, Any], requirements: Requirements, labels: Mapping[str, str]) -> Constraint:
    return Constraint(
        constraint["topologyKey"],
        constraint["maxSkew"],
        requirements,
        selectors.Selector(requirements).matches(labels),
        constraint.get("minDomains") or 1,
        (constraint.get("nodeAffinityPolicy") or HONOR) == HONOR,
        constraint.get("nodeTaintsPolicy") == HONOR,
    )


def defaults(constraints: Sequence[Mapping[str, Any]], action: str, pod: PodInfo, objects: Objects) -> tuple[Constraint, ...]:
    """The profile's default constraints with this action, for a Pod without any of its own; none when nothing selects the Pod."""
    wanted = [constraint for constraint in constraints if constraint["whenUnsatisfiable"] == action]
    requirements = default_selector(pod, objects) if wanted else ()
    if not requirements:
        return ()
    return tuple(_compile(constraint, requirements, pod.labels) for constraint in wanted)


def default_selector(pod: PodInfo, objects: Objects) -> tuple[Requirement, ...]:
    """The labels of all Services that select the Pod, and the selector of its owner. O(Services)."""
    labels = pod.labels
    merged: dict[str, str] = {}
    for service in objects.all("services"):
        wanted = (service.get("spec") or {}).get("selector")
        if wanted is None or (service["metadata"].get("namespace") or "default") != pod.namespace:
            continue
        if all(labels.get(key) == value for key, value in wanted.items()):
            merged.update(wanted)
    requirements = [Requirement(key, EQUALS, (merged[key],)) for key in sorted(merged)]
    kind, name = pod.owner() or ("", "")
    owner = objects.get(OWNERS[kind], f"{pod.namespace}/{name}") if kind in OWNERS else None
    selector = ((owner or {}).get("spec") or {}).get("selector")
    if selector is None:
        return tuple(requirements)
    if kind == "ReplicationController":
        merged.update(selector)
        return tuple(Requirement(key, EQUALS, (merged[key],)) for key in sorted(merged))
    return (*requirements, *(selectors.from_object(selector).requirements or ()))
