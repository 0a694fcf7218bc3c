"""The work queue against a plain model: a list of waiting keys, a set of keys at work, a set of keys that came meanwhile."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kubesim.client.workqueue import RETRY_NS_MAX, RETRY_NS_MIN, WorkQueue
from kubesim.kernel import Kernel

KEYS = st.sampled_from("abcd")


class QueueMachine(RuleBasedStateMachine):
    """Every operation on the queue and on the model, then both must agree."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = Kernel()
        self.queue = WorkQueue(self.kernel)
        self.waiting: list[str] = []
        self.working: list[str] = []
        self.again: set[str] = set()
        self.delayed: dict[str, int] = {}
        self.failures: dict[str, int] = {}

    def model_add(self, key: str) -> None:
        if key in self.working:
            self.again.add(key)
        elif key not in self.waiting:
            self.waiting.append(key)

    def model_delay(self, key: str, delay_ns: int) -> None:
        ready_ns = self.kernel.now_ns + delay_ns
        self.delayed[key] = min(ready_ns, self.delayed.get(key, ready_ns))

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self.model_add(key)

    @rule(key=KEYS, delay_ns=st.integers(1, 50_000_000))
    def add_after(self, key: str, delay_ns: int) -> None:
        self.queue.add_after(key, delay_ns)
        self.model_delay(key, delay_ns)

    @rule(key=KEYS)
    def add_rate_limited(self, key: str) -> None:
        self.queue.add_rate_limited(key)
        count = self.failures.get(key, 0)
        self.failures[key] = count + 1
        self.model_delay(key, min(RETRY_NS_MIN * 2**count, RETRY_NS_MAX))

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        self.failures.pop(key, None)

    @precondition(lambda self: self.waiting)
    @rule()
    def get(self) -> None:
        expected = self.waiting.pop(0)
        assert expected == self.queue.get()
        self.working.append(expected)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.working))
        self.working.remove(key)
        self.queue.done(key)
        if key in self.again:
            self.again.remove(key)
            self.waiting.append(key)

    @rule(step_ns=st.integers(0, 30_000_000))
    def time_passes(self, step_ns: int) -> None:
        until_ns = self.kernel.now_ns + step_ns
        # Keys of one instant ripen in the order their delays were set: drive both sides instant by instant.
        while (next_ns := self.kernel.next_time()) >= 0 and next_ns <= until_ns:
            ripe = {key for key, ready_ns in self.delayed.items() if ready_ns <= next_ns}
            before = len(self.queue)
            self.kernel.run_due(next_ns)
            for key in ripe:
                del self.delayed[key]
            new = list(self.queue._queue)[before:]
            assert set(new) == {key for key in ripe if key not in self.waiting and key not in self.working}
            self.waiting.extend(new)
            self.again |= {key for key in ripe if key in self.working}
        self.kernel.run_due(until_ns)

    @invariant()
    def agree(self) -> None:
        self.queue.check()
        assert self.waiting == list(self.queue._queue)
        assert len(self.delayed) == self.queue.waiting_count
        assert len(self.working) == self.queue.processing_count
        for key in "abcd":
            assert self.failures.get(key, 0) == self.queue.retries(key)


QueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestQueueMachine = QueueMachine.TestCase
