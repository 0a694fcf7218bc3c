"""online-boutique and guestbook as a user runs them: kubectl apply, wait until everything is available, delete, and nothing is left."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.server.test_process import Served

MANIFESTS = Path(__file__).resolve().parents[3].parent / "shared" / "inputs" / "manifests"
KINDS = "deployments,replicasets,pods,services,serviceaccounts,endpointslices"
# name of the file -> Deployments
APPLICATIONS = {"online-boutique.yaml": 12, "guestbook.yaml": 3}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not MANIFESTS.exists(), reason="the manifests are not beside the checkout"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]


def kubectl(directory: Path, *args: str) -> str:
    """Run a command and return what it printed; it succeeds."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "KUBECONFIG": str(directory / "kubeconfig")}
    done = subprocess.run(["kubectl", *args], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
    return done.stdout


def names(directory: Path) -> list[str]:
    """Everything of the namespace, whatever its generated names."""
    return kubectl(directory, "get", KINDS, "-o", "name").split()


def test_applications_come_up_and_go_without_a_trace(tmp_path: Path) -> None:
    served = Served(tmp_path, "--nodes", "5", "--time-scale", "20", "--kubeconfig", str(tmp_path / "kubeconfig"))
    before = names(tmp_path)
    for name, count in APPLICATIONS.items():
        path = str(MANIFESTS / name)
        kubectl(tmp_path, "apply", "-f", path)
        kubectl(tmp_path, "wait", "--for=condition=Available", "deployment", "--all", "--timeout=240s")
        found = yaml.safe_load(kubectl(tmp_path, "get", "deployments", "-o", "yaml"))["items"]
        assert len(found) == count
        assert all(each["status"]["availableReplicas"] == each["spec"]["replicas"] for each in found)
        kubectl(tmp_path, "delete", "-f", path, "--wait=true", "--timeout=240s")
        kubectl(tmp_path, "wait", "--for=delete", "pods", "--all", "--timeout=240s")
        kubectl(tmp_path, "wait", "--for=delete", "replicasets", "--all", "--timeout=240s")
        kubectl(tmp_path, "wait", "--for=delete", "endpointslices", "-l", "kubernetes.io/service-name!=kubernetes", "--timeout=240s")
        left = [each for each in names(tmp_path) if each not in before]
        assert not left, f"{name}: {left}"
    assert served.stop() == 0
