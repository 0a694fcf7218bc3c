"""OpenAPI version 2 in protobuf, which is the only form in which kubectl reads it. A pure function of the document.

The messages are gnostic's (openapiv2/OpenAPIv2.proto): maps are lists of named values, what begins with ``x-`` is YAML text. Written is
what a Kubernetes document has; responses are left empty.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from kubesim.api.protobuf import write_varint

Object = Mapping[str, Any]
METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}
SCHEMA_TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4}
PLACES = {"query": 3, "path": 4}  # of a parameter: its message in NonBodyParameter


def version_2_protobuf(document: Object) -> bytes:
    """A Document. O(its size)."""
    info = document["info"]
    paths = [_named(name, _path_item(item)) for name, item in document["paths"].items()]
    definitions = [_named(name, _schema(schema)) for name, schema in document["definitions"].items()]
    return b"".join((
        _text(1, document["swagger"]),
        _bytes(2, _text(1, info["title"]) + _text(2, info["version"])),
        _bytes(8, b"".join(_bytes(2, each) for each in paths)),
        _bytes(9, b"".join(_bytes(1, each) for each in definitions)),
    ))  # fmt: skip


def _bytes(number: int, data: bytes) -> bytes:
    return write_varint(number << 3 | 2) + write_varint(len(data)) + data


def _text(number: int, text: str) -> bytes:
    return _bytes(number, text.encode())


def _texts(number: int, texts: list[str]) -> bytes:
    return b"".join(_text(number, text) for text in texts)


def _named(name: str, value: bytes) -> bytes:
    return _text(1, name) + _bytes(2, value)


def _extensions(number: int, value: Object) -> bytes:
    """What begins with ``x-``, as NamedAny with YAML (of which JSON is a part)."""
    found = [_named(key, _text(2, orjson.dumps(each).decode())) for key, each in value.items() if key.startswith("x-")]
    return b"".join(_bytes(number, each) for each in found)


def _path_item(item: Object) -> bytes:
    return b"".join(_bytes(METHODS[method], _operation(operation)) for method, operation in item.items() if method in METHODS)


def _operation(operation: Object) -> bytes:
    parameters = b"".join(_bytes(8, _bytes(1, _parameter(each))) for each in operation.get("parameters") or ())
    return b"".join((
        _texts(1, operation.get("tags") or []),
        _texts(7, operation.get("consumes") or []),
        parameters,
        _bytes(9, b""),
        _extensions(13, operation),
    ))  # fmt: skip


def _parameter(parameter: Object) -> bytes:
    name, place = parameter["name"], parameter["in"]
    if place == "body":
        return _bytes(1, _text(2, name) + _text(3, place) + _bytes(5, _schema(parameter["schema"])))
    required = b"\x08\x01" if parameter.get("required") else b""
    type_ = 6 if place == "query" else 5
    return _bytes(2, _bytes(PLACES[place], required + _text(2, place) + _text(4, name) + _text(type_, parameter.get("type", "string"))))


def _schema(schema: Object) -> bytes:
    out = [_text(number, schema[key]) for key, number in SCHEMA_TEXTS.items() if schema.get(key)]
    out.append(_texts(19, schema.get("required") or []))
    out += [_bytes(20, _text(2, orjson.dumps(value).decode())) for value in schema.get("enum") or ()]
    if isinstance(schema.get("additionalProperties"), dict):
        out.append(_bytes(21, _bytes(1, _schema(schema["additionalProperties"]))))
    if schema.get("type"):
        out.append(_bytes(22, _text(1, schema["type"])))
    if "items" in schema:
        out.append(_bytes(23, _bytes(1, _schema(schema["items"]))))
    out += [_bytes(24, _schema(each)) for each in schema.get("allOf") or ()]
    if schema.get("properties"):
        properties = [_named(name, _schema(each)) for name, each in schema["properties"].items()]
        out.append(_bytes(25, b"".join(_bytes(1, each) for each in properties)))
    out.append(_extensions(31, schema))
    return b"".join(out)
