"""Validation of a Pod spec. Upstream: ValidatePodSpec in pkg/apis/core/validation/validation.go."""

from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError

Object = dict[str, Any]


def pod_spec_errors(spec: Object, path: str) -> list[FieldError]:
    """Errors of a Pod spec at ``path``, in upstream's order."""
    wrong: list[FieldError] = []
    containers = spec.get("containers") or []
    if not containers:
        wrong.append(field.required(f"{path}.containers"))
    seen: set[str] = set()
    for index, container in enumerate(containers):
        at = f"{path}.containers[{index}]"
        name = container.get("name", "")
        if not name:
            wrong.append(field.required(f"{at}.name"))
        else:
            wrong += [field.invalid(f"{at}.name", name, message) for message in names.check_dns_label(name)]
        if name in seen:
            wrong.append(field.duplicate(f"{at}.name", name))
        seen.add(name)
        if not container.get("image"):
            wrong.append(field.required(f"{at}.image"))
    return wrong
