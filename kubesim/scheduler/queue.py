"""The scheduling queue: Pods to try now, Pods in back-off, Pods that wait for an event, and gated Pods. Pure: time is an argument.

    add -> active -> pop -> (in flight) -> done | fail
    fail -> waiting (for an event that may help)  -> back-off or active
    fail without a rejecting plugin (an error)    -> error back-off

Active: by priority, highest first, then by the time of entering, then by arrival. Back-off: 1 s * 2^(failures - 1), at most 10 s,
errors counted apart; it ends on whole seconds. When nothing is active the head of the back-off is popped early, but not after
errors. Events that happen while a Pod is in flight are recorded and count when it fails. A Pod that waited for more than five
minutes is tried anyway; that is looked at every 30 s, and only while somebody waits.

Waiting Pods of one template and one set of rejecting plugins form a group, so that an event asks each hint once per group.

Upstream: pkg/scheduler/backend/queue (scheduling_queue.go, active_queue.go, backoff_queue.go).
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kubesim.kernel.time import SECOND
from kubesim.scheduler.contract import ClusterEvent, Hint
from kubesim.scheduler.pod_facts import PodFacts, PodInfo
from kubesim.scheduler.profile import SchedulerConfig

GONE, ACTIVE, BACKOFF, ERROR_BACKOFF = "gone", "active", "backoff", "error-backoff"
WAITING, GATED, IN_FLIGHT = "waiting", "gated", "in-flight"
EVENTS_KEPT = 1024  # recorded events that nobody in flight needs any more are dropped when there are so many

Gate = Callable[[PodInfo], tuple[str, str] | None]
Hints = Mapping[str, Mapping[ClusterEvent, list[tuple[str, Hint]]]]  # scheduler name -> event -> (plugin, hint)
SortKey = Callable[[PodInfo, int], Any]  # (Pod, since when it waits) -> its place among others, the smallest first
Group = tuple[PodFacts, tuple[str, ...]]
Event = tuple[ClusterEvent, Any, Any]
NO_EVENTS: "list[Event]" = []


def by_priority(info: PodInfo, timestamp_ns: int) -> tuple[int, int]:
    """Higher priority first, then who has waited longer: PrioritySort."""
    return -info.facts.priority, timestamp_ns


class QueuedPod:
    """A Pod in the queue, or in flight."""

    __slots__ = ("attempts", "error_count", "failure_count", "gate", "info", "place", "plugins", "ticket", "timestamp_ns")

    def __init__(self, info: PodInfo, now_ns: int) -> None:
        self.info = info
        self.place = GONE
        self.timestamp_ns = now_ns  # when it entered the queue, or failed last
        self.ticket = 0  # of its entry in a heap; an entry with another ticket is stale
        self.attempts = 0
        self.failure_count = 0  # unschedulable so often
        self.error_count = 0  # errors in a row
        self.plugins: tuple[str, ...] = ()  # who rejected it last
        self.gate: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"<QueuedPod {self.info.key} {self.place}>"


class SchedulingQueue:
    """See the module. ``start_ns`` is the time that the 30 s checks count from. Operations are O(log n) unless said otherwise."""

    def __init__(self, config: SchedulerConfig, gate: Gate, hints: Hints, start_ns: int = 0, sort_key: SortKey | None = None) -> None:
        self._config = config
        self._gate = gate
        self._sort_key = sort_key or by_priority
        self._hints = hints
        self._events_of_interest = {event for events in hints.values() for event in events}  # for membership only
        self._start_ns = start_ns
        self._ticket = 0
        self._pods: dict[str, QueuedPod] = {}
        # A heap of bursts: (sort key, first ticket, (ticket, Pod) in the order of their tickets). Only the latest burst is added to.
        self._active: list[tuple[Any, int, deque[tuple[int, QueuedPod]]]] = []
        self._latest: tuple[Any, deque[tuple[int, QueuedPod]]] | None = None
        self._backoff: list[tuple[int, Any, int, QueuedPod]] = []
        self._error_backoff: list[tuple[int, Any, int, QueuedPod]] = []
        self._waiting: dict[str, QueuedPod] = {}  # in the order of their timestamps
        self._groups: dict[Group, dict[str, QueuedPod]] = {}
        self._gated: dict[str, dict[str, QueuedPod]] = {}  # by the plugin that keeps them out
        self._in_flight: dict[str, int] = {}  # uid -> position in the recorded events, ascending
        self._events: list[tuple[str, Event]] = []  # (uid, or "" for everybody; event)
        self._events_start = 0

    # ---- in and out ----------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._pods)

    def __iter__(self) -> Iterator[QueuedPod]:
        return iter(self._pods.values())

    def get(self, uid: str) -> QueuedPod | None:
        """The Pod, wherever in the queue or in flight, or None."""
        return self._pods.get(uid)

    def add(self, info: PodInfo, now_ns: int) -> None:
        """A Pod without a node was seen first."""
        queued = self._pods[info.uid] = QueuedPod(info, now_ns)
        self._activate(queued)

    def update(self, info: PodInfo, changes: list[ClusterEvent], old: Any, now_ns: int) -> None:
        """A Pod of the queue was changed; ``changes`` are its own events."""
        queued = self._pods[info.uid]
        before, queued.info = queued.info, info
        place = queued.place
        if place == IN_FLIGHT:
            self._events.extend((info.uid, (event, old, info.obj)) for event in changes)
        elif place == GATED:
            self._activate(queued)
        elif place == WAITING:
            self._leave_group(queued, before)
            if any(self._is_worth(queued, (event, old, info.obj)) for event in changes):
                del self._waiting[info.uid]
                self._requeue(queued, now_ns)
            else:
                self._join_group(queued)
        elif before.facts.priority != info.facts.priority:
            self._push(queued, place)

    def remove(self, uid: str) -> None:
        """The Pod is gone, or bound by somebody else; unknown ones are ignored."""
        queued = self._pods.pop(uid, None)
        if queued is not None:
            if queued.place == WAITING:
                del self._waiting[uid]
                self._leave_group(queued, queued.info)
            elif queued.place == IN_FLIGHT:
                self._land(uid)
            elif queued.gate is not None:
                del self._gated[queued.gate[0]][uid]
            queued.place, queued.ticket = GONE, 0

    def pop(self, now_ns: int) -> QueuedPod | None:
        """The next Pod to try; it is in flight until ``done`` or ``fail``. None when there is none."""
        if self._backoff or self._error_backoff or self._waiting:
            self.flush(now_ns)
        queued = self._first_active()
        if queued is not None:
            self._active[0][2].popleft()
        else:
            queued = self._head(self._backoff)
            if queued is None:
                return None
            heapq.heappop(self._backoff)
        queued.place, queued.ticket = IN_FLIGHT, 0
        queued.attempts += 1
        self._in_flight[queued.info.uid] = self._events_start + len(self._events)
        return queued

    def done(self, uid: str) -> None:
        """The Pod in flight was bound. It leaves the queue."""
        self._land(uid)
        queued = self._pods.pop(uid, None)
        if queued is not None:
            queued.place = GONE

    def fail(self, queued: QueuedPod, plugins: tuple[str, ...], now_ns: int) -> None:
        """The Pod in flight was rejected by ``plugins``; by none of them means an error, which is tried again after back-off."""
        if queued.place != IN_FLIGHT:  # it was removed meanwhile
            return
        events = self._land(queued.info.uid)
        queued.timestamp_ns = now_ns
        queued.plugins = plugins
        if not plugins:
            queued.error_count += 1
            self._push(queued, ERROR_BACKOFF)
            return
        queued.failure_count += 1
        queued.error_count = 0
        if any(self._is_worth(queued, event) for event in events):
            self._requeue(queued, now_ns)
        else:
            self._wait(queued)

    # ---- events --------------------------------------------------------------------------------------------------------------

    def event(self, event: ClusterEvent, old: Any, new: Any, now_ns: int, but: str = "") -> int:
        """Something happened: move the waiting Pods that it may help, ``but`` one (its uid); how many. O(groups + moved Pods)."""
        if event not in self._events_of_interest:
            return 0
        if self._in_flight:
            self._events.append(("", (event, old, new)))
        moved = 0
        happened = (event, old, new)
        for group, pods in list(self._groups.items()) if self._groups else ():
            if self._is_worth(next(iter(pods.values())), happened):
                stays = pods.pop(but, None)
                for queued in pods.values():
                    del self._waiting[queued.info.uid]
                    self._requeue(queued, now_ns)
                moved += len(pods)
                if stays is None:
                    del self._groups[group]
                else:
                    self._groups[group] = {but: stays}
        return moved + self._reconsider(happened)

    def _reconsider(self, happened: Event) -> int:
        """Ask the gates again about the Pods that an event may let in; how many entered. O(Pods of the gates with a hint for it)."""
        entered = 0
        for pods in list(self._gated.values()):
            for queued in [queued for queued in pods.values() if self._is_worth(queued, happened)]:
                self._activate(queued)
                entered += queued.place == ACTIVE
        return entered

    def activate(self, uids: Iterable[str]) -> None:
        """Try these Pods as soon as possible if they wait for an event or for the end of a back-off; others are left alone."""
        for uid in uids:
            queued = self._pods.get(uid)
            if queued is None or queued.place not in (WAITING, BACKOFF, ERROR_BACKOFF):
                continue
            if queued.place == WAITING:
                del self._waiting[uid]
                self._leave_group(queued, queued.info)
            self._activate(queued)

    def flush(self, now_ns: int) -> None:
        """Move what has waited long enough; amortized O(log n) per moved Pod."""
        for heap in (self._backoff, self._error_backoff):
            while heap and (queued := self._head(heap)) is not None and heap[0][0] <= now_ns:
                heapq.heappop(heap)
                self._activate(queued)
        while self._waiting:
            queued = next(iter(self._waiting.values()))
            if self._flush_ns(queued) > now_ns:
                return
            del self._waiting[queued.info.uid]
            self._leave_group(queued, queued.info)
            self._requeue(queued, now_ns)

    @property
    def backs_off(self) -> bool:
        """Whether a Pod waits for the end of its back-off."""
        return any(self._head(heap) is not None for heap in (self._backoff, self._error_backoff))

    def next_deadline_ns(self) -> int | None:
        """When ``flush`` will have something to do, if nothing else happens; None: never."""
        deadlines = [heap[0][0] for heap in (self._backoff, self._error_backoff) if self._head(heap) is not None]
        if self._waiting:
            deadlines.append(self._flush_ns(next(iter(self._waiting.values()))))
        return min(deadlines, default=None)

    def has_ready(self, now_ns: int) -> bool:
        """Whether ``pop`` would give a Pod."""
        self.flush(now_ns)
        return self._first_active() is not None or self._head(self._backoff) is not None

    # ---- places --------------------------------------------------------------------------------------------------------------

    def _activate(self, queued: QueuedPod) -> None:
        """Let the gates decide, then enter the active heap."""
        if queued.gate is not None:
            self._gated[queued.gate[0]].pop(queued.info.uid, None)
        queued.gate = self._gate(queued.info)
        if queued.gate is not None:
            queued.place, queued.ticket = GATED, 0
            queued.plugins = (queued.gate[0],)
            self._gated.setdefault(queued.gate[0], {})[queued.info.uid] = queued
        else:
            self._push(queued, ACTIVE)

    def _requeue(self, queued: QueuedPod, now_ns: int) -> None:
        """To the back-off if it is not over, else to the active heap."""
        if self._backoff_end_ns(queued) > now_ns:
            self._push(queued, BACKOFF)
        else:
            self._activate(queued)

    def _push(self, queued: QueuedPod, place: str) -> None:
        self._ticket += 1
        queued.place, queued.ticket = place, self._ticket
        key = self._sort_key(queued.info, queued.timestamp_ns)
        if place != ACTIVE:
            heap = self._backoff if place == BACKOFF else self._error_backoff
            heapq.heappush(heap, (self._backoff_end_ns(queued), key, self._ticket, queued))
            return
        if self._latest is None or self._latest[0] != key:
            self._latest = (key, deque())
            heapq.heappush(self._active, (key, self._ticket, self._latest[1]))
        self._latest[1].append((self._ticket, queued))

    def _first_active(self) -> QueuedPod | None:
        """The next Pod to try, after dropping stale entries."""
        while self._active:
            entries = self._active[0][2]
            while entries:
                ticket, queued = entries[0]
                if queued.ticket == ticket:
                    return queued
                entries.popleft()
            heapq.heappop(self._active)
            if self._latest is not None and self._latest[1] is entries:
                self._latest = None
        return None

    def _head(self, heap: list[Any]) -> QueuedPod | None:
        """The head of a heap, after dropping stale entries."""
        while heap:
            queued: QueuedPod = heap[0][-1]
            if queued.ticket == heap[0][-2]:
                return queued
            heapq.heappop(heap)
        return None

    def _backoff_end_ns(self, queued: QueuedPod) -> int:
        """initial * 2^(n - 1), at most the maximum, after the last failure; cut to a whole second."""
        count = queued.error_count or queued.failure_count
        if not count:
            return queued.timestamp_ns
        duration_ns = min(self._config.backoff_initial_ns << min(count - 1, 40), self._config.backoff_max_ns)
        return (queued.timestamp_ns + duration_ns) // SECOND * SECOND

    def _flush_ns(self, queued: QueuedPod) -> int:
        """The first check after the Pod has waited for longer than the maximum."""
        period_ns = self._config.unschedulable_flush_ns
        over_ns = queued.timestamp_ns + self._config.unschedulable_max_ns - self._start_ns
        return self._start_ns + (over_ns // period_ns + 1) * period_ns

    def _wait(self, queued: QueuedPod) -> None:
        queued.place, queued.ticket = WAITING, 0
        self._waiting[queued.info.uid] = queued
        self._join_group(queued)

    def _join_group(self, queued: QueuedPod) -> None:
        self._groups.setdefault((queued.info.facts, queued.plugins), {})[queued.info.uid] = queued

    def _leave_group(self, queued: QueuedPod, known_as: PodInfo) -> None:
        group = (known_as.facts, queued.plugins)
        pods = self._groups[group]
        del pods[queued.info.uid]
        if not pods:
            del self._groups[group]

    # ---- in flight -----------------------------------------------------------------------------------------------------------

    def _land(self, uid: str) -> list[Event]:
        """End a flight: the events that happened during it and concern the Pod."""
        position = self._in_flight.pop(uid, None)
        if position is None:
            return []
        if not self._events:
            return NO_EVENTS
        concerns = ("", uid)
        events = [event for about, event in self._events[position - self._events_start :] if about in concerns]
        if not self._in_flight:
            self._events_start += len(self._events)
            self._events = []
        elif len(self._events) > EVENTS_KEPT:
            first = next(iter(self._in_flight.values()))
            del self._events[: first - self._events_start]
            self._events_start = first
        return events

    def _is_worth(self, queued: QueuedPod, event: Event) -> bool:
        """Whether a plugin that rejected the Pod says that the event may help."""
        hints = self._hints.get(queued.info.facts.scheduler_name, {}).get(event[0], ())
        return any(plugin in queued.plugins and hint(queued.info, event[1], event[2]) for plugin, hint in hints)

    def check(self) -> None:
        """Verify that every Pod is in exactly the place it says. Raises AssertionError. O(n)."""
        active = [(key, *entry) for key, _, entries in self._active for entry in entries]
        entries: dict[str, list[Any]] = {ACTIVE: active, BACKOFF: self._backoff, ERROR_BACKOFF: self._error_backoff}
        live = {place: [entry[-1] for entry in heap if entry[-1].ticket == entry[-2]] for place, heap in entries.items()}
        for uid, queued in self._pods.items():
            assert queued.info.uid == uid
            for place, pods in live.items():
                assert (queued.place == place) == (queued in pods), queued
            assert (queued.place == WAITING) == (uid in self._waiting), queued
            assert (queued.place == IN_FLIGHT) == (uid in self._in_flight), queued
            assert (queued.place == GATED) == (queued.gate is not None), queued
        assert all(len(pods) == len(dict.fromkeys(pods)) for pods in live.values())
        assert all(uid in self._pods for uid in self._waiting) and all(uid in self._pods for uid in self._in_flight)
        gated = {uid: queued for pods in self._gated.values() for uid, queued in pods.items()}
        assert gated == {uid: queued for uid, queued in self._pods.items() if queued.place == GATED}
        grouped = {uid: queued for pods in self._groups.values() for uid, queued in pods.items()}
        assert grouped == self._waiting
        times = [queued.timestamp_ns for queued in self._waiting.values()]
        assert times == sorted(times), times
        assert self._events == [] or self._in_flight
