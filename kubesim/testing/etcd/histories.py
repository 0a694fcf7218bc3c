"""Clients that remember: what each request was asked, when, and what came back; and what each watch was told.

``LinearRecorder.check`` gives the checker one register per key (K1). An operation that was not answered may take effect at any later time;
the reference tells whether it did, because every write has a value of its own, so only those that did remain (etcd reads its members' logs
for that). Reads that asked for a serializable answer must be some real past state (K11). ``check_watch`` holds a watch to the reference's
history: in order, complete, once, whole revisions, with the right previous value (W1 to W9).
"""

from collections.abc import Sequence
from typing import Any

from kubesim._core.revision_store import Change, Compacted
from kubesim.etcd.client import EtcdClient, Watch
from kubesim.etcd.errors import status_of
from kubesim.testing.etcd.raft_rules import require
from kubesim.testing.etcd.reference import Reference, plain
from kubesim.testing.linearizability import REFUSED, Model, Operation, check

UNANSWERED = "unanswered"
SLICES_MAX = 10  # of work for one key: a history that takes longer decides nothing
ABSENT = (0, None)


def _step(state: tuple[int, Any], input_: tuple[Any, ...], output: Any) -> Any:
    """One key: ``state`` is (mod revision, value), revision 0 when it is absent."""
    kind = input_[0]
    if kind == "get":
        return state if output == state else REFUSED
    if kind == "put":
        return (output, input_[2])
    if kind == "put_if":
        if output:
            return (output, input_[2]) if state[0] == input_[3] else REFUSED
        return state if state[0] != input_[3] else REFUSED
    if output == UNANSWERED:
        return ABSENT if state[0] and state[0] == input_[2] else state
    if output:
        return ABSENT if state[0] == input_[2] else REFUSED
    return state if not state[0] or state[0] != input_[2] else REFUSED


def _by_key(operations: Sequence[Operation]) -> list[list[Operation]]:
    parts: dict[bytes, list[Operation]] = {}
    for operation in operations:
        parts.setdefault(operation.input[1], []).append(operation)
    return list(parts.values())


ETCD_KEY = Model(ABSENT, _step, _by_key)
"""One key of etcd: ("get", key) -> (mod revision, value); ("put", key, value), ("put_if", key, value, mod revision),
("delete_if", key, mod revision) -> the new revision, 0 when the mod revision was another."""


class Recorded:
    """One operation: ``output`` is None until there is an answer; ``is_void`` when it certainly never took effect."""

    __slots__ = ("call", "client", "error", "input", "is_serializable", "output", "return_")

    def __init__(self, client: int, input_: tuple[Any, ...], call: int, is_serializable: bool) -> None:
        self.client = client
        self.input = input_
        self.call = call
        self.return_: int | None = None
        self.output: Any = None
        self.error: Exception | None = None
        self.is_serializable = is_serializable


