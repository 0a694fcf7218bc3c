"""What a known bug is: a name, where it is from, the rules that may catch it, and what it replaces while it is on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Patch(NamedTuple):
    """Replace ``owner.name`` (or ``owner[name]`` of a dict) by ``make(original)``."""

    owner: Any
    name: str
    make: Callable[[Any], Any]


class Bug(NamedTuple):
    """A known bug. ``rules`` are those that may trip first; the schedule decides which."""

    name: str
    origin: str
    what: str
    rules: tuple[str, ...]
    patches: tuple[Patch, ...]

    @contextmanager
    def switched_on(self) -> Iterator[None]:
        """Have the bug inside of the block."""
        originals = [_get(patch) for patch in self.patches]
        try:
            for patch, original in zip(self.patches, originals, strict=True):
                _set(patch, patch.make(original))
            yield
        finally:
            for patch, original in zip(self.patches, originals, strict=True):
                _set(patch, original)


def _get(patch: Patch) -> Any:
    # Not getattr: a staticmethod or a property has to come back as what it was.
    return patch.owner[patch.name] if isinstance(patch.owner, dict) else vars(patch.owner)[patch.name]


def _set(patch: Patch, value: Any) -> None:
    if isinstance(patch.owner, dict):
        patch.owner[patch.name] = value
    else:
        setattr(patch.owner, patch.name, value)
