"""``kubesim run``: what it prints, in which form, and how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kubesim.cli.main import main
from kubesim.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "converged",
    "deployments",
    "digest",
    "events",
    "latencies",
    "nodes",
    "now",
    "peak_memory_bytes",
    "pods",
    "pods_per_second",
    "revision",
    "seed",
    "services",
    "virtual_seconds",
    "waits",
    "wall_seconds",
    "write_count",
    "writes",
    "writes_by_component",
}


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["run", "--json", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_json_has_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(capsys, "--nodes", "5", "--pods", "120")
    assert set(result) == KEYS
    assert result["deployments"] == [
        {"namespace": "default", "name": "load-1", "replicas": 100, "available": 100},
        {"namespace": "default", "name": "load-2", "replicas": 20, "available": 20},
    ]
    assert result["pods"]["phases"] == {"Running": 120}
    assert result["pods"]["placements"]["nodes_used"] == 5
    assert result["latencies"]["create_to_running"]["count"] == 120
    assert result["waits"] == []
    assert result["wall_seconds"] > 0 and result["peak_memory_bytes"] > 10**6
    assert result["write_count"] == sum(result["writes_by_component"].values())


def test_the_summary_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--nodes", "2", "--pods", "3"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for text in ("3: 3 Running", "2, 2 ready", "default/load-1", "3/3", "digest", "converged"):
        assert text in out


def test_the_flow_names_every_station_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--flow"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("+")]
    stations = [
        ("kubectl → apiserver → etcd", "Deployment default/hello", "create"),
        ("deployment-controller", "Deployment default/hello", "sees"),
        ("deployment-controller → apiserver → etcd", "ReplicaSet default/hello-", "create"),
        ("replicaset-controller", "ReplicaSet default/hello-", "sees"),
        ("replicaset-controller → apiserver → etcd", "Pod default/hello-", "create"),
        ("kube-scheduler → apiserver → etcd", "Pod default/hello-", "create binding: spec.nodeName node-"),
        ("kubelet node-", "Pod default/hello-", "update status"),
        ("→ CRI", "Pod default/hello-", "event Pulled"),
        ("→ CRI", "Pod default/hello-", "event Started"),
        ("kubelet node-", "Pod default/hello-", "phase Pending → Running"),
        ("replicaset-controller → apiserver → etcd", "ReplicaSet default/hello-", "readyReplicas"),
        ("deployment-controller → apiserver → etcd", "Deployment default/hello", "availableReplicas"),
    ]
    position = 0
    for component, name, text in stations:
        found = [index for index, line in enumerate(lines) if index >= position and component in line and name in line and text in line]
        assert found, (component, name, text)
        position = found[0]
    written = [int(line.split("  ")[-2].strip()) for line in lines if "→ etcd" in line]
    assert written == sorted(set(written)), "every write has a revision of its own, in order"


def test_the_flow_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    steps = run_json(capsys, "--flow")["flow"]
    assert steps[0] == {
        "seconds": 0.0,
        "component": "kubectl → apiserver → etcd",
        "step": "create: 2 replicas of docker.io/library/nginx:1.27",
        "object": "Deployment default/hello",
        "resourceVersion": steps[0]["resourceVersion"],
    }
    assert [step["seconds"] for step in steps] == sorted(step["seconds"] for step in steps)


def test_no_nodes_everything_waits_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(capsys, "--nodes", "0", "--pods", "7")
    assert result["pods"]["phases"] == {"Pending": 7}
    (wait,) = [each for each in result["waits"] if each["count"] == 7]
    assert wait == {"object": "Deployment default/load-1", "waits_for": "a node: no nodes available to schedule pods", "count": 7}
    assert main(["run", "--nodes", "0", "--pods", "7"]) == 0
    assert "7 Pods of Deployment default/load-1 wait for a node: no nodes available to schedule pods" in capsys.readouterr().out


def test_until_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(capsys, "--nodes", "3", "--pods", "5", "--until", "90s")
    assert result["virtual_seconds"] == 90
    assert run_json(capsys, "--nodes", "3", "--pods", "5", "--until", "2ms")["pods"]["phases"] == {"Pending": 5}


@pytest.mark.parametrize("suffix", ["html", "md"])
def test_a_report(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"report.{suffix}"
    result = run_json(capsys, "--flow", "--report", str(path))
    text = path.read_text()
    assert result["digest"] in text
    assert "default/hello" in text and "create_to_running".replace("_", " ") in text
    assert ("<table>" in text) is (suffix == "html")
    assert "http" not in text.replace("https://", "http").split("</style>")[-1], "a report needs nothing from elsewhere"


def test_manifests_from_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        @staticmethod
        def read() -> str:
            return "apiVersion: v1\nkind: Pod\nmetadata: {name: one}\nspec: {containers: [{name: a, image: nginx}]}\n"

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert run_json(capsys, "-")["pods"]["phases"] == {"Running": 1}


def test_a_forgotten_separator_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "glued.yaml"
    path.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nkind: Secret\n")
    assert main(["run", "--json", str(path)]) == 0
    assert f'kubesim: warning: {path}: document 1: line 4: "kind" appears twice' in capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"kubesim {VERSION}\n"
    for arguments in ([], ["--help"], ["run", "--help"], ["version", "--help"]):
        assert main(arguments) == 0
        assert "Example" in capsys.readouterr().out


def test_ctrl_c_ends_with_130_and_leaves_nothing() -> None:
    # The alarm is set once the modules are read, so the signal comes inside the run however busy the machine is.
    code = (
        "import os, signal, sys, kubesim; from kubesim.cli.main import entry\n"
        "signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT)); signal.setitimer(signal.ITIMER_REAL, 1)\n"
        "sys.argv = ['kubesim', 'run', '--nodes', '1000', '--pods', '100000']; entry()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.strip().startswith("kubesim: interrupted")
    assert "Traceback" not in err
