"""One watch stream: requests in, messages out, in etcd's order and grouping.

A watch that is in step gets one message per revision, one that catches up gets batches of at most 1,000 revisions. When the client does
not read (``is_full``), nothing is taken from the store for it: its watches fall behind and catch up later, and nothing is lost.

Upstream: etcd ``server/etcdserver/api/v3rpc/watch.go``, ``server/storage/mvcc/watchable_store.go``. Differs: a watch catches up at once and
not every 100 ms.
"""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from kubesim._core.revision_store import Change, Compacted
from kubesim.etcd.api.context import Call, Context
from kubesim.etcd.auth import rules
from kubesim.etcd.errors import EtcdError, WatchRangeEmpty, status_of
from kubesim.etcd.watch import Watcher
from kubesim.etcd.wire.codec import Fields, encode
from kubesim.etcd.wire.schema import MESSAGES, varint

REVISIONS_PER_BATCH_MAX = 1000
REFUSED_ID = -1
JITTER_PART = 10  # of the interval of progress notifications
RESPONSE, EVENT = MESSAGES["WatchResponse"], MESSAGES["Event"]
GO_CODES = {3: "InvalidArgument", 7: "PermissionDenied", 16: "Unauthenticated"}  # etcd prints these errors as Go does
DUPLICATE_ID = "mvcc: duplicate watch ID provided on the WatchStream"
COMPACTED = "etcdserver: mvcc: required revision has been compacted"


class Watch:
    """One watch of a stream. ``watcher`` None: compacted, and not cancelled by the client yet."""

    __slots__ = ("fragments", "history", "is_behind", "number", "request", "start_revision", "wants_previous", "wants_progress", "watcher")

    def __init__(self, number: int, request: Fields, watcher: Watcher | None) -> None:
        self.number = number
        self.request = request
        self.watcher = watcher
        self.start_revision = request.get("start_revision", 0)
        self.history: Iterator[list[Change]] | None = None  # batches that are to be sent before anything else
        self.is_behind = False  # it catches up: what it gets comes in batches
        self.wants_previous = request.get("prev_kv", False)
        self.fragments = request.get("fragment", False)
        self.wants_progress: bool | None = True if request.get("progress_notify") else None  # False: it got events since the last tick


