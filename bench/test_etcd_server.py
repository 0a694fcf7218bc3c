"""A member as a process, over gRPC: puts by 1, 16 and 128 clients, with and without fsync, and fail-over; Debian's etcd beside it.

The load (``bench.etcd_load``) runs in this process and shares the machine's cores with the server.
"""

import selectors
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.etcd_load import Client, put_message, run
from tests.server.etcd.members import Debian, Member, Zygote

# clients, fsync -> puts per second at least, with kubesim
FLOORS = {(1, False): 1_200, (16, False): 4_000, (128, False): 5_000, (128, True): 3_846}
LATENCY_SECONDS_MAX = 0.060  # p99 at 128 clients
FAIL_OVER_SECONDS_MAX = 1.2
PROBE_SECONDS = 0.02
SETTLE_SECONDS = 3.0


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture(params=["kubesim", "etcd"])
def server(request: pytest.FixtureRequest) -> str:
    if request.param == "etcd" and not shutil.which("etcd"):
        pytest.skip("etcd-server of Debian is not installed")
    return str(request.param)


def make(server: str, zygote: Zygote, folder: Path, name: str = "n0", **flags: str) -> Member:
    return Debian(folder, name, **flags) if server == "etcd" else Member(zygote, folder, name, **flags)  # type: ignore[return-value]


def named(server: str) -> str:
    return "" if server == "kubesim" else "; Debian's etcd 3.4 beside it"


@pytest.mark.parametrize(("clients", "is_synced"), FLOORS)
def test_puts(benchmark, scale, server: str, clients: int, is_synced: bool, zygote: Zygote, tmp_path: Path) -> None:
    puts = scale(2 * clients, 2_000 if clients == 1 else 10_000)
    flags = {} if is_synced else {"unsafe_no_fsync": "true"}
    member = make(server, zygote, tmp_path, **flags).start()
    warm = int(run(member.url, clients, scale(clients, puts // 4))["puts"])
    p99s = []

    def work() -> int:
        found = run(member.url, clients, puts)
        p99s.append(found["p99_seconds"])
        return int(found["puts"])

    puts = benchmark.pedantic(work, rounds=scale(1, 3))
    revision = int(member.status()["header"]["revision"])
    assert revision == 1 + len(p99s) * puts + warm, "every put is a revision"
    member.kill()
    p99 = f"p99 {statistics.median(p99s) * 1000:.1f} ms"
    how = "fsync, group commit" if is_synced else "no fsync"
    operation = f"puts over gRPC, {clients} client{'s' * (clients > 1)}, {how} ({p99}){named(server)}"
    floor = (FLOORS[clients, is_synced] if server == "kubesim" else "") or ""
    benchmark.extra_info.update(room="etcd server", operation=operation, count=puts, unit="puts", floor=floor)


def test_fail_over(benchmark, scale, server: str, zygote: Zygote, tmp_path: Path) -> None:
    """From the kill -9 of the leader to the next put that another member answers."""
    members = [make(server, zygote, tmp_path, f"n{index}") for index in range(3)]
    for member in members:
        member.start(members, waits=False)
    for member in members:
        member.wait()
    seconds = []

    def work() -> float:
        leader = next(member for member in members if (status := member.status())["leader"] == status["header"]["member_id"])
        others = [member for member in members if member is not leader]
        begun = time.perf_counter()
        leader.kill()
        seconds.append(next_put(others[0]) - begun)
        leader.start(members)
        time.sleep(SETTLE_SECONDS)
        return seconds[-1]

    for member in members:
        member.post("/v3/kv/put", key="YQ==")
    benchmark.pedantic(work, rounds=scale(1, 10))
    for member in members:
        member.kill()
    operation = f"fail-over of a cluster of three: kill -9 of the leader to the next put, median of {len(seconds)}{named(server)}"
    floor = f"at most {FAIL_OVER_SECONDS_MAX} s" if server == "kubesim" else ""
    benchmark.extra_info.update(room="etcd server", operation=operation, seconds=statistics.median(seconds), floor=floor)


def next_put(member: Member) -> float:
    """Send a put every 20 ms until one is answered; when that was."""
    selector = selectors.DefaultSelector()
    clients = []
    try:
        while True:
            client = Client("127.0.0.1", member.port)
            clients.append(client)
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.call(put_message(b"fail-over", b"v"))
            deadline = time.perf_counter() + PROBE_SECONDS
            while (left := deadline - time.perf_counter()) > 0:
                for key, _ in selector.select(left):
                    if key.data.take() is not None:
                        return time.perf_counter()
    finally:
        for client in clients:
            client.close()
