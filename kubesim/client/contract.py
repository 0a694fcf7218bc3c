"""What a component sees of the world outside its room: a link to the apiserver, and nothing else.

A link carries requests and watch events between one component and an apiserver. The direct link answers in place and delivers
watch events after a fixed latency; links over the simulated network delay, lose and repeat. A component cannot tell.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, Request, WatchEvent

Outcome = Object | ApiError
Done = Callable[[Any], None]  # called once with an Outcome


class Subscriber(Protocol):
    """Who receives a list and then watch events: an informer."""

    def on_list(self, items: Sequence[Object], revision: int) -> None:
        """Replace everything known: the state at ``revision``."""

    def on_events(self, events: Sequence[WatchEvent]) -> None:
        """Apply the changes, in order."""


class Standing(Protocol):
    """A request that repeats by itself until cancelled (a heartbeat)."""

    def cancel(self) -> None:
        """Stop; what was due until now has happened."""


class Link(Protocol):
    """A component's way to the apiserver. ``user`` is the component's name in audit and trace."""

    user: str

    @property
    def now_ns(self) -> int:
        """The component's clock."""

    def send(self, request: Request, done: Done | None = None) -> None:
        """Send a request; ``done`` gets the object or the ApiError, now or later."""

    def subscribe(
        self, resource: str, subscriber: Subscriber, *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> None:
        """List, then watch for ever: re-lists by itself when the watch breaks."""

    def stand(self, request: Request, period_ns: int) -> Standing:
        """Send a lease renewal now and every ``period_ns``, without a cost per repetition while nobody looks."""
