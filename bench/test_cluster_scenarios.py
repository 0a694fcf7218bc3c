"""The whole cluster, end to end: every scenario is one run of the command in a process of its own.

A fresh process is what a user sees, and the only way to a peak of memory that is this run's. The figures are the command's own:
wall time from the start of the command (imports included) to the summary.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SCENARIOS = sorted((ROOT / "bench" / "scenarios").glob("*.yaml"))
SMOKE_DIVISOR = 100


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(benchmark, size: str, path: Path) -> None:
    scenario = yaml.safe_load(path.read_text(encoding="utf-8"))
    divisor = 1 if size == "full" else SMOKE_DIVISOR
    nodes, pods = scenario["nodes"] // divisor, scenario["pods"] // divisor
    until = scenario.get("until", "converged")
    result = benchmark.pedantic(lambda: run("--nodes", nodes, "--pods", pods, "--until", until), rounds=1)
    # The work: every Pod runs, every Deployment is available, every node is still Ready.
    assert result["pods"]["phases"] == ({"Running": pods} if pods else {})
    assert sum(each["available"] for each in result["deployments"]) == pods
    assert result["nodes"] == {"count": nodes, "ready": nodes}
    assert result["latencies"]["create_to_running"]["count"] == pods
    if until == "24h":
        assert result["virtual_seconds"] >= 24 * 3600
    benchmark.extra_info.update(room="cluster", operation=scenario["operation"], count=pods or 1, unit="Pods" if pods else "virtual days")
    benchmark.extra_info.update(floor=scenario.get("floor", {}), digest=result["digest"])
    benchmark.extra_info.update({key: result[key] for key in ("wall_seconds", "pods_per_second", "peak_memory_bytes", "write_count")})


def run(*arguments: Any) -> dict[str, Any]:
    """Run ``kubesim run --json`` in a fresh process; return what it printed."""
    command = [sys.executable, "-m", "kubesim", "run", "--json", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result
