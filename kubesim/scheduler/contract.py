"""What a scheduler plugin is: any of upstream's extension points, vectorised over the node table, each with a scalar twin.

A plugin is a file ``plugins/<name>.py`` that exports a ``Plugin`` subclass as ``PLUGIN``. It is made once per profile and once per
node table; it keeps nothing about a Pod: what it derives from a Pod it returns from ``pre_filter`` or ``pre_score`` and gets back.
Pods of equal ``signature`` share those states, and with them masks and scores (cycle.py).

Dimension key: N rows of the node table, ``rows`` an int64 array of row numbers (None: every row up to ``table.row_count``), K its
length. A filter answers a reason code per row, int64 (K,), 0 = fits; a score int64 (K,) in upstream's integer arithmetic.
Every vectorised method has its twin for one row beside it (``filter_row``, ``score_row``): the oracle of the tests.

Upstream: pkg/scheduler/framework/interface.go and the guide's sections 1 and 2.
"""

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from kubesim._core.groups import GroupFilter, GroupScore
from kubesim._core.placement import Kernel
from kubesim.apiserver.requests import Request
from kubesim.scheduler.gangs import Gangs
from kubesim.scheduler.objects import Objects
from kubesim.scheduler.waiting_pods import WaitingPods

if TYPE_CHECKING:
    from kubesim.scheduler.domains import Domains
    from kubesim.scheduler.node_table import NodeTable
    from kubesim.scheduler.nominator import Nominator
    from kubesim.scheduler.pod_facts import PodInfo

SCORE_MAX = 100
UNSCHEDULABLE = "Unschedulable"
UNRESOLVABLE = "UnschedulableAndUnresolvable"
ERROR = "Error"  # of Reserve, Permit, PreBind and Bind: something went wrong, nobody said no; the Pod is tried again after back-off


class Scope(Enum):
    """What an answer about a row depends on, beside the Pod: how much is asked again after a change."""

    NODE = "node"  # the row's own Node object only
    ROW = "row"  # the row's Node and the Pods on it
    CLUSTER = "cluster"  # anything: asked again for every row when ``version`` moves


class Normalization(Enum):
    """How the scores of the feasible rows become 0..100."""

    NONE = "none"  # they are already
    BY_MAX = "by-max"  # 100 * s / max, all 0 when max is 0
    REVERSED = "reversed"  # 100 - 100 * s / max, all 100 when max is 0
    CUSTOM = "custom"  # the plugin's own ``normalize``


class Rejection(NamedTuple):
    """Why a row, or a Pod, is rejected: upstream's status without its plugin."""

    code: str  # UNSCHEDULABLE or UNRESOLVABLE; ERROR after the choice
    reasons: tuple[str, ...]

    @property
    def is_resolvable(self) -> bool:
        """Whether removing Pods could help."""
        return self.code == UNSCHEDULABLE


class Skip:
    """A plugin's answer that it has nothing to say about this Pod."""

    def __repr__(self) -> str:
        return "SKIP"


SKIP = Skip()
UNSIGNABLE = object()  # a signature part of a Pod that must not share anything with others


class Prepared(NamedTuple):
    """A passed PreFilter: the plugin's own state, and the names of the only nodes that can do (None: any)."""

    state: Any
    node_names: frozenset[str] | None = None


class Wait(NamedTuple):
    """A Permit's answer: hold the Pod until ``handle.waiting`` is told to let it go, or to reject it; at most so long."""

    timeout_ns: int


class Until(NamedTuple):
    """What a PreBind waits for: asked when it says so and after every change of an object that the scheduler watches."""

    holds: Callable[[], bool]
    timeout_ns: int


# What a PreBind does, one step after the other: a Request is sent and its outcome (an object or an ApiError) sent back in; an Until
# answers whether it held in time. It returns a Rejection, or None when the Pod may be bound.
Steps = Generator[Request | Until, Any, Rejection | None]


class ClusterEvent(NamedTuple):
    """Something that happened to an object and may make a Pod schedulable."""

    resource: str
    action: str


