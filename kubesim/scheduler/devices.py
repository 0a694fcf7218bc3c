"""Devices that drivers publish (ResourceSlices): pools as one node sees them, and what a selector (CEL) sees of a device.

Upstream: k8s.io/dynamic-resource-allocation/{structured/internal/*/pools_*.go,cel/compile.go}.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from kubesim.api import cel
from kubesim.api.cel.functions import FUNCTIONS
from kubesim.api.cel.values import Quantity
from kubesim.scheduler.node_selector import compile_terms, term_matches

Object = dict[str, Any]
NO_LABELS: Mapping[str, str] = {}


class DeviceError(ValueError):
    """A claim, class or device with which nothing can be allocated: upstream's text."""


class Device(NamedTuple):
    """One device; ``pool`` is "driver/pool", ``slice_`` the spec of its ResourceSlice."""

    driver: str
    pool: str
    name: str
    obj: Mapping[str, Any]
    slice_: Mapping[str, Any]

    @property
    def id(self) -> str:
        """ "driver/pool/device": what an allocation names."""
        return f"{self.driver}/{self.pool}/{self.name}"


class Pool(NamedTuple):
    """What a node sees of a pool: its devices in order, the specs of all slices of its generation, and whether it may be used."""

    id: str
    devices: tuple[Device, ...]
    slices: tuple[Mapping[str, Any], ...]
    is_complete: bool
    is_valid: bool


def node_matches(selection: Mapping[str, Any], labels: Mapping[str, str], name: str) -> bool:
    """Whether ``nodeName``, ``allNodes`` or ``nodeSelector`` of a slice or a device admit a node."""
    if selection.get("nodeName"):
        return bool(selection["nodeName"] == name)
    if selection.get("allNodes"):
        return True
    terms = compile_terms(selection.get("nodeSelector"))
    return terms is not None and any(term_matches(term, labels, name) for term in terms)


def pools_of(slices: Iterable[Object], labels: Mapping[str, str], name: str) -> list[Pool]:
    """The pools with devices for a node, by driver and name; outdated slices are left out. O(slices + devices)."""
    by_pool: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for obj in slices:
        spec = obj["spec"]
        by_pool.setdefault((spec["driver"], spec["pool"]["name"]), []).append(spec)
    found = []
    for (driver, pool_name), specs in sorted(by_pool.items(), key=lambda item: item[0]):
        generation = max(spec["pool"].get("generation") or 0 for spec in specs)
        current = [spec for spec in specs if (spec["pool"].get("generation") or 0) == generation]
        here = [spec for spec in current if _is_for(spec, labels, name)]
        devices = [Device(driver, pool_name, obj["name"], obj, spec) for spec in here for obj in spec.get("devices") or ()]
        devices = [device for device in devices if _is_device_for(device, labels, name)]
        if devices:
            names = [obj["name"] for spec in current for obj in spec.get("devices") or ()]
            is_complete = len(current) == (current[0]["pool"].get("resourceSliceCount") or 0)
            found.append(
                Pool(f"{driver}/{pool_name}", tuple(devices), tuple(current), is_complete, len(names) == len(dict.fromkeys(names)))
            )
    return found


def _is_for(spec: Mapping[str, Any], labels: Mapping[str, str], name: str) -> bool:
    return bool(spec.get("perDeviceNodeSelection")) or node_matches(spec, labels, name)


def _is_device_for(device: Device, labels: Mapping[str, str], name: str) -> bool:
    return not device.slice_.get("perDeviceNodeSelection") or node_matches(device.obj, labels, name)


# ---- selectors -------------------------------------------------------------------------------------------------------------------


class Domains(dict[str, Any]):
    """Attributes or capacities by domain; a domain without any is an empty map."""

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str)

    def __missing__(self, key: str) -> dict[str, Any]:
        return {}


def attribute(device: Device, name: str) -> Mapping[str, Any] | None:
    """An attribute by its full name; one without a domain belongs to the driver's."""
    attributes = device.obj.get("attributes") or {}
    if name in attributes:
        found: Mapping[str, Any] = attributes[name]
        return found
    domain, _, own = name.partition("/")
    return attributes.get(own) if own and domain == device.driver else None


def _by_domain(values: Mapping[str, Any], driver: str) -> Domains:
    found = Domains()
    for name, value in values.items():
        domain, slash, own = name.rpartition("/")
        found.setdefault(domain if slash else driver, {})[own] = value
    return found


def _attribute_value(value: Mapping[str, Any]) -> Any:
    kind, found = next(iter(value.items()))
    return FUNCTIONS["semver"](found) if kind == "version" else found


def view_of(device: Device) -> dict[str, Any]:
    """What CEL sees as ``device``."""
    attributes = {name: _attribute_value(value) for name, value in (device.obj.get("attributes") or {}).items()}
    capacity = {name: Quantity(str(value["value"])) for name, value in (device.obj.get("capacity") or {}).items()}
    return {
        "driver": device.driver,
        "attributes": _by_domain(attributes, device.driver),
        "capacity": _by_domain(capacity, device.driver),
        "allowMultipleAllocations": bool(device.obj.get("allowMultipleAllocations")),
    }


@lru_cache(maxsize=1024)
def _compiled(expression: str) -> cel.Program:
    return cel.compile_expression(expression, ("device",))


def selected(device: Device, view: Mapping[str, Any], selectors: Iterable[Mapping[str, Any]], owner: str) -> bool:
    """Whether a device satisfies all selectors of ``owner`` ("claim default/c" or "class gpu"). Raises DeviceError."""
    for index, selector in enumerate(selectors):
        expression = (selector.get("cel") or {}).get("expression")
        if expression is None:
            raise DeviceError(f"{owner}, selector #{index}: CEL expression empty (unsupported selector type?)")
        try:
            found = _compiled(expression).evaluate({"device": view})
        except cel.CompileError as error:
            raise DeviceError(f"{owner}: selector #{index}: CEL compile error: compilation failed: {error}") from error
        except cel.CelError as error:
            raise DeviceError(f"{owner}: selector #{index} on device {device.id}: CEL runtime error: {error}") from error
        if not isinstance(found, bool):
            raise DeviceError(f"{owner}: selector #{index}: CEL compile error: must evaluate to bool")
        if not found:
            return False
    return True


# ---- taints ----------------------------------------------------------------------------------------------------------------------


def is_tolerated(device: Device, tolerations: Iterable[Mapping[str, Any]]) -> bool:
    """Whether every taint that keeps claims away is tolerated."""
    taints = [taint for taint in device.obj.get("taints") or () if taint.get("effect") in ("NoSchedule", "NoExecute")]
    return all(any(_tolerates(toleration, taint) for toleration in tolerations) for taint in taints)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if (toleration.get("operator") or "Equal") == "Exists":
        return True
    return (toleration.get("value") or "") == (taint.get("value") or "")
