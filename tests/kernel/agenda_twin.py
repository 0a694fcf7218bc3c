"""The plain twin of the agenda: a heapq of tuples, slow and obvious."""

import heapq
from collections.abc import Callable
from typing import Any


class AgendaTwin:
    """What ``kubesim._core.agenda.Agenda`` does, without slots, ties or reuse: the oracle of the tests."""

    def __init__(self, start_ns: int = 0) -> None:
        self.now_ns = start_ns
        self.dispatched_count = 0
        self.cancelled_count = 0
        self._sequence = 0
        self._heap: list[tuple[int, int, int]] = []
        self._calls: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}

    @property
    def pending_count(self) -> int:
        return len(self._calls)

    @property
    def standing_count(self) -> int:
        return sum(priority >= 1000 for _, priority, sequence in self._heap if sequence in self._calls)

    def schedule(self, time_ns: int, priority: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
        self._sequence += 1
        heapq.heappush(self._heap, (max(time_ns, self.now_ns), priority, self._sequence))
        self._calls[self._sequence] = (function, arguments)
        return self._sequence

    def cancel(self, handle: int) -> bool:
        found = self._calls.pop(handle, None) is not None
        self.cancelled_count += found
        return found

    def next_time(self) -> int:
        while self._heap and self._heap[0][2] not in self._calls:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else -1

    def run_due(self, time_ns: int, event_max: int = -1) -> int:
        count = self.drain(time_ns, event_max)
        if not 0 <= self.next_time() <= time_ns:
            self.now_ns = max(self.now_ns, time_ns)
        return count

    def drain(self, time_ns: int = 2**63 - 1, event_max: int = -1) -> int:
        count = 0
        while count != event_max and 0 <= self.next_time() <= time_ns:
            self.now_ns, _, sequence = heapq.heappop(self._heap)
            function, arguments = self._calls.pop(sequence)
            self.dispatched_count += 1
            count += 1
            function(*arguments)
        return count