NODE_ADD = ClusterEvent("Node", "Add")
NODE_ALLOCATABLE = ClusterEvent("Node", "UpdateNodeAllocatable")
NODE_LABEL = ClusterEvent("Node", "UpdateNodeLabel")
NODE_TAINT = ClusterEvent("Node", "UpdateNodeTaint")  # spec.unschedulable is upstream's taint too
NODE_CONDITION = ClusterEvent("Node", "UpdateNodeCondition")
ASSIGNED_POD_ADD = ClusterEvent("AssignedPod", "Add")
ASSIGNED_POD_LABEL = ClusterEvent("AssignedPod", "UpdatePodLabel")
ASSIGNED_POD_SCALE_DOWN = ClusterEvent("AssignedPod", "UpdatePodScaleDown")
ASSIGNED_POD_DELETE = ClusterEvent("AssignedPod", "Delete")
POD_ADD = ClusterEvent("Pod", "Add")  # another Pod without a node
POD_LABEL = ClusterEvent("Pod", "UpdatePodLabel")  # of the waiting Pod itself, like those below
POD_SCALE_DOWN = ClusterEvent("Pod", "UpdatePodScaleDown")
POD_GATES_ELIMINATED = ClusterEvent("Pod", "UpdatePodSchedulingGatesEliminated")
POD_TOLERATION = ClusterEvent("Pod", "UpdatePodToleration")
POD_CLAIMS = ClusterEvent("Pod", "UpdatePodGeneratedResourceClaim")

# A claim that comes or is bound, a volume, a class: what a Pod with claims waits for.
STORAGE_EVENTS = tuple(
    ClusterEvent(resource, action)
    for resource in ("persistentvolumeclaims", "persistentvolumes", "storageclasses")
    for action in ("Add", "Update")
)

Object = dict[str, Any]
# (waiting Pod, object before, object after) -> whether the Pod may be schedulable now; before or after is None for add, delete
Hint = Callable[["PodInfo", Any, Any], bool]


def always(_pod: "PodInfo", _old: Any, _new: Any) -> bool:
    """The hint of an event that may always help."""
    return True


@dataclass(frozen=True, slots=True)
class Handle:
    """What a plugin may look at beside the Pod."""

    table: "NodeTable"
    objects: Objects = field(default_factory=Objects)
    nominated: "Nominator | None" = None
    tries_all_nodes: bool = True  # preemption looks at every node that it may help, not at a tenth of them
    below: Callable[[int], int] | None = None  # draws among n: where preemption begins to look
    gangs: Gangs = field(default_factory=Gangs)
    extenders: list[Any] = field(default_factory=list)  # every framework's, as plugins (extender.py)
    waiting: WaitingPods = field(default_factory=WaitingPods)  # the Pods that a Permit holds back


