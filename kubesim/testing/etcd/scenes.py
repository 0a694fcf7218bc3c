"""Scenes: short runs of steps that belong together, drawn into a schedule as a whole.

Steps drawn one by one seldom form what history's bugs needed: a compaction *at* a delete and a watch *from* it, a vote while a disk hangs,
a power cut while the commit index is known to one member only. A scene draws its own targets and keys, and the steps around it are drawn
as ever; so it makes such situations frequent and demands nothing of them. Each is a class of faults of correctness.md (section 2), none
is about one bug.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kubesim.testing.etcd.schedules import Step

if TYPE_CHECKING:
    from kubesim._core.random import Stream

AT_ONCE, SOON, A_MOMENT, A_WHILE, BEAT, ELECTION, LONG = range(7)  # paces: 0, 1 ms, 20 ms, 150 ms, 400 ms, 1 s, 2.5 s
TARGETS = 6
KEYS = 8


def _tombstone(stream: Stream) -> Iterator[Step]:
    """Compaction at, or just around, the newest delete; watches that begin there; members that start from what is left."""
    key, client = stream.below(KEYS), stream.below(TARGETS)
    if stream.below(2):
        yield Step("watch", stream.below(TARGETS), 2 + stream.below(3), SOON)
    yield Step("put", client, key, A_MOMENT)
    yield Step("delete_if", client, key, A_MOMENT)
    yield Step("compact", client, stream.below(2), stream.choice((AT_ONCE, A_MOMENT)))
    if stream.below(2):
        yield Step("read_and_put", stream.below(TARGETS), 1 + stream.below(4), A_MOMENT)
    yield Step("watch", stream.below(TARGETS), 2 + stream.below(2), SOON)
    if stream.below(2):
        yield Step(stream.choice(("kill", "power_off")), stream.below(TARGETS), 0, A_MOMENT)
        yield Step("restart", 0, 0, A_WHILE)


def _leased(stream: Stream) -> Iterator[Step]:
    """A lease with several keys that lives on, ends or is ended while its leader is in trouble."""
    lease = 2 * stream.below(4)
    yield Step("grant", 0, stream.below(KEYS), A_WHILE)
    yield Step("put_leased", 0, lease, SOON)
    yield Step("put_leased", 0, lease + 1, SOON)
    if stream.below(2):
        yield Step(stream.choice(("freeze", "pause", "stall_disk", "isolate", "move_leader")), 0, stream.below(KEYS), ELECTION)
        for _ in range(1 + stream.below(4)):
            yield Step("keep_alive", stream.below(TARGETS), lease, ELECTION)
        yield Step("resume", 0, 0, AT_ONCE)
        yield Step("mend", 0, 0, A_WHILE)


def _minority(stream: Stream) -> Iterator[Step]:
    """A leader that is cut off with some of the others, and asked meanwhile, as are the rest; disks may hang through the election."""
    other = 1 + stream.below(TARGETS - 1)
    if stream.below(2):
        yield Step("stall_disk", other, 4 + stream.below(4), AT_ONCE)
    yield Step(stream.choice(("minority", "minority", "isolate", "freeze")), other if stream.below(3) else 0, 0, AT_ONCE)
    asked = stream.choice(("put_everywhere", "get_everywhere"))
    yield Step(asked, 0, stream.below(3), stream.choice((A_WHILE, LONG)))
    yield Step("wait", 0, 0, stream.choice((ELECTION, LONG)))
    yield Step("put_everywhere", 0, stream.below(3), A_MOMENT)
    yield Step("get_everywhere", 0, stream.below(3), A_MOMENT)
    yield Step("resume", 0, 0, AT_ONCE)
    yield Step("mend", 0, 0, stream.choice((A_WHILE, ELECTION)))


def _power_cut(stream: Stream) -> Iterator[Step]:
    """All members lose power, and what each knew to be committed; then links are bad and most disks slow, and clients ask all the while."""
    key, fast, slow, links = stream.below(3), stream.below(TARGETS), 1 + stream.below(3), stream.below(3)
    yield Step("put", stream.below(TARGETS), key, stream.choice((A_WHILE, ELECTION)))
    for member in range(1, TARGETS):
        if member != fast:
            yield Step("slow_disk", member, slow, AT_ONCE)
    if links:
        yield Step("bad_links", 0, links, AT_ONCE)
    yield Step("crash_all", 0, 0, stream.choice((AT_ONCE, ELECTION)))
    for _ in range(6 + stream.below(8)):
        yield Step("get_everywhere", 0, key, stream.choice((A_MOMENT, A_WHILE, A_WHILE, BEAT)))
    if links:
        yield Step("bad_links", 0, 0, A_WHILE)


def _killed_in_flight(stream: Stream) -> Iterator[Step]:
    """Members that die with requests in their hands, whose clients ask others, while those requests may live on."""
    slow = stream.below(3)
    for member in range(1, TARGETS):
        yield Step("slow_disk", member, slow, AT_ONCE)
    for _ in range(1 + stream.below(3)):
        for _ in range(1 + stream.below(3)):
            yield Step(stream.choice(("put", "put", "put_if", "put_pair")), 0, stream.below(KEYS), stream.choice((AT_ONCE, AT_ONCE, SOON)))
        yield Step("wait", 0, 0, stream.choice((AT_ONCE, SOON, SOON, A_MOMENT)))
        yield Step(stream.choice(("kill", "kill", "power_off")), stream.below(TARGETS), 0, stream.choice((SOON, A_MOMENT, A_WHILE)))
        yield Step("get_everywhere", 0, stream.below(3), stream.choice((A_WHILE, BEAT)))
    yield Step("restart", 0, 0, stream.choice((A_WHILE, ELECTION)))


def _lagging(stream: Stream) -> Iterator[Step]:
    """A member that misses enough to need a snapshot, with watches that go on over it; some of what it missed may be compacted."""
    member = 1 + stream.below(TARGETS - 1)
    yield Step("watch", member, stream.below(KEYS), SOON)
    yield Step(stream.choice(("isolate", "kill", "power_off", "pause")), member, 0, AT_ONCE)
    for _ in range(4 + stream.below(12)):
        yield Step(stream.choice(("put", "put", "put_pair", "delete_if", "put_leased")), 0, stream.below(KEYS), SOON)
    if stream.below(2):
        yield Step("compact", 0, stream.below(3), A_MOMENT)
    yield Step("restart", 0, 0, AT_ONCE)
    yield Step("resume", 0, 0, AT_ONCE)
    yield Step("mend", 0, 0, A_WHILE)


SCENES: tuple[Callable[[Stream], Iterator[Step]], ...] = (_tombstone, _leased, _minority, _power_cut, _killed_in_flight, _lagging)
