"""What preempting on a node would do: whom it would cost, or why not even an empty node would help.

The outcome for a row is remembered until something about the row changes, for all Pods of one signature and priority, because the next
Pod that fits nowhere asks about the same rows. Where only amounts can change the verdict (every filter is about the node alone, or is a
kernel), Pods are taken off and put back in the amounts only; otherwise on the table itself (``Trial``).

Upstream: pkg/scheduler/framework/preemption/preemption.go (DryRunPreemption, SelectVictimsOnNode).
"""

from typing import Any

import numpy as np

from kubesim.scheduler.contract import Rejection, Scope
from kubesim.scheduler.cycle import SignatureState
from kubesim.scheduler.nominator import Nominator
from kubesim.scheduler.objects import Objects
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.preemption import NO_VICTIMS, Candidate, importance, split_by_budgets
from kubesim.scheduler.trial import Trial

BUDGETS = "poddisruptionbudgets"
UNKNOWN, CANDIDATE, REJECTED = 0, 1, 2
CLASSES_MAX = 4096
WINDOW_FACTOR = 2  # a search looks at so many times the rows that it needs, then at so many times as many


class Preemption:
    """The candidates that were found, the best of them, and the one that is chosen. Sequences of ``Candidate``."""

    def __init__(self, candidates: Any, best: Any, chosen: Candidate) -> None:
        self.candidates = candidates
        self.best = best  # those that tie after every criterion
        self.chosen = chosen


