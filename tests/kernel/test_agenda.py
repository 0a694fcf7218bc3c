"""The agenda against its twin, and what a twin cannot show: handles, exceptions, memory and the collector of cycles."""

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kubesim._core.agenda import TIME_NS_MAX, Agenda
from tests.kernel.agenda_twin import AgendaTwin

TIMES = st.integers(0, 60)
PRIORITIES = st.sampled_from([-(2**31), -1, 0, 0, 0, 1, 1000, 2**31 - 1])


class Boom(Exception):
    """What a call of the state machine raises."""


class AgendaMachine(RuleBasedStateMachine):
    """Any sequence of schedule, cancel and run, with calls that schedule, cancel and raise themselves."""

    @initialize(start_ns=st.integers(0, 30))
    def start(self, start_ns: int) -> None:
        self.agendas: tuple[Any, Any] = (Agenda(start_ns), AgendaTwin(start_ns))
        self.seen: tuple[list[Any], list[Any]] = ([], [])
        self.handles: list[tuple[int, int]] = []

    def act(self, side: int, number: int, nested: tuple[int, int] | None, raises: bool) -> None:
        self.seen[side].append((number, self.agendas[side].now_ns))
        if nested is not None:
            delay_ns, cancels = nested
            self.agendas[side].schedule(self.agendas[side].now_ns + delay_ns, 0, self.act, (side, -number, None, False))
            if cancels < len(self.handles):
                self.seen[side].append(self.agendas[side].cancel(self.handles[cancels][side]))
        if raises:
            raise Boom

    @rule(time_ns=TIMES, priority=PRIORITIES, nested=st.none() | st.tuples(st.integers(-5, 9), st.integers(0, 40)), raises=st.booleans())
    def schedule(self, time_ns: int, priority: int, nested: tuple[int, int] | None, raises: bool) -> None:
        number = len(self.handles) + 1
        pair = [agenda.schedule(time_ns, priority, self.act, (side, number, nested, raises)) for side, agenda in enumerate(self.agendas)]
        self.handles.append((pair[0], pair[1]))

    @rule(count=st.integers(50, 300), time_ns=TIMES)
    def schedule_many(self, count: int, time_ns: int) -> None:
        for number in range(count):
            self.schedule(time_ns + number % 7, 0, None, False)

    @rule(index=st.integers(0, 1000))
    def cancel(self, index: int) -> None:
        if self.handles:
            first, second = self.handles[index % len(self.handles)]
            assert self.agendas[0].cancel(first) == self.agendas[1].cancel(second)

    @rule(step=st.integers(1, 3))
    def cancel_many(self, step: int) -> None:
        for first, second in self.handles[::step]:
            assert self.agendas[0].cancel(first) == self.agendas[1].cancel(second)

    @rule(time_ns=TIMES, event_max=st.sampled_from([-1, -1, 0, 1, 5]), drains=st.booleans())
    def run(self, time_ns: int, event_max: int, drains: bool) -> None:
        def outcome(agenda: Any) -> int | None:
            try:
                return (agenda.drain if drains else agenda.run_due)(time_ns, event_max)
            except Boom:
                return None

        assert outcome(self.agendas[0]) == outcome(self.agendas[1])

    @invariant()
    def is_as_the_twin(self) -> None:
        if not hasattr(self, "agendas"):
            return
        agenda, twin = self.agendas
        agenda.check()
        assert self.seen[0] == self.seen[1]
        for name in ("now_ns", "pending_count", "standing_count", "dispatched_count", "cancelled_count"):
            assert getattr(agenda, name) == getattr(twin, name)
        assert agenda.quiet == (twin.pending_count == twin.standing_count)
        assert agenda.next_time() == twin.next_time()


TestAgendaMachine = AgendaMachine.TestCase
TestAgendaMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def nothing() -> None:
    """A call that does nothing."""


def test_a_stale_handle_is_refused_also_after_its_slot_is_used_again() -> None:
    agenda = Agenda()
    first = agenda.at(1, nothing)
    assert first > 0
    assert agenda.cancel(first)
    second = agenda.at(1, nothing)
    assert not agenda.cancel(first)
    agenda.run_due(1)
    third = agenda.at(2, nothing)
    assert not agenda.cancel(second)
    assert agenda.pending_count == 1
    assert agenda.cancel(third)
    agenda.check()


@pytest.mark.parametrize("handle", [0, -1, -(2**63), 1, 2, 2**24 + 1, 2**25, 3 * 2**24, 2**62, 2**63 - 1])
def test_a_handle_that_never_was_is_refused(handle: int) -> None:
    agenda = Agenda()
    agenda.at(1, nothing)
    agenda.cancel(agenda.at(1, nothing))
    assert not agenda.cancel(handle)
    assert agenda.pending_count == 1


