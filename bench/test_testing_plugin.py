"""What a test with the fixture ``kubesim`` costs: the cluster behind its API, and a Deployment that is created over HTTP and waited for."""

import pytest

pytest.importorskip("cryptography", reason="kubesim[server] is not installed")
from kubesim.server.embedded import Embedded
from kubesim.testing import builders

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def test_the_fixture(benchmark, scale, tmp_path) -> None:
    def start() -> int:
        with Embedded(cert_dir=str(tmp_path / "pki")) as served:
            return len(served.cluster.list("Node"))

    start()  # certificates and imports are of the session
    assert benchmark.pedantic(start, rounds=scale(1, 20)) == 2
    operation = "the fixture kubesim: start, two nodes, stop"
    benchmark.extra_info.update(room="testing", operation=operation, count=1, unit="clusters", floor=1 / 0.3)


def test_a_deployment_created_and_waited_for(benchmark, scale, tmp_path) -> None:
    clusters: list[Embedded] = []

    def fresh() -> None:
        for served in clusters:
            served.close()
        clusters[:] = [Embedded(cert_dir=str(tmp_path / "pki"))]

    def work() -> int:
        client = clusters[0].client
        client.post(DEPLOYMENTS, builders.deployment("web", 2))
        clusters[0].wait_for("Deployment web available")
        return client.get(f"{DEPLOYMENTS}/web")["status"]["availableReplicas"]

    assert benchmark.pedantic(work, setup=fresh, rounds=scale(1, 20)) == 2
    clusters[0].close()
    operation = "a Deployment created over HTTP and waited for"
    benchmark.extra_info.update(room="testing", operation=operation, count=1, unit="tests", floor=1 / 0.05)
