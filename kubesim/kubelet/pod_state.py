"""What the Pod machine knows of one Pod, and the vocabulary it speaks: events in, calls out, both plain tuples.

The first item of a tuple is one of the small integers below; the comment beside it gives the rest. Times are absolute ns.
Invariants: ``phase`` only moves forward and a terminal one stays; ``restarts`` of a container only grows; ``done`` implies that no
container runs; ``syncing`` is set from a SYNC_POD call to its last SYNC event.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.apiserver.requests import Object
from kubesim.kubelet.backoff import Backoff
from kubesim.kubelet.facts import ContainerFacts, ProbeFacts, TemplateFacts

NEVER_NS = 2**62  # later than every time a simulation reaches

# Events.
START = 0  # the node admitted the Pod
REJECT = 1  # reason, message: the node refused it
UPDATE = 2  # object, facts: the API object changed
VOLUMES = 3  # every volume is set up
SYNC = 4  # done, ip or None, results (see StartResult), error: news of a SYNC_POD call
EXIT = 5  # index, attempt, exit code, reason, finished_ns: a container ended
PROBE = 6  # index, attempt, kind, success, message, until_ns or None: a probe's answer, and how long it stays the same (None: for ever)
READY = 7  # index, attempt: a container without a readiness probe has become ready
WAKE = 8  # a TIMER has come
GONE = 9  # the API object does not exist any more
REBOOT = 10  # the node came back: no container and no sandbox has survived
KILL = 11  # reason, message, grace_ns, disruption: the Pod must end (eviction); ``disruption``: the message of its DisruptionTarget, or ""
POKE = 12  # a behaviour changed: probes that slept must look again
RETRY = 13  # index, time_ns: what a container was waiting for is there; try again at that time

# Calls.
MOUNT = 0  # set up the volumes
SYNC_POD = 1  # needs_sandbox, indexes: make the sandbox, then start these containers in order
STOP = 2  # index, attempt, grace_ns: pre-stop hook, TERM, KILL
TIMER = 3  # time_ns, is_standing: send WAKE then; nobody should wait for a standing one
ASK_PROBE = 4  # index, attempt, kind, time_ns: probe then
BECOME_READY = 5  # index, attempt, time_ns: send READY then
RECORD = 6  # type, reason, message, index or None: an event about the Pod or one container
ABORT_SYNC = 7  # forget the SYNC_POD call under way
TEARDOWN = 8  # no container runs: remove sandbox and volumes, give the resources back
DELETE = 9  # after the next status write, delete the API object with grace 0
FORGET = 10  # the Pod is gone on both sides

# (index, time_ns, container_id, image_id, ready_delay_ns or None for never, error reason, error message, retry_ns)
StartResult = tuple[int, int, str, str, int | None, str, str, int]
Event = tuple[Any, ...]
Call = tuple[Any, ...]

WAITING, RUNNING, EXITED = 0, 1, 2
PENDING, RUN, SUCCEEDED, FAILED = "Pending", "Running", "Succeeded", "Failed"


class Probe:
    """One running probe: ``settled`` is the result that counts (None: none yet), ``last`` and ``count`` the answers in a row."""

    __slots__ = ("asleep", "base_ns", "count", "facts", "last", "settled")

    def __init__(self, facts: ProbeFacts, base_ns: int) -> None:
        self.facts = facts
        self.base_ns = base_ns
        self.last: bool | None = None
        self.count = 0
        self.settled: bool | None = None
        self.asleep = False


class History:
    """What only a container has that failed, ended or waits: most containers never get one."""

    __slots__ = (
        "backoff", "due_ns", "exit_code", "exit_message", "exit_reason", "finished_ns", "flip_ns", "force", "last", "message", "pull",
        "reason", "stopping",
    )  # fmt: skip

    def __init__(self) -> None:
        self.reason = ""  # of the waiting state
        self.message = ""
        self.exit_code = 0
        self.exit_reason = ""
        self.exit_message = ""
        self.finished_ns = 0
        self.last: Object | None = None  # lastState.terminated
        self.backoff: Backoff | None = None
        self.pull: Backoff | None = None
        self.due_ns = 0  # not to be started before
        self.flip_ns = 0  # when the waiting state turns into the back-off that it is
        self.stopping = False
        self.force = False  # to be started again whatever the restart policy says


class Container:
    """One container of a Pod. ``attempt`` counts starts, so that news of an earlier one is recognised."""

    __slots__ = (
        "attempt", "container_id", "facts", "history", "image_id", "probes", "ready", "restarts", "started", "started_ns", "status",
    )  # fmt: skip

    def __init__(self, facts: ContainerFacts) -> None:
        self.facts = facts
        self.status = WAITING
        self.attempt = 0
        self.restarts = 0
        self.started = False
        self.ready = False
        self.started_ns = 0
        self.container_id = ""
        self.image_id = ""
        self.history: History | None = None
        self.probes: list[Probe | None] | None = None

    def past(self) -> History:
        """The history, made when first wanted."""
        if self.history is None:
            self.history = History()
        return self.history


class PodState:
    """One Pod on one node. ``dirty``: the status has changed. ``closing``: every container is to stop; ``done``: none runs, for ever."""

    __slots__ = (
        "close_ns", "closing", "conditions", "containers", "deadline_ns", "deleted", "dirty", "disruption", "done", "facts",
        "final_phase", "generation", "gone", "initialized", "ip", "message", "metadata", "mounted", "phase", "reason", "rejected",
        "report", "sandbox", "sandbox_due_ns", "sandbox_failures", "started", "started_ns", "syncing", "wake_ns",
    )  # fmt: skip

    def __init__(self, pod: Object, facts: TemplateFacts) -> None:
        metadata = pod["metadata"]
        self.facts = facts
        self.metadata: Object = metadata
        self.generation: int = metadata.get("generation", 0)
        self.phase = PENDING
        self.reason = ""
        self.message = ""
        self.ip = ""
        self.started_ns = 0
        self.started = ""  # the same, as the status says it
        self.containers = [Container(each) for each in facts.containers]
        self.conditions: list[Object] | None = None  # the kubelet's own, as last rendered
        self.report: tuple[list[Object], Sequence[Object], Object] | None = None  # all as last rendered, those of others, PodScheduled
        self.initialized = not facts.has_init
        self.mounted = self.sandbox = self.syncing = self.closing = self.done = self.dirty = False
        self.deleted = self.gone = self.rejected = False
        self.sandbox_due_ns = 0
        self.sandbox_failures = 0
        self.wake_ns = 0
        self.close_ns = 0
        self.deadline_ns = NEVER_NS
        self.final_phase = ""
        self.disruption = ""  # the message of the condition DisruptionTarget, when the kubelet ends the Pod

    @property
    def full_name(self) -> str:
        """The Pod as upstream writes it in messages: name_namespace(uid)."""
        return f"{self.metadata['name']}_{self.metadata.get('namespace', '')}({self.metadata.get('uid', '')})"
