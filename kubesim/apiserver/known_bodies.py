"""Bodies that have been decoded before, but for the name in them: ten thousand Pods of one template are checked once.

A body is known by its text with the one occurrence of its own name taken out. Two bodies with the same rest differ in that one string
only, so what the decoder found in the first (types, unknown and duplicate fields, nulls) holds for the second. Only bodies against which it
had nothing are remembered. What is handed out shares its parts with the first, so that the memos by identity (``api/memo.py``) know them.
"""

from typing import Any

import orjson

Object = dict[str, Any]
ENTRIES_MAX = 512
BODY_BYTES_MAX = 32 << 10
HOLE = b'"\0"'  # no JSON has such a string


class KnownBodies:
    """A bounded memo: (schema, text without the name) -> the decoded object. The oldest entry goes first."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[tuple[str, bytes], Object] = {}

    def find(self, schema: str, raw: bytes) -> tuple[Object | None, tuple[str, bytes] | None]:
        """The object of a body if it is known, and the key to remember it by; no key: it cannot be. O(size of the body)."""
        if len(raw) > BODY_BYTES_MAX:
            return None, None
        try:
            name = orjson.loads(raw)["metadata"].get("name")
        except (ValueError, TypeError, KeyError, AttributeError):
            return None, None
        if not name:
            key = (schema, raw)
            return self._entries.get(key), key
        if not isinstance(name, str):
            return None, None
        quoted = b'"%s"' % name.encode()
        if raw.count(quoted) != 1:
            return None, None
        key = (schema, raw.replace(quoted, HOLE))
        found = self._entries.get(key)
        if found is not None:
            found = {**found, "metadata": {**found["metadata"], "name": name}}
        return found, key

    def remember(self, key: tuple[str, bytes], obj: Object) -> None:
        """Remember what a body was decoded to."""
        entries = self._entries
        if len(entries) >= ENTRIES_MAX:
            del entries[next(iter(entries))]
        entries[key] = obj
