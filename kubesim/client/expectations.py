"""Expectations: what was sent for a key and not yet seen in the caches; a controller that acts before it sees acts twice.

One record joins upstream's two mechanisms: written revisions (KEP-5647: a cache must have reached the revision of the key's own
last write to a resource) and expected deletions (an object that was sent to its death must be gone, dying or another one). Who waits for
a deletion longer than five minutes stops waiting, as upstream's expectations do; who waits for his own writes does so only if he is not
``patient``, which is how it was before v1.36.

Upstream: pkg/controller/controller_utils.go (ControllerExpectations, UIDTrackingControllerExpectations), KEP-5647.
"""

from collections.abc import Callable

from kubesim.client.informer import Informer
from kubesim.kernel.time import MINUTE

EXPECTATIONS_TIMEOUT_NS = 5 * MINUTE


class _Expected:
    """What one key waits for."""

    __slots__ = ("deletions", "revisions", "since_ns")

    def __init__(self) -> None:
        self.revisions: dict[str, int] = {}  # resource -> the cache must show at least this revision
        self.deletions: dict[tuple[str, str], str] = {}  # (resource, object key) -> uid that must be dying or gone
        self.since_ns = 0


class Expectations:
    """Expectations of one controller, by its keys. ``informer_of`` gives the cache of a resource, None for one it does not watch.

    ``written`` and ``deleted`` are O(1); ``waits_for`` is O(resources and deletions of the key).
    """

    __slots__ = ("_expected", "_informer_of", "_patient")

    def __init__(self, informer_of: Callable[[str], Informer | None], patient: bool = True) -> None:
        self._informer_of = informer_of
        self._patient = patient  # wait for one's own writes for ever
        self._expected: dict[str, _Expected] = {}

    def __len__(self) -> int:
        return len(self._expected)

    def written(self, key: str, resource: str, revision: int, now_ns: int) -> None:
        """Expect the cache of ``resource`` to reach ``revision``."""
        informer = self._informer_of(resource)
        if informer is None or informer.revision >= revision:
            return
        expected = self._of(key, now_ns)
        if revision > expected.revisions.get(resource, 0):
            expected.revisions[resource] = revision

    def deleted(self, key: str, resource: str, object_key: str, uid: str, now_ns: int) -> None:
        """Expect the object to be gone, dying or another one in the cache."""
        if self._informer_of(resource) is not None:
            self._of(key, now_ns).deletions[resource, object_key] = uid

    def waits_for(self, key: str, now_ns: int) -> str | None:
        """The resource whose cache must still catch up before the key may be worked on, or None."""
        expected = self._expected.get(key)
        if expected is None:
            return None
        waits = now_ns - expected.since_ns <= EXPECTATIONS_TIMEOUT_NS
        if waits or self._patient:
            for resource, revision in expected.revisions.items():
                if self._revision_of(resource) < revision:
                    return resource
        if waits:
            for (resource, object_key), uid in expected.deletions.items():
                if self._is_alive(resource, object_key, uid):
                    return resource
        del self._expected[key]
        return None

    def forget(self, key: str) -> None:
        """Drop what the key waits for: the object itself is gone."""
        self._expected.pop(key, None)

    def _of(self, key: str, now_ns: int) -> _Expected:
        expected = self._expected.get(key)
        if expected is None:
            expected = self._expected[key] = _Expected()
        expected.since_ns = now_ns
        return expected

    def _revision_of(self, resource: str) -> int:
        informer = self._informer_of(resource)
        return informer.revision if informer is not None else 0

    def _is_alive(self, resource: str, object_key: str, uid: str) -> bool:
        informer = self._informer_of(resource)
        obj = informer.objects.get(object_key) if informer is not None else None
        return obj is not None and obj["metadata"].get("uid") == uid and not obj["metadata"].get("deletionTimestamp")
