"""The nodes of a cluster as arrays: what each has, what is used of it, and what plugins ask about.

A row belongs to a node name from the time a node or a Pod of that name is first seen until both are gone; then the lowest free
row is the next one given out. A Pod may be there before its node (``alive_N`` 0), as in upstream's cache. Every change is
written into a log (of nodes or of Pods), so that whoever derived something from a row asks again about the changed rows only.

Dimension key: N rows (``capacity``, of which ``row_count`` were ever used), R resource columns. int64 except where said. cpu in
millicores, everything else in units. Upstream: pkg/scheduler/framework/types.go (NodeInfo), backend/cache/cache.go.
"""

import heapq
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from kubesim._core.placement import Demand, Rows
from kubesim.scheduler.affinity_terms import NO_TERMS
from kubesim.scheduler.arrays import grown
from kubesim.scheduler.intern import Interner
from kubesim.scheduler.node_columns import ClaimTable, ImageTable, LabelColumn, LabelColumns, PortTable
from kubesim.scheduler.pod_facts import PodFacts, PodInfo
from kubesim.scheduler.pod_index import GroupKey, PodIndex
from kubesim.scheduler.requests import CPU, EPHEMERAL_STORAGE, MEMORY, PODS, amounts_of

Object = dict[str, Any]
Taint = tuple[str, str, str]  # (key, value, effect)
CAPACITY_FIRST = 64
COLUMNS_FIRST = 8
LOG_ENTRIES_MAX = 1 << 16
NO_LABELS: Mapping[str, str] = {}
FIXED_COLUMNS = (CPU, MEMORY, EPHEMERAL_STORAGE)
_NO_TAINTS: tuple[Taint, ...] = ()


class ChangeLog:
    """Row numbers in the order they changed. A reader keeps a position; one that is too old (``start``) must look at every row."""

    __slots__ = ("entries", "start")

    def __init__(self) -> None:
        self.entries: list[int] = []
        self.start = 0

    @property
    def end(self) -> int:
        """The position after the last entry."""
        return self.start + len(self.entries)

    def append(self, row: int) -> None:
        """Write a row; drops everything when the log is full."""
        self.entries.append(row)
        self._limit()

    def extend(self, rows: list[int]) -> None:
        """Write rows."""
        self.entries.extend(rows)
        self._limit()

    def rewind(self, end: int) -> None:
        """Take back what was written from a position on, which nobody has read: the rows are as they were then."""
        if end >= self.start:
            del self.entries[end - self.start :]

    def since(self, position: int) -> list[int] | None:
        """What was written from a position on, None when it is too old. O(entries since)."""
        return None if position < self.start else self.entries[position - self.start :]

    def _limit(self) -> None:
        if len(self.entries) > LOG_ENTRIES_MAX:
            self.start += len(self.entries)
            self.entries = []


