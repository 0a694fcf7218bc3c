"""A watch whose events can be dropped, held back, or answered by its end: what ``faults.py`` decides, done to a stream."""

from collections.abc import Callable

from kubesim.apiserver.requests import WatchEvent
from kubesim.apiserver.watch_cache import Watch
from kubesim.kernel.loop import Kernel
from kubesim.server.apiserver.faults import CUT_WATCH, DELAY_EVENT, DROP_EVENT, WatchFaults, too_old


class Cut(Exception):
    """The stream ends here, without a word."""


class FaultyWatch:
    """Stands in front of a watch. What is held back keeps its place: nothing overtakes it."""

    def __init__(self, watch: Watch, faults: WatchFaults, kernel: Kernel, on_ready: Callable[[], object]) -> None:
        self._watch = watch
        self._faults = faults
        self._kernel = kernel
        self._on_ready = on_ready
        self._held: list[WatchEvent] = []
        self._end: Exception | None = None
        self.is_held = False

    def take(self) -> list[WatchEvent]:
        """The events that get through. Raises ApiError 410 and Cut when a fault ends the watch, once all before it are taken."""
        if self._end is not None:
            raise self._end
        events = self._watch.take()
        if self.is_held:
            self._held += events
            return []
        passed, events, self._held = self._held[:1], self._held + events, []  # the first was held back, and has had its fault
        for position in range(len(passed), len(events)):
            event = events[position]
            fault = self._faults.on_event(event.obj["metadata"])
            if fault is None:
                passed.append(event)
            elif fault.kind == DELAY_EVENT:
                self.is_held = True
                self._held = events[position:]
                self._kernel.after(fault.delay_ns, self._release)
                break
            elif fault.kind != DROP_EVENT:
                self._end = Cut() if fault.kind == CUT_WATCH else too_old()
                self._on_ready()
                break
        return passed

    def _release(self) -> None:
        self.is_held = False
        self._on_ready()

    def cancel(self) -> None:
        """Watch no longer."""
        self._watch.cancel()
