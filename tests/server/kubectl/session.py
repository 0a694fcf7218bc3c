"""kubectl against a served cluster, one command after the other; each begins when the cluster has come to rest."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

TOKENS = 'admin-token,admin,uid-admin,"system:masters"\nalice-token,alice,uid-alice,"dev"\n'
WATCH_SECONDS_MAX = 30.0
ROOT = Path(__file__).resolve().parents[3]


class Output(NamedTuple):
    """What a command printed; ``code`` None: it was stopped."""

    code: int | None
    stdout: str
    stderr: str


class Session:
    """A cluster and the files of one who uses it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "tokens.csv").write_text(TOKENS)
        command = [sys.executable, "-m", "tests.server.kubectl.cluster", str(directory)]
        self._server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self._read()
        assert line.startswith("kubesim serve: "), f"the server did not start: {line!r}"
        self.url = line.split()[2]
        path = directory / "kubeconfig"
        config = yaml.safe_load(path.read_text())
        config["users"][0]["user"] = {"token": "admin-token"}
        path.write_text(yaml.safe_dump(config))
        # One thread and no garbage collection: a command that lives for a tenth of a second needs neither.
        self._environment = {
            "PATH": os.environ["PATH"], "HOME": str(directory), "KUBECONFIG": str(path), "KUBE_EDITOR": "true", "EDITOR": "true",
            "TMPDIR": str(directory), "KUBECACHEDIR": str(directory / "cache"), "GOMAXPROCS": "1", "GOGC": "off", "TZ": "UTC",
        }  # fmt: skip

    def _read(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline()

    def until(self, what: str) -> None:
        """Return when the cluster is "settled" or "watched" by a client."""
        assert self._server.stdin is not None
        self._server.stdin.write(f"{what}\n")
        self._server.stdin.flush()
        answer = self._read()
        assert answer == f"{what}\n", f"the server said {answer!r}; expected {what!r}"

    def start(self, args: Sequence[str], kubeconfig: str = "") -> "subprocess.Popen[str]":
        """Start a command and let it run."""
        environment = {**self._environment, "KUBECONFIG": kubeconfig} if kubeconfig else self._environment
        pipe = subprocess.PIPE
        return subprocess.Popen(["kubectl", *args], env=environment, cwd=self.directory, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def run(self, args: Sequence[str], stdin: str | None = None, kubeconfig: str = "") -> Output:
        """Run a command to its end."""
        with self.start(args, kubeconfig) as process:
            stdout, stderr = process.communicate(stdin or "", timeout=120)
        return Output(process.returncode, stdout, stderr)

    def run_beside(self, args: Sequence[str], meanwhile: Sequence[str]) -> Output:
        """Run a command that waits for something, and do it when it watches."""
        with self.start(args) as process:
            self.until("watched")
            self.run(meanwhile)
            stdout, stderr = process.communicate(timeout=120)
        return Output(process.returncode, stdout, stderr)

    def watch(self, args: Sequence[str], first: int, meanwhile: Sequence[str], last: int) -> Output:
        """Run a command that does not end: do something when it has printed ``first`` things, stop it when it has printed ``last``."""
        with self.start(args) as process:
            assert process.stdout is not None
            guard = threading.Timer(WATCH_SECONDS_MAX, process.kill)
            guard.start()
            out: list[str] = []
            seen = 0
            while seen < last:
                if seen == first and meanwhile:
                    self.run(meanwhile)
                    meanwhile = ()
                out.append(process.stdout.readline())
                if not out[-1]:
                    break  # killed: what it did not print is a difference
                seen += out[-1] == "}\n" if "json" in args else 1
            guard.cancel()
            process.terminate()
            out += [line for line in process.stdout.readlines() if line.endswith("\n")]
            assert process.stderr is not None
            stderr = process.stderr.read()
        return Output(None, "".join(out), stderr)

    def close(self) -> int:
        """End the server; returns its exit status."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.terminate()
        status = self._server.wait(60)
        self._server.stdin.close()
        self._server.stdout.close()
        return status
