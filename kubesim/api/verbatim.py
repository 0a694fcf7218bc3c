"""Values that upstream keeps as the bytes they came in (runtime.RawExtension): two are equal when their texts are.

A client that sends ``{"a": 1}`` with a space gets ``{"a":1}`` back, for encoders pack it; but a rule that such a field may not change
compares what was stored. A patch packs everything it does not touch, so it changes a text that had spaces: upstream refuses to
label a ControllerRevision that came with spaces, and so do we.
"""

from collections.abc import Iterable
from typing import Any, NoReturn

import orjson

from kubesim.api.json_text import member_text

Object = dict[str, Any]


def _refuse(self: Any, *arguments: Any, **named: Any) -> NoReturn:
    raise TypeError("this value stands for the text it came in: it is read-only")


class Verbatim(dict[str, Any]):
    """An object that remembers its text. Read-only; a copy of it is an ordinary dict."""

    __slots__ = ("text",)
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __init__(self, value: Object, text: str) -> None:
        super().__init__(value)
        self.text = text


def text_of(value: Any) -> str:
    """The text of a value: as it came, or packed."""
    return value.text if isinstance(value, Verbatim) else orjson.dumps(value).decode()


def remembered(obj: Object, raw: bytes, names: Iterable[str]) -> Object:
    """An object just read from ``raw``, whose members ``names`` remember their texts where these are not packed."""
    for name in names:
        value = obj.get(name)
        if isinstance(value, dict):
            text = member_text(raw, name)
            if text != text_of(value):
                obj = {**obj, name: Verbatim(value, text)}
    return obj


def packed(obj: Object, names: Iterable[str]) -> Object:
    """An object as a patch leaves it: without the texts of its members."""
    for name in names:
        if isinstance(obj.get(name), Verbatim):
            obj = {**obj, name: {**obj[name]}}
    return obj
