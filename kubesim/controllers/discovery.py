"""Which kinds there are: the built-in ones and those of the CustomResourceDefinitions that the caches show. A derived view.

Controllers that are about every kind (garbage collector, namespaces, quotas) ask here, as upstream's ask the discovery client.
Upstream: client-go/discovery, restmapper; GarbageCollector.Sync and QuotaMonitor.SyncMonitors.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from kubesim.api import conditions
from kubesim.api.kinds import KINDS
from kubesim.apiserver.requests import Object

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


class Known(NamedTuple):
    """A kind that is served: its resource, and the version under which it is stored."""

    resource: str
    group: str
    version: str
    plural: str
    namespaced: bool


def known_of(definition: Object | None) -> Known | None:
    """The kind of an established definition, else None."""
    if definition is None or not conditions.is_true(definition, "Established"):
        return None
    spec = definition["spec"]
    stored = next(version["name"] for version in spec["versions"] if version.get("storage"))
    plural, group = spec["names"]["plural"], spec["group"]
    return Known(f"{plural}.{group}", group, stored, plural, spec["scope"] == "Namespaced")


class Discovery:
    """``custom`` are the custom kinds by resource, in the order in which they came; ``on_new`` are told of each resource once."""

    __slots__ = ("_by_type", "_told", "custom", "on_new")

    def __init__(self, caches: Any) -> None:
        self.custom: dict[str, Known] = {}
        self.on_new: list[Callable[[str], object]] = []
        self._told: dict[str, None] = {}
        self._by_type: dict[tuple[str, str], Known] = {}
        caches.informer(DEFINITIONS).add_keyed_handler(self._on_change)

    def find(self, api_version: str, kind: str) -> Known | None:
        """The kind of an ``apiVersion`` and ``kind``, in any served version; None for one that is not served. O(1)."""
        found = KINDS.find_gvk(api_version, kind)
        if found is not None:
            return Known(found.resource, found.group, found.version, found.plural, found.namespaced)
        return self._by_type.get((api_version, kind))

    def namespaced(self) -> Iterable[Known]:
        """The custom kinds that live in namespaces."""
        return [known for known in self.custom.values() if known.namespaced]

    def _on_change(self, key: str, old: Object | None, new: Object | None) -> None:
        before, after = known_of(old), known_of(new)
        if before is not None:
            self.custom.pop(before.resource, None)
            for type_ in [type_ for type_, known in self._by_type.items() if known.resource == before.resource]:
                del self._by_type[type_]
        if after is not None and new is not None:
            self.custom[after.resource] = after
            for version in new["spec"]["versions"]:
                if version.get("served"):
                    self._by_type[f"{after.group}/{version['name']}", new["spec"]["names"]["kind"]] = after
            if after.resource not in self._told:
                self._told[after.resource] = None
                for function in self.on_new:
                    function(after.resource)
