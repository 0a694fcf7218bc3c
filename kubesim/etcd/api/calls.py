"""Calls that wait: coroutines over ``Answer``, stepped by whoever gives the answer. No event loop is needed, and none is in the way.

>>> answer = Answer()
>>> async def call():
...     return await answer + 1
>>> _ = start(call(), print)
>>> answer.give(41)
42 None
"""

from collections.abc import Callable, Coroutine, Generator
from typing import Any

Done = Callable[[Any, Exception | None], object]


class Answer:
    """Something that will be known: ``give`` it once, ``await`` it from one call."""

    __slots__ = ("_error", "_is_given", "_value", "_waiter")

    def __init__(self) -> None:
        self._is_given = False
        self._value: Any = None
        self._error: Exception | None = None
        self._waiter: Callable[[], object] | None = None

    def give(self, value: Any = None, error: Exception | None = None) -> None:
        """Give the value or the error; whoever waits goes on at once. Only the first counts."""
        if self._is_given:
            return
        self._is_given, self._value, self._error = True, value, error
        if self._waiter is not None:
            self._waiter()

    def then(self, waiter: Callable[[], object]) -> None:
        """Call ``waiter`` when it is given."""
        self._waiter = waiter

    def __await__(self) -> Generator["Answer", None, Any]:
        if not self._is_given:
            yield self
        if self._error is not None:
            raise self._error
        return self._value


def _nobody(value: Any, error: Exception | None) -> None:
    """Whom to tell once it is told: a call that is over holds nobody, so that it leaves no cycle for the collector."""


class Running:
    """A call under way."""

    __slots__ = ("_coroutine", "_done")

    def __init__(self, coroutine: Coroutine[Answer, None, Any], done: Done) -> None:
        self._coroutine: Coroutine[Answer, None, Any] | None = coroutine
        self._done = done

    def step(self) -> None:
        """Run to the next answer that is not there yet."""
        coroutine = self._coroutine
        if coroutine is None:
            return
        try:
            coroutine.send(None).then(self.step)
        except StopIteration as stop:
            self._end(stop.value, None)
        except Exception as error:
            self._end(None, error)

    def _end(self, value: Any, error: Exception | None) -> None:
        done, self._done, self._coroutine = self._done, _nobody, None
        done(value, error)

    def cancel(self) -> None:
        """End the call where it waits; nobody is told. What it has proposed may still happen."""
        coroutine, self._coroutine, self._done = self._coroutine, None, _nobody
        if coroutine is not None:
            coroutine.close()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self._coroutine is None


def start(coroutine: Coroutine[Answer, None, Any], done: Done) -> Running:
    """Start a call; ``done(value, None)`` or ``done(None, error)`` is called once, maybe before this returns."""
    running = Running(coroutine, done)
    running.step()
    return running
