"""What a request is answered with, before it is written to a connection."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

TEXT = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """A whole answer. ``headers`` are beside Content-Type and Content-Length."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Sequence[tuple[str, str]] = ()


class Broken:
    """No answer: the connection breaks. ``abort`` is None where there is no connection to break."""

    def __init__(self, abort: Callable[[], object] | None) -> None:
        self._abort = abort

    def abort(self) -> None:
        """Break the connection."""
        if self._abort is not None:
            self._abort()


def text(body: str, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """A plain text."""
    return Answer(status, body.encode(), TEXT, headers)
