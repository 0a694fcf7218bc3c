"""The types of expressions before they run: ``list(string)``, ``map(string, int)``, an object with named fields, ``dyn``.

A ``Type`` is a name with parameters; type parameters of overloads are single capital letters. ``Declared`` types are what a schema says:
beside the type, how large a value can be, for estimates of cost. Upstream: cel-go common/types, apiserver/pkg/cel/types.go.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

UNBOUNDED = 2**63 - 1


class Type(NamedTuple):
    """A type: ``object`` is one with fields, whose name is in ``of``."""

    name: str
    parameters: tuple["Type", ...] = ()
    of: str = ""

    def __str__(self) -> str:
        if self.name == "object":
            return self.of
        shown = SHOWN.get(self.name, self.name)
        return f"{shown}({', '.join(map(str, self.parameters))})" if self.parameters else shown

    @property
    def is_parameter(self) -> bool:
        """Whether it stands for a type that an overload leaves open."""
        return len(self.name) == 1 and self.name.isupper()


SHOWN = {"timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration", "optional": "optional_type"}
BOOL, INT, UINT, DOUBLE, STRING, BYTES = (Type(name) for name in ("bool", "int", "uint", "double", "string", "bytes"))
DYN, NULL, TIMESTAMP, DURATION = Type("dyn"), Type("null"), Type("timestamp"), Type("duration")
ERROR = Type("!error!")
SCALARS = frozenset((BOOL, INT, UINT, DOUBLE, TIMESTAMP, DURATION))


def list_of(item: Type) -> Type:
    """A list."""
    return Type("list", (item,))


def map_of(key: Type, value: Type) -> Type:
    """A map."""
    return Type("map", (key, value))


def optional_of(value: Type) -> Type:
    """A value that may be absent."""
    return Type("optional", (value,))


class Declared(NamedTuple):
    """A type of a schema. ``size_max`` is the most elements or characters, ``bytes_min`` the least that a value takes as JSON."""

    type: Type
    bytes_min: int
    size_max: int = 0
    fields: "Mapping[str, Declared] | None" = None
    key: "Declared | None" = None
    item: "Declared | None" = None  # of a list or a map


_TOKEN = re.compile(r"[\w.]+|[(),]")


@cache
def parse_type(text: str) -> Type:
    """A type from its text: ``map(string, list(A))``. Raises ValueError."""
    found, rest = _parse(_TOKEN.findall(text))
    if rest:
        raise ValueError(f"type {text!r}: expected nothing after {found}")
    return found


def _parse(tokens: list[str]) -> tuple[Type, list[str]]:
    name, rest = tokens[0], tokens[1:]
    parameters: list[Type] = []
    if rest[:1] == ["("]:
        while rest[0] != ")":
            inner, rest = _parse(rest[1:])
            parameters.append(inner)
        rest = rest[1:]
    return Type(name, tuple(parameters)), rest


class Bindings:
    """What the type parameters of an overload stand for, found by comparing with arguments."""

    def __init__(self) -> None:
        self.known: dict[str, Type] = {}

    def accepts(self, wanted: Type, given: Type) -> bool:
        """Whether an argument of type ``given`` may stand where ``wanted`` is declared."""
        if wanted.is_parameter:
            return self._bind(wanted.name, given)
        if given.is_parameter or ERROR in (wanted, given) or DYN in (wanted, given):
            return True
        if given == NULL and wanted.name in NULLABLE:
            return True
        if wanted == NULL and given.name in NULLABLE:
            return True
        if wanted.name != given.name or wanted.of != given.of or len(wanted.parameters) != len(given.parameters):
            return False
        return all(self.accepts(one, other) for one, other in zip(wanted.parameters, given.parameters))

    def _bind(self, name: str, given: Type) -> bool:
        known = self.known.get(name)
        if known is None or known == given:
            self.known[name] = given
            return True
        if DYN in (known, given) or _has_open(given):
            self.known[name] = DYN if DYN in (known, given) else known
            return self.accepts(known, given)
        if self.accepts(known, given):
            return True
        if self.accepts(given, known):
            self.known[name] = given
            return True
        return False

    def resolved(self, type_: Type) -> Type:
        """A declared type with its parameters filled in; what is not known is dyn."""
        if type_.is_parameter:
            return self.known.get(type_.name, DYN)
        if not type_.parameters:
            return type_
        return type_._replace(parameters=tuple(map(self.resolved, type_.parameters)))


NULLABLE = frozenset((
    "object", "timestamp", "duration", "optional", "null", "any", "kubernetes.Quantity", "kubernetes.Semver", "kubernetes.URL", "net.IP",
    "net.CIDR",
))  # fmt: skip


def _has_open(type_: Type) -> bool:
    """Whether a part of it is unknown: an empty list, a dyn."""
    return type_ == DYN or any(map(_has_open, type_.parameters))
