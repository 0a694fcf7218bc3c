"""One scheduling cycle, shared by all Pods of a signature: which nodes can take the Pod, how good is each, who is best.

A ``SignatureState`` keeps the answers of every plugin for every row. After a placement only the changed rows are asked again (the
node table's logs say which); then the choice is a look at a ``Ranking``. In full:

1. PreFilter once, when the state is built.            2. NODE filters close rows; they are asked again when a node changes.
3. ROW filters and scores with kernels run in a Chain, one row at a time. For those without, the Chain reads arrays of answers that are
   shared by all signatures that the plugin cannot tell apart (row_answers.py); only a normalized score is asked about changed rows here.
4. CLUSTER filters and scores over counts per domain, and scores normalized by their maximum, work on groups of rows (``_core/groups``):
   a count or a maximum that moves costs a look at every group.
5. CLUSTER answers without that form are asked again, for every row, when their version moves.

Exactness comes first: ``check()`` compares everything with a state built anew without groups, from the vectorised plugins alone.

Dimension key: N rows (``row_count`` used; arrays have ``capacity``). Upstream: pkg/scheduler/schedule_one.go.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from kubesim._core.groups import GroupFilter, Groups, GroupScore, Share
from kubesim._core.placement import Chain, Demand, Kernel
from kubesim._core.random import Stream
from kubesim._core.ranking import Ranking
from kubesim.scheduler.contract import SCORE_MAX, UNRESOLVABLE, UNSIGNABLE, Normalization, Plugin, Prepared, Rejection, Scope, Skip
from kubesim.scheduler.diagnosis import FITS, Diagnosis
from kubesim.scheduler.domains import Domains
from kubesim.scheduler.framework import Framework
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.row_answers import RowAnswers
from kubesim.scheduler.scored import Scored

NOTHING_CHANGED = np.zeros(0, np.int64)
REPEATED_ROWS_MIN = 8  # from so many entries of a log on it is worth looking for rows that stand there twice
CHANGED_ROWS_SHARE = 8  # more changed nodes than one in this many: build anew
BY_MAXIMUM = (Normalization.BY_MAX, Normalization.REVERSED)


class Watched:
    """A CLUSTER-scoped PreFilter's answer: asked again when its version moves. ``index`` is its place among the filters, -1: skipped."""

    __slots__ = ("index", "plugin", "state", "version")

    def __init__(self, plugin: Plugin, pod: PodInfo, state: Any) -> None:
        self.plugin = plugin
        self.index = -1
        self.take(pod, state)

    def take(self, pod: PodInfo, state: Any) -> None:
        """Remember a state and its version."""
        self.state = state
        self.version = self.now(pod)

    def now(self, pod: PodInfo) -> Any:
        """The version as of now."""
        return self.plugin.skip_version(pod) if isinstance(self.state, Skip) else self.plugin.version(self.state)


Closed = Mapping[int, tuple[int, int]]  # row -> (index of a filter, its code)
NOTHING_CLOSED: Closed = {}


