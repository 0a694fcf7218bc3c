"""Sets of field paths, as plain Python sets, and their FieldsV1 form.

A path is a tuple of elements, each in FieldsV1's own spelling: ``f:spec`` a field, ``k:{"name":"c"}`` an item of a list by its keys,
``v:"x"`` an item of a set by its value, ``i:0`` an item by its place. In FieldsV1 an element whose own path is in the set has the
member ``.``, unless nothing is below it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

Path = tuple[str, ...]
Paths = frozenset[Path]
Object = dict[str, Any]
DEPTH_MAX = 100
NOTHING: Paths = frozenset()
_RANKS = {"f": 0, "k": 1, "v": 2, "i": 3}


def to_fields(paths: Iterable[Path]) -> Object:
    """The FieldsV1 of a set. O(paths x depth)."""
    root: Object = {}
    for path in sorted(paths, key=_sort_key):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return _without_lone_dots(root)


def _sort_key(path: Path) -> tuple[tuple[int, str], ...]:
    return tuple((_RANKS.get(element[:1], 4), element) for element in path)


def set_order(path: Path) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts paths as upstream walks a set: at each level first what ends there, then what goes on."""
    last = len(path) - 1
    return tuple((int(depth != last), _RANKS.get(element[:1], 4), element) for depth, element in enumerate(path))


def _without_lone_dots(node: Object) -> Object:
    if len(node) == 1 and "." in node:
        return {}
    return {key: _without_lone_dots(value) if key != "." else {} for key, value in node.items()}


def from_fields(fields: Any) -> Paths:
    """The set of a FieldsV1. Raises ValueError when it is none."""
    found: list[Path] = []
    _collect(fields, (), found)
    return frozenset(found)


def _collect(node: Any, path: Path, found: list[Path]) -> None:
    if not isinstance(node, Mapping) or len(path) > DEPTH_MAX:
        raise ValueError(f"fieldsV1 at {'.'.join(path) or 'its root'}: expected a map of path elements")
    if path and (not node or "." in node):
        found.append(path)
    for element, child in node.items():
        if element == ".":
            continue
        if element[:2] not in ("f:", "k:", "v:", "i:"):
            raise ValueError(f"fieldsV1: {element!r}: expected a path element that starts with f:, k:, v: or i:")
        _collect(child, (*path, element), found)


def field(name: str) -> str:
    """The element of a field."""
    return f"f:{name}"


def key_element(keys: Mapping[str, Any]) -> str:
    """The element of a list item by its keys, which are sorted."""
    return "k:" + orjson.dumps(dict(keys), option=orjson.OPT_SORT_KEYS).decode()


def value_element(value: Any) -> str:
    """The element of a set item."""
    return "v:" + orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def shown(path: Path) -> str:
    """A path as messages show it: ``.spec.containers[name="c"].image``."""
    return "".join(_shown(element) for element in path)


def _shown(element: str) -> str:
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "k:":
        keys = orjson.loads(text)
        return "[" + ",".join(f"{name}={orjson.dumps(keys[name]).decode()}" for name in sorted(keys)) + "]"
    return f"[={text}]" if kind == "v:" else f"[{text}]"


def without(paths: Paths, prefixes: Iterable[Path]) -> Paths:
    """The paths that are none of ``prefixes`` and below none of them."""
    unwanted = tuple(prefixes)
    return frozenset(path for path in paths if not any(path[: len(prefix)] == prefix for prefix in unwanted))
