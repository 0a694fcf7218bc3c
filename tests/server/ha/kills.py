"""Two apiservers behind haproxy on an etcd of three members, all of them processes, each killed in turn while clients write.

``python -m tests.server.ha.kills --writes 5000`` prints the table; ``make soak`` runs it. What was acknowledged must be there at the end as
it was acknowledged: uid, version and data.
"""

import argparse
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from kubesim.api.errors import ApiError
from kubesim.server.http_client import Client
from tests.server.etcd.members import Member, Zygote, free_port

MAPS = "/api/v1/namespaces/default/configmaps"
WRITERS = 4
SECONDS_MAX = 120.0
LOOK_SECONDS = 0.01
HAPROXY = """
global
  maxconn 256
defaults
  mode tcp
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  retries 2
  option redispatch
frontend api
  bind 127.0.0.1:{port}
  default_backend masters
backend masters
  balance roundrobin
  default-server check inter 100ms rise 1 fall 1 on-marked-down shutdown-sessions
"""


class ApiServerProcess:
    """One ``kubesim serve``."""

    def __init__(self, zygote: Zygote, folder: Path, name: str, etcd: str, *flags: str) -> None:
        self.name = name
        self.port = free_port()
        self.kubeconfig = folder / f"{name}.kubeconfig"
        self.log = folder / f"{name}.log"
        self.process: int | None = None
        self._zygote = zygote
        self._flags = [
            "--etcd-servers", etcd, "--port", str(self.port), "--kubeconfig", str(self.kubeconfig),
            "--cert-dir", str(folder / "pki"), *flags,
        ]  # fmt: skip

    def start(self) -> None:
        """Start it; it may take its time to serve."""
        self.process = self._zygote.start(self._flags, self.log, "serve")

    def wait(self) -> None:
        """Wait until it takes connections."""
        deadline = time.monotonic() + SECONDS_MAX
        while not self.is_ready():
            assert time.monotonic() < deadline, f"{self.name} does not serve: {self.log.read_text()}"
            time.sleep(LOOK_SECONDS)

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait for the end."""
        assert self.process is not None
        os.kill(self.process, number)
        process, self.process = self.process, None
        return self._zygote.wait(process)


class Row(NamedTuple):
    """What happened while one process was away."""

    victim: str
    down_seconds: float
    tried: int
    acknowledged: int
    failed: int
    recovery_seconds: float  # from the kill to the first write that is acknowledged after the last that failed


class World:
    """The processes. ``kubeconfig`` leads through haproxy."""

    def __init__(self, folder: Path, zygote: Zygote, members: list[Member], servers: list[ApiServerProcess], kubeconfig: Path) -> None:
        self.folder = folder
        self.zygote = zygote
        self.members = members
        self.servers = servers
        self.kubeconfig = kubeconfig


@contextmanager
def world(folder: Path, *flags: str) -> Iterator[World]:
    """Start everything, and end it."""
    zygote = Zygote()
    proxy: subprocess.Popen[bytes] | None = None
    try:
        members = [Member(zygote, folder, f"etcd-{index}") for index in range(3)]
        for member in members:
            member.start(members, waits=False)
        for member in members:
            member.wait()
        etcd = ",".join(member.url for member in members)
        servers = [ApiServerProcess(zygote, folder, f"apiserver-{number}", etcd, "--components", "apiserver", *flags) for number in (1, 2)]
        for server in servers:  # one after the other: the first makes the certificates
            server.start()
            server.wait()
        port = free_port()
        lines = [f"  server {server.name} 127.0.0.1:{server.port}" for server in servers]
        config = folder / "haproxy.cfg"
        config.write_text(HAPROXY.format(port=port) + "\n".join(lines) + "\n")
        proxy = subprocess.Popen([haproxy(), "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        kubeconfig = folder / "kubeconfig"
        document = yaml.safe_load(servers[0].kubeconfig.read_text())
        document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        kubeconfig.write_text(yaml.safe_dump(document))
        yield World(folder, zygote, members, servers, kubeconfig)
    finally:
        if proxy is not None:
            proxy.kill()
            proxy.wait()
        zygote.close()


def haproxy() -> str:
    """Where Debian's haproxy is; "" where it is not."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin") or ""


