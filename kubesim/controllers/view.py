"""The view of the controllers: the shared informers' caches, their indexes, and what is derived from them by difference.

Reads only. A derived view (``OwnedPods``) is built once per manager, feeds on its informers' changes, and can be built again
from the caches at any time: it is an index that counts.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from kubesim.apiserver.requests import Object
from kubesim.client.informer import FIRST_SIGNAL, Informer, looks_at

# How the derived views say that a change has given their controllers something to do.
OWNED_PODS, PODS_BY_NODE, OWNER_GRAPH, SERVICE_ENDPOINTS, BUDGET_MEMBERS, DAEMON_NODES = (FIRST_SIGNAL << place for place in range(6))

Derived = TypeVar("Derived")


@looks_at()
def _namespace_of(obj: Object) -> tuple[str]:
    return (obj["metadata"].get("namespace", ""),)


class _Asked(dict[str, Informer]):
    """The informers asked for so far."""

    def __init__(self, informer: Callable[[str], Informer]) -> None:
        self._informer = informer

    def __missing__(self, resource: str) -> Informer:
        informer = self[resource] = self._informer(resource)
        return informer


class Caches:
    """The caches of one component. ``informer`` gives the shared informer of a resource."""

    __slots__ = ("_derived", "_informers", "informer")

    def __init__(self, informer: Callable[[str], Informer]) -> None:
        self.informer = informer
        self._derived: dict[Callable[..., Any], Any] = {}
        self._informers = _Asked(informer)

    def get(self, resource: str, key: str) -> Object | None:
        """The object at ``namespace/name`` (or ``name``), or None. O(1)."""
        return self._informers[resource].objects.get(key)

    def list(self, resource: str, namespace: str = "") -> Iterable[Object]:
        """All objects of a resource, in one namespace if given, in the order they were first seen."""
        informer = self._informers[resource]
        if not namespace:
            return informer.objects.values()
        informer.add_index("namespace", _namespace_of)
        return informer.indexed("namespace", namespace).values()

    def indexed(self, resource: str, index: str, value: str) -> Mapping[str, Object]:
        """The objects whose index function gave ``value``, by key, in the order they were first seen. O(result)."""
        return self._informers[resource].indexed(index, value)

    def derived(self, build: Callable[["Caches"], Derived]) -> Derived:
        """The one derived view that ``build`` makes of these caches; built when first asked for. O(1) afterwards."""
        known = self._derived.get(build)
        if known is None:
            known = self._derived[build] = build(self)
        return known

    def built(self, build: Callable[["Caches"], Derived]) -> Derived | None:
        """The derived view of ``build`` if somebody has asked for it. O(1)."""
        return self._derived.get(build)
