"""What a Pod asks of a node, in integers: cpu in millicores, everything else in units, rounded up.

Three sums exist, and they differ (guide, section 3): the real request (filters, and what is used on a node); the nominal request
that a bound Pod adds to its node's nominal use (a missing cpu counts 100m, a missing memory 200 MiB); and the nominal request
of a Pod being scored, which ignores pod-level requests.

Upstream: k8s.io/component-helpers/resource/helpers.go (PodRequests), pkg/scheduler/framework/types.go.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kubesim.api.quantity import milli_value, value

CPU, MEMORY, EPHEMERAL_STORAGE, PODS = "cpu", "memory", "ephemeral-storage", "pods"
HUGEPAGES_PREFIX = "hugepages-"
NOMINAL_CPU_MILLI = 100
NOMINAL_MEMORY_BYTES = 200 * 1024 * 1024

Amounts = dict[str, int]
Object = Mapping[str, Any]
NO_AMOUNTS: Mapping[str, Any] = {}


class PodRequests(NamedTuple):
    """A Pod's requests by resource name; the nominal pairs are (cpu millicores, memory bytes)."""

    real: Amounts
    nominal_used: tuple[int, int]
    nominal_scored: tuple[int, int]


def amounts_of(quantities: Mapping[str, Any] | None) -> Amounts:
    """The integers of a resource list: millicores of cpu, units of everything else."""
    return {
        name: milli_value(str(quantity)) if name == CPU else value(str(quantity)) for name, quantity in (quantities or NO_AMOUNTS).items()
    }


def container_requests(container: Object) -> Amounts:
    """A container's requests as they were after defaulting."""
    return amounts_of((container.get("resources") or NO_AMOUNTS).get("requests"))


def is_sidecar(container: Object) -> bool:
    """Whether an init container keeps running."""
    return container.get("restartPolicy") == "Always"


def pod_requests(spec: Object) -> PodRequests:
    """The three sums of a Pod's spec; O(containers)."""
    pod_level = amounts_of((spec.get("resources") or NO_AMOUNTS).get("requests"))
    overhead = amounts_of(spec.get("overhead"))
    containers = _sum(spec, container_requests)

    real = {**containers, **_pod_level(pod_level)}
    _add(real, overhead)

    everywhere = _mentioned(spec) | set(pod_level) if pod_level else frozenset()
    used = _sum(spec, lambda container: _nominal(container_requests(container), everywhere))
    used.update(_pod_level(pod_level))
    _add(used, overhead)

    scored = _sum(spec, lambda container: _nominal(container_requests(container), frozenset()))
    _add(scored, overhead)
    return PodRequests(real, (used.get(CPU, 0), used.get(MEMORY, 0)), (scored.get(CPU, 0), scored.get(MEMORY, 0)))


def _sum(spec: Object, requests_of: Callable[[Object], Amounts]) -> Amounts:
    """max(containers + sidecars, the peak of the init containers), per resource."""
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, requests_of(container))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        needs = requests_of(container)
        if is_sidecar(container):
            _add(total, needs)
            _add(sidecars, needs)
            needs = sidecars
        else:
            needs = dict(needs)
            _add(needs, sidecars)
        for name, amount in needs.items():
            peak[name] = max(peak.get(name, 0), amount)
    for name, amount in peak.items():
        total[name] = max(total.get(name, 0), amount)
    return total


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _pod_level(requests: Amounts) -> Amounts:
    """What pod-level requests may replace."""
    return {name: amount for name, amount in requests.items() if name in (CPU, MEMORY) or name.startswith(HUGEPAGES_PREFIX)}


def _mentioned(spec: Object) -> frozenset[str]:
    """The resources that any container requests."""
    names: set[str] = set()
    for field in ("containers", "initContainers"):
        for container in spec.get(field) or ():
            names.update(container_requests(container))
    return frozenset(names)


def _nominal(requests: Amounts, without_default: frozenset[str] | set[str]) -> Amounts:
    """A container's requests with the defaults of upstream's scoring; an explicit zero stays zero."""
    nominal = dict(requests)
    if CPU not in nominal and CPU not in without_default:
        nominal[CPU] = NOMINAL_CPU_MILLI
    if MEMORY not in nominal and MEMORY not in without_default:
        nominal[MEMORY] = NOMINAL_MEMORY_BYTES
    return nominal
