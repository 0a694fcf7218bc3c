"""Kinds of a server that runs without ``--allow-privileged``: a privileged container is forbidden, in Pods and in templates of Pods.

Upstream: pkg/capabilities and pkg/apis/core/validation (ValidateSecurityContext).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind

Object = dict[str, Any]
POD_SPECS = {  # where each kind keeps the spec of its Pods
    "pods": ("spec",),
    "podtemplates": ("template", "spec"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("replicationcontrollers", "deployments.apps", "daemonsets.apps", "replicasets.apps", "statefulsets.apps", "jobs.batch"),
        ("spec", "template", "spec"),
    ),
}


def forbid_privileged(kinds: Iterable[Kind]) -> list[Kind]:
    """The kinds, those with Pod specs validated more strictly."""
    return [_strict(kind) if kind.resource in POD_SPECS else kind for kind in kinds]


def _strict(kind: Kind) -> Kind:
    path = POD_SPECS[kind.resource]

    def validate(obj: Object) -> Sequence[FieldError]:
        more = [*_errors(obj, path)]
        return _merged(kind.validate(obj), more) if more else kind.validate(obj)

    return replace(kind, validate=validate)


def _merged(errors: Sequence[FieldError], more: Sequence[FieldError]) -> Sequence[FieldError]:
    """All errors, each of ``more`` before the first one about the same security context, where upstream looks at it."""
    merged = list(errors)
    for error in more:
        context = error.field.removesuffix(".privileged")
        merged.insert(next((i for i, each in enumerate(merged) if each.field.startswith(context)), len(merged)), error)
    return merged


def _errors(obj: Object, path: Sequence[str]) -> Iterator[FieldError]:
    spec: Any = obj
    for step in path:
        spec = spec.get(step) or {}
    at = ".".join(path)
    for name in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(name) or ()):
            if (container.get("securityContext") or {}).get("privileged"):
                yield field.forbidden(f"{at}.{name}[{index}].securityContext.privileged", "disallowed by cluster policy")
