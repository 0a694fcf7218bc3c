"""The Pods of each controlling owner, counted: active, ready, available, terminating, and by their labels.

Fed by the difference of every Pod event, so a ReplicaSet of 5,000 Pods that become ready one by one costs the same per Pod
as one of five. A Pod counts as one of four states; available also needs ``minReadySeconds`` of readiness, which is asked with
the time, from the sorted instants of becoming ready (kept only once somebody asks).

Upstream: pkg/controller/controller_utils.go (IsPodActive, IsPodTerminating, FilterActivePods), pkg/api/v1/pod (IsPodAvailable),
which count by rescanning.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping

from kubesim.api.meta import controller_of
from kubesim.apiserver.requests import Object
from kubesim.client.informer import looks_at
from kubesim.controllers.view import OWNED_PODS, Caches
from kubesim.kernel.time import parse_time

FINISHED, WAITING, READY, TERMINATING = range(4)  # the state of a Pod: ended, active, active and ready, being deleted

ACTIVE = (WAITING, READY)
ENDED = ("Succeeded", "Failed")
Labels = frozenset[tuple[str, str]]


def ready_condition(pod: Object) -> Object | None:
    """The Ready condition of a Pod, or None."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "Ready":
            return condition
    return None


def is_ready(pod: Object) -> bool:
    """Whether the Ready condition is True."""
    condition = ready_condition(pod)
    return condition is not None and condition["status"] == "True"


def ready_since_ns(pod: Object) -> int:
    """When the Ready condition last changed, 0 if it does not say."""
    condition = ready_condition(pod)
    since = condition.get("lastTransitionTime") if condition is not None else None
    return parse_time(since) if since else 0


def state_of(pod: Object) -> int:
    """FINISHED (Succeeded or Failed), TERMINATING (has a deletionTimestamp), READY or WAITING."""
    status = pod.get("status") or {}
    phase = status.get("phase")
    if phase in ENDED:
        return FINISHED
    if pod["metadata"].get("deletionTimestamp"):
        return TERMINATING
    for condition in status.get("conditions", ()):
        if condition["type"] == "Ready":
            return READY if condition["status"] == "True" else WAITING
    return WAITING


class PodGroup:
    """The Pods of one owner (by uid). ``owner`` is the owner reference; ``states`` maps Pod keys to states, oldest known first."""

    __slots__ = ("_counts", "_labels_of", "_ready_since", "_sorted", "labels_active", "labels_all", "namespace", "owner", "states")

    def __init__(self, owner: Mapping[str, str], namespace: str) -> None:
        self.owner = owner
        self.namespace = namespace
        self.states: dict[str, int] = {}
        self.labels_active: dict[Labels, int] = {}  # active Pods by their label set
        self.labels_all: dict[Labels, int] = {}
        self._counts = [0, 0, 0, 0]
        self._labels_of: dict[str, Labels] = {}
        self._ready_since: dict[str, int] = {}
        self._sorted: list[int] | None = None

    @property
    def active(self) -> int:
        """Pods that are neither ended nor being deleted."""
        return self._counts[WAITING] + self._counts[READY]

    @property
    def ready(self) -> int:
        """Active Pods whose Ready condition is True."""
        return self._counts[READY]

    @property
    def terminating(self) -> int:
        """Pods that are being deleted and have not ended."""
        return self._counts[TERMINATING]

    def available(self, min_ready_seconds: int, now_ns: int) -> tuple[int, int | None]:
        """How many have been ready for longer than ``min_ready_seconds``, and the ns until the next one is (None: none will). O(log n)."""
        if min_ready_seconds == 0:
            return self._counts[READY], None
        if self._sorted is None:
            self._sorted = sorted(self._ready_since.values())
        min_ready_ns = min_ready_seconds * 1_000_000_000
        count = bisect_left(self._sorted, now_ns - min_ready_ns)
        wait_ns = self._sorted[count] + min_ready_ns - now_ns + 1 if count < len(self._sorted) else None
        return count, wait_ns

    def set(self, key: str, pod: Object, state: int, labels: Labels) -> None:
        """Take a Pod in, or its change."""
        self.discard(key)
        self.states[key] = state
        self._counts[state] += 1
        self._labels_of[key] = labels
        self.labels_all[labels] = self.labels_all.get(labels, 0) + 1
        if state in ACTIVE:
            self.labels_active[labels] = self.labels_active.get(labels, 0) + 1
        if state == READY:
            self._begin_ready(key, pod)

    def move(self, key: str, pod: Object, state: int) -> None:
        """Take in the other state of a Pod whose labels are the same: the hot path, for a Pod that becomes ready."""
        before = self.states[key]
        self.states[key] = state
        self._counts[before] -= 1
        self._counts[state] += 1
        if (before in ACTIVE) != (state in ACTIVE):
            labels = self._labels_of[key]
            if state in ACTIVE:
                self.labels_active[labels] = self.labels_active.get(labels, 0) + 1
            else:
                _subtract(self.labels_active, labels)
        if before == READY:
            self._end_ready(key)
        if state == READY:
            self._begin_ready(key, pod)

    def ready_anew(self, key: str, pod: Object) -> bool:
        """Whether a ready Pod has become so at another time than was known: it was unready in between."""
        return self._ready_since[key] != ready_since_ns(pod)

    def discard(self, key: str) -> None:
        """Forget a Pod, keeping the place of its key if it is set again at once."""
        state = self.states.get(key)
        if state is None:
            return
        self._counts[state] -= 1
        labels = self._labels_of.pop(key)
        _subtract(self.labels_all, labels)
        if state in ACTIVE:
            _subtract(self.labels_active, labels)
        if state == READY:
            self._end_ready(key)

    def _begin_ready(self, key: str, pod: Object) -> None:
        since_ns = self._ready_since[key] = ready_since_ns(pod)
        if self._sorted is not None:
            insort(self._sorted, since_ns)

    def _end_ready(self, key: str) -> None:
        since_ns = self._ready_since.pop(key)
        if self._sorted is not None:
            del self._sorted[bisect_right(self._sorted, since_ns) - 1]

    def remove(self, key: str) -> None:
        """Forget a Pod for good."""
        self.discard(key)
        self.states.pop(key, None)

    def check(self, pods: Mapping[str, Object]) -> None:
        """Verify every count against a rescan. Raises AssertionError."""
        states = {key: state_of(pods[key]) for key in self.states}
        assert states == self.states, (states, self.states)
        assert self._counts == [sum(1 for s in states.values() if s == state) for state in range(4)], self._counts
        assert sum(self.labels_all.values()) == len(states)
        assert sum(self.labels_active.values()) == self.active
        assert sorted(self._ready_since) == sorted(key for key, state in states.items() if state == READY)


