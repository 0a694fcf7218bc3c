"""The Pods of each DaemonSet by node, and the nodes that must be looked at again: a derived view, kept by difference.

What a node needs is worked out by the controller when something about the node has changed, and summed up here, so a DaemonSet on 5,000
nodes whose Pods become ready one by one costs the same per Pod as one on five.
"""

from typing import NamedTuple

from kubesim.api.meta import controller_of
from kubesim.apiserver.requests import Object
from kubesim.client.informer import looks_at
from kubesim.controllers.daemonset.template import target_node
from kubesim.controllers.view import DAEMON_NODES, Caches

NONE, UNAVAILABLE, FORCED, CANDIDATE, SURGED, REPLACED = range(6)  # where a node stands in a rolling update, see ``Standing``


class Standing(NamedTuple):
    """What a node means for its DaemonSet.

    ``rolling`` without surge: UNAVAILABLE counts against the limit, FORCED has an old Pod that is not available (replaced at once),
    CANDIDATE an old one that is. With surge: FORCED and CANDIDATE get a new Pod beside the old one, SURGED waits for it, REPLACED has it.
    """

    desired: bool = False
    scheduled: bool = False
    misscheduled: bool = False
    ready: bool = False
    available: bool = False
    updated: bool = False
    create: bool = False
    delete: tuple[str, ...] = ()  # Pod keys
    rolling: int = NONE
    old_pod: str = ""  # the key of the Pod that a rolling update would delete
    look_again_ns: int = 0  # when time alone changes this

    @property
    def flags(self) -> tuple[bool, bool, bool, bool, bool, bool]:
        """What is counted: desired, scheduled, misscheduled, ready, available, updated."""
        return self[:6]


NOTHING = Standing()


class DaemonState:
    """One DaemonSet (by uid)."""

    __slots__ = ("by_rolling", "counts", "create", "delete", "dirty", "look_again", "pods_on", "signature", "standing")

    def __init__(self) -> None:
        self.pods_on: dict[str, dict[str, None]] = {}
        self.dirty: dict[str, None] = {}
        self.signature: object = None  # what the standings were worked out for
        self.standing: dict[str, Standing] = {}
        self.counts = [0] * 6  # desired, scheduled, misscheduled, ready, available, updated
        self.create: dict[str, None] = {}
        self.delete: dict[str, tuple[str, ...]] = {}
        self.by_rolling: list[dict[str, None]] = [{} for _ in range(6)]
        self.look_again: dict[str, int] = {}

    def set(self, node: str, new: Standing) -> None:
        """Put a node's standing in place of the one it had. O(1)."""
        old = self.standing.pop(node, NOTHING)
        for place, (now, before) in enumerate(zip(new.flags, old.flags)):
            self.counts[place] += now - before
        if old.rolling:
            self.by_rolling[old.rolling].pop(node, None)
        if new.rolling:
            self.by_rolling[new.rolling][node] = None
        self.create.pop(node, None)
        self.delete.pop(node, None)
        self.look_again.pop(node, None)
        if new.create:
            self.create[node] = None
        if new.delete:
            self.delete[node] = new.delete
        if new.look_again_ns:
            self.look_again[node] = new.look_again_ns
        if new is not NOTHING:
            self.standing[node] = new

    def check(self) -> None:
        """Verify the sums against the standings. Raises AssertionError."""
        for place in range(6):
            assert self.counts[place] == sum(standing.flags[place] for standing in self.standing.values()), (place, self.counts)
        assert set(self.create) == {node for node, standing in self.standing.items() if standing.create}
        for rolling in range(1, 6):
            assert set(self.by_rolling[rolling]) == {node for node, standing in self.standing.items() if standing.rolling == rolling}


class DaemonPods:
    """The derived view: ``of(uid)`` is the state of a DaemonSet. The signal DAEMON_NODES says that a node event may matter."""

    __slots__ = ("_nodes", "_owner_of", "states")

    def __init__(self, caches: Caches) -> None:
        self.states: dict[str, DaemonState] = {}
        self._owner_of: dict[str, tuple[str, str]] = {}  # Pod key -> (owner uid, node)
        self._nodes = caches.informer("nodes")
        self._nodes.add_keyed_handler(self.on_node)
        caches.informer("pods").add_keyed_handler(self.on_pod)

    def of(self, uid: str) -> DaemonState:
        """The state of a DaemonSet."""
        state = self.states.get(uid)
        if state is None:
            state = self.states[uid] = DaemonState()
        return state

    def forget(self, uid: str) -> None:
        """The DaemonSet is gone; its state goes with its last Pod."""
        state = self.states.get(uid)
        if state is not None and not state.pods_on:
            del self.states[uid]

    def on_pod(self, key: str, old: Object | None, new: Object | None) -> None:
        """A Pod came, changed or went. O(1)."""
        known = self._owner_of.get(key)
        if known is None and (new is None or _has_same_owners(old, new)):
            return  # by far the most: another controller's, as before
        owner = controller_of(new) if new is not None else None
        if known is None and (owner is None or owner["kind"] != "DaemonSet"):
            return
        if new is not None and owner is not None and owner["kind"] == "DaemonSet":
            place = (owner["uid"], target_node(new))
        else:
            place = None
        if known is not None and known != place:
            state = self.of(known[0])
            pods = state.pods_on.get(known[1], {})
            pods.pop(key, None)
            if not pods:
                state.pods_on.pop(known[1], None)
            state.dirty[known[1]] = None
            del self._owner_of[key]
        if place is not None:
            state = self.of(place[0])
            state.pods_on.setdefault(place[1], {})[key] = None
            state.dirty[place[1]] = None
            self._owner_of[key] = place

    @looks_at("metadata.labels", "spec")
    def on_node(self, name: str, old: Object | None, new: Object | None) -> None:
        """A node came, went, or changed what a DaemonSet may ask about it: labels and taints."""
        if old is not None and new is not None:
            specs = [node.get("spec") or {} for node in (old, new)]
            same_labels = old["metadata"].get("labels") == new["metadata"].get("labels")
            if same_labels and specs[0].get("taints") == specs[1].get("taints"):
                return
        self._nodes.changed |= DAEMON_NODES
        for state in self.states.values():
            state.dirty[name] = None


def _has_same_owners(old: Object | None, new: Object) -> bool:
    return old is not None and old["metadata"].get("ownerReferences") is new["metadata"].get("ownerReferences")
