"""Field errors of validation, with the texts that upstream renders (apimachinery/pkg/util/validation/field/errors.go).

Each function takes the path of the field and gives a ``FieldError`` whose ``message`` is ready for a client. Values are shown as
upstream shows them: strings quoted, numbers and booleans bare, everything else as JSON.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from kubesim.api import errors
from kubesim.api.errors import FieldError

Errors = list[FieldError]


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def quote(text: str) -> str:
    """Quote a string as Go's strconv.Quote: what cannot be printed as an escape of two, four or eight digits."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'"{"".join(_ESCAPES.get(letter) or _quoted_letter(letter) for letter in text)}"'


def _quoted_letter(letter: str) -> str:
    if letter.isprintable():
        return letter
    code = ord(letter)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if 0xD800 <= code < 0xE000:  # a lone surrogate is no text in Go
        return "\\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


OMITTED: Any = object()  # a value that an error does not show


def show(value: Any) -> str:
    """Render a value as upstream's field errors do."""
    if isinstance(value, str):
        return quote(value)
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return orjson.dumps(value).decode()


def _with(head: str, detail: str) -> str:
    return f"{head}: {detail}" if detail else head


def required(path: str, detail: str = "") -> FieldError:
    """A field that must be set is not."""
    return FieldError(path, errors.REQUIRED, _with("Required value", detail))


def invalid(path: str, value: Any, detail: str) -> FieldError:
    """A value of the right type that is not allowed."""
    head = "Invalid value" if value is OMITTED else f"Invalid value: {show(value)}"
    return FieldError(path, errors.INVALID, _with(head, detail))


def not_supported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    """A value outside an enumeration, which is listed in the order given."""
    names = ", ".join(quote(name) for name in supported)
    return FieldError(path, errors.NOT_SUPPORTED, _with(f"Unsupported value: {show(value)}", f"supported values: {names}" if names else ""))


def duplicate(path: str, value: Any) -> FieldError:
    """A value that occurs twice where it must be unique."""
    return FieldError(path, errors.DUPLICATE, f"Duplicate value: {show(value)}")


def forbidden(path: str, detail: str) -> FieldError:
    """A field that may not be set here."""
    return FieldError(path, errors.FORBIDDEN, f"Forbidden: {detail}")


def not_found(path: str, value: Any) -> FieldError:
    """A reference to something that is not there."""
    return FieldError(path, errors.NOT_FOUND, f"Not found: {show(value)}")


def too_long(path: str, size_max: int) -> FieldError:
    """A value longer than ``size_max`` bytes."""
    return FieldError(path, errors.TOO_LONG, f"Too long: may not be more than {size_max} bytes")


def too_many(path: str, count: int, count_max: int) -> FieldError:
    """A list of ``count`` items where ``count_max`` are allowed."""
    return FieldError(path, errors.TOO_MANY, f"Too many: {count}: must have at most {count_max} item{'' if count_max == 1 else 's'}")


def type_invalid(path: str, value: Any, detail: str) -> FieldError:
    """A value of the wrong type."""
    return FieldError(path, errors.TYPE_INVALID, _with(f"Invalid value: {show(value)}", detail))
