"""``kubesim explain``: reasons and points, for a pending and for a bound Pod."""

import json
from pathlib import Path

import pytest

from kubesim.cli.main import main

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: big}
spec: {containers: [{name: c, image: i, resources: {requests: {cpu: "99"}}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: i, resources: {requests: {cpu: "1"}}}]}
"""


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    path = tmp_path / "m.yaml"
    path.write_text(MANIFEST)
    return str(path)


def test_a_pending_pod_is_told_why_nowhere(manifest: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "big", manifest, "--nodes", "3"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Pod default/big, pending: 0 nodes can take it",
        "  0/3 nodes are available: 3 Insufficient cpu.",
        "rejected:",
        "  3 by NodeResourcesFit: Insufficient cpu",
    ]


def test_a_bound_pod_is_seen_without_itself(manifest: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "default/web", manifest, "--nodes", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pod"].startswith("default/web-") and found["node"] in found["best"]
    assert found["rejected"] == {} and set(found["totals"]) == {"node-1", "node-2", "node-3"}
    others = [name for name, total in found["totals"].items() if total < max(found["totals"].values())]
    assert len(others) == 1  # where the other Pod is
    assert main(["explain", "web", manifest, "--nodes", "3", "--node", others[0], "--versus", found["best"][0]]) == 0
    out = capsys.readouterr().out
    assert f"{others[0]} loses to {found['best'][0]}, " in out and "NodeResourcesFit -" in out
    assert main(["explain", "web", manifest, "--nodes", "3", "--top", "0"]) == 0
    assert "nodes:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], 'there is no Pod "nope"; expected one of default/big, default/web-'),
        (["big", "--node", "node-9", "--versus", "node-1"], "there is no node 'node-9'; expected one of 3 nodes"),
        (["big", "--top", "-1"], "--top is -1; expected 0 or more"),
        (["big", "--until", "soon"], "soon"),
    ],
)
def test_bad_input(manifest: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", arguments[0], manifest, "--nodes", "3", *arguments[1:]]) == 2
    assert message in capsys.readouterr().err
