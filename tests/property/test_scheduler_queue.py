"""The scheduling queue against a plain model: every Pod a record with a place, every question answered by looking at all of them."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kubesim.kernel.time import MINUTE, SECOND
from kubesim.scheduler import SchedulerConfig
from kubesim.scheduler.contract import NODE_ADD, NODE_LABEL, POD_LABEL, ClusterEvent
from kubesim.scheduler.pod_facts import FactsMemo
from kubesim.scheduler.queue import SchedulingQueue
from tests.scheduler.builders import pod

EVENTS = (NODE_ADD, NODE_LABEL)
HINTS = {
    "default-scheduler": {
        NODE_ADD: [("A", lambda info, old, new: True)],
        NODE_LABEL: [("A", lambda info, old, new: False), ("B", lambda info, old, new: info.facts.priority > 0)],
        POD_LABEL: [("B", lambda info, old, new: True)],
    }
}


@dataclass
class Record:
    """One Pod of the model."""

    uid: str
    priority: int
    time_ns: int
    gated: bool
    place: str = "active"
    plugins: tuple[str, ...] = ()
    failures: int = 0
    errors: int = 0
    happened: list[ClusterEvent] = field(default_factory=list)  # while in flight

    def wakes(self, event: ClusterEvent) -> bool:
        if event == POD_LABEL:
            return "B" in self.plugins
        return "A" in self.plugins if event == NODE_ADD else "B" in self.plugins and self.priority > 0

    @property
    def backoff_end_ns(self) -> int:
        seconds = min(10, 2 ** ((self.errors or self.failures) - 1))
        return (self.time_ns + seconds * SECOND) // SECOND * SECOND

    @property
    def flush_ns(self) -> int:
        return ((self.time_ns + 5 * MINUTE) // (30 * SECOND) + 1) * 30 * SECOND

    @property
    def order(self) -> tuple[int, int]:
        return -self.priority, self.time_ns


class Queue(RuleBasedStateMachine):
    """Time moves by at least 1 ns in every step, so that no two times are equal."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.memo = FactsMemo()
        self.queue = SchedulingQueue(SchedulerConfig(), self.gate, HINTS)
        self.records: dict[str, Record] = {}
        self.objects: dict[str, Any] = {}
        self.flying: dict[str, Any] = {}

    def gate(self, info: Any) -> tuple[str, str] | None:
        return ("SchedulingGates", "waiting") if info.facts.gates else None

    def tick(self, duration_ns: int = 1) -> int:
        """Let time pass, and let both sides move what has waited long enough."""
        self.now_ns += duration_ns
        self.queue.flush(self.now_ns)
        for record in self.records.values():
            if record.place in ("backoff", "error-backoff") and record.backoff_end_ns <= self.now_ns:
                record.place = "active"
        for record in self.records.values():
            if record.place == "waiting" and record.flush_ns <= self.now_ns:
                self.requeue(record)
        return self.now_ns

    def requeue(self, record: Record) -> None:
        record.place = "backoff" if record.backoff_end_ns > self.now_ns else "active"

    @rule(priority=st.sampled_from([0, 0, 5]), gated=st.sampled_from([False, False, False, True]))
    def add(self, priority: int, gated: bool) -> None:
        now_ns = self.tick()
        uid = f"u{now_ns}"
        more = {"schedulingGates": [{"name": "g"}]} if gated else {}
        obj = self.objects[uid] = pod(uid, priority=priority, **more)
        obj["metadata"]["uid"] = uid
        self.queue.add(self.memo.info(obj), now_ns)
        self.records[uid] = Record(uid, priority, now_ns, gated, "gated" if gated else "active")

    @rule()
    def pop(self) -> None:
        now_ns = self.tick()
        active = [record for record in self.records.values() if record.place == "active"]
        early = [record for record in self.records.values() if record.place == "backoff"]
        expected = min(active, key=lambda r: r.order, default=None) or min(early, key=lambda r: (r.backoff_end_ns, *r.order), default=None)
        assert self.queue.has_ready(now_ns) == (expected is not None)
        queued = self.queue.pop(now_ns)
        assert (queued.info.uid if queued else None) == (expected.uid if expected else None)
        if queued and expected:
            expected.place, expected.happened = "in-flight", []
            self.flying[expected.uid] = queued

    @precondition(lambda self: self.flying)
    @rule(choice=st.integers(0, 9), plugins=st.sampled_from([(), ("A",), ("B",), ("A", "B")]))
    def fail(self, choice: int, plugins: tuple[str, ...]) -> None:
        now_ns = self.tick()
        uid = sorted(self.flying)[choice % len(self.flying)]
        self.queue.fail(self.flying.pop(uid), plugins, now_ns)
        record = self.records.get(uid)
        if record is None:  # it was removed during its flight
            return
        record.time_ns, record.plugins = now_ns, plugins
        if not plugins:
            record.errors += 1
            record.place = "error-backoff"
            return
        record.failures += 1
        record.errors = 0
        if any(record.wakes(event) for event in record.happened):
            self.requeue(record)
        else:
            record.place = "waiting"

    @rule(plugins=st.sampled_from([(), ("A",), ("B",)]), during=st.sampled_from(["", "add", "label", "self"]))
    def cycle(self, plugins: tuple[str, ...], during: str) -> None:
        """A whole flight of the next Pod, with something happening in it."""
        known = set(self.flying)
        self.pop()
        uid = next((uid for uid in self.flying if uid not in known), "")
        if not uid:
            return
        if during == "self" and uid in self.records:
            self.update(sorted(self.records).index(uid), True, False)
        elif during:
            self.happen(NODE_ADD if during == "add" else NODE_LABEL)
        self.fail(sorted(self.flying).index(uid), plugins)

    @precondition(lambda self: self.flying)
    @rule(choice=st.integers(0, 9))
    def bind(self, choice: int) -> None:
        uid = sorted(self.flying)[choice % len(self.flying)]
        self.flying.pop(uid)
        self.queue.done(uid)
        self.records.pop(uid, None)

    @rule(event=st.sampled_from(EVENTS))
    def happen(self, event: ClusterEvent) -> None:
        now_ns = self.tick()
        woken = [record for record in self.records.values() if record.place == "waiting" and record.wakes(event)]
        assert self.queue.event(event, None, {}, now_ns) == len(woken)
        for record in woken:
            self.requeue(record)
        for record in self.records.values():
            if record.place == "in-flight":
                record.happened.append(event)

    @precondition(lambda self: self.records)
    @rule(choice=st.integers(0, 9), relabelled=st.booleans(), opened=st.booleans())
    def update(self, choice: int, relabelled: bool, opened: bool) -> None:
        now_ns = self.tick()
        record = self.records[sorted(self.records)[choice % len(self.records)]]
        old = self.objects[record.uid]
        spec = {name: value for name, value in old["spec"].items() if not (opened and name == "schedulingGates")}
        new = self.objects[record.uid] = {**old, "spec": spec}
        self.queue.update(self.memo.info(new), [POD_LABEL] if relabelled else [], old, now_ns)
        if record.place == "gated" and (opened or not record.gated):
            record.place = "active"
        record.gated = record.gated and not opened
        if relabelled and record.place == "waiting" and record.wakes(POD_LABEL):
            self.requeue(record)
        elif relabelled and record.place == "in-flight":
            record.happened.append(POD_LABEL)

    @precondition(lambda self: self.records)
    @rule(choice=st.integers(0, 9))
    def remove(self, choice: int) -> None:
        uid = sorted(self.records)[choice % len(self.records)]
        del self.records[uid]
        self.queue.remove(uid)

    @rule(duration_ns=st.sampled_from([SECOND // 2, SECOND, 3 * SECOND, 31 * SECOND, 5 * MINUTE]))
    def wait(self, duration_ns: int) -> None:
        self.tick(duration_ns)

    @invariant()
    def the_places_are_the_same(self) -> None:
        self.queue.check()
        assert {queued.info.uid: queued.place for queued in self.queue} == {r.uid: r.place for r in self.records.values()}

    @invariant()
    def the_next_deadline_is_the_same(self) -> None:
        deadlines = [r.backoff_end_ns for r in self.records.values() if r.place in ("backoff", "error-backoff")]
        deadlines += [r.flush_ns for r in self.records.values() if r.place == "waiting"]
        assert self.queue.next_deadline_ns() == min(deadlines, default=None)


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
