"""HTTP extenders: another process that filters nodes, gives them points, has a word in preemption, or binds; a plugin after all others.

The call itself goes through a door, ``(url, body, timeout in ns) -> answer``: a function in a simulation, HTTP on floor 7
(drive/http_door.py). One that binds does so itself, at the apiserver; preemption asks through extender_preemption.py.

Upstream: pkg/scheduler/extender.go, k8s.io/kube-scheduler/extender/v1.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kubesim.kernel.time import SECOND
from kubesim.scheduler.contract import (
    SKIP,
    UNRESOLVABLE,
    UNSCHEDULABLE,
    UNSIGNABLE,
    Handle,
    Plugin,
    Prepared,
    Rejection,
    Scope,
    Skip,
)
from kubesim.scheduler.pod_facts import PodInfo

Object = dict[str, Any]
Door = Callable[[str, Object, int], Any]  # raises OSError when nobody answers
TIMEOUT_NS = 5 * SECOND
POINTS_SCALE = 10  # an extender gives 0 to 10


@dataclass(frozen=True, slots=True)
class Extender:
    """One entry of ``extenders``."""

    url: str
    filter_verb: str = ""
    prioritize_verb: str = ""
    bind_verb: str = ""
    preempt_verb: str = ""
    weight: int = 1
    timeout_ns: int = TIMEOUT_NS
    knows_nodes: bool = False  # names are enough (nodeCacheCapable)
    is_ignorable: bool = False
    resources: tuple[str, ...] = ()  # only Pods that ask for one of them are its business


class ExtenderPlugin(Plugin):
    """An extender as a plugin of one framework. Its answers hold for one Pod: nothing is shared."""

    extends = frozenset({"preFilter", "filter", "preScore", "score"})
    filter_scope = score_scope = Scope.CLUSTER

    def __init__(self, extender: Extender, door: Door, handle: Handle) -> None:
        super().__init__({}, handle)
        self.extender = extender
        self._door = door
        self._rejections: list[Rejection] = []

    def signature(self, pod: PodInfo) -> Hashable:
        return UNSIGNABLE if self.is_interested(pod) else None

    def is_interested(self, pod: PodInfo) -> bool:
        """Whether the Pod asks for what the extender manages, or it manages everything."""
        wanted = self.extender.resources
        return not wanted or any(name in pod.facts.requests.real for name in wanted)

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        return Prepared(pod.obj) if self.extender.filter_verb and self.is_interested(pod) else SKIP

    def filter(self, state: Object, rows: Any) -> Any:
        """Ask about all these nodes at once."""
        index = self.table.index(rows).tolist()
        named = {self.table.names[row] or "": row for row in index if self.table.nodes[row] is not None}
        try:
            answer = self._call(self.extender.filter_verb, state, named)
            if answer.get("error"):
                raise OSError(answer["error"])
        except OSError as error:
            if self.extender.is_ignorable:
                return np.zeros(len(index), np.int64)
            code = self._code(Rejection(UNRESOLVABLE, (str(error),)))
            return np.full(len(index), code, np.int64)
        passed = answer.get("nodenames")
        if passed is None:
            passed = [node["metadata"]["name"] for node in (answer.get("nodes") or {}).get("items") or ()]
        hopeless, failed = answer.get("failedAndUnresolvableNodes") or {}, answer.get("failedNodes") or {}
        kept = dict.fromkeys(passed)
        codes = np.zeros(len(index), np.int64)
        for place, row in enumerate(index):
            name = self.table.names[row] or ""
            if name in hopeless:
                codes[place] = self._code(Rejection(UNRESOLVABLE, (hopeless[name],)))
            elif name in failed or name not in kept:
                codes[place] = self._code(Rejection(UNSCHEDULABLE, (failed.get(name, "node(s) didn't pass the extender"),)))
        return codes

    def filter_row(self, state: Object, row: int) -> int:
        return int(self.filter(state, np.array([row], np.int64))[0])

    def filter_changed(self, state: Object, row: int, before: Any) -> int:
        """Nobody asks an extender what it would say without these or those Pods."""
        return 0

    def _code(self, rejection: Rejection) -> int:
        if rejection not in self._rejections:
            self._rejections.append(rejection)
        return self._rejections.index(rejection) + 1

    def rejection(self, state: Any, code: int) -> Rejection:
        return self._rejections[code - 1]

    def pre_score(self, pod: PodInfo, feasible_rows: Any) -> Any:
        """The points of the feasible nodes, by name."""
        if not self.extender.prioritize_verb or not self.is_interested(pod):
            return SKIP
        named = {self.table.names[row] or "": row for row in feasible_rows.tolist()}
        try:
            answer = self._call(self.extender.prioritize_verb, pod.obj, named)
        except OSError:
            return SKIP  # upstream goes on without the points
        return {entry["host"]: int(entry["score"]) for entry in answer}

    def score(self, state: Mapping[str, int], rows: Any) -> Any:
        return np.array([self.score_row(state, row) for row in self.table.index(rows).tolist()], np.int64)

    def score_row(self, state: Mapping[str, int], row: int) -> int:
        return POINTS_SCALE * state.get(self.table.names[row] or "", 0)

    def bind_by_itself(self, pod: PodInfo, node_name: str) -> str | None:
        """Let the extender bind the Pod: what went wrong, "" when nothing did; None: it does not bind this one, or need not."""
        if not self.extender.bind_verb or not self.is_interested(pod):
            return None
        body = {"podName": pod.obj["metadata"]["name"], "podNamespace": pod.namespace, "podUID": pod.uid, "node": node_name}
        try:
            return str((self.post(self.extender.bind_verb, body) or {}).get("error") or "")
        except OSError as error:
            return None if self.extender.is_ignorable else str(error)

    def post(self, verb: str, body: Object) -> Any:
        """The answer to a verb. Raises OSError."""
        return self._door(f"{self.extender.url.rstrip('/')}/{verb}", body, self.extender.timeout_ns)

    def _call(self, verb: str, pod: Object, named: Mapping[str, int]) -> Any:
        body: Object = {"pod": pod}
        if self.extender.knows_nodes:
            body["nodenames"] = list(named)
        else:
            body["nodes"] = {"items": [self.table.nodes[row] for row in named.values()]}
        return self.post(verb, body)


def named_plugin(number: int, extender: Extender) -> type[ExtenderPlugin]:
    """A plugin class with a name of its own: weights and reasons are kept by name."""
    return type("NumberedExtender", (ExtenderPlugin,), {"name": f"Extender {number} {extender.url}"})


def nobody(url: str, body: Object, timeout_ns: int) -> Any:
    """The door where none was given."""
    raise OSError(f'Post "{url}": no door leads out of this simulation')
