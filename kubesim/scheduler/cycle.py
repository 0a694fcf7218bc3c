"""One scheduling cycle, shared by all Pods of a signature: which nodes can take the Pod, how good is each, who is best.

A ``SignatureState`` keeps the answers of every plugin for every row. After a placement only the changed rows are asked again (the
node table's logs say which); then the choice is a look at a ``Ranking``. In full:

1. PreFilter once, when the state is built.            2. NODE filters close rows; they are asked again when a node changes.
3. ROW filters and scores with kernels run in a Chain, one row at a time. Those without are asked about the changed rows.
4. CLUSTER answers are asked again, for every row, when their version moves.
5. Normalized scores depend on the feasible rows: by-max ones are made again only when the maximum among these moves.

Exactness comes first: ``check()`` compares everything with a state built anew.

Dimension key: N rows (``row_count`` used; arrays have ``capacity``). Upstream: pkg/scheduler/schedule_one.go.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kubesim._core.placement import Chain, Kernel
from kubesim._core.ranking import Ranking
from kubesim.scheduler.contract import SCORE_MAX, UNRESOLVABLE, Normalization, Plugin, Prepared, Rejection, Scope, Skip
from kubesim.scheduler.diagnosis import Diagnosis
from kubesim.scheduler.framework import Framework
from kubesim.scheduler.pod_facts import PodInfo

NOTHING_CHANGED = np.zeros(0, np.int64)
CHANGED_ROWS_SHARE = 8  # more changed nodes than one in this many: build anew


class Scored:
    """One plugin's scores without a kernel: raw, and weighted after normalization. int64 (N,)."""

    __slots__ = ("final_N", "max_count", "plugin", "raw_N", "raw_max", "state", "weight")

    def __init__(self, plugin: Plugin, state: Any, weight: int, capacity: int) -> None:
        self.plugin = plugin
        self.state = state
        self.weight = weight
        self.raw_N = np.zeros(capacity, np.int64)
        self.final_N = np.zeros(capacity, np.int64)
        self.raw_max = 0  # among the feasible rows
        self.max_count = 0  # how many feasible rows have it

    @property
    def depends_on_feasible(self) -> bool:
        """Whether other rows' feasibility can change a row's score. All raw scores zero: they are all 0, or all 100, anyway."""
        kind = self.plugin.normalization
        return kind is Normalization.CUSTOM or (kind is not Normalization.NONE and bool(self.raw_N.any()))

    def normalize(self, feasible_N: Any) -> None:
        """Make ``final_N`` of ``raw_N``; O(N)."""
        kind = self.plugin.normalization
        if kind is Normalization.CUSTOM:
            self.final_N[:] = 0
            if not feasible_N.any():
                return
            self.final_N[: len(feasible_N)][feasible_N] = self.weight * self.plugin.normalize(
                self.state, self.raw_N[: len(feasible_N)][feasible_N]
            )
            return
        if kind is Normalization.NONE:
            self.final_N = self.raw_N * self.weight
            return
        feasible = self.raw_N[: len(feasible_N)][feasible_N]
        self.raw_max = int(feasible.max()) if len(feasible) else 0
        self.max_count = int((feasible == self.raw_max).sum())
        self.final_N = normalized(self.raw_N, self.raw_max, kind) * self.weight

    def flip(self, row: int, is_feasible: bool) -> bool:
        """A row became feasible or ceased to be; whether the scores must be normalized again."""
        raw = int(self.raw_N[row])
        if self.plugin.normalization is Normalization.CUSTOM or (is_feasible and raw > self.raw_max):
            return True
        if raw == self.raw_max:
            self.max_count += 1 if is_feasible else -1
        return self.max_count == 0


