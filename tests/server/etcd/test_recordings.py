"""Some recorded sequences of a real etcd v3.6, replayed over HTTP against members as processes by the recordings' own checker.

All of them take minutes: README.md has the command. What a member answers without sockets is in ``tests/etcd/test_recordings.py``.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CONFORMANCE = ROOT.parent / "shared" / "conformance"
FLAGS = (
    "--name {name} --data-dir {dir} --listen-client-urls {client} --advertise-client-urls {client} --listen-peer-urls {peer} "
    "--initial-advertise-peer-urls {peer} --initial-cluster {cluster} --initial-cluster-state {state} {extra}"
)


@pytest.mark.shared
@pytest.mark.skipif(not (CONFORMANCE / "etcd").exists(), reason="the folder of recordings is not beside the checkout")
@pytest.mark.parametrize("family", ["errors", "auth", "maintenance", "watch", "cluster"])
def test_a_recorded_sequence(family: str, tmp_path: Path) -> None:
    (recording,) = (CONFORMANCE / "etcd").glob(f"*-{family}.jsonl.gz")
    command = [sys.executable, str(CONFORMANCE / "check_etcd.py"), "--loose-ties", "--limit", "1", "--work", str(tmp_path)]
    command += ["--cmd", f"env PYTHONPATH={ROOT} {sys.executable} -m kubesim etcd {FLAGS}", str(recording)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.splitlines()[-1] == "1 passed, 0 failed", done.stdout + done.stderr
