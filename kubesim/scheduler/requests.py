"""What a Pod asks of a node, as the scheduler counts it: the real request and two nominal ones (``api.resources`` has the rules).

The nominal request of a bound Pod, which its node adds up, differs from that of a Pod being scored where the Pod has pod-level requests
(guide, section 3): those count there, and a container gets a default only for what neither the Pod nor any container asks for.

Upstream: pkg/scheduler/framework/types.go (calculateResource), plugins/noderesources/resource_allocation.go.
"""

from typing import Any, NamedTuple

from kubesim.api.resources import (
    CPU,
    CPU_DEFAULT_MILLICORES,
    EPHEMERAL_STORAGE,
    MEMORY,
    MEMORY_DEFAULT_BYTES,
    PODS,
    Amounts,
    amounts_of,
    effective,
    is_pod_level,
    pod_requests,
    pod_scored_requests,
)

__all__ = ["CPU", "EPHEMERAL_STORAGE", "MEMORY", "PODS", "PodRequests", "amounts_of", "is_sidecar", "requests_of"]
Object = dict[str, Any]
DEFAULTS = {CPU: CPU_DEFAULT_MILLICORES, MEMORY: MEMORY_DEFAULT_BYTES}


class PodRequests(NamedTuple):
    """A Pod's requests by resource name; the nominal pairs are (cpu millicores, memory bytes)."""

    real: Amounts
    nominal_used: tuple[int, int]
    nominal_scored: tuple[int, int]


def is_sidecar(container: Object) -> bool:
    """Whether an init container keeps running."""
    return container.get("restartPolicy") == "Always"


def requests_of(spec: Object) -> PodRequests:
    """All three; O(containers)."""
    scored = pod_scored_requests(spec)
    pod_level = amounts_of((spec.get("resources") or {}).get("requests"))
    used = _used_with_pod_level(spec, pod_level) if pod_level else scored
    return PodRequests(dict(pod_requests(spec)), (used.get(CPU, 0), used.get(MEMORY, 0)), (scored.get(CPU, 0), scored.get(MEMORY, 0)))


def _used_with_pod_level(spec: Object, pod_level: Amounts) -> Amounts:
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    asked = {name for container in containers for name in _own(container)}
    missing = {name: amount for name, amount in DEFAULTS.items() if name not in asked and name not in pod_level}
    used = effective(spec, lambda container: {**missing, **_own(container)})
    used.update({name: amount for name, amount in pod_level.items() if is_pod_level(name)})
    for name, amount in amounts_of(spec.get("overhead")).items():
        used[name] = used.get(name, 0) + amount
    return used


def _own(container: Object) -> Amounts:
    return amounts_of((container.get("resources") or {}).get("requests"))