def normalized(raw_N: Any, raw_max: int, kind: Normalization) -> Any:
    """Upstream's DefaultNormalizeScore: 100 * s / max, reversed 100 - that; with max 0 all 0, reversed all 100.

    A row beyond the maximum is not feasible now; it is held at the maximum, so that a total stays positive when the row becomes feasible.
    """
    scaled = SCORE_MAX * np.minimum(raw_N, raw_max) // raw_max if raw_max else np.zeros_like(raw_N)
    return SCORE_MAX - scaled if kind is Normalization.REVERSED else scaled


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

    ``closed``: rows that nominated Pods keep from this one, whatever the filters say of the Pods that are there.
    """

    def __init__(self, framework: Framework, pod: PodInfo, closed: Closed = NOTHING_CLOSED) -> None:
        self.framework = framework
        self.table = framework.table
        self.pod = PodInfo(pod.obj, pod.facts)  # its own: an assumption writes into the caller's
        self.closed = closed
        self.is_evicted = False  # set by the owner of the states
        self.is_used = True
        self._diagnosis: tuple[tuple[int, int], Diagnosis] | None = None
        self._build()

    # ---- building ------------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        table = self.table
        self._layout = table.layout
        self._node_position = table.node_log.end
        self._pod_position = table.pod_log.end
        self.filters: list[tuple[Plugin, Any]] = []
        self.pre_filter: tuple[str, Rejection] | None = None
        self.pre_filters_run: tuple[str, ...] = ()
        self.node_names: frozenset[str] | None = None
        self.names_plugins: tuple[str, ...] = ()
        self._watched: list[Watched] = []
        self._pre_filter()
        self._row_filters = [
            (plugin, state) for plugin, state in self.filters if plugin.filter_scope is Scope.ROW and plugin.filter_kernel(state) is None
        ]
        self._node_open_N = np.zeros(table.capacity, bool)  # what is alive, allowed, and left open by NODE filters
        self._row_open_N = np.ones(table.capacity, bool)  # what ROW filters without kernels leave open
        self._cluster_open_N: dict[int, Any] = {}  # by the filter's index: what a CLUSTER filter leaves open
        self._open_N = np.zeros(table.capacity, np.uint8)
        self._base_N = np.zeros(table.capacity, np.int64)
        self.ranking = Ranking(table.capacity)
        self._kernels_of_filters = self._filter_kernels()
        self.scored: list[Scored] = []
        self.kernels: list[tuple[Plugin, Any, Kernel, int]] = []
        self._chain = Chain(self.ranking, self._kernels_of_filters, [], [], self._open_N, self._base_N)
        self._ask_filters(None)
        self._chain.refresh_all()
        self._build_scores()

    def _build_scores(self) -> None:
        """Run PreScore and every score anew; the feasible rows are those of the ranking as it is."""
        self._pre_score()
        scorers = [kernel for _, _, kernel, _ in self.kernels]
        weights = [weight for *_, weight in self.kernels]
        self._chain = Chain(self.ranking, self._kernels_of_filters, scorers, weights, self._open_N, self._base_N)
        self._ask_scores(None)
        self._normalize()
        self._chain.refresh_all()

    def _pre_filter(self) -> None:
        """Run PreFilter: an Unresolvable rejection stops at once, another one does not stop the others and the last is kept."""
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

    def _filter_kernels(self) -> list[Kernel]:
        kernels = (plugin.filter_kernel(state) for plugin, state in self.filters if plugin.filter_scope is Scope.ROW)
        return [kernel for kernel in kernels if kernel is not None]

    def _pre_score(self) -> None:
        feasible = np.flatnonzero(self._feasible_N())
        self.scored, self.kernels = [], []
        self._watched_scores: list[Watched] = []
        for plugin in self.framework.score:
            state = plugin.pre_score(self.pod, feasible) if "preScore" in plugin.extends else None
            if plugin.score_scope is Scope.CLUSTER:
                watched = Watched(plugin, self.pod, state)
                if watched.version is not None or not isinstance(state, Skip):
                    self._watched_scores.append(watched)
            if isinstance(state, Skip):
                continue
            weight = self.framework.weights[plugin.name]
            kernel = plugin.score_kernel(state) if plugin.score_scope is Scope.ROW else None
            if kernel is not None:
                self.kernels.append((plugin, state, kernel, weight))
                continue
            self.scored.append(Scored(plugin, state, weight, self.table.capacity))
        self._row_scored = [scored for scored in self.scored if scored.plugin.score_scope is Scope.ROW]
        self._reads_feasible = any(scored.plugin.score_reads_feasible for scored in self.scored)

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
        for number, (plugin, state) in enumerate(self.filters):
            if plugin.filter_scope is Scope.NODE:
                open_K &= plugin.filter(state, rows) == 0
            elif plugin.filter_scope is Scope.CLUSTER:
                cluster_open_N = self._cluster_open_N.setdefault(number, np.zeros(table.capacity, bool))
                cluster_open_N[index] = plugin.filter(state, rows) == 0
        self._node_open_N[index] = open_K
        if self.closed:
            self._node_open_N[list(self.closed)] = False
        self._ask_row_filters(index)
        self._join_open(index)
        self._open_N[table.row_count :] = 0

    def _ask_row_filters(self, index: Any) -> None:
        """Ask the ROW filters without kernels."""
        if self._row_filters:
            open_K = np.ones(len(index), bool)
            for plugin, state in self._row_filters:
                open_K &= plugin.filter(state, index) == 0
            self._row_open_N[index] = open_K

    def _join_open(self, index: Any) -> None:
        """What all filters without kernels leave open."""
        open_K = self._node_open_N[index] & self._row_open_N[index]
        for cluster_open_N in self._cluster_open_N.values():
            open_K &= cluster_open_N[index]
        self._open_N[index] = open_K

    def _ask_scores(self, rows: Any) -> None:
        index = self.table.index(rows)
        for scored in self.scored:
            scored.raw_N[index] = scored.plugin.score(scored.state, rows)

    def _feasible_N(self) -> Any:
        totals_N = np.empty(self.table.row_count, np.int64)
        self.ranking.read(totals_N)
        return totals_N >= 0

    def _normalize(self) -> None:
        """Normalize over the feasible rows and sum up the base."""
        feasible_N = self._feasible_N()
        for scored in self.scored:
            scored.normalize(feasible_N)
        self._sum_base()

    def _sum_base(self) -> Any:
        """Sum up the base; the rows whose base changed."""
        base_N = np.zeros(self.table.capacity, np.int64)
        for scored in self.scored:
            base_N += scored.final_N
        changed = np.flatnonzero(base_N != self._base_N)
        self._base_N[:] = base_N
        self._tracked = [scored for scored in self.scored if scored.depends_on_feasible]
        return changed

    # ---- keeping up ----------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take in everything that changed since the last time. O(changed rows), or O(N) when a version or a maximum moved."""
        table = self.table
        pod_log = table.pod_log
        node_log = table.node_log
        start = self._pod_position - pod_log.start
        if self._layout != table.layout or start < 0 or self._node_position < node_log.start:
            self._build()
            return
        if self._node_position != node_log.end and not self._refresh_nodes():
            return
        changed = self._refresh_watched() if self._watched else NOTHING_CHANGED
        if changed is None:
            self._build()
            return
        flipped: list[int] | None = None
        if start < len(pod_log.entries):
            self._pod_position = pod_log.end
            if self._row_filters or self._row_scored:
                self._ask_rows(pod_log.entries[start:])
            flipped = self._chain.refresh(pod_log.entries, start)
        if len(changed):
            more = self._chain.refresh(changed.tolist())
            flipped = [*(flipped or ()), *more] if more else flipped
        self._refresh_scores(flipped)

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
            self._cluster_open_N[watched.index][: self.table.row_count] = watched.plugin.filter(outcome.state, None) == 0
        before_N = self._open_N[: self.table.row_count].copy()
        self._join_open(self.table.index(None))
        return np.flatnonzero(before_N != self._open_N[: self.table.row_count])

    def _refresh_scores(self, flipped: list[int] | None) -> None:
        """Ask the CLUSTER scores whose version moved, or that look at the feasible rows when those changed."""
        moved = [watched for watched in self._watched_scores if watched.now(self.pod) != watched.version]
        if flipped and self._reads_feasible:
            moved += [w for w in self._watched_scores if w.plugin.score_reads_feasible and w not in moved]
        if not moved:
            if flipped and self._tracked:
                self._flip(flipped)
            return
        feasible_N = self._feasible_N()
        feasible = np.flatnonzero(feasible_N)
        by_name = {scored.plugin.name: scored for scored in self.scored}
        for watched in moved:
            state = watched.plugin.pre_score(self.pod, feasible)
            if isinstance(state, Skip) != isinstance(watched.state, Skip):
                self._build_scores()
                return
            watched.take(self.pod, state)
            if not isinstance(state, Skip):
                scored = by_name[watched.plugin.name]
                scored.state = state
                scored.raw_N[: self.table.row_count] = watched.plugin.score(state, None)
                scored.normalize(feasible_N)
        if flipped:
            for scored in self._tracked:
                scored.normalize(feasible_N)
        changed = self._sum_base()
        if len(changed) * CHANGED_ROWS_SHARE > self.table.row_count:
            self._chain.rebase()
        else:
            self._chain.refresh(changed.tolist())

    def _refresh_nodes(self) -> bool:
        """Take in changed nodes; false when everything was built anew."""
        table = self.table
        rows = list(dict.fromkeys(table.node_log.entries[self._node_position - table.node_log.start :]))
        reads_all = any(watched.index >= 0 for watched in self._watched) or self._reads_feasible
        reads_all |= any(watched.plugin.reads_other_nodes for watched in self._watched_scores)
        if reads_all or len(rows) * CHANGED_ROWS_SHARE > table.row_count:
            self._build()
            return False
        self._node_position = table.node_log.end
        index = np.array(rows, np.int64)
        self._ask_filters(index)
        self._ask_scores(index)
        self._chain.refresh(rows)
        self._normalize()
        self._chain.refresh_all()
        return True

    def _ask_rows(self, rows: list[int]) -> None:
        """Ask the ROW plugins without kernels about the changed rows. O(N) when such a plugin scores: the base is summed up again."""
        index = np.array(list(dict.fromkeys(rows)), np.int64)
        self._ask_row_filters(index)
        self._join_open(index)
        if self._row_scored:
            for scored in self._row_scored:
                scored.raw_N[index] = scored.plugin.score(scored.state, index)
            self._chain.refresh_all()
            self._normalize()
            self._chain.refresh_all()

    def _flip(self, flipped: list[int]) -> None:
        """Rows became or ceased to be feasible: normalize again where that moved a maximum."""
        moved = False
        for row in flipped:
            is_feasible = self.ranking[row] >= 0
            for scored in self._tracked:
                moved |= scored.flip(row, is_feasible)
        if moved:
            self._normalize()
            self._chain.refresh_all()

    # ---- answers -------------------------------------------------------------------------------------------------------------

    def choose(self, below: Callable[[int], int] | None) -> int:
        """The best row, -1 when none can take the Pod; ``below(n)`` draws among n equals, without it the first is taken."""
        ranking = self.ranking
        ties = ranking.ties()
        if ties == 0:
            return -1
        return ranking.row_at(below(ties) if below is not None and ties > 1 else 0)

    def diagnosis(self) -> Diagnosis:
        """Why each node does or does not fit, as of now; remembered until something changes."""
        position = (self.table.node_log.end, self.table.pod_log.end)
        if self._diagnosis is None or self._diagnosis[0] != position:
            found = Diagnosis(self.table, self.filters, self.allowed_N(), self.names_plugins, self.pre_filter, self.closed)
            self._diagnosis = (position, found)
        return self._diagnosis[1]

    def score_plugins(self) -> list[str]:
        """The names of the plugins that scored, in order."""
        scoring = {plugin.name for plugin, *_ in self.kernels} | {scored.plugin.name for scored in self.scored}
        return [plugin.name for plugin in self.framework.score if plugin.name in scoring]

    def scores(self) -> dict[str, Any]:
        """Plugin -> final (normalized and weighted) scores, int64 (row_count,); only feasible rows mean something."""
        count = self.table.row_count
        found: dict[str, Any] = {scored.plugin.name: scored.final_N[:count] for scored in self.scored}
        for plugin, state, _, weight in self.kernels:
            found[plugin.name] = plugin.score(state, None) * weight
        return {name: found[name] for name in self.score_plugins()}

    def check(self) -> None:
        """Compare with a state built anew. Raises AssertionError. O(N) and more."""
        self.refresh()
        self.ranking.check()
        fresh = SignatureState(self.framework, self.pod, self.closed)
        mine, anew = (np.empty(self.table.row_count, np.int64) for _ in range(2))
        self.ranking.read(mine)
        fresh.ranking.read(anew)
        for row in np.flatnonzero(mine != anew):
            raise AssertionError(f"{self.table.names[row]} has total {mine[row]}, built anew {anew[row]}, for {self.pod}")
        assert ((fresh.diagnosis().filter_N == -1) == (anew >= 0)).all()
