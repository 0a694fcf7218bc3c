"""Make a custom resource's schema known to the tables of ``kubesim.api.schema``, for unknown fields and server-side apply.

The shape goes there: which fields there are, what is a list by keys, which type a server-side apply asks for. Elsewhere types of values
are left to ``values``, for a wrong one is an invalid object (422), not one that cannot be decoded (400): fields of custom resources say
``is_custom``. A definition's name is made of its content, so equal schemas share one.
"""

from hashlib import blake2b
from typing import Any

import orjson

from kubesim.api import schema
from kubesim.api.schema import Definition, Field

Object = dict[str, Any]
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"  # of a definition whose custom resources are still to go
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
ANYTHING = Field("*")
SCALARS = {name: Field(code, is_custom=True) for name, code in (("string", "s"), ("integer", "l"), ("number", "n"), ("boolean", "b"))}
TYPE_FIELDS = {"apiVersion": Field("s"), "kind": Field("s"), "metadata": Field("@", ref=META)}


def define(schema_of_version: Object) -> str:
    """Register a structural schema; return the name of its definition. O(schema)."""
    digest = blake2b(orjson.dumps(schema_of_version, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
    name = f"custom.{digest}"
    if schema.definition(name) is None:
        _define_object(schema_of_version, name, is_resource=True)
    return name


def _define_object(given: Object, name: str, is_resource: bool) -> None:
    fields = {key: _field(each, f"{name}.{key}") for key, each in (given.get("properties") or {}).items()}
    if is_resource:
        fields = {**fields, **TYPE_FIELDS}
    is_open = given.get("x-kubernetes-preserve-unknown-fields") is True
    map_type = given.get("x-kubernetes-map-type", "")
    schema.learn(Definition(name, fields, tuple(given.get("required") or ()), "@", map_type, is_custom=True, is_open=is_open))


def _field(given: Object, name: str) -> Field:
    if given.get("x-kubernetes-int-or-string"):
        return Field("x", is_custom=True)
    type_ = given.get("type")
    if type_ == "object":
        is_resource = given.get("x-kubernetes-embedded-resource") is True
        more = given.get("additionalProperties")
        if not given.get("properties") and isinstance(more, dict):
            return Field("m", _field(more, f"{name}.*"), map_type=given.get("x-kubernetes-map-type", ""), is_custom=True)
        if not given.get("properties") and not is_resource and (more is True or given.get("x-kubernetes-preserve-unknown-fields")):
            return ANYTHING
        _define_object(given, name, is_resource)
        return Field("@", ref=name, map_type=given.get("x-kubernetes-map-type", ""))
    if type_ == "array" and isinstance(given.get("items"), dict):
        item = _field(given["items"], f"{name}[]")
        keys = tuple(given.get("x-kubernetes-list-map-keys") or ())
        return Field("a", item, list_type=given.get("x-kubernetes-list-type", "atomic"), list_keys=keys, is_custom=True)
    return SCALARS.get(str(type_), ANYTHING)
