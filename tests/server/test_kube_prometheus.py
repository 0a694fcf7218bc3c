"""kube-prometheus, as its users install it: definitions of up to 800 KB, then everything else, by kubectl apply --server-side.

The folder of manifests is a parameter, KUBESIM_KUBE_PROMETHEUS: ``setup/`` and what is beside it.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server.test_process import Served

BESIDE = Path(__file__).parents[3] / "shared" / "inputs" / "manifests" / "kube-prometheus"
FOLDER = Path(os.environ.get("KUBESIM_KUBE_PROMETHEUS") or BESIDE)
WORKLOADS = "deployment/blackbox-exporter", "deployment/grafana", "deployment/kube-state-metrics", "deployment/prometheus-adapter", \
    "deployment/prometheus-operator"  # fmt: skip
pytestmark = [
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
    pytest.mark.skipif(not FOLDER.is_dir(), reason="kube-prometheus is not beside the checkout (KUBESIM_KUBE_PROMETHEUS)"),
]


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory):
    """kubectl against a served cluster of three nodes."""
    directory = tmp_path_factory.mktemp("prometheus")
    served = Served(directory, "--nodes", "3", "--time-scale", "50", "--kubeconfig", str(directory / "kubeconfig"))

    def run(*words: str) -> str:
        command = ["kubectl", "--kubeconfig", str(directory / "kubeconfig"), "--cache-dir", str(directory / "cache"), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    served.kill()


def test_everything_is_accepted_and_every_workload_gets_ready(kubectl) -> None:
    setup = kubectl("apply", "--server-side", "-f", str(FOLDER / "setup")).splitlines()
    rest = kubectl("apply", "--server-side", "-f", str(FOLDER)).splitlines()
    files = len([*(FOLDER / "setup").glob("*.yaml")]), len([*FOLDER.glob("*.yaml")])
    assert (len(setup) >= files[0], len(rest) >= files[1]) == (True, True)
    assert {line.rpartition(" ")[2] for line in (*setup, *rest)} == {"serverside-applied"}
    kubectl("wait", "-n", "monitoring", "--for=condition=Available", "--timeout=120s", *WORKLOADS)
    kubectl("rollout", "status", "-n", "monitoring", "daemonset/node-exporter", "--timeout=120s")
    tables = kubectl("get", "prometheuses,servicemonitors", "-A").split("\n\n")
    assert [table.splitlines()[0].split() for table in tables] == [
        ["NAMESPACE", "NAME", "VERSION", "DESIRED", "READY", "RECONCILED", "AVAILABLE", "AGE"], ["NAMESPACE", "NAME", "AGE"],
    ]  # fmt: skip
    assert tables[0].splitlines()[1].split()[:4] == ["monitoring", "prometheus.monitoring.coreos.com/k8s", "3.13.2", "2"]
    again = kubectl("apply", "--server-side", "-f", str(FOLDER / "setup"))
    assert len(again.splitlines()) == len(setup)
