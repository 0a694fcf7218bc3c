"""The scheduler's picture of bound Pods: those the apiserver confirmed, and those assumed because a bind is on its way.

A Pod is unknown, assumed or confirmed. ``assume`` before the bind, ``forget`` when it failed, ``add`` when the watch shows the Pod on
a node: that confirms an assumption, or moves the Pod when somebody else bound it elsewhere. No Pod is assumed twice, and nothing is
updated or removed before it was added (rules C3 and C4). Assumptions do not expire, as in upstream since 1.23.

Upstream: pkg/scheduler/backend/cache (interface.go, cache.go).
"""

from typing import Any

from kubesim.scheduler.node_table import NodeTable
from kubesim.scheduler.pod_facts import PodInfo

NOTHING: dict[str, Any] = {}


class Cache:
    """Bound and assumed Pods by uid, over a node table. Every operation is O(the Pod's resources and ports)."""

    __slots__ = ("_assumed", "_pods", "table")

    def __init__(self, table: NodeTable) -> None:
        self.table = table
        self._pods: dict[str, PodInfo] = {}
        self._assumed: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, uid: str) -> PodInfo | None:
        """The Pod, assumed or confirmed, or None."""
        return self._pods.get(uid)

    def is_assumed(self, uid: str) -> bool:
        """Whether the Pod's bind is still on its way."""
        return uid in self._assumed

    def assume(self, info: PodInfo, node_name: str) -> None:
        """Count the Pod on a node before the apiserver knows. Raises AssertionError if it is known already."""
        uid = info.uid
        assert uid not in self._pods, f"pod {info.key} ({uid}) is in the cache already, it cannot be assumed"
        info.node_name = node_name
        self._pods[uid] = info
        self._assumed[uid] = None
        self.table.add_pod(info, node_name)

    def assume_all(self, infos: list[PodInfo], rows: list[int]) -> None:
        """Assume Pods of one kind on rows that have taken their demands already. Raises AssertionError if one is known already."""
        names, pods, assumed = self.table.names, self._pods, self._assumed
        for info, row in zip(infos, rows):
            uid = info.uid
            assert uid not in pods, f"pod {info.key} ({uid}) is in the cache already, it cannot be assumed"
            info.node_name = names[row] or ""
            pods[uid] = info
            assumed[uid] = None
        self.table.enter_pods(infos, rows, infos[0].group_key())

    def forget(self, info: PodInfo) -> None:
        """Take an assumption back; does nothing when the watch has confirmed or removed the Pod meanwhile."""
        if info.uid in self._assumed:
            known = self._pods.pop(info.uid)
            del self._assumed[info.uid]
            self.table.remove_pod(known)
            known.node_name = ""

    def add(self, info: PodInfo) -> None:
        """The watch shows the Pod on its node: confirm it, move it, or add it."""
        known = self._pods.get(info.uid)
        if known is None:
            self._pods[info.uid] = info
            self.table.add_pod(info, info.node_name)
            return
        assert info.uid in self._assumed, f"pod {info.key} ({info.uid}) was added twice"
        del self._assumed[info.uid]
        self._replace(known, info)

    def confirm(self, obj: dict[str, Any]) -> bool:
        """Confirm an assumption that the watch shows exactly as it was made; false (and nothing done) when it is not that simple."""
        uid = obj["metadata"]["uid"]
        if uid not in self._assumed:
            return False
        known = self._pods[uid]
        if known.node_name != obj["spec"]["nodeName"] or not known.facts.hold_for(obj["spec"]):
            return False
        del self._assumed[uid]
        self._show(known, obj)
        return True

    def update(self, info: PodInfo) -> None:
        """The watch shows a new state of a confirmed Pod. Raises AssertionError if it was never added."""
        known = self._pods.get(info.uid)
        assert known is not None and info.uid not in self._assumed, f"pod {info.key} ({info.uid}) was updated before it was added"
        self._replace(known, info)

    def touch(self, obj: dict[str, Any]) -> None:
        """A confirmed Pod's object changed, but not its spec. Raises KeyError if the Pod is not known."""
        self._show(self._pods[obj["metadata"]["uid"]], obj)

    def _show(self, known: PodInfo, obj: dict[str, Any]) -> None:
        """Put a new object in the place of the old; the table counts again when selectors can see a difference."""
        before, after = known.obj["metadata"], obj["metadata"]
        is_same = before.get("labels") is after.get("labels") and before.get("deletionTimestamp") is after.get("deletionTimestamp")
        if (known.obj.get("status") or NOTHING).get("startTime") != (obj.get("status") or NOTHING).get("startTime"):
            self.table.start_log.append(known.row)
        known.obj = obj
        if not is_same and known.counted_as != known.group_key():
            row_pods = self.table.pods[known.row]
            order = list(row_pods)
            self.table.remove_pod(known)
            self.table.add_pod(known, known.node_name)
            for uid in order[order.index(known.uid) + 1 :]:  # it keeps its place in the order
                row_pods[uid] = row_pods.pop(uid)

    def remove(self, info: PodInfo) -> PodInfo | None:
        """The Pod is gone; what the cache held, None when it held nothing. An assumption of it goes too."""
        known = self._pods.pop(info.uid, None)
        if known is not None:
            self._assumed.pop(info.uid, None)
            self.table.remove_pod(known)
        return known

    def _replace(self, known: PodInfo, new: PodInfo) -> None:
        """Put the new state in the place of the old; the table changes only when node or facts do."""
        if known.facts is new.facts and known.node_name == new.node_name:
            self._show(known, new.obj)
            return
        self.table.remove_pod(known)
        self._pods[new.uid] = new
        self.table.add_pod(new, new.node_name)

    def check(self) -> None:
        """Verify that the table holds exactly the known Pods, each on its node. Raises AssertionError."""
        on_nodes = {uid: self.table.names[row] for row in range(self.table.row_count) for uid in self.table.pods[row]}
        assert on_nodes == {uid: info.node_name for uid, info in self._pods.items()}
        assert all(uid in self._pods for uid in self._assumed)
