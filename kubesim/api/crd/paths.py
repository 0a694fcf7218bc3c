"""Simple JSON paths of definitions (``.spec.replicas``): read and write a place in an object.

Upstream: k8s.io/client-go/util/jsonpath as printer and selectable columns use it; the dot notation of scale paths.
"""

import re
from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']+)'\]|\[\?\(@\.([\w.-]+)\s*==\s*[\"']([^\"']*)[\"']\)\]|\[\*\]")


def steps_of(path: str) -> list[tuple[str, Any]] | None:
    """The steps of a path: ("field", name), ("index", n), ("where", (field, text)), ("all", None); None for one that is not understood."""
    text = path.replace("\\.", "\0")
    steps: list[tuple[str, Any]] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            return None
        name, index, quoted, where, value = match.groups()
        if name is not None or quoted is not None:
            steps.append(("field", (name if name is not None else quoted).replace("\0", ".")))
        elif index is not None:
            steps.append(("index", int(index)))
        elif where is not None:
            steps.append(("where", (where, value)))
        else:
            steps.append(("all", None))
        position = match.end()
    return steps


def find(obj: Any, path: str) -> list[Any]:
    """What is at a path: nothing, one value, or several where the path says so."""
    found = [obj]
    for kind, what in steps_of(path) or [("index", -1)]:
        found = [inner for value in found for inner in _inside(value, kind, what)]
    return found


def _inside(value: Any, kind: str, what: Any) -> Sequence[Any]:
    if kind == "field":
        return (value[what],) if isinstance(value, dict) and what in value else ()
    if not isinstance(value, list):
        return ()
    if kind == "index":
        return value[what : what + 1] if what >= 0 else ()
    if kind == "all":
        return value
    name, text = what
    return [item for item in value if isinstance(item, dict) and str(item.get(name)) == text]


def put(obj: Object, path: str, value: Any) -> Object:
    """A copy of an object with ``value`` at a path of plain fields; None takes the field away."""
    return _put(obj, path.lstrip(".").split("."), value)


def _put(obj: Object, names: list[str], value: Any) -> Object:
    name, rest = names[0], names[1:]
    if not rest:
        if value is None:
            return {key: old for key, old in obj.items() if key != name}
        return {**obj, name: value}
    inner = obj.get(name)
    return {**obj, name: _put(inner if isinstance(inner, dict) else {}, rest, value)}