def test_an_exception_propagates_and_the_rest_stays() -> None:
    agenda, seen = Agenda(), []

    def fail() -> None:
        agenda.at(9, seen.append, "scheduled by the failing call")
        raise Boom

    agenda.at(5, seen.append, "before")
    agenda.at(5, fail)
    agenda.at(5, seen.append, "after")
    with pytest.raises(Boom):
        agenda.run_due(100)
    agenda.check()
    assert (agenda.now_ns, agenda.dispatched_count, agenda.pending_count) == (5, 2, 2)
    assert agenda.run_due(100) == 2
    assert seen == ["before", "after", "scheduled by the failing call"]


def test_stop_returns_after_the_present_call_and_keeps_the_clock_there() -> None:
    agenda, seen = Agenda(), []
    agenda.at(1, agenda.stop)
    agenda.at(1, seen.append, 1)
    assert agenda.run_due(5) == 1
    assert (agenda.now_ns, seen) == (1, [])
    assert agenda.run_due(5) == 0
    assert agenda.stopped()
    assert not agenda.stopped()
    assert agenda.run_due(5) == 1
    assert (agenda.now_ns, seen) == (5, [1])


def test_a_call_may_not_run_the_agenda() -> None:
    agenda = Agenda()
    agenda.at(1, agenda.run_due, 5)
    with pytest.raises(RuntimeError, match="a call may not run it again"):
        agenda.run_due(1)
    assert not agenda.is_running
    agenda.check()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda agenda: agenda.at(1, "text"), TypeError, "expected something to call, got 'text'"),
        (lambda agenda: agenda.at(1.5, nothing), TypeError, None),
        (lambda agenda: agenda.at(2**63, nothing), OverflowError, None),
        (lambda agenda: agenda.at(1, nothing, priority=2**31), OverflowError, None),
        (lambda agenda: agenda.after(TIME_NS_MAX, nothing), OverflowError, "expected at most"),
        (lambda agenda: agenda.schedule(1, 0, nothing, None), TypeError, None),
        (lambda agenda: agenda.schedule(1, 0, nothing, [1]), TypeError, None),
        (lambda agenda: Agenda(-1), ValueError, "start_ns is -1"),
    ],
)
def test_bad_input_changes_nothing(call: Callable[[Agenda], object], error: type[Exception], message: str | None) -> None:
    agenda = Agenda(10)
    with pytest.raises(error, match=message):
        call(agenda)
    agenda.check()
    assert agenda.pending_count == 0


def test_the_end_of_time_can_be_scheduled() -> None:
    agenda = Agenda(10)
    agenda.after(TIME_NS_MAX - 10, nothing)
    assert agenda.next_time() == TIME_NS_MAX
    assert agenda.drain() == 1
    assert agenda.now_ns == TIME_NS_MAX


def test_cycles_through_calls_are_collected() -> None:
    class Component:
        def __init__(self) -> None:
            self.agenda = Agenda()
            self.agenda.at(1, self.work, self)
            self.agenda.cancel(self.agenda.at(2, self.work, self))

        def work(self, other: object) -> None: ...

    references = [weakref.ref(Component()) for _ in range(10)]
    gc.collect()
    assert [reference() for reference in references] == [None] * 10


def test_references_are_dropped_at_once() -> None:
    class Thing:
        """Something that can be referenced weakly."""

    agenda, things = Agenda(), [Thing(), Thing(), Thing()]
    references = [weakref.ref(thing) for thing in things]
    handles = [agenda.at(number, nothing_with, thing) for number, thing in enumerate(things)]
    things.clear()
    agenda.cancel(handles[1])
    assert [reference() is not None for reference in references] == [True, False, True]
    agenda.run_due(0)
    assert [reference() is not None for reference in references] == [False, False, True]
    del agenda
    gc.collect()
    assert references[2]() is None


def nothing_with(thing: object) -> None:
    """A call with an argument that does nothing."""


def test_a_finaliser_may_use_the_agenda() -> None:
    agenda = Agenda()

    class Last:
        def __del__(self) -> None:
            agenda.at(3, nothing)

    handles = [agenda.at(1, nothing_with, Last()) for _ in range(100)]
    for handle in handles[::2]:
        agenda.cancel(handle)
    agenda.check()
    agenda.run_due(1)
    agenda.check()
    assert agenda.pending_count == 100


def test_memory_is_bounded_by_the_pending_events() -> None:
    agenda = Agenda()
    for number in range(10):
        agenda.at(TIME_NS_MAX, nothing, number)
    for number in range(20_000):
        agenda.cancel(agenda.after(1_000_000 + number, nothing, number))
    agenda.check()  # at most twice the pending events and 64 are in the heap
    assert agenda.cancelled_count == 20_000
    entries = gc.get_referents(agenda)
    assert max(sys.getsizeof(part) for part in entries if isinstance(part, list)) < 4096


def test_shuffled_ties_are_a_permutation_with_working_handles() -> None:
    def order(seed: int) -> list[int]:
        agenda, seen = Agenda(0, seed), []
        handles = [agenda.at(1, seen.append, number) for number in range(500)]
        for handle in handles[100:450]:
            assert agenda.cancel(handle)
        agenda.check()
        agenda.drain()
        return seen

    kept = [*range(100), *range(450, 500)]
    assert order(0) == kept
    assert sorted(order(1)) == kept
    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(5)}) == 5
