"""Values by their schema: which fields they have, in what two differ, what a merge makes of them, what is left without some fields.

Lists are maps (items known by their keys), sets, or atomic; maps are granular or atomic, as upstream's schema says. What has no
schema is deduced: maps granular, lists atomic. Objects are compared as the encoder would write them (``api.always``), because Go's
empty structs count as being there.

Upstream: structured-merge-diff/v6/typed.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from kubesim.api.fields.paths import Path, Paths, field, key_element, shown, value_element
from kubesim.api.schema import Field, definition

Object = dict[str, Any]
ANY = Field("*")
MISSING: Any = object()
KEY_DEFAULTS = {"protocol": "TCP", "name": ""}  # of list keys that upstream's schema gives a default
_NUMBERS, _UNTYPED = "iln", "xq"


class Shape(NamedTuple):
    """What a value is for a merge: ``kind`` is "scalar", "list" or "map"."""

    kind: str
    atomic: bool = True
    fields: Mapping[str, Field] | None = None  # of a struct
    item: Field = ANY
    keys: tuple[str, ...] = ()  # of a list that is a map; none for a set
    code: str = "s"


class Comparison(NamedTuple):
    """The paths at which a new value differs from an old one."""

    added: set[Path]
    modified: set[Path]
    removed: set[Path]


class Invalid(ValueError):
    """A value that does not fit its schema; ``args[0]`` is the list of messages."""

    def __str__(self) -> str:
        messages: list[str] = self.args[0]
        return messages[0] if len(messages) == 1 else "\n  ".join(["errors:", *messages])


def shape_of(at: Field, value: Any) -> Shape:
    """The shape of a field; of one without a schema, that of its value."""
    code, map_type = at.code, at.map_type
    if code == "@":
        known = definition(at.ref)
        if known is not None and known.fields:
            return Shape("map", "atomic" in (map_type, known.map_type), known.fields)
        code = known.code if known is not None and known.code != "@" else "*"
    if code == "a":
        return Shape("list", at.list_type not in ("map", "set"), item=at.item or ANY, keys=at.list_keys if at.list_type == "map" else ())
    if code == "m":
        return Shape("map", map_type == "atomic", item=at.item or ANY)
    if code in "*o":
        if isinstance(value, dict):
            return Shape("map", map_type == "atomic")
        return Shape("list") if isinstance(value, list) else Shape("scalar", code="*")
    return Shape("scalar", code=code)


def _child(shape: Shape, name: str) -> Field:
    return shape.fields.get(name, ANY) if shape.fields is not None else shape.item


def element_of(shape: Shape, item: Any) -> str:
    """The path element of an item of a list that is a map or a set. Raises ValueError when it has no keys."""
    if not shape.keys:
        if isinstance(item, (dict, list)) or item is None:
            raise ValueError(f"only lists of scalars can be a set, got {item!r}")
        return value_element(item)
    if not isinstance(item, dict):
        raise ValueError("associative list with keys may not have non-map elements")
    keys = {name: item[name] for name in shape.keys if item.get(name) is not None}
    for name in shape.keys:
        if name not in keys and name in KEY_DEFAULTS and (name != "name" or "name" in _defaulted(shape)):
            keys[name] = KEY_DEFAULTS[name]
    if not keys:
        names = "[" + " ".join(f'"{name}"' for name in shape.keys) + "]"
        why = f"an element that omits all key fields {names} (and doesn't have default values for any key fields)"
        raise ValueError(f"associative list with keys has {why}")
    return key_element(keys)


def _defaulted(shape: Shape) -> tuple[str, ...]:
    """The keys with a default: a LocalObjectReference's name is "" when it is not there."""
    return ("name",) if shape.item.ref.endswith("core.v1.LocalObjectReference") else ()


# -- the fields of a value ---------------------------------------------------------------------------------------------------------


def field_set(value: Any, at: Field) -> Paths:
    """Every field of a value: leaves, items of lists, entries of maps."""
    found: set[Path] = set()
    _fields(value, at, (), found)
    return frozenset(found)


def _fields(value: Any, at: Field, path: Path, found: set[Path]) -> None:
    shape = shape_of(at, value)
    if shape.kind == "scalar" or shape.atomic:
        found.add(path)
    elif shape.kind == "list":
        for element, item in _items(shape, value):
            _fields(item, shape.item, (*path, element), found)
            found.add((*path, element))
    else:
        for name, item in (value or {}).items():
            below = (*path, field(name))
            _fields(item, _child(shape, name), below, found)
            if item is None or item == {} or shape.fields is None or name not in shape.fields:
                found.add(below)


