"""What a controller is: the kinds it watches, each mapped to keys, and one level-based function of a key.

``reconcile`` reads the view and returns intents; it writes nothing and keeps nothing but what it can derive again. The runner
applies the intents in order, owns the work queue, conflicts, expectations, back-off and slow start, and calls again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from kubesim.api.errors import ApiError
from kubesim.api.meta import key_of
from kubesim.apiserver.requests import Object, Request
from kubesim.client.informer import IndexFunction, looks_at

Derived = TypeVar("Derived")

Mapper = Callable[["View", Object | None, Object | None], Iterable[str]]  # (view, old, new) -> keys to reconcile


@dataclass(frozen=True, slots=True)
class EventIntent:
    """Record an event about ``regarding`` (an object), as upstream's recorder does: reason and message are upstream's."""

    regarding: Object
    type: str  # Normal or Warning
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Burst:
    """Requests sent in slow start (1, 2, 4, ... at a time; the rest is dropped at the first failure) under expectations.

    Each request may have its event for success and for failure: ``on_success(outcome)`` and ``on_failure(error)`` give intents.
    ``after(error)`` gives what is to be done when all answers are there, whether the burst failed (its first ApiError) or not
    (None). A failure ends the reconcile: only what the hooks give is still done, then the key is tried again, rate-limited.
    Errors with a reason in ``expected`` are answers like others: they go to ``on_failure`` and fail nothing.
    """

    requests: Sequence[Request]
    on_success: Callable[[Object], Sequence["Intent"]] | None = None
    on_failure: Callable[[ApiError], Sequence["Intent"]] | None = None
    after: Callable[[ApiError | None], Sequence["Intent"]] | None = None
    expected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Again:
    """Look at the key again: after ``delay_ns``, or as after a failure (None). The last one of a reconcile counts."""

    delay_ns: int | None = None


Intent = Request | EventIntent | Burst | Again


@dataclass(frozen=True, slots=True)
class Result:
    """What to do about a key, and when to look at it again if nothing happens (``requeue_after_ns``)."""

    intents: Sequence[Intent] = ()
    requeue_after_ns: int | None = None


DONE = Result()


class View(Protocol):
    """A controller's read-only picture of the cluster: the shared informers' caches."""

    def get(self, resource: str, key: str) -> Object | None:
        """The object at ``namespace/name`` (or ``name``), or None."""

    def list(self, resource: str, namespace: str = "") -> Iterable[Object]:
        """All objects of a resource, in one namespace if given, in the order they were first seen."""

    def indexed(self, resource: str, index: str, value: str) -> Mapping[str, Object]:
        """The objects whose index function gave ``value``, by key, in the order they were first seen."""

    def derived(self, build: Callable[[Any], Derived]) -> Derived:
        """What ``build`` derives from the caches and keeps up to date by difference; one per manager (``owned_pods.OwnedPods``)."""


class Controller(Protocol):
    """One controller: a file in this folder exports a factory ``CONTROLLER``."""

    name: str  # upstream's name: "replicaset-controller"
    component: str  # the source of its events, empty for its name
    resource: str  # the kind whose keys it reconciles: "replicasets.apps"
    watches: Mapping[str, Mapper]
    indexes: Mapping[str, Mapping[str, IndexFunction]]  # resource -> name -> function, for view.indexed
    derives: Sequence[Callable[[Any], Any]]  # derived views that must see an event before the mappers do
    only_deleted: frozenset[str]  # watched resources of which the mapper wants to know deletions only
    owner_kinds: Mapping[str, str]  # resource -> kind: its mapper gives no keys for objects that another kind controls, before and after
    delays: Mapping[str, int]  # resource -> ns: a change of one is taken in later, together with what else comes until then
    rationed: frozenset[str]  # resources whose updates by this controller are rationed (``runner``): reports, not actions

    def custom(self, resource: str) -> Mapper | None:
        """The mapper of a custom resource's changes, as its definition comes; None when the controller is not about every kind."""

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Drive the object at ``key`` one step towards its desired state."""


class ControllerBase:
    """A controller without indexes, derived views and rationed writes, whose events come from its name."""

    is_for_clients = False  # what it writes is for clients outside to see; nobody in process looks at it
    component = ""  # who its events are from, if not its name: upstream is not consistent

    indexes: Mapping[str, Mapping[str, IndexFunction]] = {}
    derives: Sequence[Callable[[Any], Any]] = ()
    only_deleted: frozenset[str] = frozenset()
    owner_kinds: Mapping[str, str] = {}
    delays: Mapping[str, int] = {}
    rationed: frozenset[str] = frozenset()

    def custom(self, resource: str) -> Mapper | None:
        """The mapper of a custom resource's changes, as its definition comes; None when the controller is not about every kind."""
        return None


@looks_at()
def nobody(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The mapper of a kind that is read but whose changes wake nobody, as upstream."""
    return ()


def own_key(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The mapper of a controller's own resource: the object's key, on every change."""
    return (key_of(new if new is not None else old),)  # type: ignore[arg-type]
