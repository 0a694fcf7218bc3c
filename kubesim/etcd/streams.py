"""Watch streams that a member serves to hosts of the network: ordered, and resumable from a revision.

A stream is numbered by its client. Its messages are numbered from 1, so a client that misses one opens the stream anew from the revision
after the last that it has, here or at another member: nothing is lost, repeated or out of order. A batch holds whole revisions.

======================================================  ================================================================
message to the member                                   answer
======================================================  ================================================================
("watch", stream, key, range_end, start_revision)       ("watched", stream, number, changes, revision): all changes up to ``revision``
("unwatch", stream)                                     none
                                                        ("watch_ended", stream, number, compact_revision, error)
======================================================  ================================================================

A stream ends when its start is compacted (``compact_revision``), and with "no leader" when the member has had none for three election
timeouts. Upstream: etcd ``server/etcdserver/api/v3rpc/watch.go``, ``interceptor.go`` (monitorLeader).
"""

from typing import Any

from kubesim._core.revision_store import Compacted
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.member import Member
from kubesim.etcd.raft.messages import NONE
from kubesim.etcd.unavailable import NoLeader
from kubesim.etcd.watch import Watcher, WatchHub

CHANGES_PER_BATCH_MAX = 1_000
NO_LEADER_ELECTIONS = 3


class Stream:
    """One stream: all changes before ``next_revision`` have been sent, in ``number`` messages."""

    __slots__ = ("client", "is_idle", "key", "next_revision", "number", "range_end", "stream", "watcher")

    def __init__(self, client: str, stream: int, key: bytes, range_end: bytes | None, next_revision: int) -> None:
        self.client = client
        self.stream = stream
        self.key = key
        self.range_end = range_end
        self.next_revision = next_revision
        self.number = 0
        self.is_idle = False  # nothing was sent since the last look
        self.watcher: Watcher | None = None


class Streams:
    """The watch streams of one member."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self._streams: dict[tuple[str, int], Stream] = {}
        self._hub: WatchHub | None = None
        self._monitor = self._progress = 0
        self._leaderless_count = 0
        member.on_message["watch"] = self._open
        member.on_message["unwatch"] = self._close
        member.on_state.append(self._move)
        member.on_stop.append(self._stopped)

    def _open(self, client: str, stream: int, key: bytes, range_end: bytes | None, start_revision: int) -> None:
        self._close(client, stream)
        start = start_revision or self.member.state.store.revision + 1
        opened = self._streams[client, stream] = Stream(client, stream, key, range_end, start)
        self._watch(opened)
        member = self.member
        if not self._monitor:
            self._leaderless_count = 0
            self._monitor = member.after_standing(member.settings.election_ns, self._look_at_leader)
        if not self._progress:
            self._progress = member.after_standing(member.settings.progress_ns, self._send_progress)

    def _close(self, client: str, stream: int) -> None:
        closed = self._streams.pop((client, stream), None)
        if closed is not None and closed.watcher is not None:
            closed.watcher.cancel()

    def _watch(self, stream: Stream) -> None:
        if self._hub is None:
            self._hub = WatchHub(self.member.kernel, self.member.state.store)
        epoch = self.member.epoch

        def ready() -> None:
            if epoch == self.member.epoch:
                self.member.enter(self._send, stream)

        try:
            stream.watcher = self._hub.watch(stream.key, stream.range_end, stream.next_revision, ready)
        except (Compacted, EtcdError) as error:
            self._end(stream, error)
            return
        self._reply(stream, "watched", [], stream.next_revision - 1)

    def _send(self, stream: Stream) -> None:
        """Send what there is, in batches; a watcher behind its store is not told again, so go on until it is not."""
        watcher = stream.watcher
        while watcher is not None and not watcher.is_over:
            try:
                changes = watcher.take(CHANGES_PER_BATCH_MAX)
            except Compacted as error:
                self._end(stream, error)
                return
            stream.next_revision = max(stream.next_revision, watcher.revision + 1)
            if changes:
                self._reply(stream, "watched", changes, watcher.revision)
            if not watcher.is_behind:
                return

    def _end(self, stream: Stream, error: Exception) -> None:
        self._close(stream.client, stream.stream)
        self._reply(stream, "watch_ended", error.compact_revision if isinstance(error, Compacted) else 0, error)

    def _reply(self, stream: Stream, kind: str, what: Any, more: Any) -> None:
        stream.number += 1
        stream.is_idle = False
        self.member.send(stream.client, (kind, stream.stream, stream.number, what, more))

    def _move(self) -> None:
        """Go on in another state: the member has started, or got a snapshot. Each stream reads on from where it is."""
        self._hub = None
        for stream in list(self._streams.values()):
            if stream.watcher is not None:
                stream.watcher.cancel()
            self._watch(stream)

    def _look_at_leader(self) -> None:
        member = self.member
        self._monitor = member.after_standing(member.settings.election_ns, self._look_at_leader) if self._streams else 0
        self._leaderless_count = 0 if member.node.raft.lead != NONE else self._leaderless_count + 1
        if self._leaderless_count > NO_LEADER_ELECTIONS:
            for stream in list(self._streams.values()):
                self._end(stream, NoLeader())

    def _send_progress(self) -> None:
        """Tell quiet streams how far they are; it also shows their clients that nothing was lost."""
        member = self.member
        self._progress = member.after_standing(member.settings.progress_ns, self._send_progress) if self._streams else 0
        for stream in list(self._streams.values()):
            watcher = stream.watcher
            if stream.is_idle and watcher is not None and not watcher.is_behind and watcher.revision >= stream.next_revision - 1:
                self._reply(stream, "watched", [], watcher.revision)
            stream.is_idle = True

    def _stopped(self, power_lost: bool) -> None:
        streams, self._streams, self._hub = self._streams, {}, None
        self._monitor = self._progress = 0
        for stream in streams.values():
            if stream.watcher is not None:
                stream.watcher.cancel()
            if not power_lost:
                self.member.send(stream.client, ("reset", stream.stream))
