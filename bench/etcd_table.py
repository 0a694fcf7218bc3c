"""The figures of etcd, in one command: ``python -m bench.etcd_table [--store] [--grpc] [--write]``.

``--store``: the operations of the store in process, by CPU time, beside those of etcd v3.6's own store (in Go, on such a machine).
``--grpc``: puts over gRPC by 1, 16 and 128 clients, without fsync and with, beside Debian's etcd in the same run where it is installed;
every put is looked for again, and the content of all servers has one digest. Without either: both. ``--write`` puts the tables into
README.md. Exit status 1: a floor was missed, or work was not done.
"""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench.etcd_load import VALUE, key_of, run
from bench.etcd_null import NullServer
from bench.table import README, ROOT, figure
from tests.server.etcd.members import Debian, Member, Zygote

STORE_BEGIN, STORE_END = "<!-- etcd store: begin (python -m bench.etcd_table --store) -->", "<!-- etcd store: end -->"
GRPC_BEGIN, GRPC_END = "<!-- etcd grpc: begin (python -m bench.etcd_table --grpc) -->", "<!-- etcd grpc: end -->"


class StoreRow(NamedTuple):
    """One operation: its benchmark, what etcd's own store does, and what ours has to: per second, or seconds or bytes at most."""

    benchmark: str
    operation: str
    etcd: str
    floor: float
    unit: str = "/s"


STORE_ROWS = (
    StoreRow("test_put_new", "put a new key", "304,000", 900_000),
    StoreRow("test_put_update", "update a random one of 200,000", "139,000", 700_000),
    StoreRow("test_compare_and_put", "txn: compare, then put", "89,000", 500_000),
    StoreRow("test_delete", "delete one key", "327,000", 900_000),
    StoreRow("test_get_at_the_head[100000]", "one key at the head of 100,000", "175,000", 2_000_000),
    StoreRow("test_get_at_the_head[1000000]", "one key at the head of 1 million", "107,000", 1_500_000),
    StoreRow("test_get_at_an_old_revision", "one key at an old revision", "160,000", 800_000),
    StoreRow("test_range_of_500", "prefix of 500 keys, in keys", "1.07 million", 8_000_000),
    StoreRow("test_page_of_500_with_its_count[the head]", "limit 500 of a 100,000-key prefix, with its count", "239", 15_000),
    StoreRow("test_events_to_watchers[1]", "watch: events to 1 watcher", "166,000", 1_000_000),
    StoreRow("test_events_to_watchers[100]", "watch: events to 100 watchers", "2.1 million", 5_000_000),
    StoreRow("test_events_to_watchers[1000]", "watch: events to 1,000 watchers", "1.6 million", 5_000_000),
    StoreRow("test_catch_up", "catch-up of one watcher, events", "6,600", 1_000_000),
    StoreRow("test_compact", "compaction of 1 million revisions", "1.1 s", 0.6, "s"),
    StoreRow("test_memory_per_key", "memory per key beside key and value", "220 bytes", 250, "bytes"),
)

