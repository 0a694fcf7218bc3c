"""The fixture ``kubesim``: a served cluster whose clock stands until the test moves it. The fixture comes from the plugin."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="kubesim[server] is not installed")
from kubesim.api.errors import ApiError
from kubesim.cluster.cluster import NotConverged
from kubesim.testing import builders

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
CRON = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "tick"},
    "spec": {
        "schedule": "*/10 * * * *",
        "jobTemplate": {
            "spec": {
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox:1.36"}]}},
            }
        },
    },
}


def test_a_deployment_is_created_over_http_and_waited_for(kubesim: Any) -> None:
    kubesim.client.post("/apis/apps/v1/namespaces/default/deployments", builders.deployment("web", 2))
    kubesim.wait_for("Deployment web available")
    assert kubesim.cluster.get("Deployment", "web")["status"]["availableReplicas"] == 2
    assert len(kubesim.client.get("/api/v1/namespaces/default/pods")["items"]) == 2


def test_the_clock_stands_until_it_is_moved(kubesim: Any) -> None:
    start = kubesim.cluster.now
    kubesim.client.post("/apis/batch/v1/namespaces/default/cronjobs", CRON)
    assert kubesim.client.get("/apis/batch/v1/namespaces/default/jobs")["items"] == []
    assert kubesim.cluster.now == start == "2026-01-01T00:01:00Z"
    kubesim.cluster.advance("60m")
    assert kubesim.cluster.now == "2026-01-01T01:01:00Z"
    jobs = kubesim.cluster.list("Job", "default")
    assert [job["status"]["startTime"][11:16] for job in jobs] == ["00:40", "00:50", "01:00"]  # the history that a CronJob keeps


def test_an_eviction_takes_no_time(kubesim: Any) -> None:
    kubesim.cluster.apply(builders.deployment("web", 2))
    kubesim.cluster.run_until("Deployment web available")
    victim = kubesim.cluster.list("Pod")[0]["spec"]["nodeName"]
    kubesim.cluster.fail_node(victim)
    kubesim.cluster.advance("7m")
    pods = [pod for pod in kubesim.cluster.list("Pod") if "deletionTimestamp" not in pod["metadata"]]
    assert len(pods) == 2
    assert victim not in {pod["spec"]["nodeName"] for pod in pods}


def test_the_clock_is_moved_over_http(kubesim: Any) -> None:
    client = kubesim.client
    assert client.get("/kubesim/time") == {"now": "2026-01-01T00:01:00.000000Z", "time": "stepped"}
    assert client.post("/kubesim/advance", {"duration": "90s"})["now"] == "2026-01-01T00:02:30.000000Z"
    assert client.post("/kubesim/advance?duration=30s")["now"] == "2026-01-01T00:03:00.000000Z"
    client.post("/apis/apps/v1/namespaces/default/deployments", builders.deployment("web", 1))
    assert client.post("/kubesim/advance", {"duration": "5m", "until": "Deployment web available"})["reached"]
    assert client.get("/kubesim/time")["now"] < "2026-01-01T00:03:30"
    for body, message in (
        ({"duration": "soon"}, "duration is 'soon'; expected a duration such as"),
        ({"minutes": 5}, "the body is {'minutes': 5}; expected {"),
        ({"duration": "1s", "until": "nothing"}, "nothing"),
    ):
        with pytest.raises(ApiError) as refused:
            client.post("/kubesim/advance", body)
        assert refused.value.code == 400
        assert message in refused.value.message


def test_what_happens_while_time_passes_is_told_in_order(kubesim: Any) -> None:
    kubesim.client.post("/apis/batch/v1/namespaces/default/cronjobs", CRON)
    watch = kubesim.client.watch("/apis/batch/v1/namespaces/default/jobs")
    kubesim.cluster.advance("35m")
    seen = [next(watch) for _ in range(6)]
    watch.close()
    assert [event["type"] for event in seen].count("ADDED") >= 2
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
    assert revisions == sorted(revisions)


def test_waiting_in_vain_says_what_waits(kubesim: Any) -> None:
    kubesim.cluster.apply(builders.deployment("web", 1, cpu="900"))
    with pytest.raises(NotConverged, match="1h0m0s of virtual time and 0 s of patience\n  Deployment default/web waits for a node: 0/2"):
        kubesim.wait_for("Deployment web available", patience=0)
    assert kubesim.cluster.now == "2026-01-01T01:01:00Z"


@pytest.mark.kubesim(nodes=5, seed=3, components="apiserver,controller-manager,scheduler,kubelet")
def test_the_marker_says_what_the_cluster_is_like(kubesim: Any) -> None:
    assert len(kubesim.client.get("/api/v1/nodes")["items"]) == 5


def test_equal_seeds_give_equal_clusters(kubesim_factory: Any) -> None:
    digests = []
    for seed in (1, 1, 2):
        served = kubesim_factory(seed=seed)
        served.client.post("/apis/apps/v1/namespaces/default/deployments", builders.deployment("web", 3))
        served.cluster.advance("1m")
        digests.append(served.cluster.digest)
    assert digests[0] == digests[1] != digests[2]


def test_another_user_has_a_kubeconfig(kubesim: Any) -> None:
    from kubesim.server.http_client import Client

    client = Client.of(kubesim.kubeconfig_for("operator", ["team"]))
    with pytest.raises(ApiError) as refused:
        client.get(CONFIG_MAPS)
    client.close()
    assert refused.value.message.startswith('configmaps is forbidden: User "operator" cannot list')


def test_the_official_client_is_at_hand(kubesim: Any) -> None:
    kubernetes = pytest.importorskip("kubernetes")
    core = kubernetes.client.CoreV1Api(kubesim.api_client)
    core.create_namespaced_config_map("default", {"metadata": {"name": "one"}, "data": {"a": "b"}})
    assert kubesim.cluster.get("ConfigMap", "one")["data"] == {"a": "b"}


def test_bad_arguments_are_said_in_the_test(kubesim_factory: Any) -> None:
    from kubesim.server.apiserver.flags import BadFlags

    with pytest.raises(BadFlags, match="--time is 'slow'; expected one of real, stepped"):
        kubesim_factory(time="slow")
    with pytest.raises(BadFlags, match="nodes is"):
        kubesim_factory(nodes=-1)


def test_a_project_of_its_own_gets_the_fixture(tmp_path: Path) -> None:
    """A test file somewhere else, pytest in a process of its own, the plugin named as an entry point would."""
    (tmp_path / "test_mine.py").write_text(
        "def test_mine(kubesim):\n"
        "    kubesim.cluster.apply({'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'a'}})\n"
        "    assert kubesim.client.get('/api/v1/namespaces/default/configmaps/a')['metadata']['name'] == 'a'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "kubesim.testing.plugin", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_imports_next_to_nothing() -> None:
    """pytest imports it at every start of every project that has kubesim installed."""
    code = (
        "import sys, json, pytest; before = set(sys.modules)\n"
        "import kubesim.testing.plugin; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=root)
    assert set(json.loads(done.stdout)) <= {"kubesim", "kubesim.version", "kubesim.testing", "kubesim.testing.plugin"}
