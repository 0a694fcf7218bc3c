"""Watches on a local etcd: who is told, when, and of what."""

import pytest

from kubesim._core.revision_store import Compacted
from kubesim.etcd.errors import KeyNotProvided, WatchRangeEmpty
from kubesim.etcd.local import LocalEtcd
from kubesim.etcd.watch import RECENT_MAX
from kubesim.kernel.loop import Kernel


class Client:
    """A watcher that takes when it is told, and counts how often."""

    def __init__(self, etcd: LocalEtcd, *range_, takes: bool = True, **options) -> None:
        self.takes = takes
        self.told = 0
        self.seen: list[tuple[bytes, int]] = []
        self.watcher = etcd.watches.watch(*range_, on_ready=self.on_ready, **options)

    def on_ready(self) -> None:
        self.told += 1
        if self.takes:
            self.take()

    def take(self, limit: int = 0) -> None:
        self.seen += [(change.key, change.revision) for change in self.watcher.take(limit)]


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(seed=1)


@pytest.fixture
def etcd(kernel: Kernel) -> LocalEtcd:
    return LocalEtcd(kernel)


def put(etcd: LocalEtcd, *keys: bytes) -> None:
    for key in keys:
        etcd.execute(("put", key, key))


RANGES = [
    ("one key", (b"b",), [(b"b", 3)]),
    ("a range", (b"a", b"b\0"), [(b"a", 2), (b"b", 3)]),
    ("a range, its end outside", (b"b", b"c"), [(b"b", 3), (b"b\0", 5)]),
    ("from a key on", (b"b", b"\0"), [(b"b", 3), (b"c", 4), (b"b\0", 5)]),
    ("everything", (b"\0", b"\0"), [(b"a", 2), (b"b", 3), (b"c", 4), (b"b\0", 5)]),
    ("nothing there", (b"x", b"y"), []),
]


@pytest.mark.parametrize(("name", "range_", "seen"), RANGES)
def test_which_changes_a_watcher_sees(kernel: Kernel, etcd: LocalEtcd, name: str, range_, seen) -> None:
    clients = [Client(etcd, *range_), Client(etcd, *range_), *(Client(etcd, *other) for _, other, _ in RANGES)]
    put(etcd, b"a", b"b", b"c", b"b\0")
    kernel.drain()
    assert [client.seen for client in clients[:2]] == [seen, seen], name
    assert [client.told for client in clients[:2]] == [bool(seen)] * 2, "one call for all writes of an instant"
    late = Client(etcd, *range_, start_revision=2)
    kernel.drain()
    assert late.seen == seen, "the same from the log"


@pytest.mark.parametrize(
    ("name", "start_revision", "seen"),
    [
        ("now", 0, [6]),
        ("the first revision", 1, [2, 3, 4, 5, 6]),
        ("the past", 4, [4, 5, 6]),
        ("the head", 5, [5, 6]),
        ("the next", 6, [6]),
        ("the future", 7, []),
    ],
)
def test_where_a_watch_starts(kernel: Kernel, etcd: LocalEtcd, name: str, start_revision: int, seen) -> None:
    put(etcd, b"a", b"b", b"a", b"b")
    client = Client(etcd, b"a", b"c", start_revision=start_revision)
    put(etcd, b"a")
    kernel.drain()
    assert [revision for _, revision in client.seen] == seen, name
    put(etcd, b"a", b"a")
    kernel.drain()
    assert [revision for _, revision in client.seen] == [*seen, 7, 8], name


@pytest.mark.parametrize(
    ("name", "options", "seen"),
    [("no deletes", {"deletes": False}, [2, 4]), ("no puts", {"puts": False}, [3]), ("neither", {"puts": False, "deletes": False}, [])],
)
def test_filters(kernel: Kernel, etcd: LocalEtcd, name: str, options, seen) -> None:
    clients = [Client(etcd, b"a", **options), Client(etcd, b"a", start_revision=1, **options)]
    put(etcd, b"a")
    etcd.execute(("delete_range", b"a"))
    put(etcd, b"a")
    kernel.drain()
    assert [[revision for _, revision in client.seen] for client in clients] == [seen, seen], name


