"""Lists, sets and optionals: cel-go's extensions and Kubernetes' lists library."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from kubesim.api.cel.errors import CelError
from kubesim.api.cel.operators import add
from kubesim.api.cel.table import FUNCTIONS, METHODS, method, need
from kubesim.api.cel.values import NONE, Optional, compared, equal


@method("isSorted")
def _is_sorted(values: list[Any]) -> bool:
    return all(compared(before, after) <= 0 for before, after in pairwise(values))


@method("sum")
def _sum(values: list[Any]) -> Any:
    total: Any = values[0] if values else 0
    for value in values[1:]:
        total = add(total, value)
    return total


def _extreme(sign: int, name: str) -> Callable[[list[Any]], Any]:
    def find(values: list[Any]) -> Any:
        if not values:
            raise CelError(f"{name} called on empty list")
        best = values[0]
        for value in values[1:]:
            if compared(value, best) * sign > 0:
                best = value
        return best

    return find


METHODS["min"], METHODS["max"] = _extreme(-1, "min"), _extreme(1, "max")
FUNCTIONS["math.least"] = lambda *values: _extreme(-1, "min")(values[0] if isinstance(values[0], list) else list(values))
FUNCTIONS["math.greatest"] = lambda *values: _extreme(1, "max")(values[0] if isinstance(values[0], list) else list(values))


@method("indexOf")
def _index_of(values: Any, value: Any, start: int = 0) -> int:
    if isinstance(values, str):
        return values.find(value, start)
    return next((index for index, other in enumerate(values) if equal(other, value)), -1)


@method("lastIndexOf")
def _last_index_of(values: Any, value: Any) -> int:
    if isinstance(values, str):
        return values.rfind(value)
    return next((index for index in range(len(values) - 1, -1, -1) if equal(values[index], value)), -1)


def _includes(values: list[Any], value: Any) -> bool:
    need(isinstance(values, list))
    return any(equal(value, other) for other in values)


FUNCTIONS["sets.contains"] = lambda values, parts: all(_includes(values, part) for part in parts)
FUNCTIONS["sets.intersects"] = lambda values, parts: any(_includes(values, part) for part in parts)
FUNCTIONS["sets.equivalent"] = lambda left, right: all(_includes(left, v) for v in right) and all(_includes(right, v) for v in left)
METHODS["includes"] = _includes  # of attributes that are lists



FUNCTIONS["optional.none"] = lambda: NONE
FUNCTIONS["optional.of"] = lambda value: Optional((value,))
FUNCTIONS["optional.ofNonZeroValue"] = lambda value: Optional((value,)) if value else NONE
METHODS["hasValue"] = lambda found: bool(found.values)
METHODS["orValue"] = lambda found, other: found.values[0] if found.values else other
METHODS["or"] = lambda found, other: found if found.values else other


@method("value")
def _value(found: Optional) -> Any:
    if not found.values:
        raise CelError("optional.none() dereference")
    return found.values[0]