def _items(shape: Shape, value: Any) -> Iterator[tuple[str, Any]]:
    for item in value or ():
        yield element_of(shape, item), item


# -- two values --------------------------------------------------------------------------------------------------------------------


def compare(old: Any, new: Any, at: Field) -> Comparison:
    """The paths at which ``new`` differs from ``old``. O(fields of both); parts that are the same object cost nothing."""
    result = Comparison(set(), set(), set())
    _compare(old, new, at, (), result)
    return result


def _compare(old: Any, new: Any, at: Field, path: Path, result: Comparison) -> None:
    if old is new:
        return
    shape = shape_of(at, new if new is not MISSING and new is not None else old)
    if shape.kind == "scalar" or shape.atomic or (_is_empty(old) and _is_empty(new)):
        if old is MISSING:
            result.added.add(path)
        elif new is MISSING:
            result.removed.add(path)
        elif not equal(old, new):
            result.modified.add(path)
        return
    if shape.kind == "list":
        _compare_lists(shape, old, new, path, result)
    else:
        before, after = _map(old), _map(new)
        for name in {**before, **after}:
            _compare(before.get(name, MISSING), after.get(name, MISSING), _child(shape, name), (*path, field(name)), result)
    if old is MISSING:
        result.added.add(path)
    elif new is MISSING:
        result.removed.add(path)


def _compare_lists(shape: Shape, old: Any, new: Any, path: Path, result: Comparison) -> None:
    before, after = _by_element(shape, old), _by_element(shape, new)
    for element in {**before, **after}:
        olds, news = before.get(element, []), after.get(element, [])
        below = (*path, element)
        if len(olds) <= 1 and len(news) <= 1:
            _compare(olds[0] if olds else MISSING, news[0] if news else MISSING, shape.item, below, result)
        elif not olds:
            result.added.add(below)
        elif not news:
            result.removed.add(below)
        elif not equal(olds, news):
            result.modified.add(below)


