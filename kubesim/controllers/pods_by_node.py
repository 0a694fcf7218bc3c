"""Pods by the node they are bound to, and the Pods that have ended: a derived view for the controllers of nodes and Pods.

Upstream: the "spec.nodeName" indexes of the node lifecycle, taint eviction and Pod GC controllers.
"""

from collections.abc import Iterable

from kubesim.apiserver.requests import Object
from kubesim.client.informer import looks_at
from kubesim.controllers.owned_pods import ENDED
from kubesim.controllers.view import PODS_BY_NODE, Caches

NOTHING: dict[str, None] = {}


class PodsByNode:
    """Keys only, in the order first seen; the objects are in the cache. O(1) per event.

    The signal PODS_BY_NODE says that a Pod has come to a node or left it, has ended or is being deleted.
    """

    __slots__ = ("_on", "_pods", "ended")

    def __init__(self, caches: Caches) -> None:
        self._on: dict[str, dict[str, None]] = {}
        self.ended: dict[str, None] = {}
        self._pods = caches.informer("pods")
        self._pods.add_keyed_handler(self.on_pod)

    def on(self, node: str) -> Iterable[str]:
        """The keys of the Pods bound to a node."""
        return self._on.get(node, NOTHING)

    @looks_at("spec.nodeName", "status.phase", "metadata.deletionTimestamp")
    def on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        """Take a change of a Pod in."""
        before = old["spec"].get("nodeName") if old is not None else None
        after = new["spec"].get("nodeName") if new is not None else None
        if before != after:
            self._move(key, before, after)
        if new is None:
            self.ended.pop(key, None)
        elif (new.get("status") or NOTHING).get("phase") in ENDED:
            self.ended[key] = None
            self._pods.changed |= PODS_BY_NODE
        elif "deletionTimestamp" in new["metadata"]:
            self._pods.changed |= PODS_BY_NODE

    def _move(self, key: str, before: str | None, after: str | None) -> None:
        self._pods.changed |= PODS_BY_NODE
        if before:
            pods = self._on[before]
            del pods[key]
            if not pods:
                del self._on[before]
        if after:
            self._on.setdefault(after, {})[key] = None
