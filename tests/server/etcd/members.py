"""Members as processes, for tests: started from a zygote, killed, started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.01


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Zygote:
    """Forks members; see ``zygote.py``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        command = [sys.executable, "-m", "tests.server.etcd.zygote"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._running: dict[int, None] = {}

    def _ask(self, **request: Any) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def start(self, flags: list[str], log: Path, command: str = "etcd") -> int:
        """Fork a member (or what another command is) and return its process."""
        process = self._ask(start=flags, log=str(log), command=command)
        self._running[process] = None
        return process

    def wait(self, process: int) -> int:
        """Wait for the end of a member; its exit status."""
        self._running.pop(process, None)
        return self._ask(wait=process)

    def close(self) -> None:
        """End all of it."""
        for process in list(self._running):
            os.kill(process, signal.SIGKILL)
            self.wait(process)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Member:
    """One member: its addresses, its directory, and its process when it has one."""

    def __init__(self, zygote: Zygote, folder: Path, name: str = "n0", **flags: str) -> None:
        self.zygote = zygote
        self.name = name
        self.directory = folder / name
        self.log = folder / f"{name}.log"
        self.port, self.peer_port = free_port(), free_port()
        self.url, self.peer_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.peer_port}"
        self.flags = flags
        self.process: int | None = None

    def start(self, cluster: "list[Member] | None" = None, *, waits: bool = True, **flags: str) -> "Member":
        """Start it, alone or as one of several."""
        members = ",".join(f"{member.name}={member.peer_url}" for member in cluster or [self])
        given = {
            "name": self.name,
            "data_dir": str(self.directory),
            "listen_client_urls": self.url,
            "listen_peer_urls": self.peer_url,
            "initial_advertise_peer_urls": self.peer_url,
            "initial_cluster": members,
            **self.flags,
            **flags,
        }
        self.process = self.zygote.start([f"--{name.replace('_', '-')}={value}" for name, value in given.items()], self.log)
        if waits:
            self.wait()
        return self

    def wait(self) -> None:
        """Wait until it serves clients."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.is_ready():
            assert time.monotonic() < deadline, f"{self.name} does not serve: {self.log.read_text()}"
            time.sleep(LOOK_SECONDS)

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait for the end; the exit status."""
        assert self.process is not None
        os.kill(self.process, number)
        process, self.process = self.process, None
        return self.zygote.wait(process)

    def post(self, path: str, **message: Any) -> Any:
        """Call the JSON gateway."""
        request = urllib.request.Request(self.url + path, json.dumps(message).encode())
        with urllib.request.urlopen(request, timeout=15) as answer:
            return json.load(answer)

    def status(self) -> Any:
        """What the member says of itself."""
        return self.post("/v3/maintenance/status")


class Debian:
    """Debian's etcd as a member, with the face of ``Member``."""

    def __init__(self, folder: Path, name: str = "n0", **flags: str) -> None:
        self.name, self.directory, self.flags = name, folder / f"real-{name}", flags
        self.port, self.peer_port = free_port(), free_port()
        self.url, self.peer_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.peer_port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, cluster: list["Debian"] | None = None, *, waits: bool = True) -> "Debian":
        """Start it."""
        members = ",".join(f"{member.name}={member.peer_url}" for member in cluster or [self])
        command = ["etcd", "--name", self.name, "--data-dir", str(self.directory), "--log-level", "error", "--initial-cluster", members]
        command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        command += ["--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url]
        command += [f"--{name.replace('_', '-')}={value}" for name, value in self.flags.items()]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ETCD")}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if waits:
            self.wait()
        return self

    def wait(self) -> None:
        """Wait until it serves."""
        for _ in range(6_000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError("Debian's etcd does not serve")

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def status(self) -> dict[str, object]:
        """What it says of itself."""
        return Member.status(self)  # type: ignore[arg-type]

    post = Member.post
