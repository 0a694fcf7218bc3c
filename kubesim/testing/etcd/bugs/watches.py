"""Bugs of watches: events that are missed, repeated, too early or too late."""

from typing import Any

from kubesim._core.revision_store import Change, Compacted
from kubesim.etcd.client import EtcdClient, Watch
from kubesim.etcd.streams import Stream, Streams
from kubesim.etcd.watch import Watcher, WatchHub
from kubesim.testing.etcd.bugs.switch import Bug, Patch

REPEATED = 4


def _overtake(original: Any) -> Any:
    def send(self: Streams, stream: Stream) -> None:
        watcher = stream.watcher
        if watcher is not None and not watcher.is_over and watcher.is_behind:
            self._reply(stream, "watched", [], self.member.state.store.revision)
        original(self, stream)

    return send


def _repeat_after_snapshot(original: Any) -> Any:
    def move(self: Streams) -> None:
        for stream in self._streams.values():
            stream.next_revision = max(stream.next_revision - REPEATED, self.member.state.store.compact_revision, 1)
        original(self)

    return move


def _start_now(original: Any) -> Any:
    def watch(self: WatchHub, *arguments: Any, **options: Any) -> Watcher:
        watcher = original(self, *arguments, **options)
        watcher.revision = min(watcher.revision, self.revision)
        return watcher

    return watch


def _skip_compacted(original: Any) -> Any:
    def watch(self: WatchHub, key: bytes, range_end: bytes | None, start_revision: int, *arguments: Any, **options: Any) -> Watcher:
        oldest = self.store.compact_revision
        return original(self, key, range_end, max(start_revision, oldest) if start_revision else 0, *arguments, **options)

    return watch


def _drop_tombstone(original: Any) -> Any:
    def take_log(self: Watcher, hub: WatchHub, limit: int) -> list[Change]:
        oldest = hub.store.compact_revision
        return [change for change in original(self, hub, limit) if not (change.is_delete and change.revision == oldest)]

    return take_log


def _repeat_in_txn(original: Any) -> Any:
    def take(self: Watcher, limit: int = 0) -> list[Change]:
        found = original(self, limit)
        pairs = [position for position in range(1, len(found)) if found[position].revision == found[position - 1].revision]
        return [*found[: pairs[0] + 1], found[pairs[0]], *found[pairs[0] + 1 :]] if pairs else found

    return take


def _cut_revision(original: Any) -> Any:
    def reply(self: Streams, stream: Stream, kind: str, what: Any, more: Any) -> None:
        if kind == "watched" and len(what) > 1 and what[-1].revision == what[-2].revision:
            original(self, stream, kind, what[:-1], more)
            what = what[-1:]
        original(self, stream, kind, what, more)

    return reply


def _reopen_from_now(original: Any) -> Any:
    def reopen(self: EtcdClient, watch: Watch, stream: int) -> None:
        if self._watches.get(stream) is watch:
            watch.next_revision = 0
        original(self, watch, stream)

    return reopen


def _start_at_end(original: Any) -> Any:
    def end(self: Streams, stream: Stream, error: Exception) -> None:
        if isinstance(error, Compacted):
            error = Compacted(1, 0)
        original(self, stream, error)

    return end


WATCH_BUGS = (
    Bug(
        "progress-overtakes-events",
        "etcd-15220",
        "a watch is told how far it is before it is told the events",
        ("W5", "W2", "W7"),
        (Patch(Streams, "_send", _overtake),),
    ),
    Bug(
        "snapshot-repeats-events",
        "etcd-15271",
        "a member that gets a snapshot sends old events again",
        ("W2",),
        (Patch(Streams, "_move", _repeat_after_snapshot),),
    ),
    Bug(
        "future-watch-starts-now",
        "etcd-20221, etcd-19487",
        "a watch of a revision to come is told of earlier ones",
        ("W2", "W5"),
        (Patch(WatchHub, "watch", _start_now),),
    ),
    Bug(
        "slow-watch-skips",
        "etcd-17529",
        "a watch that has missed compacted events goes on behind them",
        ("W7", "W11"),
        (Patch(WatchHub, "watch", _skip_compacted),),
    ),
    Bug(
        "compaction-drops-a-delete",
        "etcd-18089, etcd-19179",
        "a delete at the compacted revision is not told",
        ("W7",),
        (Patch(Watcher, "_take_log", _drop_tombstone),),
    ),
    Bug("events-twice", "etcd-17247", "an event of a transaction is told twice", ("W7", "W3"), (Patch(Watcher, "take", _repeat_in_txn),)),
    Bug(
        "cuts-revisions",
        "rule W4",
        "the events of one revision come in two messages",
        ("W4", "W2", "W7"),
        (Patch(Streams, "_reply", _cut_revision),),
    ),
    Bug(
        "resumes-from-now",
        "rule W6",
        "a watch that goes on at another member begins with what comes next",
        ("W7", "W14", "W5"),
        (Patch(EtcdClient, "_reopen", _reopen_from_now),),
    ),
    Bug(
        "compaction-ends-nothing",
        "rule W11",
        "a watch ends without saying what was compacted",
        ("W11",),
        (Patch(Streams, "_end", _start_at_end),),
    ),
)