class SignatureState:
    """Masks, scores and ranking of one signature. ``pod`` is any Pod that has it.

    ``closed``: rows that nominated Pods keep from this one, whatever the filters say of the Pods that are there. ``is_plain``: nothing is
    grouped, every plugin is asked for every row; the oracle of ``check``.
    """

    def __init__(self, framework: Framework, pod: PodInfo, closed: Closed = NOTHING_CLOSED, is_plain: bool = False) -> None:
        self.framework = framework
        self.table = framework.table
        self.pod = PodInfo(pod.obj, pod.facts)  # its own: an assumption writes into the caller's
        self.closed = closed
        self.is_plain = is_plain
        self.is_evicted = False  # set by the owner of the states
        self.is_used = True
        self._build()

    # ---- building ------------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        table = self.table
        self._layout = table.layout
        self._node_position = table.node_log.end
        self._pod_position = table.pod_log.end
        self._diagnosis: tuple[tuple[int, int], Diagnosis] | None = None
        self.memo: dict[Any, Any] = {}  # what plugins keep with the state; gone when it is built anew
        self._pre_filter()
        self._domains = Domains(table)
        self._group_filters()
        self._answers: list[RowAnswers] = []  # of ROW filters and scores without kernels
        self._node_open_N = np.zeros(table.capacity, bool)  # what is alive, allowed, and left open by NODE filters
        self._cluster_open_N: dict[str, Any] = {}  # by plugin: what a CLUSTER filter that is not grouped leaves open
        self._open_N = np.zeros(table.capacity, np.uint8)
        self._base_N = np.zeros(table.capacity, np.int64)
        self.ranking = Ranking(table.capacity)
        self._pre_score()
        self._ask_filters(None)
        self._groups = Groups(self.ranking, self._domains.parts, self._filters_of_groups, self._scores_of_groups)
        scorers, weights = [kernel for _, _, kernel, _ in self.kernels], [weight for *_, weight in self.kernels]
        groups = self._groups if self._filters_of_groups or self._scores_of_groups else None
        self.kernels_of_filters = self._filter_kernels()
        compiled = [kernel for _, _, kernel in self.kernels_of_filters] + self._answered_filters()
        self._chain = Chain(self.ranking, compiled, scorers, weights, self._open_N, self._base_N, groups)
        self._sum_base()
        self._chain.refresh_all()
        self._chain.settle()
        self._score_late()

    def _pre_filter(self) -> None:
        """Run PreFilter: an Unresolvable rejection stops at once, another one does not stop the others and the last is kept."""
        self.filters: list[tuple[Plugin, Any]] = []
        self.pre_filter: tuple[str, Rejection] | None = None
        self.pre_filters_run: tuple[str, ...] = ()
        self.node_names: frozenset[str] | None = None
        self.names_plugins: tuple[str, ...] = ()
        self._filters_position = (self.table.node_log.end, self.table.pod_log.end)
        states: dict[str, Any] = {}
        watched: dict[str, Watched] = {}
        for plugin in self.framework.pre_filter:
            outcome = plugin.pre_filter(self.pod)
            self.pre_filters_run = (*self.pre_filters_run, plugin.name)
            if isinstance(outcome, Rejection):
                self.pre_filter = (plugin.name, outcome)
                if outcome.code == UNRESOLVABLE:
                    break
                continue
            state = states[plugin.name] = outcome.state if isinstance(outcome, Prepared) else outcome
            if plugin.filter_scope is Scope.CLUSTER:
                watched[plugin.name] = Watched(plugin, self.pod, state)
            if isinstance(outcome, Prepared):
                self._restrict(plugin.name, outcome.node_names)
        if self.pre_filter is None:
            for plugin in self.framework.filter:
                state = states.get(plugin.name)
                if not isinstance(state, Skip):
                    if plugin.name in watched:
                        watched[plugin.name].index = len(self.filters)
                    self.filters.append((plugin, state))
        self._watched = [w for w in watched.values() if w.version is not None]

    def _restrict(self, plugin: str, names: frozenset[str] | None) -> None:
        if names is not None:
            self.node_names = names if self.node_names is None else self.node_names & names
            self.names_plugins = (*self.names_plugins, plugin)

    def _group_filters(self) -> None:
        """Compile the CLUSTER filters that are about counts per domain; the others stay watched."""
        self._filters_of_groups: list[GroupFilter] = []
        self._grouped: set[str] = set()  # for membership only
        if self.is_plain or self.pre_filter is not None:
            return
        for plugin in self.framework.filter:
            found = plugin.group_filters(self.pod, self._domains) if plugin.filter_scope is Scope.CLUSTER else None
            if found is not None:
                self._grouped.add(plugin.name)
                self._filters_of_groups += found
        self._watched = [watched for watched in self._watched if watched.plugin.name not in self._grouped]

    def _filter_kernels(self) -> list[tuple[Plugin, Any, Kernel]]:
        """(plugin, state, kernel) of the ROW filters that have one."""
        kernels = ((plugin, state, plugin.filter_kernel(state)) for plugin, state in self.filters if plugin.filter_scope is Scope.ROW)
        return [(plugin, state, kernel) for plugin, state, kernel in kernels if kernel is not None]

    def _answered_filters(self) -> list[Kernel]:
        """The kernels of the other ROW filters, which read what those say."""
        others = [
            (p, s) for p, s in self.filters if p.filter_scope is Scope.ROW and all(p is not known for known, *_ in self.kernels_of_filters)
        ]
        self._has_answered_filters = bool(others)
        return [self._answered(plugin, "filter", partial(plugin.filter, state)) for plugin, state in others]

    def _answered(self, plugin: Plugin, method: str, ask: Callable[[Any], Any]) -> Kernel:
        """A kernel that reads what a plugin says; a plain state's is its own."""
        part = UNSIGNABLE if self.is_plain else (method, plugin.signature(self.pod))
        answers = self.framework.answers.get(plugin.name, part, ask)
        self._answers.append(answers)
        return answers.kernel

    def _pre_score(self) -> None:
        """Run PreScore and sort the scores by how they are kept: kernels, grouped, in the base, or late (CLUSTER, or normalized alone)."""
        self.kernels: list[tuple[Plugin, Any, Kernel, int]] = []
        self._scores_of_groups: list[GroupScore] = []
        self._shared: list[Scored] = []  # grouped by their raw scores
        self._based: list[Scored] = []
        self._even: list[Scored] = []  # of the based ones: normalized by their maximum, which is zero
        self._late_plugins: list[Plugin] = []
        self._late: list[Scored] = []
        for plugin in self.framework.score:
            if plugin.score_scope is Scope.CLUSTER:
                found = None if self.is_plain else plugin.group_scores(self.pod, self._domains, self.framework.weights[plugin.name])
                if found is None:
                    self._late_plugins.append(plugin)
                else:
                    self._scores_of_groups += found
                continue
            self._pre_score_alone(plugin)

    def _pre_score_alone(self, plugin: Plugin) -> None:
        """A score that looks at the node, or at its Pods too."""
        state = plugin.pre_score(self.pod, self.table.index(None)) if "preScore" in plugin.extends else None
        if isinstance(state, Skip):
            return
        weight = self.framework.weights[plugin.name]
        kernel = plugin.score_kernel(state) if plugin.score_scope is Scope.ROW else None
        if kernel is not None:
            self.kernels.append((plugin, state, kernel, weight))
            return
        if plugin.score_scope is Scope.ROW and plugin.normalization is Normalization.NONE:
            self.kernels.append((plugin, state, self._answered(plugin, "score", partial(plugin.score, state)), weight))
            return
        scored = Scored(plugin, state, weight, self.table.capacity)
        scored.ask(None, self.table.row_count)
        if plugin.normalization is Normalization.NONE:
            self._based.append(scored)
        elif plugin.normalization is Normalization.CUSTOM or self.is_plain or scored.raw_N.min() < 0:
            self._late.append(scored)
        elif plugin.score_scope is Scope.NODE and not scored.raw_N.any():
            self._even.append(scored)
            self._based.append(scored)
        else:
            self._shared.append(scored)
            part = self._domains.fixed(scored.raw_N)
            self._scores_of_groups.append(Share(weight, part, plugin.normalization is Normalization.REVERSED))

    def _score_late(self) -> None:
        """Run the CLUSTER scores that are not grouped, and everything else that is normalized over all feasible rows."""
        self._late = [scored for scored in self._late if scored.plugin not in self._late_plugins]
        self._late_versions: list[tuple[Plugin, Any, Any]] = []  # (plugin, state, version) of the CLUSTER ones
        if self._late_plugins:
            feasible = np.flatnonzero(self._feasible_N())
            for plugin in self._late_plugins:
                state = plugin.pre_score(self.pod, feasible) if "preScore" in plugin.extends else None
                self._late_versions.append((plugin, state, self._version(plugin, state)))
                if not isinstance(state, Skip):
                    scored = Scored(plugin, state, self.framework.weights[plugin.name], self.table.capacity)
                    scored.ask(None, self.table.row_count)
                    self._late.append(scored)
        self._late_normalizes = any(scored.plugin.normalization is not Normalization.NONE for scored in self._late)
        self._late_reads_feasible = any(plugin.score_reads_feasible for plugin in self._late_plugins)
        self._late_epoch = self._epoch()
        self._normalize_late()

    def _version(self, plugin: Plugin, state: Any) -> Any:
        return plugin.skip_version(self.pod) if isinstance(state, Skip) else plugin.version(state)

    # ---- asking --------------------------------------------------------------------------------------------------------------

    def allowed_N(self) -> Any:
        """The rows that PreFilter left: bool (row_count,)."""
        if self.node_names is None:
            return np.ones(self.table.row_count, bool)
        allowed_N = np.zeros(self.table.row_count, bool)
        allowed_N[[row for row in map(self.table.find, sorted(self.node_names)) if row >= 0]] = True
        return allowed_N

    def _ask_filters(self, rows: Any) -> None:
        """Ask the filters without kernels about rows (None: all)."""
        table = self.table
        index = table.index(rows)
        open_K = table.alive_N[index].astype(bool) & self.allowed_N()[index] if self.pre_filter is None else np.zeros(len(index), bool)
        for plugin, state in self.filters:
            if plugin.filter_scope is Scope.NODE:
                open_K &= plugin.filter(state, rows) == 0
            elif plugin.filter_scope is Scope.CLUSTER and plugin.name not in self._grouped:
                cluster_open_N = self._cluster_open_N.setdefault(plugin.name, np.zeros(table.capacity, bool))
                cluster_open_N[index] = plugin.filter(state, rows) == 0
        self._node_open_N[index] = open_K
        if self.closed:
            self._node_open_N[list(self.closed)] = False
        self._join_open(index)
        self._open_N[table.row_count :] = 0

    def _join_open(self, index: Any) -> None:
        """What NODE filters, and CLUSTER filters that are not grouped, leave open."""
        open_K = self._node_open_N[index]
        for cluster_open_N in self._cluster_open_N.values():
            open_K &= cluster_open_N[index]
        self._open_N[index] = open_K

    def _feasible_N(self) -> Any:
        totals_N = np.empty(self.table.row_count, np.int64)
        self.ranking.read(totals_N)
        return totals_N >= 0

    def _sum_base(self, index: Any = None) -> None:
        """Sum up what does not come from kernels or groups, of rows (None: all)."""
        rows = slice(None) if index is None else index
        for scored in self._based:
            kept = scored in self._even and scored.plugin.normalization is Normalization.REVERSED
            scored.final_N[rows] = scored.weight * (SCORE_MAX if kept else scored.raw_N[rows])
        base_N = np.zeros(len(self._base_N[rows]), np.int64)
        for scored in (*self._based, *self._late):
            base_N += scored.final_N[rows]
        self._base_N[rows] = base_N

    def _normalize_late(self) -> None:
        """Normalize over the feasible rows, and take in what that changes. O(N) when there is anything to normalize."""
        self._late_feasible = self.ranking.feasible_version
        if self._late:
            feasible_N = self._feasible_N()
            for scored in self._late:
                scored.normalize(feasible_N)
            before_N = self._base_N.copy()
            self._sum_base()
            if (before_N != self._base_N).any():
                self._chain.rebase()

    # ---- keeping up ----------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take in everything that changed since the last time. O(changed rows), or O(N) when a plugin without compiled form needs it."""
        table = self.table
        pod_log = table.pod_log
        node_log = table.node_log
        start = self._pod_position - pod_log.start
        if self._layout != table.layout or start < 0 or self._node_position < node_log.start:
            self._build()
            return
        for answers in self._answers:
            answers.refresh()
        if self._node_position != node_log.end and not self._refresh_nodes():
            return
        changed = self._refresh_watched() if self._watched else NOTHING_CHANGED
        if changed is None:
            self._build()
            return
        if start < len(pod_log.entries):
            self._pod_position = pod_log.end
            rows = pod_log.entries[start:]
            if len(rows) > REPEATED_ROWS_MIN:
                rows = list(dict.fromkeys(rows))
            if not self._ask_rows(rows):
                return
            self._chain.refresh(rows)
        if len(changed):
            self._chain.refresh(changed.tolist())
        self._chain.settle()
        if self._late or self._late_versions:
            self._refresh_late()

    def _refresh_watched(self) -> Any:
        """Ask the CLUSTER filters whose version moved; the rows that opened or closed. None: build anew."""
        moved = [watched for watched in self._watched if watched.now(self.pod) != watched.version]
        if not moved:
            return NOTHING_CHANGED
        if self.pre_filter is not None:
            return None
        for watched in moved:
            outcome = watched.plugin.pre_filter(self.pod)
            if watched.index < 0 or not isinstance(outcome, Prepared) or outcome.node_names is not None:
                if watched.index < 0 and isinstance(outcome, Skip):
                    watched.take(self.pod, outcome)
                    continue
                return None
            watched.take(self.pod, outcome.state)
            self.filters[watched.index] = (watched.plugin, outcome.state)
            self._cluster_open_N[watched.plugin.name][: self.table.row_count] = watched.plugin.filter(outcome.state, None) == 0
        before_N = self._open_N[: self.table.row_count].copy()
        self._join_open(self.table.index(None))
        return np.flatnonzero(before_N != self._open_N[: self.table.row_count])

    def _refresh_late(self) -> None:
        """Ask the late scores again whose version moved, or that look at the feasible rows when those changed."""
        has_moved = (self._late_normalizes or self._late_reads_feasible) and self.ranking.feasible_version != self._late_feasible
        if not has_moved and self._late_epoch == self.table.node_epoch:
            return
        if (has_moved and self._late_reads_feasible) or any(
            self._version(plugin, state) != version for plugin, state, version in self._late_versions
        ):
            self._score_late()
        elif has_moved:
            self._normalize_late()
        else:
            self._late_epoch = self._epoch()

    def _epoch(self) -> int:
        """What must stay the same for the late scores' versions to stay; -1: they may move at any time."""
        return -1 if any(plugin.score_reads_pods for plugin in self._late_plugins) else self.table.node_epoch

    def _refresh_nodes(self) -> bool:
        """Take in changed nodes; false when everything was built anew."""
        table = self.table
        rows = list(dict.fromkeys(table.node_log.entries[self._node_position - table.node_log.start :]))
        reads_all = self._domains.has_tallies or any(watched.index >= 0 for watched in self._watched)
        reads_all |= any(plugin.reads_other_nodes or plugin.score_reads_feasible for plugin in self._late_plugins)
        if reads_all or len(rows) * CHANGED_ROWS_SHARE > table.row_count:
            self._build()
            return False
        self._node_position = table.node_log.end
        index = np.array(rows, np.int64)
        self._ask_filters(index)
        if not self._ask_scores((*self._based, *self._shared, *self._late), index):
            return False
        self._chain.refresh(rows)
        self._chain.settle()
        self._normalize_late()
        return True

    def _ask_scores(self, which: Any, index: Any) -> bool:
        """Ask scores about rows; false when everything was built anew, because one cannot be kept as it was any more."""
        for scored in which:
            scored.ask(index, self.table.row_count)
        if any(scored.raw_N[index].any() for scored in self._even) or any((scored.raw_N[index] < 0).any() for scored in self._shared):
            self._build()
            return False
        self._sum_base(index)
        return True

    def _ask_rows(self, rows: list[int]) -> bool:
        """Ask the normalized ROW scores about changed rows; false when everything was built anew."""
        scores = [scored for scored in (*self._shared, *self._late) if scored.plugin.score_scope is Scope.ROW]
        if not scores:
            return True
        index = np.array(rows, np.int64)
        if not self._ask_scores(scores, index):
            return False
        if any(scored in self._late for scored in scores):
            self._late_feasible = -1  # normalize again
        return True

    # ---- answers -------------------------------------------------------------------------------------------------------------

    def choose(self, below: Callable[[int], int] | None) -> int:
        """The best row, -1 when none can take the Pod; ``below(n)`` draws among n equals, without it the first is taken."""
        ranking = self.ranking
        ties = ranking.ties()
        if ties == 0:
            return -1
        return ranking.row_at(below(ties) if below is not None and ties > 1 else 0)

    @property
    def scores_stand_alone(self) -> bool:
        """Whether no score of a row depends on which other rows are feasible."""
        return not self._scores_of_groups and not self._late_normalizes

    @property
    def is_compiled(self) -> bool:
        """Whether a placement is taken in by compiled code alone, so that ``place`` may be used."""
        return not (
            self._answers
            or self._watched
            or any(plugin.score_reads_pods for plugin in self._late_plugins)
            or self._late_normalizes
            or any(scored.plugin.score_scope is Scope.ROW for scored in self._shared)
        )

    def place(self, demand: Demand, counts: list[Any], pod_count: int, stream: Stream | None) -> list[int]:
        """Choose rows for Pods of this signature, one after the other, as ``choose`` and an assumption would; fewer when the rest fits
        nowhere.

        The table's amounts and ``counts`` are changed; the caller enters the Pods and writes the rows into the log, then ``placed``.
        """
        return self._chain.place(self.table.rows, demand, counts, pod_count, stream)

    def placed(self) -> None:
        """The rows that ``place`` chose are in the table's log: nothing of them is new to this state."""
        self._pod_position = self.table.pod_log.end

    def is_decided_by_kernels(self, row: int) -> bool:
        """Whether a row is closed, if at all, by kernels alone, and no other filter looks at the Pods on it."""
        is_alone = not self._has_answered_filters and all(plugin.filter_scope is not Scope.CLUSTER for plugin, _ in self.filters)
        return is_alone and bool(self._node_open_N[row])

    def update_filters(self) -> None:
        """Make the filters' states anew where grouped filters were kept up without them: before anybody asks the filters themselves."""
        position = (self.table.node_log.end, self.table.pod_log.end)
        if self._filters_of_groups and self._filters_position != position:
            self._pre_filter()
            self._watched = [watched for watched in self._watched if watched.plugin.name not in self._grouped]

    def diagnosis(self) -> Diagnosis:
        """Why each node does or does not fit, as of now; remembered until something changes."""
        position = (self.table.node_log.end, self.table.pod_log.end)
        if self._diagnosis is None or self._diagnosis[0] != position:
            found = self._changed_diagnosis()
            if found is None:
                self.update_filters()
                found = Diagnosis(self.table, self.filters, self.allowed_N(), self.names_plugins, self.pre_filter, self.closed)
            self._diagnosis = (position, found)
        return self._diagnosis[1]

    def _changed_diagnosis(self) -> Diagnosis | None:
        """The last diagnosis with the rows asked again whose Pods changed since, where kernels alone decide about them; else None."""
        log = self.table.pod_log
        if self._diagnosis is None or self._diagnosis[0][0] != self.table.node_log.end or self._diagnosis[0][1] < log.start:
            return None
        rows = list(dict.fromkeys(log.entries[self._diagnosis[0][1] - log.start :]))
        if len(rows) * CHANGED_ROWS_SHARE > self.table.row_count or not all(map(self.is_decided_by_kernels, rows)):
            return None
        return self._diagnosis[1].changed({row: self._verdict(row) for row in rows})

    def _verdict(self, row: int) -> tuple[int, int]:
        """(filter, code) of a row that kernels decide about."""
        for index, (plugin, _) in enumerate(self.filters):
            for asked, _, kernel in self.kernels_of_filters:
                if asked is plugin and (code := kernel.at(row)):
                    return index, code
        return FITS, 0

    def scores(self) -> dict[str, Any]:
        """Plugin -> final (normalized and weighted) scores, int64 (row_count,); only feasible rows mean something. O(N) per plugin."""
        count = self.table.row_count
        feasible_N = self._feasible_N()
        feasible = np.flatnonzero(feasible_N)
        found: dict[str, Any] = {}
        for plugin in self.framework.score:
            state = plugin.pre_score(self.pod, feasible) if "preScore" in plugin.extends else None
            if not isinstance(state, Skip):
                scored = Scored(plugin, state, self.framework.weights[plugin.name], self.table.capacity)
                scored.ask(None, count)
                scored.normalize(feasible_N)
                found[plugin.name] = scored.final_N[:count]
        return found

    def check(self) -> None:
        """Compare with a state built anew, without groups. Raises AssertionError. O(N) and more."""
        self.refresh()
        self.ranking.check()
        self._groups.check()
        fresh = SignatureState(self.framework, self.pod, self.closed, is_plain=True)
        mine, anew = (np.empty(self.table.row_count, np.int64) for _ in range(2))
        self.ranking.read(mine)
        fresh.ranking.read(anew)
        for row in np.flatnonzero(mine != anew):
            raise AssertionError(f"{self.table.names[row]} has total {mine[row]}, built anew {anew[row]}, for {self.pod}")
        assert ((fresh.diagnosis().filter_N == -1) == (anew >= 0)).all()
