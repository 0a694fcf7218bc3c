"""What would the filters say of one node if other Pods were on it? Tried on the table itself, and taken back.

Upstream clones NodeInfo and cycle state (AddPod, RemovePod hooks); here the counts of the table are changed and put back, so every
plugin answers from the one picture that it knows.

Upstream: pkg/scheduler/framework/runtime/framework.go (RunFilterPluginsWithNominatedPods).
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kubesim.scheduler.contract import Scope
from kubesim.scheduler.cycle import SignatureState
from kubesim.scheduler.nominator import Nominator
from kubesim.scheduler.pod_facts import PodInfo


class Trial:
    """One row, tried with other Pods on it. The state must be fresh; ``restore`` must be called in the end."""

    def __init__(self, state: SignatureState, row: int, nominator: Nominator, pod: PodInfo) -> None:
        self._filters = state.filters
        self._table = state.table
        self._row = row
        self._rows = np.array([row], np.int64)
        self._name: str = state.table.names[row] or ""
        self._nominated = nominator.before(pod, self._name) if len(nominator) else []
        self._pods = dict(state.table.pods[row])
        self._before: list[Any] = [
            plugin.row_counts(kept, row) if plugin.filter_scope is Scope.CLUSTER else None for plugin, kept in state.filters
        ]
        self._is_changed = False
        self._log_end = state.table.pod_log.end

    def add(self, info: PodInfo) -> None:
        """Put a Pod on the row."""
        self._is_changed = True
        self._table.add_pod(info, self._name)

    def remove(self, info: PodInfo) -> None:
        """Take a Pod off the row."""
        self._is_changed = True
        self._table.remove_pod(info)

    def rejection(self) -> tuple[int, int] | None:
        """(index of the filter, code) of the first rejection, with the Pods nominated here and then without; None when it fits."""
        if self._nominated:
            added = [PodInfo(pod.obj, pod.facts) for pod in self._nominated]
            for pod in added:
                self.add(pod)
            found = self._first()
            for pod in reversed(added):
                self.remove(pod)
            if found is not None:
                return found
        return self._first()

    def _first(self) -> tuple[int, int] | None:
        for index, (plugin, state) in enumerate(self._filters):
            if plugin.filter_scope is Scope.CLUSTER and self._is_changed:
                code = plugin.filter_changed(state, self._row, self._before[index])
            else:
                code = int(plugin.filter(state, self._rows)[0])
            if code:
                return index, code
        return None

    def restore(self) -> None:
        """Put the row's Pods back as they were, in their order."""
        pods = self._table.pods[self._row]
        for uid, info in self._pods.items():
            if uid not in pods:
                self._table.add_pod(info, self._name)
        pods.clear()
        pods.update(self._pods)
        self._table.pod_log.rewind(self._log_end)  # nothing has changed for anybody


def closed_by_nominated(
    state: SignatureState, pod: PodInfo, nominator: Nominator, names: Iterable[str] | None = None
) -> dict[int, tuple[int, int]]:
    """The rows where the Pods nominated there come first and leave no room: row -> (filter's index, code). O(nominated nodes).

    ``names``: look at these nodes only.
    """
    closed: dict[int, tuple[int, int]] = {}
    if state.pre_filter is not None:
        return closed
    allowed = state.node_names
    for name in nominator.nodes() if names is None else names:
        row = state.table.find(name)
        if row < 0 or (allowed is not None and name not in allowed) or not nominator.before(pod, name):
            continue
        trial = Trial(state, row, nominator, pod)
        found = trial.rejection()
        trial.restore()
        if found is not None:
            closed[row] = found
    return closed
