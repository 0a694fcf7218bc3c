"""Read and set ``status.conditions`` by upstream's rules for transition times.

A condition's ``lastTransitionTime`` moves only when its status changes; reason and message may change without it
(apimachinery/pkg/api/meta/conditions.go). Kinds with a probe or update time pass it among the fields.
"""

from collections.abc import Iterable, Sequence
from typing import Any

Condition = dict[str, Any]
TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"


def get_condition(obj: dict[str, Any], type_: str) -> Condition | None:
    """The condition of this type in ``obj.status``, or None."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition["type"] == type_:
            found: Condition = condition
            return found
    return None


def status_of(obj: dict[str, Any], type_: str) -> str:
    """ "True", "False" or "Unknown"; "Unknown" also when the condition is not there."""
    condition = get_condition(obj, type_)
    return condition["status"] if condition else UNKNOWN


def is_true(obj: dict[str, Any], type_: str) -> bool:
    """Whether the condition is there and "True"."""
    condition = get_condition(obj, type_)
    return condition is not None and condition["status"] == TRUE


def set_condition(conditions: Sequence[Condition] | None, condition: Condition, now: str) -> Sequence[Condition]:
    """A new list with ``condition`` put in place of the one of its type, or at the end; the same list when nothing changes.

    ``now`` becomes lastTransitionTime when the status differs from before; otherwise the old time is kept. A time
    inside ``condition`` is used in place of ``now``.
    """
    current = conditions or []
    for index, old in enumerate(current):
        if old["type"] == condition["type"]:
            moved = old["status"] != condition["status"]
            time = condition.get("lastTransitionTime", now) if moved else old.get("lastTransitionTime", now)
            new = {**condition, "lastTransitionTime": time}
            return current if new == old else [*current[:index], new, *current[index + 1 :]]
    return [*current, {**condition, "lastTransitionTime": condition.get("lastTransitionTime", now)}]


def without_condition(conditions: Sequence[Condition] | None, type_: str) -> Sequence[Condition]:
    """The list without the condition of this type; the same list when there is none."""
    current = conditions or []
    kept = [condition for condition in current if condition["type"] != type_]
    return current if len(kept) == len(current) else kept


def types_of(conditions: Iterable[Condition] | None) -> list[str]:
    """The types in their order."""
    return [condition["type"] for condition in conditions or ()]
