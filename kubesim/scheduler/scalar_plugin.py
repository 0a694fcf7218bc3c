"""A plugin in plain Python: one Pod and one node at a time, no arrays. The simplest way to write one's own.

    class Tidy(ScalarPlugin):
        name = "Tidy"

        def filter_node(self, pod, node):
            return None if len(node.pods) < 5 else "node(s) had five Pods already"

        def score_node(self, pod, node):
            return 10 * len(node.pods)

Which extension points it has follows from the methods that it defines. Its answers about a node may depend on the Pod and on the node with
the Pods on it; one that looks at other nodes sets ``filter_scope`` or ``score_scope`` to ``Scope.CLUSTER`` and has a ``version``.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from kubesim.scheduler.contract import (
    ASSIGNED_POD_ADD,
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    NODE_ALLOCATABLE,
    NODE_LABEL,
    NODE_TAINT,
    UNSCHEDULABLE,
    ClusterEvent,
    Handle,
    Hint,
    Object,
    Plugin,
    Prepared,
    Rejection,
    Scope,
    Skip,
    always,
)
from kubesim.scheduler.node_table import NodeTable
from kubesim.scheduler.pod_facts import PodInfo

POINTS_OF = {
    "pre_enqueue": ("preEnqueue",),
    "sort_key": ("queueSort",),
    "filter_node": ("preFilter", "filter"),
    "post_filter": ("postFilter",),
    "score_node": ("preScore", "score"),
    "reserve": ("reserve",),
    "permit": ("permit",),
    "pre_bind": ("preBind",),
    "bind": ("bind",),
    "post_bind": ("postBind",),
}
EVENTS = (NODE_ADD, NODE_ALLOCATABLE, NODE_LABEL, NODE_TAINT, ASSIGNED_POD_ADD, ASSIGNED_POD_DELETE)


class NodeView:
    """One node as a plugin sees it; read only."""

    __slots__ = ("_row", "_table")

    def __init__(self, table: NodeTable, row: int) -> None:
        self._table = table
        self._row = row

    @property
    def object(self) -> Object:
        """The Node."""
        return self._table.nodes[self._row] or {}

    @property
    def name(self) -> str:
        """Its name."""
        return self._table.names[self._row] or ""

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self._table.labels[self._row]

    @property
    def pods(self) -> list[Object]:
        """The Pods on it, assumed ones too, in the order they came."""
        return [info.obj for info in self._table.pods[self._row].values()]

    def allocatable(self, resource: str) -> int:
        """What it has: cpu in millicores, everything else in units."""
        return int(self._table.allocatable_NR[self._row, self._table.column(resource)])

    def free(self, resource: str) -> int:
        """What its Pods leave of it."""
        column = self._table.column(resource)
        return int(self._table.allocatable_NR[self._row, column] - self._table.used_NR[self._row, column])


class ScalarPlugin(Plugin):
    """See the module. ``handle`` has the node table, other objects and the Pods that a Permit holds back."""

    filter_scope = Scope.ROW
    score_scope = Scope.ROW

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        defined = {name for owner in cls.__mro__ if owner not in (ScalarPlugin, Plugin, object) for name in vars(owner)}
        cls.extends = frozenset(point for method, points in POINTS_OF.items() if method in defined for point in points)

    def __init__(self, arguments: Mapping[str, Any], handle: Handle) -> None:
        super().__init__(arguments, handle)
        self._codes: dict[str | Rejection, int] = {}  # 1, 2, ... in the order in which the reasons came up
        self._rejections: list[Rejection] = []

    def filter_node(self, pod: Object, node: NodeView) -> str | Rejection | None:
        """Why the node cannot take the Pod, or None. A text is a reason that fewer Pods on the node might cure."""
        raise NotImplementedError(f"{self.name}: filter_node")

    def score_node(self, pod: Object, node: NodeView) -> int:
        """How good the node is: 0 to 100, or any number from 0 on with ``normalization`` BY_MAX or REVERSED."""
        raise NotImplementedError(f"{self.name}: score_node")

    def signature(self, pod: PodInfo) -> Hashable:
        """Pods of one template and the same labels; override it with less for more sharing. Annotations and names are not in it."""
        return pod.group_key(), pod.owner(), pod.facts

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        return Prepared(pod.obj)

    def filter(self, state: Object, rows: Any) -> Any:
        return np.array([self.filter_row(state, row) for row in self.table.index(rows).tolist()], np.int64)

    def filter_row(self, state: Object, row: int) -> int:
        if self.table.nodes[row] is None:
            return 0
        reason = self.filter_node(state, NodeView(self.table, row))
        if reason is None:
            return 0
        code = self._codes.setdefault(reason, len(self._codes) + 1)
        if code > len(self._rejections):
            self._rejections.append(reason if isinstance(reason, Rejection) else Rejection(UNSCHEDULABLE, (reason,)))
        return code

    def rejection(self, state: Object, code: int) -> Rejection:
        return self._rejections[code - 1]

    def pre_score(self, pod: PodInfo, feasible_rows: Any) -> Any:
        return pod.obj

    def score(self, state: Object, rows: Any) -> Any:
        return np.array([self.score_row(state, row) for row in self.table.index(rows).tolist()], np.int64)

    def score_row(self, state: Object, row: int) -> int:
        return 0 if self.table.nodes[row] is None else int(self.score_node(state, NodeView(self.table, row)))

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return dict.fromkeys(EVENTS, always)