def test_a_watcher_that_does_not_take_is_told_once(kernel: Kernel, etcd: LocalEtcd) -> None:
    client = Client(etcd, b"a", takes=False)
    for _ in range(3):
        put(etcd, b"a")
        kernel.drain()
    assert client.told == 1
    client.take()
    assert [revision for _, revision in client.seen] == [2, 3, 4]
    put(etcd, b"a")
    kernel.drain()
    assert client.told == 2


def test_a_take_before_the_call_makes_the_call_needless(kernel: Kernel, etcd: LocalEtcd) -> None:
    client = Client(etcd, b"a")
    put(etcd, b"a")
    client.take()
    kernel.drain()
    assert (client.told, client.seen) == (0, [(b"a", 2)])
    put(etcd, b"a")
    kernel.drain()
    assert (client.told, client.seen) == (1, [(b"a", 2), (b"a", 3)])


@pytest.mark.parametrize("start_revision", [0, 2])
def test_a_limit_keeps_whole_revisions(kernel: Kernel, etcd: LocalEtcd, start_revision: int) -> None:
    if start_revision:
        put(etcd, b"x")
    client = Client(etcd, b"a", b"c", takes=False, start_revision=start_revision)
    for _ in range(4):
        etcd.store.begin()
        put(etcd, b"a", b"b")
        etcd.store.commit()
    first = etcd.store.revision - 3
    client.take(3)
    assert [revision for _, revision in client.seen] == [first, first, first + 1, first + 1]
    assert client.watcher.is_behind
    client.take(3)
    client.take(3)
    assert [revision for _, revision in client.seen] == [first + i // 2 for i in range(8)]
    assert not client.watcher.is_behind


def test_a_watcher_far_behind_reads_the_log(kernel: Kernel, etcd: LocalEtcd) -> None:
    slow, fast = Client(etcd, b"a", takes=False), Client(etcd, b"a")
    for i in range(5 * RECENT_MAX):
        etcd.store.put(b"a", i)
        if i % 1000 == 0:
            kernel.drain()
    kernel.drain()
    slow.take()
    assert slow.seen == fast.seen
    assert len(slow.seen) == 5 * RECENT_MAX
    assert len(slow.watcher._group.recent) <= 3 * RECENT_MAX, "the group forgets"


def test_compaction_ends_a_watcher_that_is_behind_it(kernel: Kernel, etcd: LocalEtcd) -> None:
    put(etcd, b"a")
    late = etcd.watches.watch(b"a", start_revision=2)
    in_step = Client(etcd, b"a")
    put(etcd, b"a", b"a")
    etcd.execute(("compact", 4))
    kernel.drain()
    assert [revision for _, revision in in_step.seen] == [3, 4], "collected before the compaction"
    with pytest.raises(Compacted) as caught:
        late.take()
    assert (caught.value.compact_revision, late.is_over, late.take()) == (4, True, [])
    assert [change.revision for change in etcd.watches.watch(b"a", start_revision=4).take()] == [4]


def test_cancel(kernel: Kernel, etcd: LocalEtcd) -> None:
    gone, stays = Client(etcd, b"a"), Client(etcd, b"a")
    put(etcd, b"a")
    gone.watcher.cancel()
    gone.watcher.cancel()
    kernel.drain()
    assert (gone.told, stays.told, gone.watcher.take()) == (0, 1, [])
    stays.watcher.cancel()
    assert etcd.watches._groups == {}


@pytest.mark.parametrize(
    ("name", "range_", "start_revision", "error"),
    [
        ("empty key", (b"",), 0, KeyNotProvided),
        ("ends before it begins", (b"b", b"a"), 0, WatchRangeEmpty),
        ("ends where it begins", (b"b", b"b"), 0, WatchRangeEmpty),
        ("negative start", (b"b",), -1, Compacted),
        ("compacted start", (b"b",), 2, Compacted),
    ],
)
def test_refusals(etcd: LocalEtcd, name: str, range_, start_revision: int, error) -> None:
    put(etcd, b"a", b"a")
    etcd.execute(("compact", 3))
    with pytest.raises(error):
        etcd.watches.watch(*range_, start_revision=start_revision)
    assert etcd.watches._groups == {}, name