class LinearRecorder:
    """All operations of all clients on keys without leases, in one order of calls and returns."""

    def __init__(self) -> None:
        self.operations: list[Recorded] = []
        self._clock = 0
        self._value = 0

    def new_value(self) -> int:
        """Return a value that no other write has."""
        self._value += 1
        return self._value

    def submit(self, number: int, client: EtcdClient, request: tuple[Any, ...], serializable: bool = False) -> Recorded:
        """Send a request of one key and record it."""
        self._clock += 1
        recorded = Recorded(number, request, self._clock, serializable)
        self.operations.append(recorded)

        def done(answer: Any, error: Exception | None) -> None:
            self._clock += 1
            recorded.return_, recorded.error = self._clock, error
            if error is None:
                recorded.output = _output(request, answer)

        client.submit(request, done, serializable)
        return recorded

    def history(self, reference: Reference) -> list[Operation]:
        """Return what the checker is given; what certainly never took effect is left out."""
        revision_of = {(change.key, change.value): change.revision for change in reference.changes if not change.is_delete}
        found = []
        for recorded in self.operations:
            kind = recorded.input[0]
            if recorded.is_serializable:
                continue
            if recorded.output is not None:
                found.append(Operation(recorded.input, recorded.output, recorded.call, recorded.return_, recorded.client))
            elif kind in ("put", "put_if"):
                revision = revision_of.get(recorded.input[1:3])
                if revision is not None:
                    certain = recorded.error is not None and not getattr(recorded.error, "is_unknown", False)
                    require(not certain, "K12", f"{recorded.input} failed with {recorded.error!r}, and took effect at {revision}")
                    found.append(Operation(recorded.input, revision, recorded.call, None, recorded.client))
            elif kind == "delete_if":
                found.append(Operation(recorded.input, UNANSWERED, recorded.call, None, recorded.client))
        return found

    def check(self, reference: Reference) -> int:
        """Check K1 and K11; return how many operations the checker was given."""
        history = self.history(reference)
        verdict = check(ETCD_KEY, history, SLICES_MAX)
        if not verdict.ok:
            rest = "; ".join(f"{op.input} -> {op.output} [{op.call}, {op.return_}]" for op in verdict.rest[:6])
            require(False, "K1", f"not linearizable: after {[op.input for op in verdict.stuck[-4:]]} nothing fits of {rest}")
        records = {(change.key, change.revision): change.value for change in reference.changes}
        for recorded in self.operations:
            if recorded.is_serializable and recorded.output is not None and recorded.output != ABSENT:
                revision, value = recorded.output
                text = f"a local read of {recorded.input[1]!r} answers {recorded.output}, which never was"
                require(records.get((recorded.input[1], revision)) == value, "K11", text)
        for recorded in self.operations:
            if isinstance(recorded.error, Exception):
                status_of(recorded.error)  # every error is one of etcd's
        return len(history)


def _output(request: tuple[Any, ...], answer: Any) -> Any:
    if request[0] != "get":
        return answer
    return ABSENT if answer is None else (answer.mod_revision, answer.value)


def previous_of(changes: Sequence[Change]) -> dict[tuple[int, int], tuple[Any, ...] | None]:
    """Return (revision, sub) -> what the key was before that change, None when it did not exist."""
    newest: dict[bytes, tuple[Any, ...] | None] = {}
    found = {}
    for change in changes:
        found[change.revision, change.sub] = newest.get(change.key)
        newest[change.key] = None if change.is_delete else plain(change)
    return found


class RecordedWatch:
    """One watch on a client, opened anew where it ends by compaction."""

    def __init__(self, client: EtcdClient, key: bytes, range_end: bytes | None, start_revision: int) -> None:
        self.client = client
        self.key = key
        self.range_end = range_end
        self.start_revision = max(start_revision, 1)
        self.changes: list[Change] = []
        self.revision = self.start_revision - 1  # everything up to it has been told
        self.ended: Exception | None = None
        self.watch: Watch = client.watch(key, range_end, self.start_revision, self._told, self._end)

    def _told(self, changes: Sequence[Change], revision: int) -> None:
        require(revision >= self.revision, "W5", f"a watch at {self.revision} is told of {revision}")
        for change in changes:
            text = f"a watch at {self.revision} is told of {change!r} up to {revision}"
            require(self.revision < change.revision <= revision, "W2", text)
        self.changes += changes
        self.revision = revision

    def _end(self, error: Exception) -> None:
        require(isinstance(error, Compacted), "W12", f"a watch ends with {error!r}")
        assert isinstance(error, Compacted)
        text = f"a watch at {self.revision} ends because {error.compact_revision} is compacted"
        require(error.compact_revision > self.revision + 1, "W11", text)
        self.ended = error

    def check(self, reference: Reference) -> int:
        """Check the events against the history; return how many there were."""
        expected = [change for change in reference.changes if self._covers(change)]
        require(len(self.changes) == len(expected), "W7", f"a watch was told of {self.changes}, expected {expected}")
        before = previous_of(reference.changes)
        for change, wanted in zip(self.changes, expected, strict=True):
            require(plain(change) == plain(wanted), "W7", f"a watch was told of {plain(change)}, expected {plain(wanted)}")
            previous, right = plain(change.previous), before[wanted.revision, wanted.sub]
            rule = "W8" if right is not None else "W9"  # None also: it has been compacted
            require(previous in (None, right), rule, f"{change!r} comes with {previous} before it, expected {right}")
        return len(expected)

    def _covers(self, change: Change) -> bool:
        inside = change.key == self.key if self.range_end is None else self.key <= change.key < self.range_end
        return inside and self.start_revision <= change.revision <= self.revision
