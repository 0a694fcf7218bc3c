"""The revision store: the rows of etcd's own store, with values of 256 bytes and keys as Kubernetes names them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kubesim._core.random import Stream
from kubesim._core.revision_store import RevisionStore

VALUE = bytes(256)
RANGE_KEYS = 500


def names(count: int, prefix: str = "/registry/pods/default/web") -> list[bytes]:
    """``count`` keys in an order that is not theirs; new objects each time, so that no hash is remembered."""
    stream = Stream(7, "bench/store")
    found = [f"{prefix}-{number * 2654435761 % 2**32:08x}".encode() for number in range(count)]
    stream.shuffle(found)
    return found


def filled(count: int) -> RevisionStore:
    store = RevisionStore()
    for name in names(count):
        store.put(name, VALUE)
    return store


def measure(benchmark, operation: str, count: int, unit: str, work: Callable, setup: Callable, rounds: int = 3):
    """Time ``work(*setup())``; the set-up is outside the timer."""
    benchmark.extra_info.update(room="store", operation=operation, count=count, unit=unit)
    return benchmark.pedantic(work, setup=lambda: (setup(), {}), rounds=rounds)


def test_put_new(benchmark, scale) -> None:
    count = scale(1_000, 200_000)

    def work(store: RevisionStore, keys: list[bytes]) -> RevisionStore:
        put = store.put
        for key in keys:
            put(key, VALUE)
        return store

    store = measure(benchmark, "put a new key", count, "puts", work, lambda: (RevisionStore(), names(count)))
    assert (store.revision, len(store)) == (count + 1, count)


def test_put_update(benchmark, scale) -> None:
    count = scale(1_000, 200_000)

    def work(store: RevisionStore, keys: list[bytes]) -> RevisionStore:
        put = store.put
        for key in keys:
            put(key, VALUE)
        return store

    store = measure(benchmark, f"update a random one of {count:,}", count, "puts", work, lambda: (filled(count), names(count)))
    assert (store.revision, len(store)) == (2 * count + 1, count)


def test_compare_and_put(benchmark, scale) -> None:
    count = scale(1_000, 200_000)

    def work(store: RevisionStore, expected: list[tuple[bytes, int]]) -> int:
        put_if, done = store.put_if, 0
        for key, revision in expected:
            if put_if(key, VALUE, revision):
                done += 1
        return done

    def setup() -> tuple[RevisionStore, list[tuple[bytes, int]]]:
        store = filled(count)
        return store, [(bytes(bytearray(key)), store.get(key).mod_revision) for key in names(count)]

    assert measure(benchmark, "compare the mod revision, then put", count, "transactions", work, setup) == count


def test_delete(benchmark, scale) -> None:
    count = scale(1_000, 200_000)

    def work(store: RevisionStore, keys: list[bytes]) -> RevisionStore:
        delete = store.delete
        for key in keys:
            delete(key)
        return store

    store = measure(benchmark, "delete one key", count, "deletes", work, lambda: (filled(count), names(count)))
    assert (store.revision, len(store)) == (2 * count + 1, 0)


@pytest.mark.parametrize("full", [100_000, 1_000_000])
def test_get_at_the_head(benchmark, scale, full: int) -> None:
    count = scale(1_000, full)
    store = filled(count)

    def work(keys: list[bytes]) -> int:
        get, found = store.get, 0
        for key in keys:
            if get(key):
                found += 1
        return found

    assert measure(benchmark, f"one key at the head of {full:,}", count, "gets", work, lambda: (names(count),), 2) == count


def test_get_at_an_old_revision(benchmark, scale) -> None:
    count = scale(1_000, 100_000)
    store = filled(count)
    revision = store.revision
    for _ in range(5):
        for key in names(count):
            store.put(key, VALUE)

    def work(keys: list[bytes]) -> int:
        get, found = store.get, 0
        for key in keys:
            if get(key, revision).version == 1:
                found += 1
        return found

    assert measure(benchmark, "one key at an old revision, five updates back", count, "gets", work, lambda: (names(count),)) == count


def test_get_far_back_in_one_key(benchmark, scale) -> None:
    count = scale(1_000, 200_000)
    store = RevisionStore()
    for _ in range(count):
        store.put(b"/registry/leases/kube-system/kube-scheduler", VALUE)
    revisions = list(range(2, count + 2, 2))

    def work() -> int:
        get = store.get
        return sum(get(b"/registry/leases/kube-system/kube-scheduler", revision).mod_revision == revision for revision in revisions)

    found = measure(benchmark, f"one key at any of {count:,} old revisions", len(revisions), "gets", work, tuple)
    assert found == len(revisions)


def test_range_of_500(benchmark, scale) -> None:
    prefix_count, rounds = 4, scale(2, 400)
    store = filled(scale(1_000, 100_000))
    for prefix in range(prefix_count):
        for key in names(RANGE_KEYS, f"/registry/pods/ns-{prefix}/web"):
            store.put(key, VALUE)
    bounds = [(f"/registry/pods/ns-{prefix}/".encode(), f"/registry/pods/ns-{prefix}0".encode()) for prefix in range(prefix_count)] * rounds

    def work() -> int:
        return sum(len(store.range(key, range_end).kvs) for key, range_end in bounds)

    count = len(bounds) * RANGE_KEYS
    assert measure(benchmark, "a prefix of 500 keys", count, "keys", work, tuple) == count


@pytest.mark.parametrize("age", ["the head", "1,000 revisions back"])
def test_page_of_500_with_its_count(benchmark, scale, age: str) -> None:
    keys, pages = scale(1_000, 100_000), scale(10, 2_000)
    store = filled(keys)
    revision = 0 if age == "the head" else store.revision
    for key in names(1_000):
        store.put(key, VALUE)

    def work() -> int:
        page = 0
        for _ in range(pages):
            result = store.range(b"/registry/pods/", b"/registry/pods0", revision, RANGE_KEYS)
            page += len(result.kvs) == RANGE_KEYS and result.count == keys
        return page

    assert measure(benchmark, f"500 of a prefix of {keys:,} with its exact count, at {age}", pages, "pages", work, tuple) == pages


def test_changes(benchmark, scale) -> None:
    count = scale(1_000, 400_000)
    store = filled(count)

    def work() -> int:
        revision = seen = 1
        while revision < store.revision:
            changes = store.changes(revision, 1_000)
            revision = changes[-1].revision
            seen += len(changes)
        return seen - 1

    assert measure(benchmark, "catch up on the change log, 1,000 at a time", count, "changes", work, tuple) == count


def test_compact(benchmark, scale) -> None:
    count = scale(2_000, 1_000_000)

    def setup() -> tuple[RevisionStore]:
        store = filled(count // 5)
        for _ in range(4):
            for key in names(count // 5):
                store.put(key, VALUE)
        return (store,)

    def work(store: RevisionStore) -> RevisionStore:
        store.compact(store.revision)
        return store

    store = measure(benchmark, f"compaction of {count:,} revisions", count, "revisions", work, setup, 1)
    assert (len(store.changes(store.revision - 1)), len(store)) == (1, count // 5)


SIZE_SCRIPT = """
import sys
from bench.test_store_revisions import VALUE, names, resident_bytes
from kubesim._core.revision_store import RevisionStore
keys, store = names(int(sys.argv[1])), RevisionStore()
before_bytes = resident_bytes()
for key in keys:
    store.put(key, VALUE)
print(resident_bytes() - before_bytes)
"""


def test_memory_per_key(benchmark, scale) -> None:
    """Not a time but a size: what a key costs beside itself and its value, in a process of its own."""
    count = scale(50_000, 1_000_000)

    def work() -> float:
        root = Path(__file__).resolve().parents[1]
        run = subprocess.run([sys.executable, "-c", SIZE_SCRIPT, str(count)], cwd=root, capture_output=True, text=True, check=True)
        return int(run.stdout) / count

    benchmark.extra_info.update(room="store", operation=f"memory beside key and value, {count:,} keys", count=count, unit="keys")
    per_key_bytes = benchmark.pedantic(work, rounds=1)
    benchmark.extra_info.update(per_key_bytes=round(per_key_bytes))
    assert 0 < per_key_bytes <= 250


def resident_bytes() -> int:
    """The resident size of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096
