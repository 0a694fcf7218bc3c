"""Validation of probes and lifecycle hooks. Upstream: validateProbe and validateHandler."""

from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.checks import choice_errors, not_negative, port_errors

Object = dict[str, Any]
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def _handler_errors(handler: Object, path: str, allowed: tuple[str, ...]) -> list[FieldError]:
    """One handler, no more; each complete."""
    wrong: list[FieldError] = []
    found = [name for name in allowed if handler.get(name) is not None]
    wrong += [field.forbidden(f"{path}.{name}", "may not specify more than 1 handler type") for name in found[1:]]
    if not found:
        return [*wrong, field.required(path, "must specify a handler type")]
    name, value = found[0], handler[found[0]]
    at = f"{path}.{name}"
    if name == "exec" and not value.get("command"):
        wrong.append(field.required(f"{at}.command"))
    if name == "httpGet":
        if not value.get("path"):
            wrong.append(field.required(f"{at}.path"))
        wrong += port_errors(value.get("port"), f"{at}.port")
        wrong += choice_errors(value.get("scheme"), f"{at}.scheme", ("HTTP", "HTTPS"))
    if name in ("tcpSocket", "grpc"):
        wrong += port_errors(value.get("port"), f"{at}.port")
    return wrong


def _probe_errors(probe: Object, path: str) -> list[FieldError]:
    wrong = _handler_errors(probe, path, _HANDLERS[:4]) + not_negative(probe, path, _COUNTS)
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        wrong.append(field.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    return wrong


def probes_errors(container: Object, path: str) -> list[FieldError]:
    """Errors of the lifecycle hooks and of the three probes of a container."""
    wrong: list[FieldError] = []
    for hook in ("postStart", "preStop"):
        handler = (container.get("lifecycle") or {}).get(hook)
        if handler is not None:
            wrong += _handler_errors(handler, f"{path}.lifecycle.{hook}", ("exec", "httpGet", "tcpSocket", "sleep"))
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is None:
            continue
        wrong += _probe_errors(probe, f"{path}.{name}")
        if name != "readinessProbe" and probe.get("successThreshold") not in (1, None):
            wrong.append(field.invalid(f"{path}.{name}.successThreshold", probe["successThreshold"], "must be 1"))
        if name == "readinessProbe" and probe.get("terminationGracePeriodSeconds") is not None:
            detail = "must not be set for readinessProbes"
            wrong.append(field.invalid(f"{path}.{name}.terminationGracePeriodSeconds", probe["terminationGracePeriodSeconds"], detail))
    return wrong
