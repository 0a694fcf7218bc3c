"""PriorityClass: a name for a priority; value and preemption policy never change.

Upstream: pkg/apis/scheduling/validation/validation.go.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import fill

Object = dict[str, Any]
USER_PRIORITY_MAX = 1_000_000_000
SYSTEM_PREFIX = "system-"
SYSTEM_CLASSES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
_POLICIES = ("Never", "PreemptLowerPriority")


def _default(priority: Object) -> Object:
    return fill(priority, {"preemptionPolicy": "PreemptLowerPriority"})


def _validate(priority: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(priority, namespaced=False)
    name, value = priority["metadata"].get("name", ""), priority.get("value", 0)
    if name.startswith(SYSTEM_PREFIX):
        if SYSTEM_CLASSES.get(name) != value:
            detail = "priority class names with 'system-' prefix are reserved for system use only. error: "
            known = SYSTEM_CLASSES.get(name)
            why = f"value of {name} PriorityClass must be {known}" if known else f"{name} is not a known system priority class"
            wrong.append(field.forbidden("metadata.name", detail + why))
    elif value > USER_PRIORITY_MAX:
        detail = f"maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}"
        wrong.append(field.forbidden("value", detail))
    policy = priority.get("preemptionPolicy")
    if policy is not None and policy not in _POLICIES:
        wrong.append(field.not_supported("preemptionPolicy", policy, ("PreemptLowerPriority", "Never")))
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    if new.get("value", 0) != old.get("value", 0):
        wrong.append(field.forbidden("value", "may not be changed in an update."))
    if new.get("preemptionPolicy") != old.get("preemptionPolicy"):
        wrong.append(field.invalid("preemptionPolicy", new.get("preemptionPolicy"), "field is immutable"))
    return wrong


KIND = Kind(
    group="scheduling.k8s.io",
    version="v1",
    kind="PriorityClass",
    plural="priorityclasses",
    namespaced=False,
    short_names=("pc",),
    schema="io.k8s.api.scheduling.v1.PriorityClass",
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    columns=(
        NAME,
        Column("Value", "integer", lambda priority, now_ns: priority.get("value", 0)),
        Column("Global-Default", "boolean", lambda priority, now_ns: bool(priority.get("globalDefault"))),
        AGE,
        Column("PreemptionPolicy", "string", lambda priority, now_ns: priority.get("preemptionPolicy", "")),
    ),
)
