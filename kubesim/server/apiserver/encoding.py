"""Objects to bytes: JSON with everything that upstream always writes, YAML and protobuf; stored objects are encoded once.

A stored object never changes, so its text is remembered under its uid as long as the object is the same one. In a list it stands without
its type, which is put in front of the same text for a single object.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from kubesim.api.always import complete
from kubesim.api.kinds.contract import Kind
from kubesim.server.apiserver import protobuf, yaml_text
from kubesim.server.apiserver.encoding_schemas import SCHEMAS
from kubesim.server.apiserver.media import JSON, YAML

Object = dict[str, Any]
CUSTOM = "custom."  # how the definitions of custom resources begin
REMEMBERED_MAX = 200_000
OPTIONS = orjson.OPT_NON_STR_KEYS


class Encoder:
    """Encodes objects of the kinds of a registry."""

    def __init__(self, kinds: Any) -> None:
        self._kinds = kinds  # (apiVersion, kind) -> Resource
        self._remembered: dict[str, tuple[Object, bytes]] = {}

    def schema_of(self, obj: Object) -> str:
        """The definition of an object's type, or ""."""
        key = (obj.get("apiVersion", ""), obj.get("kind", ""))
        resource = self._kinds.get(key)
        return resource.kind.schema if resource is not None else SCHEMAS.get(key, "")

    def completed(self, obj: Object) -> Object:
        """The object with what is always written."""
        schema = self.schema_of(obj)
        return complete(obj, schema) if schema else obj

    def item(self, obj: Object, schema: str) -> bytes:
        """The JSON of a stored object without its type: how it stands in a list. Remembered."""
        metadata = obj["metadata"]
        uid = metadata.get("uid", "")
        known = self._remembered.get(uid)
        if known is not None and known[0] is obj:
            return known[1]
        full = complete(obj, schema) if schema else obj
        if not schema.startswith(CUSTOM):  # a custom resource keeps its type, in lists too
            full = {key: value for key, value in full.items() if key not in ("kind", "apiVersion")}
        text = orjson.dumps(full, option=OPTIONS)
        if uid and metadata.get("resourceVersion"):
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[uid] = (obj, text)
        return text

    def stored(self, obj: Object, kind: Kind) -> bytes:
        """The JSON of a stored object."""
        text = self.item(obj, kind.schema)
        if kind.is_custom:
            return text
        head = b'{"kind":"%s","apiVersion":"%s"' % (kind.kind.encode(), kind.api_version.encode())
        return head + (b"," if len(text) > 2 else b"") + text[1:]

    def listed(self, answer: Object, kind: Kind) -> bytes:
        """The JSON of a list of stored objects."""
        schema, item = kind.schema, self.item
        parts = b",".join([item(obj, schema) for obj in answer["items"]])
        metadata = {"continue": "", **answer["metadata"]} if kind.is_custom else answer["metadata"]
        head = {"kind": answer["kind"], "apiVersion": answer["apiVersion"], "metadata": metadata}
        return orjson.dumps(head)[:-1] + b',"items":[' + parts + b"]}"

    def any(self, obj: Object, media: str) -> bytes:
        """Any object in any encoding; lists are completed item by item."""
        kind = obj.get("kind", "")
        if kind.endswith("List") and isinstance(obj.get("items"), list) and not kind.startswith(("Partial", "API")):
            obj = {**obj, "items": list(self._items(obj))}
        else:
            obj = self.completed(obj)
        if media == JSON:
            return orjson.dumps(obj, option=OPTIONS)
        if media == YAML:
            return yaml_text.dump(obj)
        return protobuf.encode(obj)

    def _items(self, answer: Object) -> Iterable[Object]:
        kind, version = answer["kind"].removesuffix("List"), answer["apiVersion"]
        for item in answer["items"]:
            full = self.completed({"apiVersion": version, "kind": kind, **item})
            if self.schema_of(full).startswith(CUSTOM):
                yield full
                continue
            yield {key: value for key, value in full.items() if key not in ("kind", "apiVersion")}
