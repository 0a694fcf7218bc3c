"""Real clients against a served cluster: the official Python client, kr8s, an operator written with kopf, all as users write them."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.server.test_process import Served

POD = {"containers": [{"name": "main", "image": "nginx:1.27"}]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A cluster of two nodes, twenty times as fast as the clock."""
    cluster = Served(tmp_path_factory.mktemp("served"), "--nodes", "2", "--time-scale", "20")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def kubeconfig(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig of the cluster, in a file."""
    import yaml

    path = tmp_path_factory.mktemp("config") / "kubeconfig"
    path.write_text(yaml.safe_dump(served.kubeconfig))
    return path


def test_the_official_client_creates_watches_patches_and_deletes(served: Served, kubeconfig: Path) -> None:
    kubernetes = pytest.importorskip("kubernetes")
    api = kubernetes.config.new_client_from_config(str(kubeconfig))
    core, apps = kubernetes.client.CoreV1Api(api), kubernetes.client.AppsV1Api(api)
    template = {"metadata": {"labels": {"app": "web"}}, "spec": POD}
    body = {"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}}
    apps.create_namespaced_deployment("default", body)
    running = set()
    watch = kubernetes.watch.Watch()
    for event in watch.stream(core.list_namespaced_pod, "default", label_selector="app=web", timeout_seconds=60):
        if event["object"].status.phase == "Running":
            running.add(event["object"].metadata.name)
        if len(running) == 2:
            watch.stop()
    assert len(running) == 2
    patched = apps.patch_namespaced_deployment("web", "default", {"metadata": {"labels": {"tier": "front"}}})
    assert patched.metadata.labels == {"tier": "front"}
    with pytest.raises(kubernetes.client.exceptions.ApiException) as refused:
        core.read_namespaced_pod("nobody", "default")
    assert refused.value.status == 404
    apps.delete_namespaced_deployment("web", "default", propagation_policy="Foreground")
    for event in kubernetes.watch.Watch().stream(apps.list_namespaced_deployment, "default", timeout_seconds=60):
        if event["type"] == "DELETED":
            break
    assert core.list_namespaced_pod("default", label_selector="app=web").items == []
    api.close()


def test_one_of_two_is_elected(served: Served, kubeconfig: Path) -> None:
    kubernetes = pytest.importorskip("kubernetes")
    from kubernetes.leaderelection import electionconfig, leaderelection
    from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

    kubernetes.config.load_kube_config(str(kubeconfig))
    leads, follows = threading.Event(), threading.Event()

    class Loses(Exception):
        """Ends the endless loop of a candidate that has seen the other lead."""

    done = threading.Event()

    class First(LeaseLock):
        def get(self, name: str, namespace: str) -> tuple[bool, Any]:
            if done.is_set():
                raise Loses  # the library has no way to end an election
            return super().get(name, namespace)

    class Second(LeaseLock):
        def get(self, name: str, namespace: str) -> tuple[bool, Any]:
            found, record = super().get(name, namespace)
            if found and getattr(record, "holder_identity", "") == "first":
                follows.set()
                raise Loses
            return found, record

    def elect(lock: Any, on_lead: Any) -> None:
        config = electionconfig.Config(
            lock, lease_duration=17, renew_deadline=15, retry_period=5, onstarted_leading=on_lead, onstopped_leading=None
        )
        leaderelection.LeaderElection(config).run()

    def lead() -> None:
        with suppress(Loses):
            elect(First("race", "default", "first"), leads.set)

    first = threading.Thread(target=lead, daemon=True)
    first.start()
    try:
        assert leads.wait(60)
        with pytest.raises(Loses):
            elect(Second("race", "default", "second"), lambda: None)
        assert follows.is_set()
    finally:
        done.set()
        first.join(60)
    assert not first.is_alive()


# A process of its own: kr8s keeps an event loop and its connections to the end of the process.
KR8S = """
import sys
import kr8s
api = kr8s.api(kubeconfig=sys.argv[1])
spec = {"containers": [{"name": "main", "image": "nginx:1.27"}]}
pod = kr8s.objects.Pod({"metadata": {"name": "one", "namespace": "default"}, "spec": spec}, api=api)
pod.create()
pod.wait("condition=Ready", timeout=60)
pod.refresh()
assert pod.status.phase == "Running", pod.status
pod.label({"x": "y"})
assert [each.name for each in kr8s.get("pods", namespace="default", label_selector={"x": "y"}, api=api)] == ["one"]
pod.delete()
pod.wait("delete", timeout=60)
assert not pod.exists()
print("done")
"""


def test_kr8s_creates_waits_and_deletes(served: Served, kubeconfig: Path) -> None:
    pytest.importorskip("kr8s")
    done = subprocess.run([sys.executable, "-c", KR8S, str(kubeconfig)], capture_output=True, text=True, timeout=200, check=False)
    assert done.stdout == "done\n", done.stderr


def test_an_operator_reconciles(served: Served, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kopf = pytest.importorskip("kopf")
    kubernetes = pytest.importorskip("kubernetes")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(kopf.login_with_kubeconfig)

    @kopf.on.create("configmaps", labels={"shop": kopf.PRESENT}, registry=registry)
    def made(body: Any, patch: Any, **_: Any) -> None:
        patch.metadata.annotations["shop"] = f"open for {body['data']['owner']}"

    @kopf.on.field("configmaps", field="data.owner", labels={"shop": kopf.PRESENT}, registry=registry)
    def sold(old: Any, new: Any, patch: Any, **_: Any) -> None:
        if old is not None:
            patch.metadata.annotations["shop"] = f"sold by {old} to {new}"

    ready, stop = threading.Event(), threading.Event()

    def operate() -> None:
        asyncio.run(kopf.operator(registry=registry, standalone=True, namespaces=["default"], ready_flag=ready, stop_flag=stop))

    operator = threading.Thread(target=operate)
    operator.start()
    api = kubernetes.config.new_client_from_config(str(kubeconfig))
    try:
        core = kubernetes.client.CoreV1Api(api)
        assert ready.wait(60)
        core.create_namespaced_config_map("default", {"metadata": {"name": "kiosk", "labels": {"shop": "1"}}, "data": {"owner": "ann"}})
        _wait_for(kubernetes, core, "open for ann")
        core.patch_namespaced_config_map("kiosk", "default", {"data": {"owner": "bob"}})
        _wait_for(kubernetes, core, "sold by ann to bob")
        core.delete_namespaced_config_map("kiosk", "default")
    finally:
        stop.set()
        operator.join(60)
        api.close()


def _wait_for(kubernetes: Any, core: Any, text: str) -> None:
    """Watch until the kiosk's sign says this."""
    stream = kubernetes.watch.Watch().stream(
        core.list_namespaced_config_map, "default", field_selector="metadata.name=kiosk", timeout_seconds=60
    )
    assert any((event["object"].metadata.annotations or {}).get("shop") == text for event in stream), text