def _subtract(counts: dict[Labels, int], labels: Labels) -> None:
    left = counts[labels] - 1
    if left:
        counts[labels] = left
    else:
        del counts[labels]


class OwnedPods:
    """A derived view: PodGroups by owner uid, and the Pods without a controller by namespace and label set.

    ``changed`` holds the groups whose counts the Pod event being delivered has changed, ``orphan`` the Pod if it has just appeared
    or changed its labels without a controller: both for handlers of that same event, which the signal OWNED_PODS tells.
    """

    __slots__ = ("_group_of", "_pods", "changed", "groups", "orphan", "orphans")

    def __init__(self, caches: Caches) -> None:
        self.groups: dict[str, PodGroup] = {}
        self.orphans: dict[str, dict[Labels, dict[str, Object]]] = {}
        self.changed: tuple[PodGroup, ...] = ()
        self.orphan: Object | None = None
        self._group_of: dict[str, PodGroup] = {}
        self._pods = caches.informer("pods")
        self._pods.add_keyed_handler(self.on_pod)

    def group(self, uid: str) -> PodGroup | None:
        """The Pods controlled by the owner with this uid, None when there is none. O(1)."""
        return self.groups.get(uid)

    def orphans_matching(self, namespace: str, matches: Callable[[dict[str, str]], bool]) -> list[Object]:
        """The Pods of a namespace without a controller whose labels match. O(distinct label sets + result)."""
        found: list[Object] = []
        for labels, pods in self.orphans.get(namespace, {}).items():
            if matches(dict(labels)):
                found.extend(pods.values())
        return found

    @looks_at("metadata.labels", "metadata.ownerReferences", "metadata.deletionTimestamp", "status.phase", "status.conditions")
    def on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        """Take a change of a Pod into the counts. O(1), O(log n) for owners with minReadySeconds."""
        group = self._group_of.get(key)
        if group is not None and old is not None and new is not None:
            before, after = old["metadata"], new["metadata"]
            # The very same list of references is the same owner; equal copies only cost the slow way.
            if before.get("ownerReferences") is after.get("ownerReferences") and before.get("labels") is after.get("labels"):
                state = state_of(new)
                if state == group.states[key] and (state != READY or not group.ready_anew(key, new)):
                    return
                group.move(key, new, state)
                self.changed, self.orphan = (group,), None
                self._pods.changed |= OWNED_PODS
                return
        self.changed = ()
        self.orphan = None
        if new is None:
            self._leave(key, group, old)
        else:
            self._join(key, group, old, new)
        if self.changed or self.orphan is not None:
            self._pods.changed |= OWNED_PODS

    def _join(self, key: str, before: PodGroup | None, old: Object | None, new: Object) -> None:
        """A Pod is new here, or has no controller, or may have another one, or other labels."""
        metadata = new["metadata"]
        owner = controller_of(new)
        if before is not None and (owner is None or owner["uid"] != before.owner["uid"]):
            self._leave(key, before, old)
        elif before is None and old is not None:
            self._forget_orphan(key, old)
        labels = frozenset((metadata.get("labels") or {}).items())
        if owner is None:
            self.orphans.setdefault(metadata.get("namespace", ""), {}).setdefault(labels, {})[key] = new
            if before is not None or old is None or old["metadata"].get("labels") != metadata.get("labels"):
                self.orphan = new
            return
        group = self.groups.get(owner["uid"])
        if group is None:
            group = self.groups[owner["uid"]] = PodGroup(owner, metadata.get("namespace", ""))
        self._group_of[key] = group
        group.set(key, new, state_of(new), labels)
        self.changed = (*self.changed, group)

    def _leave(self, key: str, group: PodGroup | None, old: Object | None) -> None:
        if group is None:
            if old is not None:
                self._forget_orphan(key, old)
            return
        group.remove(key)
        del self._group_of[key]
        if not group.states:
            del self.groups[group.owner["uid"]]
        self.changed = (group,)

    def _forget_orphan(self, key: str, old: Object) -> None:
        metadata = old["metadata"]
        by_labels = self.orphans[metadata.get("namespace", "")]
        labels = frozenset((metadata.get("labels") or {}).items())
        pods = by_labels[labels]
        del pods[key]
        if not pods:
            del by_labels[labels]