class NodeTable:
    """See the module. Public arrays are read-only to everybody else."""

    def __init__(self, capacity: int = CAPACITY_FIRST) -> None:
        self.capacity = max(1, capacity)
        self.row_count = 0
        self.node_count = 0
        self.node_epoch = 0  # moves with every change of a node that anybody looks at
        self.layout = 0  # moves when the arrays were replaced by longer ones
        self.columns: Interner[str] = Interner(FIXED_COLUMNS)
        self.alive_N = np.zeros(self.capacity, np.uint8)
        self.allocatable_NR = np.zeros((self.capacity, COLUMNS_FIRST), np.int64)
        self.used_NR = np.zeros((self.capacity, COLUMNS_FIRST), np.int64)
        self.nominal_used_N2 = np.zeros((self.capacity, 2), np.int64)
        self.pod_count_N = np.zeros(self.capacity, np.int64)
        self.pod_count_max_N = np.zeros(self.capacity, np.int64)
        self.unschedulable_N = np.zeros(self.capacity, np.uint8)
        self.taint_set_N = np.zeros(self.capacity, np.int32)
        self.taint_sets: Interner[tuple[Taint, ...]] = Interner([_NO_TAINTS])
        self.names: list[str | None] = []
        self.nodes: list[Object | None] = []
        self.labels: list[Mapping[str, str]] = []
        self.pods: list[dict[str, PodInfo]] = []  # by uid, in the order they came
        self.ports = PortTable()
        self.index_of_pods = PodIndex(self.capacity)
        self.claims = ClaimTable()
        self.priorities: dict[int, int] = {}  # priority -> how many Pods
        self.images = ImageTable()
        self.node_log = ChangeLog()
        self.pod_log = ChangeLog()
        self.start_log = ChangeLog()  # rows where a Pod's start became known: only preemption looks at it
        self.rows = Rows(self.allocatable_NR, self.used_NR, self.nominal_used_N2, self.pod_count_N, self.pod_count_max_N)
        self._row_of: dict[str, int] = {}
        self._free: list[int] = []
        self._label_columns = LabelColumns()

    # ---- reading -------------------------------------------------------------------------------------------------------------

    def has_pods_below(self, priority: int) -> bool:
        """Whether any Pod has a lower priority; O(different priorities)."""
        return any(other < priority for other in self.priorities)

    def find(self, name: str) -> int:
        """The row of a node that exists, or -1."""
        row = self._row_of.get(name, -1)
        return row if row >= 0 and self.nodes[row] is not None else -1

    def node_rows(self) -> Iterator[int]:
        """The rows of the nodes that exist, ascending."""
        return (row for row, node in enumerate(self.nodes) if node is not None)

    def changed_rows(self, node_position: int, pod_position: int) -> list[int] | None:
        """The rows, each once, whose node or Pods changed since these positions in the logs; None: any may have."""
        nodes, pods = self.node_log.since(node_position), self.pod_log.since(pod_position)
        return None if nodes is None or pods is None else list(dict.fromkeys(nodes + pods))

    def take(self, array: Any, rows: Any) -> Any:
        """The rows of an array: a view of all ``row_count`` when ``rows`` is None, else a copy of those."""
        return array[: self.row_count] if rows is None else array[rows]

    def index(self, rows: Any) -> Any:
        """``rows`` as an int64 array, also when it is None (all)."""
        return np.arange(self.row_count, dtype=np.int64) if rows is None else rows

    def label_column(self, key: str) -> LabelColumn:
        """The values of a label key as numbers; O(N) the first time a key is asked for."""
        return self._label_columns.column(key, self.labels, self.capacity)

    def demand(self, facts: PodFacts) -> Demand:
        """What a Pod takes, by column: cpu, memory, ephemeral storage, then the others by name. Remembered in ``facts``."""
        demand = facts.demand
        if demand is None:
            real = facts.requests.real
            names = [name for name in FIXED_COLUMNS if name in real]
            names += sorted(name for name in real if name not in FIXED_COLUMNS and name != PODS)
            columns = [self.column(name) for name in names]
            demand = facts.demand = Demand(columns, [real[name] for name in names], *facts.requests.nominal_used)
        return demand

    def column(self, resource: str) -> int:
        """The column of a resource, a new one if it has none."""
        column = self.columns.intern(resource)
        if column >= self.allocatable_NR.shape[1]:
            self.allocatable_NR = _wider(self.allocatable_NR)
            self.used_NR = _wider(self.used_NR)
            self._bind()
        return column

    # ---- nodes ---------------------------------------------------------------------------------------------------------------

    def set_node(self, node: Object) -> None:
        """Add a node or replace it by its new state; what did not change costs an identity test."""
        row = self._row(node["metadata"]["name"])
        old = self.nodes[row]
        if old is node:
            return
        changed = old is None
        if old is None:
            self.node_count += 1
            self.alive_N[row] = 1
        changed |= self._set_labels(row, node)
        changed |= self._set_spec(row, node, old)
        changed |= self._set_allocatable(row, node, old)
        self._set_images(row, node, old)
        self.nodes[row] = node
        if changed:
            self.node_log.append(row)
            self.node_epoch += 1

    def remove_node(self, name: str) -> None:
        """Take a node away; its Pods stay until they are removed. Unknown names are ignored."""
        row = self.find(name)
        if row < 0:
            return
        self.nodes[row] = None
        self.node_epoch += 1
        self.node_count -= 1
        self.alive_N[row] = 0
        self.allocatable_NR[row] = 0
        self.pod_count_max_N[row] = 0
        self.unschedulable_N[row] = 0
        self.taint_set_N[row] = 0
        self.labels[row] = NO_LABELS
        self._label_columns.set(row, NO_LABELS)
        self.images.set(row, None)
        self.node_log.append(row)
        self._release(row)

    def _set_labels(self, row: int, node: Object) -> bool:
        labels = node["metadata"].get("labels") or NO_LABELS
        old = self.labels[row]
        if labels is old:
            return False
        self.labels[row] = labels
        if labels == old:
            return False
        self._label_columns.set(row, labels)
        return True

    def _set_spec(self, row: int, node: Object, old: Object | None) -> bool:
        spec = node.get("spec") or {}
        if old is not None and old.get("spec") is spec:
            return False
        taints = tuple((taint["key"], taint.get("value") or "", taint["effect"]) for taint in spec.get("taints") or ())
        taint_set = self.taint_sets.intern(taints)
        unschedulable = bool(spec.get("unschedulable"))
        changed = bool(self.taint_set_N[row] != taint_set or self.unschedulable_N[row] != unschedulable)
        self.taint_set_N[row] = taint_set
        self.unschedulable_N[row] = unschedulable
        return changed

    def _set_allocatable(self, row: int, node: Object, old: Object | None) -> bool:
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        known = ((old.get("status") or {}).get("allocatable") or {}) if old is not None else None
        if allocatable is known or allocatable == known:
            return False
        amounts = amounts_of(allocatable)
        columns = [self.column(name) for name in amounts if name != PODS]
        self.allocatable_NR[row] = 0
        self.allocatable_NR[row, columns] = [amount for name, amount in amounts.items() if name != PODS]
        self.pod_count_max_N[row] = amounts.get(PODS, 0)
        return True

    def _set_images(self, row: int, node: Object, old: Object | None) -> None:
        images = (node.get("status") or {}).get("images")
        known = (old.get("status") or {}).get("images") if old is not None else None
        if images is not known:
            self.images.set(row, images)
            self.node_epoch += 1

    # ---- Pods ----------------------------------------------------------------------------------------------------------------

    def add_pod(self, info: PodInfo, node_name: str) -> int:
        """Put a Pod on a node; the row. O(its resources and ports)."""
        row = self._row_of.get(node_name, -1)
        if row < 0:
            row = self._row(node_name)
        demand = info.facts.demand
        self.rows.add(row, self.demand(info.facts) if demand is None else demand)
        self.pods[row][info.uid] = info
        info.row = row
        facts = info.facts
        key = info.counted_as = info.group_key()
        self.index_of_pods.add(row, key, facts.terms(info.namespace) if facts.has_pod_terms else NO_TERMS)
        self.priorities[facts.priority] = self.priorities.get(facts.priority, 0) + 1
        if facts.host_ports:
            self.ports.add(row, facts.host_ports)
        if facts.claims:
            self.claims.add(info.namespace, facts.claims)
        self.pod_log.append(row)
        return row

    def enter_pods(self, infos: list[PodInfo], rows: list[int], key: GroupKey) -> None:
        """Pods of one group and template came to rows, which have taken their demands already (``Chain.place``). O(Pods)."""
        facts = infos[0].facts
        pods = self.pods
        for info, row in zip(infos, rows):
            pods[row][info.uid] = info
            info.row = row
            info.counted_as = key
        self.index_of_pods.enter(rows, key, facts.terms(infos[0].namespace))
        self.priorities[facts.priority] = self.priorities.get(facts.priority, 0) + len(rows)
        self.pod_log.extend(rows)

    def remove_pod(self, info: PodInfo) -> None:
        """Take a Pod from its node. Raises KeyError if it is not there."""
        row = info.row
        del self.pods[row][info.uid]
        self.rows.add(row, self.demand(info.facts), -1)
        assert info.counted_as is not None
        self.index_of_pods.add(row, info.counted_as, info.facts.terms(info.namespace), -1)
        info.row = -1
        priority = info.facts.priority
        self.priorities[priority] -= 1
        if not self.priorities[priority]:
            del self.priorities[priority]
        if info.facts.host_ports:
            self.ports.remove(row, info.facts.host_ports)
        if info.facts.claims:
            self.claims.add(info.namespace, info.facts.claims, -1)
        self.pod_log.append(row)
        self._release(row)

    @contextmanager
    def without(self, info: PodInfo) -> Iterator[None]:
        """Take a Pod off its node for a moment, and put everything back as it was; nobody who reads the logs learns of it."""
        row, end = info.row, self.pod_log.end
        order = list(self.pods[row])
        self.remove_pod(info)
        try:
            yield
        finally:
            self.add_pod(info, self.names[row] or "")
            pods = self.pods[row]
            for uid in order:
                pods[uid] = pods.pop(uid)
            self.pod_log.rewind(end)

    # ---- rows ----------------------------------------------------------------------------------------------------------------

    def _row(self, name: str) -> int:
        """The row of a name, the lowest free one if it has none."""
        row = self._row_of.get(name, -1)
        if row >= 0:
            return row
        if self._free:
            row = heapq.heappop(self._free)
            self.names[row] = name
        else:
            row = self.row_count
            if row == self.capacity:
                self._grow()
            self.row_count += 1
            self.names.append(name)
            self.nodes.append(None)
            self.labels.append(NO_LABELS)
            self.pods.append({})
        self._row_of[name] = row
        return row

    def _release(self, row: int) -> None:
        """Free a row that has neither node nor Pods."""
        name = self.names[row]
        if name is not None and self.nodes[row] is None and not self.pods[row]:
            del self._row_of[name]
            self.names[row] = None
            heapq.heappush(self._free, row)

    def _grow(self) -> None:
        self.capacity *= 2
        for name in (
            "alive_N",
            "allocatable_NR",
            "used_NR",
            "nominal_used_N2",
            "pod_count_N",
            "pod_count_max_N",
            "unschedulable_N",
            "taint_set_N",
        ):
            setattr(self, name, grown(getattr(self, name), self.capacity))
        self._label_columns.grow(self.capacity)
        self.index_of_pods.grow(self.capacity)
        self.layout += 1
        self._bind()

    def _bind(self) -> None:
        self.rows.bind(self.allocatable_NR, self.used_NR, self.nominal_used_N2, self.pod_count_N, self.pod_count_max_N)

    # ---- the oracle ----------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Compare every array with one rebuilt from the nodes and the Pods. Raises AssertionError. O(everything)."""
        assert len(self.names) == len(self.nodes) == len(self.labels) == len(self.pods) == self.row_count <= self.capacity
        assert self.node_count == sum(node is not None for node in self.nodes) == int(self.alive_N.sum())
        ports: dict[int, dict[Any, int]] = {}
        for row in range(self.row_count):
            plain = plain_row(self.nodes[row], list(self.pods[row].values()))
            assert plain == self._row_as_plain(row), (self.names[row], plain, self._row_as_plain(row))
            for info in self.pods[row].values():
                assert info.row == row and self._row_of[self.names[row] or ""] == row, info
                for port in info.facts.host_ports:
                    ports.setdefault(row, {})[port] = ports.get(row, {}).get(port, 0) + 1
        assert ports == self.ports.plain(), (ports, self.ports.plain())
        free = [row for row in range(self.row_count) if self.names[row] is None]
        assert free == sorted(self._free), (free, self._free)
        self._label_columns.check(self.labels)
        self.images.check()
        priorities = [info.facts.priority for pods in self.pods for info in pods.values()]
        assert self.priorities == {priority: priorities.count(priority) for priority in dict.fromkeys(priorities)}
        self.index_of_pods.check([[(info.group_key(), info.facts.terms(info.namespace)) for info in pods.values()] for pods in self.pods])

    def _row_as_plain(self, row: int) -> dict[str, Any]:
        names = list(self.columns)
        return {
            "alive": bool(self.alive_N[row]),
            "allocatable": {name: int(self.allocatable_NR[row, i]) for i, name in enumerate(names) if self.allocatable_NR[row, i]},
            "used": {name: int(self.used_NR[row, i]) for i, name in enumerate(names) if self.used_NR[row, i]},
            "nominal": tuple(int(amount) for amount in self.nominal_used_N2[row]),
            "pods": (int(self.pod_count_N[row]), int(self.pod_count_max_N[row])),
            "unschedulable": bool(self.unschedulable_N[row]),
            "taints": self.taint_sets[self.taint_set_N[row]],
            "labels": dict(self.labels[row]),
        }


