"""Objects in the order in which Go writes them: fields as their structs declare them, maps by key.

Clients do not care, but messages show objects as text. The order is that of the protobuf table, which lists fields as they are declared;
embedded structs are one field there and stand inline here.
"""

from functools import cache
from typing import Any

from kubesim.api.protobuf import declared_fields, message_name
from kubesim.api.schema import Field, definition

Object = dict[str, Any]


@cache
def order_of(name: str) -> tuple[str, ...]:
    """The fields of a definition in the order of their declaration; empty when the table does not know it."""
    known = definition(name)
    found: list[str] = []
    for field, inner in declared_fields(message_name(name)):
        if known is not None and field not in known.fields and inner:
            found += [each for each, _ in declared_fields(inner)]
        else:
            found.append(field)
    return tuple(found)


def in_go_order(value: Any, at: Field) -> Any:
    """The value with the members of its maps in Go's order. O(fields)."""
    if isinstance(value, list):
        inner = at.item if at.code == "a" and at.item is not None else Field("*")
        return [in_go_order(item, inner) for item in value]
    if not isinstance(value, dict):
        return value
    known = definition(at.ref) if at.code == "@" else None
    if known is None or not known.fields:
        inner = at.item if at.code == "m" and at.item is not None else Field("*")
        return {key: in_go_order(value[key], inner) for key in sorted(value)} if at.code == "m" else value
    declared = order_of(at.ref)
    head = [key for key in ("kind", "apiVersion") if key in value and key not in declared]  # TypeMeta comes first
    names = [key for key in declared if key in value]
    rest = [key for key in value if key not in names and key not in head]
    return {key: in_go_order(value[key], known.fields.get(key, Field("*"))) for key in (*head, *names, *rest)}
