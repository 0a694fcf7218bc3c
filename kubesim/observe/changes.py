"""Say in few words what changed between two states of an object: ``phase Pending → Running, Ready=True``."""

from typing import Any

Object = dict[str, Any]
CHANGES_MAX = 8
IGNORED = frozenset(("managedFields", "resourceVersion", "generation", "hostIPs", "podIPs", "qosClass", "startTime", "labels"))
LISTS = ("conditions", "containerStatuses", "initContainerStatuses")


def changes(old: Object, new: Object) -> str:
    """The changes of spec, status and metadata, the first ``CHANGES_MAX`` of them."""
    found: list[str] = []
    for part in ("metadata", "spec", "status"):
        _walk("" if part == "status" else part, old.get(part) or {}, new.get(part) or {}, found)
    if len(found) > CHANGES_MAX:
        found[CHANGES_MAX:] = [f"and {len(found) - CHANGES_MAX} more"]
    return ", ".join(found)


def conditions_of(endpoint: Object) -> str:
    """The conditions of an endpoint that hold."""
    return ", ".join(name for name, value in (endpoint.get("conditions") or {}).items() if value) or "not ready"


def _walk(path: str, old: Any, new: Any, found: list[str]) -> None:
    if old is new or old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(key for key in old if key not in new)]:
            if key in IGNORED:
                continue
            if key in LISTS:
                _listed(key, old.get(key) or [], new.get(key) or [], found)
            else:
                _walk(f"{path}.{key}" if path else key, old.get(key), new.get(key), found)
        return
    found.append(f"{path} {_shown(new)}" if old is None else f"{path} {_shown(old)} → {_shown(new)}")


def _listed(key: str, old: list[Object], new: list[Object], found: list[str]) -> None:
    """Conditions as ``Ready=True``, container statuses as ``main running``."""
    before = {_name(each): _state(key, each) for each in old}
    for each in new:
        name, state = _name(each), _state(key, each)
        if before.get(name) != state:
            found.append(f"{name}={state}" if key == "conditions" else f"container {name} {state}")


def _name(entry: Object) -> str:
    return str(entry.get("type") or entry.get("name"))


def _state(key: str, entry: Object) -> str:
    if key == "conditions":
        return str(entry["status"])
    state = entry.get("state") or {}
    for word in ("running", "terminated", "waiting"):
        if word in state:
            reason = (state[word] or {}).get("reason")
            ready = ", ready" if word == "running" and entry.get("ready") else ""
            return f"{word}{f' ({reason})' if reason else ''}{ready}"
    return "unknown"


def _shown(value: Any) -> str:
    if value is None:
        return "removed"
    if isinstance(value, dict):
        return f"{{{', '.join(value)}}}"
    if isinstance(value, list):
        return f"[{len(value)}]"
    return str(value)
