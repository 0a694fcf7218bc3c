"""What a Pod asks for: its effective requests and limits, and its quality-of-service class.

Upstream: component-helpers/resource/helpers.go and pkg/apis/core/v1/helper/qos. Amounts are integers: cpu in millicores, every
other resource in its unit (bytes, devices), both rounded up. Used by the scheduler, the kubelet and admission; remembered by the
identity of the containers, which a bound Pod still shares with its template.

    sum      = containers + sidecars (init containers that restart always)
    peak     = max over init containers i of: own request + sidecars before i   (a sidecar: sidecars up to and including it)
    requests = max(sum, peak) per resource; then pod-level requests replace cpu, memory, hugepages; then overhead is added
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kubesim.api import quantity

Object = dict[str, Any]
Amounts = dict[str, int]
CPU, MEMORY, EPHEMERAL_STORAGE, PODS = "cpu", "memory", "ephemeral-storage", "pods"
CPU_DEFAULT_MILLICORES = 100  # what scoring assumes for a container that asks for no cpu
MEMORY_DEFAULT_BYTES = 200 * 1024 * 1024
BEST_EFFORT, BURSTABLE, GUARANTEED = "BestEffort", "Burstable", "Guaranteed"
_MEMO_MAX = 8192


def amount_of(name: str, value: Any) -> int:
    """One amount as an integer: millicores for cpu, units for everything else; rounded up.

    Raises:
        ValueError: when the value is not a quantity.
    """
    text = value if isinstance(value, str) else quantity.as_text(value)
    return quantity.milli_value(text) if name == CPU else quantity.value(text)


def amounts_of(values: Mapping[str, Any] | None) -> Amounts:
    """A map of quantities, such as ``status.allocatable``, as integers."""
    return {name: amount_of(name, value) for name, value in values.items()} if values else {}


def is_pod_level(name: str) -> bool:
    """Whether a resource may be asked for by the Pod as a whole."""
    return name in (CPU, MEMORY) or name.startswith("hugepages-")


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise_to(total: Amounts, other: Mapping[str, int]) -> None:
    for name, amount in other.items():
        if amount > total.get(name, 0) or name not in total:
            total[name] = amount


def effective(spec: Object, of_container: Callable[[Object], Amounts]) -> Amounts:
    """The maximum of the running sum and the init peak."""
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, of_container(container))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = of_container(container)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            _raise_to(peak, sidecars)
        else:
            with_sidecars = dict(own)
            _add(with_sidecars, sidecars)
            _raise_to(peak, with_sidecars)
    _raise_to(total, peak)
    return total


def _container_requests(container: Object) -> Amounts:
    return amounts_of((container.get("resources") or {}).get("requests"))


def _container_limits(container: Object) -> Amounts:
    return amounts_of((container.get("resources") or {}).get("limits"))


def _container_scored(container: Object) -> Amounts:
    requests = _container_requests(container)
    requests.setdefault(CPU, CPU_DEFAULT_MILLICORES)
    requests.setdefault(MEMORY, MEMORY_DEFAULT_BYTES)
    return requests


def _with_pod_level(spec: Object, total: Amounts, which: str) -> Amounts:
    for name, value in ((spec.get("resources") or {}).get(which) or {}).items():
        if is_pod_level(name):
            total[name] = amount_of(name, value)
    return total


def _compute_requests(spec: Object) -> Amounts:
    total = _with_pod_level(spec, effective(spec, _container_requests), "requests")
    _add(total, amounts_of(spec.get("overhead")))
    return total


def _compute_limits(spec: Object) -> Amounts:
    total = _with_pod_level(spec, effective(spec, _container_limits), "limits")
    for name, amount in amounts_of(spec.get("overhead")).items():
        if name in total:
            total[name] += amount
    return total


def _compute_scored(spec: Object) -> Amounts:
    total = effective(spec, _container_scored)
    _add(total, amounts_of(spec.get("overhead")))
    return total


class _SpecMemo:
    """Remember a function of the resource parts of a spec by the identity of those parts."""

    __slots__ = ("_entries", "_function")

    def __init__(self, function: Callable[[Object], Amounts]) -> None:
        self._function = function
        self._entries: dict[int, tuple[Any, Any, Any, Any, Amounts]] = {}

    def __call__(self, spec: Object) -> Amounts:
        containers = spec.get("containers")
        entry = self._entries.get(id(containers))
        if (
            entry is not None
            and entry[1] is spec.get("initContainers")
            and entry[2] is spec.get("resources")
            and entry[3] is spec.get("overhead")
        ):
            return entry[4]
        amounts = self._function(spec)
        if len(self._entries) >= _MEMO_MAX:
            del self._entries[next(iter(self._entries))]
        self._entries[id(containers)] = (containers, spec.get("initContainers"), spec.get("resources"), spec.get("overhead"), amounts)
        return amounts


_requests = _SpecMemo(_compute_requests)
_limits = _SpecMemo(_compute_limits)
_scored = _SpecMemo(_compute_scored)


def pod_requests(spec: Object) -> Mapping[str, int]:
    """What the Pod takes from a node: cpu in millicores, the rest in units. Read-only, shared between Pods of one template."""
    return _requests(spec)


def pod_limits(spec: Object) -> Mapping[str, int]:
    """The Pod's limits, by the same rule as its requests. Read-only."""
    return _limits(spec)


def pod_scored_requests(spec: Object) -> Mapping[str, int]:
    """Requests for scoring: each container without a cpu or memory request counts 100m or 200 MiB. Pod-level requests do not count."""
    return _scored(spec)


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort (ComputePodQOS): only cpu and memory above zero count."""
    level = spec.get("resources") or {}
    if level.get("requests") or level.get("limits"):
        return _qos([level])
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return _qos([container.get("resources") or {} for container in containers])


def _qos(all_resources: Iterable[Object]) -> str:
    requests: Amounts = {}
    limits: Amounts = {}
    guaranteed = True
    for resources in all_resources:
        _add(requests, _positive(resources.get("requests")))
        own_limits = _positive(resources.get("limits"))
        _add(limits, own_limits)
        guaranteed = guaranteed and len(own_limits) == 2
    if not requests and not limits:
        return BEST_EFFORT
    return GUARANTEED if guaranteed and requests == limits else BURSTABLE


def _positive(values: Mapping[str, Any] | None) -> Amounts:
    return {name: amount for name in (CPU, MEMORY) if values and name in values and (amount := amount_of(name, values[name])) > 0}
