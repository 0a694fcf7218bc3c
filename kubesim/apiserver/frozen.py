"""Frozen copies of objects, for debugging: who writes into an object that was sent or stored is caught where it happens.

Parts that were frozen before are used again, so Pods of one template still share them.
"""

from typing import Any, NoReturn

from kubesim.api.memo import IdentityMemo
from kubesim.api.verbatim import Verbatim


def _refuse(self: Any, *arguments: Any, **named: Any) -> NoReturn:
    raise TypeError("this object was sent or stored: it is read-only; copy the path that changes")


class FrozenDict(dict[str, Any]):
    """A dict that refuses every change; a copy of it is an ordinary dict."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


class FrozenList(list[Any]):
    """A list that refuses every change; a copy of it is an ordinary list."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse


def _freeze_part(value: Any) -> Any:
    if isinstance(value, FrozenDict | FrozenList | Verbatim):
        return value
    if isinstance(value, dict):
        return FrozenDict((key, _part(item)) for key, item in value.items())
    return FrozenList(_part(item) for item in value)


_remembered = IdentityMemo(_freeze_part)


def _part(value: Any) -> Any:
    return _remembered(value) if isinstance(value, dict | list) else value


def freeze(obj: dict[str, Any]) -> dict[str, Any]:
    """A frozen object; ``metadata`` is frozen by itself, as the store's revision is written into it."""
    frozen = {key: _part(value) for key, value in obj.items() if key != "metadata"}
    metadata = FrozenDict((key, _part(value)) for key, value in obj["metadata"].items())
    return FrozenDict({key: metadata if key == "metadata" else frozen[key] for key in obj})
