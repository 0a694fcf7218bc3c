"""The PodAffinityTerms of a Pod, compiled: as what it asks of others when it comes, and as what it means for those that come later.

The two differ (upstream too): for its own terms the namespace selector is expanded to names, but also still applied to an empty set of
labels, so a selector that matches no labels at all means every namespace.

Upstream: staging/src/k8s.io/kube-scheduler/framework/types.go (AffinityTerm), plugins/interpodaffinity/plugin.go.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kubesim.api import selectors
from kubesim.scheduler.objects import Objects
from kubesim.scheduler.pod_index import AffinityTerm, PodSelector

Object = Mapping[str, Any]
REQUIRED, PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
REQUIRED_AFFINITY, REQUIRED_ANTI, WEIGHTED = "required affinity", "required anti-affinity", "preferred"
NO_TERMS: tuple[AffinityTerm, ...] = ()


class OwnTerm(NamedTuple):
    """One term of the incoming Pod; ``weight`` is signed, 0 for required terms."""

    topology_key: str
    selector: PodSelector
    weight: int = 0


def has_pod_terms(spec: Object) -> bool:
    """Whether a spec has any term about other Pods."""
    affinity = spec.get("affinity")
    return bool(affinity) and bool(affinity.get("podAffinity") or affinity.get("podAntiAffinity"))  # type: ignore[union-attr]


def _terms(spec: Object, kind: str, when: str) -> Sequence[Object]:
    return ((spec.get("affinity") or {}).get(kind) or {}).get(when) or ()


def carried_terms(spec: Object, namespace: str) -> tuple[AffinityTerm, ...]:
    """What an existing Pod's terms mean for Pods that come later."""
    found = [_carried(term, namespace, REQUIRED_ANTI, 0) for term in _terms(spec, "podAntiAffinity", REQUIRED)]
    found += [_carried(term, namespace, REQUIRED_AFFINITY, 0) for term in _terms(spec, "podAffinity", REQUIRED)]
    for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
        for weighted in _terms(spec, kind, PREFERRED):
            found.append(_carried(weighted["podAffinityTerm"], namespace, WEIGHTED, sign * weighted["weight"]))
    return tuple(found)


def _carried(term: Object, namespace: str, kind: str, weight: int) -> AffinityTerm:
    return AffinityTerm(
        kind,
        term.get("topologyKey") or "",
        _named(term, namespace),
        selectors.from_object(term.get("namespaceSelector")).requirements,
        selectors.from_object(term.get("labelSelector")).requirements,
        weight,
    )


def _named(term: Object, namespace: str) -> frozenset[str]:
    names = term.get("namespaces") or ()
    return frozenset((namespace,)) if not names and term.get("namespaceSelector") is None else frozenset(names)


def _own(term: Object, namespace: str, objects: Objects, weight: int = 0) -> OwnTerm:
    namespaces: frozenset[str] | None = _named(term, namespace)
    if term.get("namespaceSelector") is not None:
        selector = selectors.from_object(term["namespaceSelector"])
        if selector.matches({}):
            namespaces = None
        else:
            known = (found["metadata"] for found in objects.all("namespaces"))
            namespaces = _named(term, namespace) | {m["name"] for m in known if selector.matches(m.get("labels") or {})}
    requirements = selectors.from_object(term.get("labelSelector")).requirements
    return OwnTerm(term.get("topologyKey") or "", PodSelector(namespaces, requirements), weight)


def own_required(spec: Object, namespace: str, kind: str, objects: Objects) -> tuple[OwnTerm, ...]:
    """The incoming Pod's required terms of ``kind`` ("podAffinity" or "podAntiAffinity")."""
    return tuple(_own(term, namespace, objects) for term in _terms(spec, kind, REQUIRED))


def own_preferred(spec: Object, namespace: str, objects: Objects) -> tuple[OwnTerm, ...]:
    """The incoming Pod's preferred terms of both kinds, weights signed."""
    return tuple(
        _own(weighted["podAffinityTerm"], namespace, objects, sign * weighted["weight"])
        for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1))
        for weighted in _terms(spec, kind, PREFERRED)
    )