class DryRuns:
    """The outcomes for one signature's Pods of one priority."""

    def __init__(self, state: SignatureState, nominator: Nominator, objects: Objects) -> None:
        self._state = state
        self._table = state.table
        self._nominator = nominator
        self._objects = objects
        self._outcome_N = np.full(self._table.capacity, None, object)
        self._kind_N = np.zeros(self._table.capacity, np.uint8)  # UNKNOWN: no outcome
        # Candidates of equal measures are one class, so that the best of many is found among a few.
        self._class_N = np.zeros(self._table.capacity, np.int64)
        self._measures_of_class: list[tuple[int, ...]] = []
        self._class_of_measures: dict[tuple[int, ...], int] = {}
        self._has_violations = False  # of any class
        self._promised: list[int] = []
        self._position = (-1, -1, -1, -1)

    def refresh(self) -> None:
        """Forget what has changed; the state must be fresh. O(changed rows)."""
        table = self._table
        position = (table.node_log.end, table.pod_log.end, table.start_log.end, self._objects.version(BUDGETS))
        nodes, pods, starts, budgets = self._position
        is_alone = all(plugin.filter_scope is not Scope.CLUSTER for plugin, _ in self._state.filters)
        changed, started = table.changed_rows(nodes, pods), table.start_log.since(starts)
        is_full = len(self._measures_of_class) > CLASSES_MAX
        if not is_alone or changed is None or started is None or budgets != position[3] or is_full:
            self._outcome_N[:] = None
            self._kind_N[:] = UNKNOWN
            self._measures_of_class, self._class_of_measures, self._has_violations = [], {}, False
        else:
            for row in changed + started:
                self._forget(row)
        for row in self._promised:
            self._forget(row)
        self._promised = [table.find(name) for name in self._nominator.nodes()] if len(self._nominator) else []
        for row in self._promised:  # promises are no part of what a log tells: what is found now does not count next time
            self._forget(row)
        self._position = position

    def _forget(self, row: int) -> None:
        self._outcome_N[row] = None
        self._kind_N[row] = UNKNOWN

    def search(self, pod: PodInfo, rows: Any, wanted: int) -> Preemption | None:
        """Try rows in their order until ``wanted`` candidates are found, one of them without violations; None when there is none.

        After ``refresh``. Rows whose outcome is remembered cost what numpy takes to look at them.
        """
        looked_at = WINDOW_FACTOR * wanted
        kinds = self._kind_N[rows[:looked_at]]
        while True:
            is_candidate = kinds == CANDIDATE
            end = self._end(rows, is_candidate, wanted)
            unknown = np.flatnonzero(kinds[:end] == UNKNOWN)
            if not len(unknown):
                if end < looked_at or looked_at >= len(rows):
                    break
                looked_at *= WINDOW_FACTOR
                kinds = self._kind_N[rows[:looked_at]]
                continue
            for place in unknown[: max(wanted, 1)].tolist():
                row = int(rows[place])
                kinds[place] = self._remember(row, self._outcome(pod, row))
        found = rows[:end][is_candidate[:end]]
        if not len(found):
            return None
        classes = self._class_N[found]
        best_class = min(np.flatnonzero(np.bincount(classes)).tolist(), key=self._measures_of_class.__getitem__)
        best = found[classes == best_class]
        return Preemption(self._outcome_N[found], self._outcome_N[best], self._outcome_N[best.min()])

    def _end(self, rows: Any, is_candidate: Any, wanted: int) -> int:
        """How many rows it takes to have enough of the candidates that are known."""
        places = clean = np.flatnonzero(is_candidate)
        if self._has_violations:
            violates = np.array([measures[0] > 0 for measures in self._measures_of_class], bool)
            clean = places[~violates[self._class_N[rows[places]]]]
        if len(places) < wanted or not len(clean):
            return len(is_candidate)
        return int(max(places[wanted - 1], clean[0])) + 1

    def rejections(self, rows: Any) -> list[tuple[Rejection, int]]:
        """(rejection, how many) of rows that a search has tried and that are no candidates."""
        counts: dict[Rejection, int] = {}
        for row in rows.tolist():
            outcome = self._outcome_N[row]
            if isinstance(outcome, Rejection):
                counts[outcome] = counts.get(outcome, 0) + 1
        return list(counts.items())

    def _remember(self, row: int, outcome: Candidate | Rejection) -> int:
        """Keep an outcome; its kind."""
        self._outcome_N[row] = outcome
        kind = REJECTED
        if isinstance(outcome, Candidate):
            measures = outcome.measures()
            number = self._class_of_measures.get(measures)
            if number is None:
                number = self._class_of_measures[measures] = len(self._measures_of_class)
                self._measures_of_class.append(measures)
                self._has_violations |= measures[0] > 0
            self._class_N[row] = number
            kind = CANDIDATE
        self._kind_N[row] = kind
        return kind

    def _outcome(self, pod: PodInfo, row: int) -> Candidate | Rejection:
        name = self._table.names[row] or ""
        is_promised = bool(len(self._nominator)) and bool(self._nominator.before(pod, name))
        return self._in_amounts(pod, row) if self._state.is_decided_by_kernels(row) and not is_promised else self._on_table(pod, row)

    def _lower(self, pod: PodInfo, row: int) -> list[PodInfo]:
        return [info for info in self._table.pods[row].values() if info.facts.priority < pod.facts.priority]

    def _candidate(self, row: int, victims: list[PodInfo], violation_count: int) -> Candidate:
        victims.sort(key=importance)
        return Candidate(row, self._table.names[row] or "", tuple(victims), violation_count)

    def _on_table(self, pod: PodInfo, row: int) -> Candidate | Rejection:
        """Remove every Pod of lower priority, then put back whom the Pod can live with."""
        lower = self._lower(pod, row)
        if not lower:
            return NO_VICTIMS
        trial = Trial(self._state, row, self._nominator, pod)
        for info in lower:
            trial.remove(info)
        found = trial.rejection()
        if found is not None:
            trial.restore()
            plugin, kept = self._state.filters[found[0]]
            return plugin.rejection(kept, found[1])
        violating, others = split_by_budgets(sorted(lower, key=importance), self._objects)
        victims: list[PodInfo] = []
        violation_count = 0
        for group in (violating, others):
            for info in group:
                trial.add(info)
                if trial.rejection() is not None:
                    trial.remove(info)
                    victims.append(info)
                    violation_count += group is violating
        trial.restore()
        return self._candidate(row, victims, violation_count)

    def _in_amounts(self, pod: PodInfo, row: int) -> Candidate | Rejection:
        """The same where only kernels look at the Pods."""
        lower = self._lower(pod, row)
        if not lower:
            return NO_VICTIMS
        table, kernels = self._table, self._state.kernels_of_filters
        rows = table.rows
        for info in lower:
            rows.add(row, table.demand(info.facts), -1)
        for plugin, kept, kernel in kernels:
            code = kernel.at(row)
            if code:
                for info in lower:
                    rows.add(row, table.demand(info.facts))
                return plugin.rejection(kept, code)
        violating, others = split_by_budgets(sorted(lower, key=importance), self._objects)
        victims: list[PodInfo] = []
        violation_count = 0
        for group in (violating, others):
            for info in group:
                demand = table.demand(info.facts)
                rows.add(row, demand)
                if any(kernel.at(row) for _, _, kernel in kernels):
                    rows.add(row, demand, -1)
                    victims.append(info)
                    violation_count += group is violating
        for info in victims:
            rows.add(row, table.demand(info.facts))
        return self._candidate(row, victims, violation_count)
