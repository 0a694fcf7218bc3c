"""Read a condition such as ``"Deployment default/web available"`` into a test of one object."""

from collections.abc import Callable
from typing import Any, NamedTuple

Object = dict[str, Any]
EXPECTED = 'expected KIND [NAMESPACE/]NAME STATE, for example "Deployment default/web available" or "Pod web-1 deleted"'


class Condition(NamedTuple):
    """``kind namespace/name`` is in ``state``."""

    kind: str
    namespace: str
    name: str
    state: str


def parse_condition(text: str) -> Condition:
    """The condition that ``text`` means. Raises ValueError with what was expected."""
    words = text.split()
    if len(words) != 3:
        raise ValueError(f"the condition {text!r} has {len(words)} words; {EXPECTED}")
    kind, place, state = words
    namespace, slash, name = place.rpartition("/")
    if not name or (slash and not namespace):
        raise ValueError(f"the condition {text!r} does not name an object; {EXPECTED}")
    return Condition(kind, namespace or "default", name, state.lower())


def holds(state: str, obj: Object | None) -> bool:
    """Whether an object (None: it does not exist) is in ``state``.

    ``exists`` and ``deleted`` are about existence, ``available`` and ``complete`` of a Deployment about all its replicas; any
    other word is a condition type with status True, or a phase.
    """
    if state in ("deleted", "exists"):
        return (obj is None) == (state == "deleted")
    if obj is None:
        return False
    test = _ROLLOUTS.get((obj.get("kind", ""), state))
    return test(obj) if test else _has_condition(obj, state) or _phase(obj) == state


def _has_condition(obj: Object, state: str) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(each["type"].lower() == state and each["status"] == "True" for each in conditions)


def _phase(obj: Object) -> str:
    return str((obj.get("status") or {}).get("phase", "")).lower()


def _is_rolled_out(obj: Object) -> bool:
    """All replicas are of the present template and available: upstream's DeploymentComplete."""
    replicas, status = obj["spec"].get("replicas", 1), obj.get("status") or {}
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return counts == [replicas] * 3 and status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)


def _is_available(obj: Object) -> bool:
    status = obj.get("status") or {}
    observed = status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)
    return observed and status.get("availableReplicas", 0) >= obj["spec"].get("replicas", 1)


_ROLLOUTS: dict[tuple[str, str], Callable[[Object], bool]] = {
    ("Deployment", "available"): _is_available,
    ("Deployment", "complete"): _is_rolled_out,
    ("ReplicaSet", "available"): _is_available,
}
