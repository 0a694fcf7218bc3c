"""Calls that wait for answers, without a loop: their ends, and that nothing is left of them."""

import gc
import weakref
from typing import Any

from kubesim.etcd.api.calls import Answer, start


class Caller:
    """Who has started a call and is told its end."""

    def __init__(self, answer: Answer) -> None:
        self.ends: list[tuple[Any, Any]] = []
        self.running = start(self.call(answer), self.done)

    @staticmethod
    async def call(answer: Answer) -> int:
        return await answer + 1

    def done(self, value: Any, error: Exception | None) -> None:
        self.ends.append((value, error))


def test_an_end_is_told_once() -> None:
    answer, broken = Answer(), Answer()
    well, ill = Caller(answer), Caller(broken)
    assert well.ends == ill.ends == []
    answer.give(41)
    answer.give(1)
    broken.give(None, error := ValueError())
    assert (well.ends, ill.ends) == ([(42, None)], [(None, error)])
    assert well.running.is_over and ill.running.is_over


def test_a_call_that_is_cancelled_tells_nobody() -> None:
    answer = Answer()
    caller = Caller(answer)
    caller.running.cancel()
    answer.give(1)
    assert caller.ends == [] and caller.running.is_over


def test_a_call_that_is_over_is_no_work_for_the_collector() -> None:
    """A server has thousands of them a second: cycles would stop it for a tenth of a second now and then."""
    gc.disable()
    try:
        for ends in (lambda caller, answer: answer.give(1), lambda caller, answer: caller.running.cancel()):
            answer = Answer()
            caller = Caller(answer)
            ends(caller, answer)
            held = weakref.ref(caller)
            del caller, answer
            assert held() is None
    finally:
        gc.enable()