ROUNDS = 5
PUTS = {1: 2_000, 16: 8_000, 128: 12_800}
RATE_FLOORS = {1: 1_200, 16: 4_000, 128: 5_000}
P99_SECONDS_MAX = 0.060  # at 128 clients
FSYNC_RATIO_MAX = 1.3
PREFIX, PREFIX_END = b"/registry/load/", b"/registry/load0"
PAGE_KEYS = 2_000


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and with ``--write`` update README.md."""
    unknown = set(arguments) - {"--store", "--grpc", "--write"}
    if unknown:
        print(f"unknown argument {sorted(unknown)[0]!r}; expected --store, --grpc or --write", file=sys.stderr)
        return 2
    both = "--store" not in arguments and "--grpc" not in arguments
    missed: list[str] = []
    for wanted, measure, begin, end in (("--store", store, STORE_BEGIN, STORE_END), ("--grpc", grpc, GRPC_BEGIN, GRPC_END)):
        if both or wanted in arguments:
            load = os.getloadavg()[0]
            table, found = measure()
            missed += found
            table += f"\n\nLoad of the machine's {os.cpu_count()} cores by others when it began: {load:.1f}."
            print(table, flush=True)
            if "--write" in arguments:
                text = README.read_text(encoding="utf-8")
                before, _, rest = text.partition(begin)
                README.write_text(f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}", encoding="utf-8")
    print("\n".join(f"MISSED: {each}" for each in missed) or "every floor was reached")
    return 1 if missed else 0


# -- the store in process ---------------------------------------------------------------------------------------------------------


def store() -> tuple[str, list[str]]:
    """Return the table of the store and what was missed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmarks.json"
        files = ["bench/test_store_revisions.py", "bench/test_store_watch.py"]
        command = [sys.executable, "-m", "pytest", "-q", *files, "--size", "full", "--benchmark-enable"]
        command.append("--benchmark-timer=time.process_time")  # one thread that never waits: what others do on the machine does not count
        subprocess.run([*command, f"--benchmark-json={path}"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        benchmarks = {each["name"]: each for each in json.loads(path.read_text(encoding="utf-8"))["benchmarks"]}
    lines = ["| operation | etcd v3.6's own store, per second | kubesim, per second | at least |", "| --- | ---: | ---: | ---: |"]
    missed = []
    for row in STORE_ROWS:
        value = _value(row, benchmarks[row.benchmark])
        is_reached = value >= row.floor if row.unit == "/s" else value <= row.floor
        shown = {"/s": figure(value), "s": f"{value:.2f} s", "bytes": f"{value:.0f} bytes"}[row.unit]
        floor = {"/s": figure(row.floor), "s": f"at most {row.floor} s", "bytes": f"at most {row.floor:.0f} bytes"}[row.unit]
        lines.append(f"| {row.operation} | {row.etcd} | {shown} | {floor}{'' if is_reached else ' (missed)'} |")
        if not is_reached:
            missed.append(f"{row.operation}: {shown}, {floor}")
    return "\n".join(lines), missed


def _value(row: StoreRow, benchmark: dict[str, Any]) -> float:
    info, median = benchmark["extra_info"], benchmark["stats"]["median"]
    if row.unit == "bytes":
        return float(info["per_key_bytes"])
    return float(median) if row.unit == "s" else float(info["count"] / median)


# -- puts over gRPC ---------------------------------------------------------------------------------------------------------------


class Load(NamedTuple):
    """What one kind of load came to: medians of the rounds."""

    rate: float
    p99_seconds: float
    cpu_seconds_per_put: float


class Bench:
    """One server under one kind of load, round after round; at the end every put must be there."""

    def __init__(self, member: Any, clients: int) -> None:
        self.member, self.clients = member, clients
        self.found: list[dict[str, float]] = []
        self.cpu_seconds: list[float] = []
        self.puts = int(run(member.url, clients, PUTS[clients] // 4)["puts"])  # warm

    def round(self) -> None:
        """Load it once."""
        before = cpu_seconds(self.process)
        found = run(self.member.url, self.clients, PUTS[self.clients])
        self.cpu_seconds.append((cpu_seconds(self.process) - before) / found["puts"])
        self.found.append(found)
        self.puts += int(found["puts"])

    @property
    def process(self) -> int:
        """The server's process."""
        return self.member.process if isinstance(self.member.process, int) else self.member.process.pid

    def load(self) -> Load:
        """The medians."""
        return Load(
            statistics.median(each["puts_per_second"] for each in self.found),
            statistics.median(each["p99_seconds"] for each in self.found),
            statistics.median(self.cpu_seconds),
        )

    def check(self) -> str:
        """Read everything back, and return the digest of all keys, values and versions. Raises AssertionError when a put is missing."""
        revision = int(self.member.status()["header"]["revision"])
        assert revision == 1 + self.puts, f"{self.puts} puts made {revision - 1} revisions"
        digest, key, versions = hashlib.sha256(), PREFIX, 0
        while key:
            request = {"key": b64encode(key).decode(), "range_end": b64encode(PREFIX_END).decode(), "limit": str(PAGE_KEYS)}
            answer = self.member.post("/v3/kv/range", **request)
            for record in answer["kvs"]:
                key = b64decode(record["key"])
                assert b64decode(record["value"]) == VALUE, f"{key!r} has another value"
                versions += int(record["version"])
                digest.update(key + b" " + record["version"].encode() + b"\n")
            key = key + b"\0" if answer.get("more") else b""
        assert versions == self.puts, f"{self.puts} puts, and the versions of all keys add up to {versions}"
        rounds = [PUTS[self.clients] // 4, *[PUTS[self.clients]] * len(self.found)]
        assert digest.hexdigest() == expected_digest(self.clients, rounds), "the keys are not those that were put"
        return digest.hexdigest()[:12]


def expected_digest(clients: int, rounds: list[int]) -> str:
    """The digest of what some rounds of load leave behind, reckoned without a server."""
    version: dict[bytes, int] = {}
    for puts in rounds:
        for client in range(clients):
            for count in range(-(-puts // clients)):
                key = key_of(client, count)
                version[key] = version.get(key, 0) + 1
    digest = hashlib.sha256()
    for key in sorted(version):
        digest.update(key + b" %d\n" % version[key])
    return digest.hexdigest()


def cpu_seconds(process: int) -> float:
    """The CPU time of a process, all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def grpc() -> tuple[str, list[str]]:
    """Return the table of puts over gRPC and what was missed."""
    servers = ["kubesim", *(["etcd"] if shutil.which("etcd") else [])]
    loads: dict[tuple[str, int, bool], Load] = {}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        zygote = Zygote()
        stack.callback(zygote.close)
        for clients in PUTS:
            kinds = [(server, is_synced) for server in servers for is_synced in ((False, True) if clients == 128 else (False,))]
            benches = {}
            for server, is_synced in kinds:
                place = Path(folder) / f"{server}-{clients}-{is_synced}"
                place.mkdir()
                flags = {} if is_synced else {"unsafe_no_fsync": "true"}
                member = Debian(place, **flags) if server == "etcd" else Member(zygote, place, **flags)
                benches[server, is_synced] = Bench(member.start(), clients)
            for _ in range(ROUNDS):  # one after the other, so that a busy minute is everybody's
                for bench in benches.values():
                    bench.round()
            digests = {bench.check() for bench in benches.values()}
            assert len(digests) == 1, f"the servers do not hold the same: {digests}"
            for (server, is_synced), bench in benches.items():
                loads[server, clients, is_synced] = bench.load()
                bench.member.kill()
        null = NullServer()
        stack.callback(null.close)
        layer = {clients: _null_cpu(null, clients) for clients in PUTS}
    return _grpc_table(loads, layer, "etcd" in servers)


def _null_cpu(null: NullServer, clients: int) -> float:
    """The CPU time of a call that does nothing, over the same HTTP/2 and gRPC."""
    run(null.url, clients, PUTS[clients] // 4)
    found = []
    for _ in range(3):
        before = cpu_seconds(null.process)
        puts = run(null.url, clients, PUTS[clients])["puts"]
        found.append((cpu_seconds(null.process) - before) / puts)
    return statistics.median(found)


def _grpc_table(loads: dict[tuple[str, int, bool], Load], layer: dict[int, float], has_etcd: bool) -> tuple[str, list[str]]:
    lines = [
        "| puts of 256 bytes | kubesim, per second | p99 | CPU per put | of it HTTP/2 and gRPC "
        "| Debian's etcd, per second | p99 | CPU per put | at least |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    missed = []
    for clients, is_synced in [*((clients, False) for clients in PUTS), (128, True)]:
        own = loads["kubesim", clients, is_synced]
        floor: float = RATE_FLOORS[clients]
        text = figure(floor)
        if is_synced:
            floor = loads["kubesim", clients, False].rate / FSYNC_RATIO_MAX
            text = f"{figure(floor)} (1 / {FSYNC_RATIO_MAX} of that)"
        name = f"{clients} client{'s' * (clients > 1)}, {'fsync, group commit' if is_synced else 'no fsync'}"
        if own.rate < floor:
            missed.append(f"{name}: {own.rate:,.0f} per second, at least {text}")
        if clients == 128 and not is_synced and own.p99_seconds >= P99_SECONDS_MAX:
            missed.append(f"{name}: p99 {own.p99_seconds * 1e3:.0f} ms, under {P99_SECONDS_MAX * 1e3:.0f} ms")
        share = f"{layer[clients] / own.cpu_seconds_per_put:.0%}"
        etcd = _cells(loads["etcd", clients, is_synced]) if has_etcd else "| | |"
        lines.append(f"| {name} | {_cells(own)} | {share} | {etcd} | {text} |")
    return "\n".join(lines), missed


def _cells(load: Load) -> str:
    return f"{figure(load.rate)} | {load.p99_seconds * 1e3:.1f} ms | {load.cpu_seconds_per_put * 1e6:.0f} µs"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