class Writers:
    """Clients that create one ConfigMap after the other, each once, and remember what they were told."""

    def __init__(self, kubeconfig: Path) -> None:
        self.lock = threading.Lock()
        self.tried = 0
        self.failed_count = 0
        self.failed_at = 0.0
        self.refusals: list[ApiError] = []  # which there must not be: each name is written once
        self.acknowledged: dict[str, tuple[str, str]] = {}  # name -> (uid, version)
        self.acknowledged_at: list[float] = []
        self._kubeconfig = kubeconfig
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._write, daemon=True) for _ in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def _write(self) -> None:
        client = Client.of(self._kubeconfig, timeout=15.0)
        while not self._is_over.is_set():
            with self.lock:
                name = f"c-{self.tried}"
                self.tried += 1
            try:
                metadata = client.post(MAPS, {"metadata": {"name": name}, "data": {"name": name}})["metadata"]
            except (OSError, http.client.HTTPException, ApiError) as error:
                with self.lock:
                    if isinstance(error, ApiError) and error.code < 500:
                        self.refusals.append(error)
                    self.failed_count += 1
                    self.failed_at = time.monotonic()
                self._is_over.wait(LOOK_SECONDS)
                continue
            with self.lock:
                self.acknowledged[name] = (metadata["uid"], metadata["resourceVersion"])
                self.acknowledged_at.append(time.monotonic())
        client.close()

    def wait_for(self, count: int) -> None:
        """Wait until so many more are acknowledged."""
        wanted = len(self.acknowledged) + count
        deadline = time.monotonic() + SECONDS_MAX
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {wanted} writes acknowledged, {self.failed_count} failed"
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """Write no more."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(SECONDS_MAX)


def kill_in_turn(there: World, writes: int) -> tuple[list[Row], Writers]:
    """Let clients write, and kill one process after the other, starting each again."""
    writers = Writers(there.kubeconfig)
    rows = []
    victims: list[Any] = [*there.servers, *there.members]
    part = max(writes // (3 * len(victims)), 1)
    try:
        for victim in victims:
            writers.wait_for(part)
            tried, acknowledged, failed = writers.tried, len(writers.acknowledged), writers.failed_count
            start = time.monotonic()
            victim.kill()
            writers.wait_for(part)
            if isinstance(victim, Member):
                victim.start(there.members)
            else:
                victim.start()
                victim.wait()
            down_seconds = time.monotonic() - start
            writers.wait_for(part)
            last = max(writers.failed_at, start)
            first = min((moment for moment in writers.acknowledged_at if moment > last), default=last)
            done = (writers.tried - tried, len(writers.acknowledged) - acknowledged, writers.failed_count - failed)
            rows.append(Row(victim.name, down_seconds, *done, first - start))
    finally:
        writers.stop()
    return rows, writers


def lost(there: World, writers: Writers) -> list[str]:
    """What was acknowledged and is not there as it was acknowledged, at any of the servers."""
    found = set()
    for server in there.servers:
        client = Client.of(server.kubeconfig, timeout=60.0)
        items = {item["metadata"]["name"]: item for item in client.get(MAPS)["items"]}
        client.close()
        for name, told in writers.acknowledged.items():
            item = items.get(name)
            if item is None or (item["metadata"]["uid"], item["metadata"]["resourceVersion"], item["data"]) != (*told, {"name": name}):
                found.add(name)
    return sorted(found)


def main() -> int:
    """Print the table; 1 when something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writes", type=int, default=5000)
    writes = parser.parse_args().writes
    if not haproxy():
        print("haproxy is not installed: tools/debian_packages.sh installs it")
        return 0
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as there:
        rows, writers = kill_in_turn(there, writes)
        missing = lost(there, writers)
    columns = "{:14} {:>7} {:>6} {:>6} {:>7} {:>10}"
    print(columns.format("killed", "down s", "tried", "acked", "failed", "recovered"))
    for row in rows:
        counts = (row.tried, row.acknowledged, row.failed)
        print(columns.format(row.victim, f"{row.down_seconds:.2f}", *counts, f"{row.recovery_seconds:.3f} s"))
    print(f"writes acknowledged {len(writers.acknowledged)}, failed {writers.failed_count}, acknowledged and lost {len(missing)}")
    for refusal in writers.refusals:
        print(f"refused: {refusal}")
    return 1 if missing or writers.refusals else 0


if __name__ == "__main__":
    sys.exit(main())
