"""Watches on a local etcd: events to one and to many watchers of one prefix, and the catch-up of one."""

import pytest

from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel

BATCH = 10  # writes in one instant


@pytest.mark.parametrize("watcher_count", [1, 100, 1_000])
def test_events_to_watchers(benchmark, scale, watcher_count: int) -> None:
    writes = scale(200, 200_000 if watcher_count == 1 else 200_000 // watcher_count * 10)
    keys = [b"/registry/pods/default/web-%06d" % (number % 1_000) for number in range(writes)]

    def setup() -> tuple:
        kernel = Kernel()
        etcd = LocalEtcd(kernel)
        seen = [0]
        for _ in range(watcher_count):
            watcher = etcd.watches.watch(b"/registry/pods/", b"/registry/pods0")

            def on_ready(take=watcher.take) -> None:
                seen[0] += len(take())

            watcher.on_ready = on_ready
        return (kernel, etcd, seen), {}

    def work(kernel: Kernel, etcd: LocalEtcd, seen: list[int]) -> int:
        put = etcd.store.put
        for start in range(0, writes, BATCH):
            for key in keys[start : start + BATCH]:
                put(key, b"value")
            kernel.drain()
        return seen[0]

    events = writes * watcher_count
    operation = f"watch: events to {watcher_count:,} watchers, writes included"
    benchmark.extra_info.update(room="etcd", operation=operation, count=events, unit="events")
    assert benchmark.pedantic(work, setup=setup, rounds=3) == events


def test_catch_up(benchmark, scale) -> None:
    writes = scale(200, 200_000)
    etcd = LocalEtcd(Kernel())
    for number in range(writes):
        etcd.store.put(b"/registry/pods/default/web-%06d" % (number % 1_000), b"value")
        etcd.store.put(b"/registry/events/default/event-%06d" % (number % 1_000), b"value")

    def work() -> int:
        watcher = etcd.watches.watch(b"/registry/pods/", b"/registry/pods0", start_revision=2)
        seen = 0
        while watcher.is_behind:
            seen += len(watcher.take(1_000))
        watcher.cancel()
        return seen

    operation = "watch: catch-up of one watcher, half of the log its own"
    benchmark.extra_info.update(room="etcd", operation=operation, count=writes, unit="events")
    assert benchmark.pedantic(work, rounds=3) == writes