class WatchStream:
    """The watches of one stream. ``send(message)`` sends; ``is_full()`` says that the client does not read, then ``resume()`` is called."""

    def __init__(self, context: Context, call: Call, send: Callable[[Fields], object], is_full: Callable[[], bool] = bool) -> None:
        self._context = context
        self._call = call
        self._send = send
        self._is_full = is_full
        self._watches: dict[int, Watch] = {}
        self._next_number = 0
        self._is_open = True
        self._waiting: dict[int, None] = {}  # watches that have something and could not send it
        self._ticker = 0
        context.on_state.append(self._move)

    # -- requests

    def receive(self, message: Fields) -> None:
        """Take a request. One that is none is passed over, as in etcd."""
        if "create_request" in message:
            self._create(message["create_request"])
        elif "cancel_request" in message:
            self._cancel(message["cancel_request"].get("watch_id", 0))
        elif "progress_request" in message:
            self._tell_progress(REFUSED_ID, list(self._watches.values()))

    def close(self) -> None:
        """End all watches."""
        if not self._is_open:
            return
        self._is_open = False
        self._context.on_state.remove(self._move)
        self._context.member.cancel(self._ticker)
        for watch in self._watches.values():
            if watch.watcher is not None:
                watch.watcher.cancel()
        self._watches.clear()

    def _create(self, request: Fields) -> None:
        if not request.get("key"):
            request = {**request, "key": b"\0"}
        if request.get("start_revision", 0) < 0:
            self._refuse(COMPACTED)
            return
        state = self._context.state
        try:
            if state.auth.enabled:
                rules.check_range(state.auth, self._context.caller(self._call), request)
        except EtcdError as error:
            code, text = status_of(error)
            self._refuse(f"rpc error: code = {GO_CODES[code]} desc = {text}")
            return
        try:
            number = self._number_of(request)
            watch = self._start(number, request)
        except EtcdError as error:
            self._refuse(status_of(error)[1])
            return
        except KeyError:
            self._refuse(DUPLICATE_ID)
            return
        self._watches[number] = watch
        self._send({"header": self._header(), "watch_id": number, "created": True})
        if watch.wants_progress and not self._ticker:
            self._begin_ticks()
        if watch.watcher is None:
            self._end_compacted(watch)
        elif watch.is_behind:
            self._deliver(watch)

    def _number_of(self, request: Fields) -> int:
        """Return the watch's number. Raises KeyError for one in use; WatchRangeEmpty comes before that."""
        range_end = request.get("range_end")
        if range_end and range_end != b"\0" and request["key"] >= range_end:
            raise WatchRangeEmpty
        number = request.get("watch_id", 0)
        if number:
            if number in self._watches:
                raise KeyError(number)
            return number
        while self._next_number in self._watches:
            self._next_number += 1
        self._next_number += 1
        return self._next_number - 1

    def _start(self, number: int, request: Fields) -> Watch:
        filters = request.get("filters", ())
        watch = Watch(number, request, None)
        try:
            watch.watcher = self._context.hub.watch(
                request["key"],
                request.get("range_end") or None,
                watch.start_revision,
                lambda: self._deliver(watch),
                puts="NOPUT" not in filters,
                deletes="NODELETE" not in filters,
            )
        except Compacted:
            return watch
        watch.is_behind = 0 < watch.start_revision <= self._context.state.store.revision
        return watch

    def _refuse(self, reason: str) -> None:
        message = {"header": self._header(), "watch_id": REFUSED_ID, "created": True, "canceled": True, "cancel_reason": reason}
        self._send(message)

    def _cancel(self, number: int) -> None:
        watch = self._watches.pop(number, None)
        if watch is None:
            return
        if watch.watcher is not None:
            self._flush(watch)
            watch.watcher.cancel()
        self._waiting.pop(number, None)
        self._send({"header": self._header(), "watch_id": number, "canceled": True})

    def _header(self) -> Fields:
        return self._context.headed({})["header"]

    # -- events

    def _flush(self, watch: Watch) -> None:
        """Send what was written before a cancel came: in etcd the synchronous delivery is before it."""
        if not watch.is_behind and not self._is_full():
            self._deliver(watch)

    def resume(self) -> None:
        """Go on after the client has read."""
        waiting, self._waiting = self._waiting, {}
        for number in waiting:
            watch = self._watches.get(number)
            if watch is not None:
                self._deliver(watch)

    def _deliver(self, watch: Watch) -> None:
        """Send what there is for a watch, as long as the client reads."""
        watcher = watch.watcher
        while self._is_open and watcher is not None and not watcher.is_over:
            if self._is_full():
                self._waiting[watch.number] = None
                watch.is_behind = True
                return
            if watch.history is not None:
                changes = next(watch.history, None)
                if changes is not None:
                    self._send_events(watch, changes, self._context.state.store.revision)
                    continue
                watch.history = None
            try:
                changes = watcher.take()
            except Compacted:
                self._end_compacted(watch)
                return
            if watch.is_behind:
                watch.is_behind = False
                watch.history = batches(changes)
            else:
                for revision, group in groupby(changes, key=lambda change: change.revision):
                    self._send_events(watch, list(group), revision)
                if not watcher.is_behind:
                    return

    def _send_events(self, watch: Watch, changes: list[Change], revision: int) -> None:
        if watch.wants_progress is not None:
            watch.wants_progress = False
        events = [event_of(change, watch.wants_previous) for change in changes]
        message: Fields = {"header": {**self._context.identity(), "revision": revision}, "watch_id": watch.number, "events": events}
        if watch.fragments:
            for part in fragments(message, self._context.settings.message_bytes_max):
                self._send(part)
        else:
            self._send(message)

    def _end_compacted(self, watch: Watch) -> None:
        """Tell that the history is gone. The watch stays in the stream, dead, until the client cancels it."""
        watch.watcher = None
        revision = self._context.state.store.compact_revision
        self._send({"header": self._context.identity(), "watch_id": watch.number, "canceled": True, "compact_revision": revision})

    def _move(self) -> None:
        """Go on in another state: the member got a snapshot. Each watch reads on from where it is."""
        for watch in list(self._watches.values()):
            if watch.watcher is None:
                continue
            start = watch.watcher.revision + 1
            watch.watcher.cancel()
            moved = self._start(watch.number, {**watch.request, "start_revision": start})
            watch.watcher, watch.is_behind = moved.watcher, moved.is_behind
            if moved.watcher is None:
                self._end_compacted(watch)
            else:
                self._deliver(watch)

    # -- progress

    def _tell_progress(self, number: int, watches: list[Watch]) -> bool:
        """Tell how far the stream is, if all these watches are in step and none waits for a revision to come."""
        revision = self._context.state.store.revision
        for watch in watches:
            if watch.watcher is None or watch.start_revision > revision:
                return False
            self._deliver(watch)
            if watch.watcher is None or watch.is_behind or watch.history is not None or watch.watcher.is_behind:
                return False
        if not watches:
            return False
        self._send({"header": {**self._context.identity(), "revision": revision}, "watch_id": number})
        return True

    def _begin_ticks(self) -> None:
        interval_ns = self._context.settings.progress_ns
        interval_ns += self._context.random.below(max(interval_ns // JITTER_PART, 1))
        self._ticker = self._context.member.after_standing(interval_ns, self._tick, interval_ns)

    def _tick(self, interval_ns: int) -> None:
        self._ticker = self._context.member.after_standing(interval_ns, self._tick, interval_ns)
        for watch in list(self._watches.values()):
            if watch.wants_progress and not self._is_full():
                self._tell_progress(watch.number, [watch])
            if watch.wants_progress is not None:
                watch.wants_progress = True


# -- messages -------------------------------------------------------------------------------------------------------------------


def batches(changes: list[Change]) -> Iterator[list[Change]]:
    """Yield the changes in batches of at most 1,000 revisions."""
    batch: list[Change] = []
    revisions = last = 0
    for change in changes:
        if change.revision != last:
            last = change.revision
            revisions += 1
            if revisions > REVISIONS_PER_BATCH_MAX:
                yield batch
                batch, revisions = [], 1
        batch.append(change)
    if batch:
        yield batch


def event_of(change: Change, wants_previous: bool) -> Fields:
    """Return a change as an Event. The key before is left out for a creation, and when compaction has dropped it."""
    event: dict[str, Any] = {"type": "DELETE", "kv": change} if change.is_delete else {"kv": change}
    if wants_previous and (change.is_delete or change.create_revision != change.mod_revision):
        previous = change.previous
        while previous is not None and previous.mod_revision == change.mod_revision:
            previous = previous.previous
        if previous is not None and not previous.is_delete:
            event["prev_kv"] = previous
    return event


def fragments(message: Fields, bytes_max: int) -> Iterator[Fields]:
    """Cut a message between events so that each part is below ``bytes_max``, with one event at least; all but the last say so."""
    events = message["events"]
    sizes = [len(encode(EVENT, event)) for event in events]
    sizes = [1 + len(varint(size)) + size for size in sizes]
    base = len(encode(RESPONSE, {**message, "events": ()}))
    if base + sum(sizes) < bytes_max or len(events) < 2:
        yield message
        return
    base += 2  # the mark of a fragment
    start = 0
    while start < len(events):
        stop, size = start + 1, base + sizes[start]
        while stop < len(events) and size + sizes[stop] < bytes_max:
            size += sizes[stop]
            stop += 1
        part = {**message, "events": events[start:stop]}
        if stop < len(events):
            part["fragment"] = True
        yield part
        start = stop
