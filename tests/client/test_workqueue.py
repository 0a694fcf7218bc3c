"""The work queue: upstream's rules one by one; the state machine is in tests/property/test_queue_model.py."""

import pytest

from kubesim.client.workqueue import RETRY_NS_MAX, WorkQueue
from kubesim.kernel import MILLISECOND, SECOND, Kernel


def test_keys_come_out_in_the_order_they_went_in_and_once() -> None:
    queue = WorkQueue(Kernel())
    for key in ("b", "a", "b", "c", "a"):
        queue.add(key)
    assert [queue.get() for _ in range(len(queue))] == ["b", "a", "c"]


def test_a_key_added_while_it_is_worked_on_waits_until_that_is_done() -> None:
    queue = WorkQueue(Kernel())
    queue.add("a")
    key = queue.get()
    queue.add("a")
    assert len(queue) == 0, "nobody else may work on it now"
    queue.done(key)
    assert queue.get() == "a"


def test_an_empty_queue_has_nothing_to_give() -> None:
    with pytest.raises(IndexError):
        WorkQueue(Kernel()).get()


@pytest.mark.parametrize(
    ("delays", "at"),
    [((5, 3), 3), ((3, 5), 3), ((4,), 4), ((7, 7), 7), ((0, 9), 0)],
    ids=["earlier wins", "later is ignored", "one", "equal", "none is at once"],
)
def test_of_several_delays_the_earliest_counts(delays: tuple[int, ...], at: int) -> None:
    kernel = Kernel()
    start_ns = kernel.now_ns
    ready: list[int] = []
    queue = WorkQueue(kernel, lambda: ready.append(kernel.now_ns - start_ns))
    for delay in delays:
        queue.add_after("a", delay)
    kernel.run_due(start_ns + 20)
    assert ready[0] == at
    assert [queue.get()] == ["a"]


def test_back_off_doubles_from_5_ms_to_1000_s_and_forget_resets_it() -> None:
    kernel = Kernel()
    queue = WorkQueue(kernel)
    delays = []
    for _ in range(20):
        queue.add_rate_limited("a")
        delays.append(kernel.next_time() - kernel.now_ns)
        kernel.run_due(kernel.next_time())
        queue.done(queue.get())
    assert delays[:4] == [5 * MILLISECOND, 10 * MILLISECOND, 20 * MILLISECOND, 40 * MILLISECOND]
    assert delays[17] == 5 * MILLISECOND << 17 == 655_360 * MILLISECOND
    assert delays[18] == delays[19] == RETRY_NS_MAX == 1000 * SECOND
    assert queue.retries("a") == 20
    queue.forget("a")
    queue.add_rate_limited("a")
    assert kernel.next_time() - kernel.now_ns == 5 * MILLISECOND


def test_on_ready_is_called_when_an_empty_queue_gets_something() -> None:
    calls: list[int] = []
    queue = WorkQueue(Kernel(), lambda: calls.append(1))
    queue.add("a")
    queue.add("b")
    assert len(calls) == 1
    queue.get()
    queue.get()
    queue.add("c")
    assert len(calls) == 2
