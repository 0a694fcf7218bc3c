"""Pods that wait for the node they were promised: by node, with their priorities.

Upstream: pkg/scheduler/backend/queue/nominator.go.
"""

from collections.abc import Iterator

from kubesim.scheduler.pod_facts import PodInfo


class Nominator:
    """Nominations by uid and by node name; every operation is O(1) or O(the node's nominations)."""

    __slots__ = ("_by_node", "_node_of")

    def __init__(self) -> None:
        self._by_node: dict[str, dict[str, PodInfo]] = {}
        self._node_of: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._node_of)

    def add(self, info: PodInfo, node_name: str) -> None:
        """Promise a node to a Pod, in place of another promise."""
        self.remove(info.uid)
        self._node_of[info.uid] = node_name
        self._by_node.setdefault(node_name, {})[info.uid] = info

    def remove(self, uid: str) -> None:
        """Take a promise back; unknown Pods are ignored."""
        node_name = self._node_of.pop(uid, None)
        if node_name is not None:
            pods = self._by_node[node_name]
            del pods[uid]
            if not pods:
                del self._by_node[node_name]

    def node_of(self, uid: str) -> str:
        """The node promised to a Pod, or ""."""
        return self._node_of.get(uid, "")

    def on(self, node_name: str) -> list[PodInfo]:
        """The Pods that a node is promised to, in the order of the promises."""
        return list(self._by_node.get(node_name, {}).values())

    def nodes(self) -> Iterator[str]:
        """The names of nodes that are promised."""
        return iter(list(self._by_node))

    def before(self, info: PodInfo, node_name: str) -> list[PodInfo]:
        """The other Pods of the same or a higher priority that a node is promised to."""
        pods = self._by_node.get(node_name)
        if not pods:
            return []
        priority = info.facts.priority
        return [pod for pod in pods.values() if pod.uid != info.uid and pod.facts.priority >= priority]