def plain_row(node: Object | None, pods: list[PodInfo]) -> dict[str, Any]:
    """What a row must hold, from the objects alone and without any array."""
    source: Object = node or {"metadata": {}}
    spec = source.get("spec") or {}
    allocatable = amounts_of((source.get("status") or {}).get("allocatable"))
    pod_count_max = allocatable.pop(PODS, 0)
    used: dict[str, int] = {}
    for info in pods:
        for name, amount in info.facts.requests.real.items():
            if name != PODS:
                used[name] = used.get(name, 0) + amount
    return {
        "alive": node is not None,
        "allocatable": {name: amount for name, amount in allocatable.items() if amount},
        "used": {name: amount for name, amount in used.items() if amount},
        "nominal": tuple(sum(info.facts.requests.nominal_used[i] for info in pods) for i in (0, 1)),
        "pods": (len(pods), pod_count_max),
        "unschedulable": bool(spec.get("unschedulable")),
        "taints": tuple((taint["key"], taint.get("value") or "", taint["effect"]) for taint in spec.get("taints") or ()),
        "labels": dict(source["metadata"].get("labels") or {}),
    }


def _wider(array: Any) -> Any:
    """A copy with twice the columns, zeros behind."""
    wider = np.zeros((array.shape[0], array.shape[1] * 2), array.dtype)
    wider[:, : array.shape[1]] = array
    return wider
