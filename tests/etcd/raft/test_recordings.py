"""kubesim's Raft against the data-driven cases of etcd's own (quorums, membership changes, 20 scripts), every message compared."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CHECKER = ROOT.parent / "shared" / "conformance" / "check_raft.py"


@pytest.mark.shared
@pytest.mark.skipif(not CHECKER.exists(), reason="the folder of recordings is not beside this checkout")
def test_the_recorded_cases_hold_to_the_message() -> None:
    command = [sys.executable, str(CHECKER), "--adapter", "tests/etcd/raft/adapter.py", "--cases", str(CHECKER.parent / "raft"), "--strict"]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.stdout.rstrip().endswith("156 passed, 0 failed"), done.stdout + done.stderr
