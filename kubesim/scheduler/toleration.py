"""Does a Pod tolerate a taint? Taints are (key, value, effect); tolerations are the objects of ``spec.tolerations``.

Upstream: k8s.io/component-helpers/scheduling/corev1/helpers.go, api/core/v1/toleration.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Taint = tuple[str, str, str]
Toleration = Mapping[str, Any]

NO_SCHEDULE, NO_EXECUTE, PREFER_NO_SCHEDULE = "NoSchedule", "NoExecute", "PreferNoSchedule"
UNSCHEDULABLE_TAINT: Taint = ("node.kubernetes.io/unschedulable", "", NO_SCHEDULE)


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether one toleration matches one taint; an empty effect or key matches any, an empty operator is Equal."""
    key, value, effect = taint
    if toleration.get("effect") and toleration["effect"] != effect:
        return False
    if toleration.get("key") and toleration["key"] != key:
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    if operator == "Equal":
        return (toleration.get("value") or "") == value
    return operator in ("Lt", "Gt") and _compares(operator, toleration.get("value") or "", value)


def _compares(operator: str, limit: str, value: str) -> bool:
    """Numeric taint values: the taint's value is less, or greater, than the toleration's."""
    try:
        return int(value) < int(limit) if operator == "Lt" else int(value) > int(limit)
    except ValueError:
        return False


def tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    """Whether any toleration matches."""
    return any(tolerates(toleration, taint) for toleration in tolerations)


def first_untolerated(taints: Iterable[Taint], tolerations: Sequence[Toleration], effects: tuple[str, ...]) -> Taint | None:
    """The first taint with one of the effects that nothing tolerates."""
    return next((taint for taint in taints if taint[2] in effects and not tolerated(taint, tolerations)), None)


def as_signature(tolerations: Iterable[Toleration]) -> tuple[tuple[str, str, str, str], ...]:
    """What of the tolerations matters, hashable; tolerationSeconds does not."""
    return tuple((t.get("key") or "", t.get("operator") or "", t.get("value") or "", t.get("effect") or "") for t in tolerations)