class Plugin:
    """A plugin that says nothing; subclasses override the extension points that they have.

    ``extends`` names them (upstream's: "preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "preScore", "score",
    "reserve", "permit", "preBind", "bind", "postBind"); what is not named there is never called.
    """

    name: ClassVar[str] = ""
    weight: ClassVar[int] = 1  # of a user's own plugin, where no configuration gives it one
    extends: ClassVar[frozenset[str]] = frozenset()
    filter_scope: ClassVar[Scope] = Scope.NODE
    score_scope: ClassVar[Scope] = Scope.NODE
    normalization: ClassVar[Normalization] = Normalization.NONE
    needs_pre_filter: ClassVar[bool] = False  # its PostFilter fails when its PreFilter did not run
    reads_other_nodes: ClassVar[bool] = False  # a changed node may change a CLUSTER score of other nodes
    score_reads_feasible: ClassVar[bool] = False  # pre_score looks at the feasible rows (CLUSTER scope only)
    score_reads_pods: ClassVar[bool] = True  # a CLUSTER score's version may move without the table's ``node_epoch``
    post_filter_is_shared: ClassVar[bool] = False  # Pods of one kind get one answer, as long as nothing changes

    def __init__(self, arguments: Mapping[str, Any], handle: Handle) -> None:
        self.arguments = arguments
        self.table = handle.table
        self.objects = handle.objects
        self.handle = handle

    def signature(self, pod: "PodInfo") -> Hashable:
        """What of the Pod this plugin looks at; UNSIGNABLE when it must be asked for each Pod anew."""
        return None

    def version(self, state: Any) -> Hashable:
        """A token that moves whenever a CLUSTER-scoped answer, or a PreFilter's, may have changed."""
        return None

    def skip_version(self, pod: "PodInfo") -> Hashable:
        """A token that moves whenever a CLUSTER-scoped plugin that skipped this Pod may not skip it any more."""
        return None

    def pre_enqueue(self, pod: "PodInfo") -> str | None:
        """The message of a Pod that must not enter the queue yet, or None."""
        return None

    def sort_key(self, pod: "PodInfo", timestamp_ns: int) -> Any:
        """Its place among the Pods to be tried, the smallest first; ``timestamp_ns``: since when the Pod waits."""
        raise NotImplementedError(f"{self.name}: sort_key")

    def pre_filter(self, pod: "PodInfo") -> Prepared | Rejection | Skip:
        """Look at the Pod once; SKIP leaves this plugin's filter out."""
        return Prepared(None)

    def filter(self, state: Any, rows: Any) -> Any:
        """Reason codes (K,), 0 = fits."""
        raise NotImplementedError(f"{self.name}: filter")

    def filter_row(self, state: Any, row: int) -> int:
        """The same for one row, in plain Python."""
        raise NotImplementedError(f"{self.name}: filter_row")

    def row_counts(self, state: Any, row: int) -> Any:
        """What a CLUSTER-scoped filter has to remember of a row before Pods on it are changed for a trial."""
        return None

    def filter_changed(self, state: Any, row: int, before: Any) -> int:
        """The code of a row whose Pods were changed since the state was made; ``before`` is ``row_counts`` of then."""
        return int(self.filter(state, np.array([row], np.int64))[0])

    def filter_kernel(self, state: Any) -> Kernel | None:
        """A compiled filter of one row (ROW scope only), or None."""
        return None

    def group_filters(self, pod: "PodInfo", domains: "Domains") -> Sequence[GroupFilter] | None:
        """The CLUSTER-scoped filter as compiled filters of counts per domain, none when it can never reject; None: it has no such form.

        What they look at must be all that the plugin's ``version`` and ``skip_version`` follow.
        """
        return None

    def rejection(self, state: Any, code: int) -> Rejection:
        """What a code means."""
        raise NotImplementedError(f"{self.name}: rejection")

    def pre_score(self, pod: "PodInfo", feasible_rows: Any) -> Any:
        """The state of a score, or SKIP. Only a CLUSTER-scoped score may look at the feasible rows."""
        return None

    def score(self, state: Any, rows: Any) -> Any:
        """Raw scores int64 (K,)."""
        raise NotImplementedError(f"{self.name}: score")

    def score_row(self, state: Any, row: int) -> int:
        """The same for one row, in plain Python."""
        raise NotImplementedError(f"{self.name}: score_row")

    def score_kernel(self, state: Any) -> Kernel | None:
        """A compiled score of one row (ROW scope without normalization only), or None."""
        return None

    def group_scores(self, pod: "PodInfo", domains: "Domains", weight: int) -> Sequence[GroupScore] | None:
        """The CLUSTER-scoped score, normalized and weighted, as compiled scores of counts per domain; None: it has no such form."""
        return None

    def normalize(self, state: Any, scores: Any) -> Any:
        """Scores 0..100 of the raw scores of the feasible rows (CUSTOM only)."""
        raise NotImplementedError(f"{self.name}: normalize")

    def post_filter(self, pod: "PodInfo", diagnosis: Any, state: Any) -> "PostFilterResult":
        """What to do, or say, about a Pod that fits nowhere; ``state`` is its SignatureState."""
        raise NotImplementedError(f"{self.name}: post_filter")

    def concerns(self, pod: "PodInfo") -> bool:
        """Whether Reserve, Permit and PreBind have anything to do for this Pod; a plain Pod that concerns nobody is bound at once."""
        return True

    def reserve(self, pod: "PodInfo", row: int) -> Rejection | None:
        """Take what the Pod needs beside resources; a rejection undoes the placement."""
        return None

    def unreserve(self, pod: "PodInfo", row: int) -> None:
        """Give it back; must do for a Pod that was never reserved."""

    def permit(self, pod: "PodInfo", row: int) -> Rejection | Wait | None:
        """Say no at the last moment, or hold the Pod back."""
        return None

    def pre_bind(self, pod: "PodInfo", row: int) -> Steps | None:
        """What must be written, and waited for, before the Pod is bound; None when there is nothing."""
        return None

    def bind(self, pod: "PodInfo", row: int) -> Request | None:
        """The request that binds the Pod; None leaves it to the next plugin."""
        return None

    def post_bind(self, pod: "PodInfo", row: int) -> None:
        """The Pod is bound."""

    def events(self) -> Mapping[ClusterEvent, Hint]:
        """The events that may make a Pod schedulable that this plugin rejected, each with its hint."""
        return {}


class PostFilterResult(NamedTuple):
    """A PostFilter's outcome: its words, and the node to be cleared for the Pod ("" = none) of its victims.

    ``clears_nomination``: an earlier nomination of the Pod means nothing any more. ``preemption`` says how the node was found.
    """

    message: str
    node_name: str = ""
    code: str = UNSCHEDULABLE
    clears_nomination: bool = False
    requests: tuple[Request, ...] = ()  # to be sent when the Pod is told
    preemption: Any = None


NO_ROWS: Sequence[int] = ()
