"""Values as Go encodes its internal structs into messages: every field, Go's names, null where nothing is.

A ``Shape`` lists the fields of a struct in Go's order: name in JSON, name in Go, what an absent one looks like, what is inside.
"""

from typing import Any, NamedTuple

import orjson

Object = dict[str, Any]


class Member(NamedTuple):
    """A field of a struct."""

    name: str
    go_name: str
    zero: Any = ""
    inner: "tuple[Member, ...] | None" = None


Shape = tuple[Member, ...]


def go_values(value: Any, shape: Shape) -> Any:
    """The value with Go's names and zeros, as plain data."""
    if isinstance(value, list):
        return [go_values(item, shape) for item in value]
    if not isinstance(value, dict):
        return value
    found: Object = {}
    for name, go_name, zero, inner in shape:
        item = value.get(name)
        if item is None:
            item = go_values({}, inner) if inner is not None and zero == {} else zero
        elif inner is not None:
            item = go_values(item, inner)
        found[go_name] = item
    return found


def go_text(value: Any, shape: Shape) -> str:
    """The JSON text of a value."""
    return orjson.dumps(go_values(value, shape)).decode()
