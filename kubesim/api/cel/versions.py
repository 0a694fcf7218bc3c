"""Kubernetes' quantities and semantic versions. Upstream: apiserver/pkg/cel/library (quantity.go, semverlib.go)."""

import re
from collections.abc import Callable
from typing import Any

from kubesim.api import quantity as quantities
from kubesim.api.cel.errors import CelError
from kubesim.api.cel.table import METHODS, function, method, need
from kubesim.api.cel.values import Quantity, Semver


@function("quantity")
def _quantity(text: str) -> Quantity:
    need(isinstance(text, str))
    if not quantities.is_quantity(text):
        raise CelError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    return Quantity(text)


@function("isQuantity")
def _is_quantity(text: str) -> bool:
    return quantities.is_quantity(text)


_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+([0-9A-Za-z.-]+))?"
)


def _semver_or_none(text: str, normalize: bool = False) -> Semver | None:
    if normalize:
        head, mark, tail = re.match(r"v?([\d.]*)([-+]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
        numbers = [part.lstrip("0") or "0" for part in head.split(".")] if head else []
        text = ".".join([*numbers, *["0"] * (3 - len(numbers))]) + mark + tail
    found = _SEMVER.fullmatch(text)
    if found is None:
        return None
    numbers_ = int(found[1]), int(found[2]), int(found[3])
    return Semver(numbers_, tuple(found[4].split(".")) if found[4] else (), found[5] or "")


@function("semver")
def _semver(text: str, normalize: bool = False) -> Semver:
    need(isinstance(text, str))
    found = _semver_or_none(text, normalize)
    if found is None:
        raise CelError("No Major.Minor.Patch elements found" if text.count(".") < 2 else f"Invalid character(s) found in version {text!r}")
    return found


@function("isSemver")
def _is_semver(text: str, normalize: bool = False) -> bool:
    return _semver_or_none(text, normalize) is not None


def _comparing(test: Callable[[int], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        need(type(left) is type(right) and isinstance(left, Quantity | Semver))
        return test(left.compare(right))

    return compare


METHODS["isGreaterThan"] = _comparing(lambda order: order > 0)
METHODS["isLessThan"] = _comparing(lambda order: order < 0)
METHODS["compareTo"] = lambda left, right: left.compare(right)
METHODS["major"] = lambda version: version.numbers[0]
METHODS["minor"] = lambda version: version.numbers[1]
METHODS["patch"] = lambda version: version.numbers[2]
METHODS["sign"] = lambda found: (quantities.compare(found.text, "0") > 0) - (quantities.compare(found.text, "0") < 0)


def _plain(value: Any) -> Quantity:
    return value if isinstance(value, Quantity) else Quantity(str(value))


METHODS["add"] = lambda left, right: Quantity(quantities.add(left.text, _plain(right).text))
METHODS["sub"] = lambda left, right: Quantity(quantities.subtract(left.text, _plain(right).text))
METHODS["asApproximateFloat"] = lambda found: quantities.milli_value(found.text) / 1000


@method("isInteger")
def _is_integer(found: Quantity) -> bool:
    return quantities.compare(found.text, str(quantities.value(found.text))) == 0


@method("asInteger")
def _as_integer(found: Quantity) -> int:
    if not _is_integer(found):
        raise CelError("cannot convert value to integer")
    return quantities.value(found.text)
