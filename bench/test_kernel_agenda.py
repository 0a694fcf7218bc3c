"""The agenda: what one event costs from scheduling to dispatch, with few and many pending."""

import pytest

from kubesim._core.agenda import Agenda
from kubesim.kernel import Kernel, Wakeup


def nothing() -> None:
    """A call that does nothing."""


@pytest.mark.parametrize("pending", [1_000, 100_000])
def test_schedule_and_dispatch(benchmark, scale, pending: int) -> None:
    count = scale(2_000, 400_000)

    def work() -> Agenda:
        agenda = Agenda()
        schedule = agenda.schedule
        for first in range(0, count, pending):
            base_ns = agenda.now_ns
            for number in range(min(pending, count - first)):
                schedule(base_ns + number * 7_919 % pending + 1, 0, nothing, ())
            agenda.run_due(base_ns + pending + 1)
        return agenda

    benchmark.extra_info.update(room="kernel", operation=f"schedule and dispatch, {pending:,} pending", count=count, unit="events")
    agenda = benchmark(work)
    assert (agenda.dispatched_count, agenda.pending_count) == (count, 0)


def test_cancel(benchmark, scale) -> None:
    count = scale(2_000, 200_000)

    def work() -> Agenda:
        agenda = Agenda()
        after, cancel = agenda.after, agenda.cancel
        for number in range(1_000):
            after(10**9 + number, nothing)
        for number in range(count):
            cancel(after(number % 1_000, nothing))
        return agenda

    benchmark.extra_info.update(room="kernel", operation="schedule and cancel", count=count, unit="events")
    agenda = benchmark(work)
    assert (agenda.cancelled_count, agenda.pending_count) == (count, 1_000)


def test_a_chain_of_instants(benchmark, scale) -> None:
    count = scale(2_000, 200_000)

    def work() -> Kernel:
        kernel = Kernel()
        after = kernel.after

        def step() -> None:
            nonlocal left
            left -= 1
            if left:
                after(1_000, step)

        left = count
        after(1_000, step)
        kernel.drain()
        return kernel

    benchmark.extra_info.update(room="kernel", operation="events that schedule the next", count=count, unit="events")
    assert benchmark(work).dispatched_count == count


def test_wakeup(benchmark, scale) -> None:
    count = scale(2_000, 200_000)

    def work() -> int:
        kernel, calls = Kernel(), []
        wakeup = Wakeup(kernel, lambda: calls.append(1))
        for _ in range(count // 10):
            for _ in range(10):
                wakeup.set()
            kernel.drain()
        return len(calls)

    benchmark.extra_info.update(room="kernel", operation="Wakeup.set, one call per ten", count=count, unit="calls")
    assert benchmark(work) == count // 10
