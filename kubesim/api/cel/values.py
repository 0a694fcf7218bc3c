"""The values of CEL as Python's: int, UInt, float, str, bytes, bool, None, list, dict, and the types that Python lacks.

Numbers of different types compare and are equal by value; nothing else crosses types. A bool is no number.
"""

from base64 import b64encode
from typing import Any, NamedTuple

from kubesim.api import quantity as quantities
from kubesim.api.cel.errors import CelError
from kubesim.kernel.time import format_time

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1
SECOND = 1_000_000_000


class UInt(int):
    """An unsigned integer of 64 bits."""

    __slots__ = ()


class Type(NamedTuple):
    """A type as a value: what ``type(x)`` gives."""

    name: str


class Timestamp(NamedTuple):
    """A time: ns since the Unix epoch."""

    ns: int


class Duration(NamedTuple):
    """A span of time in ns."""

    ns: int


class Optional(NamedTuple):
    """A value that may be absent."""

    values: tuple[Any, ...]  # none or one


class Quantity(NamedTuple):
    """A resource quantity."""

    text: str

    def compare(self, other: "Quantity") -> int:
        """Below 0, 0 or above 0."""
        return quantities.compare(self.text, other.text)


class Semver(NamedTuple):
    """A semantic version: (major, minor, patch), the parts of a pre-release, the build."""

    numbers: tuple[int, int, int]
    pre: tuple[str, ...]
    build: str

    def compare(self, other: "Semver") -> int:
        """Precedence of semver 2.0.0: below 0, 0 or above 0. The build does not count."""
        mine, theirs = self._key(), other._key()
        return (mine > theirs) - (mine < theirs)

    def _key(self) -> tuple[Any, ...]:
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return self.numbers, not self.pre, parts


class Struct(dict[str, Any]):
    """An object that an expression has made: a map that knows the name of its type."""

    __slots__ = ("type_name",)

    def __init__(self, type_name: str) -> None:
        super().__init__()
        self.type_name = type_name


NONE = Optional(())


def to_json(value: Any) -> Any:
    """A value as JSON has it: times and quantities are texts, bytes are base64. Raises CelError for what JSON does not have."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key).lower(): to_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, Timestamp):
        return format_time(value.ns)
    if isinstance(value, Duration):
        return f"{value.ns / SECOND:g}s"
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, Quantity):
        return value.text
    if value is None or isinstance(value, bool | str | float):
        return value
    if isinstance(value, int):
        return int(value)
    raise CelError(f"type conversion error from '{type_of(value)}' to 'google.protobuf.Value'")


def type_of(value: Any) -> str:
    """The name of a value's type."""
    for kind, name in _NAMES:
        if isinstance(value, kind):
            return name
    return type(value).__name__


_NAMES: tuple[tuple[Any, str], ...] = (
    (bool, "bool"),
    (UInt, "uint"),
    (int, "int"),
    (float, "double"),
    (str, "string"),
    (bytes, "bytes"),
    (type(None), "null_type"),
    (Timestamp, "google.protobuf.Timestamp"),
    (Duration, "google.protobuf.Duration"),
    (Type, "type"),
    (Optional, "optional_type"),
    (Quantity, "kubernetes.Quantity"),
    (Semver, "kubernetes.Semver"),
    (list, "list"),
    (dict, "map"),
)


def is_number(value: Any) -> bool:
    """Whether it is an int, uint or double."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    """CEL's ``==``; values of different types are not equal, but numbers compare by value."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return len(left) == len(right) and all(key in right and equal(value, right[key]) for key, value in left.items())
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return left.compare(right) == 0
    if isinstance(left, Semver) and isinstance(right, Semver):
        return left.compare(right) == 0
    return type(left) is type(right) and bool(left == right)


def compared(left: Any, right: Any) -> int:
    """Below 0, 0 or above 0; raises CelError for what has no order."""
    ordered = (str, bytes, bool, Timestamp, Duration)
    if (is_number(left) and is_number(right)) or (type(left) is type(right) and isinstance(left, ordered)):
        return (left > right) - (left < right)
    raise CelError("no such overload")


def ranged(value: int, like: Any) -> Any:
    """An integer result of the type of ``like``; raises CelError when it does not fit."""
    if isinstance(like, UInt):
        if not 0 <= value <= UINT_MAX:
            raise CelError("unsigned integer overflow")
        return UInt(value)
    if not INT_MIN <= value <= INT_MAX:
        raise CelError("integer overflow")
    return value