def _by_element(shape: Shape, value: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for element, item in _items(shape, None if value is MISSING else value):
        found.setdefault(element, []).append(item)
    return found


def _map(value: Any) -> Object:
    return {} if value is MISSING or value is None else value


def _is_empty(value: Any) -> bool:
    return value is MISSING or value is None or (isinstance(value, (dict, list)) and not value)


def equal(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same; true is not 1."""
    return left is right or (left == right and isinstance(left, bool) is isinstance(right, bool))


# -- merge -------------------------------------------------------------------------------------------------------------------------


def merge(live: Any, applied: Any, at: Field) -> Any:
    """``live`` with everything that ``applied`` says. Lists keep the order of ``applied``, with what only ``live`` has in between."""
    if applied is MISSING:
        return live
    if live is MISSING:
        live = None
    shape = shape_of(at, applied if applied is not None else live)
    if shape.kind == "scalar" or shape.atomic or (_is_empty(live) and _is_empty(applied)):
        return applied
    if shape.kind == "list":
        return _merge_lists(shape, live or [], applied or [])
    merged = dict(live or {})
    for name, value in (applied or {}).items():
        merged[name] = merge(merged.get(name, MISSING), value, _child(shape, name))
    return merged


def _merge_lists(shape: Shape, live: list[Any], applied: list[Any]) -> list[Any]:
    """Both orders are kept where they agree; where they do not, that of ``applied`` wins. O(items)."""
    lefts = [element_of(shape, item) for item in live]
    rights = [element_of(shape, item) for item in applied]
    left_items = {element: item for element, item in zip(lefts, live) if lefts.count(element) == 1}
    right_items = dict(zip(rights, applied))
    shared = [element for element in rights if element in set(lefts)]
    merged: list[Any] = []
    done: set[str] = set()
    left = right = next_shared = 0
    while left < len(lefts) or right < len(rights):
        if left < len(lefts) and right < len(rights):
            element = lefts[left]
            if element == rights[right]:
                done.add(element)
                merged.append(merge(left_items.get(element, MISSING), right_items[element], shape.item))
                left, right, next_shared = left + 1, right + 1, next_shared + 1
                continue
            if element in right_items and next_shared < len(shared) and shared[next_shared] != element:
                left += 1  # shared, but its turn comes later
                continue
        if left < len(lefts):
            element = lefts[left]
            if element not in right_items:
                merged.append(live[left])
                left += 1
                continue
            if element in done:
                left += 1
        if right < len(rights):
            element = rights[right]
            done.add(element)
            merged.append(merge(left_items.get(element, MISSING), right_items[element], shape.item))
            right += 1
            if next_shared < len(shared) and shared[next_shared] == element:
                next_shared += 1
    return merged


# -- removal -----------------------------------------------------------------------------------------------------------------------


def remove(value: Any, paths: Paths, at: Field) -> Any:
    """``value`` without the fields at ``paths``. A map or list of which nothing is left is null."""
    return _remove(value, _trie(paths), at)


def _trie(paths: Paths) -> Object:
    root: Object = {}
    for path in paths:
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node[""] = True
    return root


def _remove(value: Any, unwanted: Object, at: Field) -> Any:
    shape = shape_of(at, value)
    if shape.kind == "scalar" or shape.atomic or not value:
        return value
    if shape.kind == "list":
        items = []
        for element, item in _items(shape, value):
            below = unwanted.get(element)
            if below is None:
                items.append(item)
            elif "" not in below:
                items.append(_remove(item, below, shape.item))
        return items or None
    left: Object = {}
    for name, item in value.items():
        below = unwanted.get(field(name))
        if below is None:
            left[name] = item
        elif "" not in below:
            left[name] = _remove(item, below, _child(shape, name))
    return left or None


def with_named_fields(paths: Paths, at: Field) -> Paths:
    """The set with every struct field above one of its paths in it too."""
    found = set(paths)
    for path in paths:
        here = at
        for depth, element in enumerate(path):
            shape = shape_of(here, {} if element[:2] == "f:" else [])
            if element[:2] == "f:":
                name = element[2:]
                if depth + 1 < len(path) and shape.fields is not None and name in shape.fields:
                    found.add(path[: depth + 1])
                here = _child(shape, name)
            else:
                here = shape.item
    return frozenset(found)


# -- does it fit -------------------------------------------------------------------------------------------------------------------


def check(value: Any, at: Field) -> None:
    """Raise Invalid when a value does not fit its schema: unknown fields, wrong types, items without keys or with the same ones."""
    messages = list(_check(value, at, ()))
    if messages:
        raise Invalid(messages)


def _check(value: Any, at: Field, path: Path) -> Iterator[str]:
    if value is None:
        return
    shape = shape_of(at, value)
    where = f"{shown(path)}: " if path else ""
    if shape.kind == "scalar":
        why = _wrong_scalar(shape.code, value)
        if why:
            yield where + why
    elif shape.kind == "list":
        yield from _check_list(value, shape, path, where)
    elif not isinstance(value, dict):
        yield f"{where}expected map, got {_go_value(value)}"
    else:
        for name, item in value.items():
            below = (*path, field(str(name)))
            if shape.fields is not None and name not in shape.fields:
                yield f"{shown(below)}: field not declared in schema"
            else:
                yield from _check(item, _child(shape, name), below)


def _check_list(value: Any, shape: Shape, path: Path, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{where}expected list, got {_go_value(value)}"
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        element = f"i:{index}"
        if not shape.atomic:
            try:
                element = element_of(shape, item)
            except ValueError as error:
                yield f"{where}element {index}: {error}"
                return
            if element in seen:
                yield f"{where}duplicate entries for key {shown((element,))}"
            seen.add(element)
        yield from _check(item, shape.item, (*path, element))


def _wrong_scalar(code: str, value: Any) -> str:
    if code == "*":
        return ""
    if code in _UNTYPED:
        return f"expected any scalar, got {_go_value(value)}" if isinstance(value, (dict, list)) else ""
    if code in _NUMBERS:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return "" if is_number else f"expected numeric (int or float), got {_go_type(value)}"
    if code == "b":
        return "" if isinstance(value, bool) else f"expected boolean, got {_go_type(value)}"
    return "" if isinstance(value, str) else f"expected string, got &value.valueUnstructured{{Value:{_go_syntax(value)}}}"


def _go_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64"
    if isinstance(value, float):
        return "float64"
    return "string" if isinstance(value, str) else "[]interface {}" if isinstance(value, list) else "map[string]interface {}"


def _go_syntax(value: Any) -> str:
    """A value as %#v shows it."""
    if isinstance(value, dict):
        inner = ", ".join(f"{orjson.dumps(key).decode()}:{_go_syntax(value[key])}" for key in sorted(value))
        return f"map[string]interface {{}}{{{inner}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_go_syntax, value))}}}"
    return orjson.dumps(value).decode() if value is not None else "interface {}(nil)"


def _go_value(value: Any) -> str:
    return f"&{{{value}}}" if not isinstance(value, bool) else f"&{{{str(value).lower()}}}"
