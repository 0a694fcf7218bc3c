"""Defaults of a container: pull policy, probes, ports, environment, resources.

Upstream: pkg/apis/core/v1/defaults.go. A Pod copies missing requests from its limits; a Pod template does not.
"""

from functools import lru_cache
from typing import Any

from kubesim.api import quantity
from kubesim.api.kinds.parts.shape import change, change_each, fill

Object = dict[str, Any]
AMOUNTS_MAX = 4096
_CONTAINER = {"resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_HTTP_GET = {"path": "/", "scheme": "HTTP"}
_PORT = {"protocol": "TCP"}
_FIELD_REF = {"apiVersion": "v1"}
_GRPC = {"service": ""}


def default_template_container(container: Object) -> Object:
    """A container of a Pod template with its defaults."""
    policy = "Always" if _tag_of(container.get("image", "")) == "latest" else "IfNotPresent"
    filled = fill(container, {**_CONTAINER, "imagePullPolicy": policy})
    filled = change_each(filled, "ports", lambda port: fill(port, _PORT))
    filled = change_each(filled, "env", _default_env)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        filled = change(filled, probe, _default_probe)
    filled = change(filled, "lifecycle", _default_lifecycle)
    return change(filled, "resources", canonical_resources)


def default_pod_container(container: Object) -> Object:
    """A container of a Pod: the defaults of a template's, and requests from limits."""
    return change(default_template_container(container), "resources", requests_from_limits)


def _tag_of(image: str) -> str:
    """The tag of an image reference: "latest" when there is neither tag nor digest."""
    if "@" in image:
        head = image.partition("@")[0].rpartition("/")[2]
        return head.partition(":")[2]
    return image.rpartition("/")[2].partition(":")[2] or "latest"


def _default_env(variable: Object) -> Object:
    return change(variable, "valueFrom", lambda source: change(source, "fieldRef", lambda reference: fill(reference, _FIELD_REF)))


def _default_handler(handler: Object) -> Object:
    return change(handler, "httpGet", lambda get: fill(get, _HTTP_GET))


def _default_probe(probe: Object) -> Object:
    filled = fill(_default_handler(probe), _PROBE)
    return change(filled, "grpc", lambda grpc: fill(grpc, _GRPC))


def _default_lifecycle(lifecycle: Object) -> Object:
    return change(change(lifecycle, "postStart", _default_handler), "preStop", _default_handler)


def _milli(text: Any) -> str:
    """Resource amounts are kept to the milli, rounded up."""
    if not isinstance(text, str):
        return _rounded(text)
    known = _milli_text(text)
    return text if known == text else known  # the very same text says that nothing was to be done


@lru_cache(AMOUNTS_MAX)  # a few amounts are those of every node and every container
def _milli_text(text: str) -> str:
    return _rounded(text)


def _rounded(text: Any) -> str:
    amount = quantity.parse(quantity.as_text(text))
    if amount.nanos % 1_000_000 == 0:
        canonical = quantity.format_quantity(*amount)
        return text if canonical == text else canonical
    return quantity.from_milli(quantity.milli_value(quantity.as_text(text)), amount.format)


def canonical_resources(resources: Object) -> Object:
    """Limits and requests in canonical quantities."""
    return change_each(change_each(resources, "limits", _milli), "requests", _milli)


def canonical_amounts(amounts: Object) -> Object:
    """A map of quantities in canonical form; the same map when it was."""
    changed = {name: _milli(amount) for name, amount in amounts.items()}
    return amounts if changed == amounts else changed


def requests_from_limits(resources: Object) -> Object:
    """Requests filled from limits, resource by resource."""
    limits = resources.get("limits")
    if not limits:
        return resources
    requests = resources.get("requests") or {}
    filled = fill(requests, limits)
    return resources if filled is resources.get("requests") else {**resources, "requests": filled}
