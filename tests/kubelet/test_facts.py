"""Facts of a template: requests, QoS, host ports, pull policies; and the back-off rule."""

from typing import Any

import pytest

from kubesim.kernel.time import SECOND
from kubesim.kubelet.backoff import Backoff
from kubesim.kubelet.facts import TemplateFacts, default_pull_policy, pod_requests, qos_class
from tests.kubelet.world import container


def asking(name: str = "app", cpu: str = "", memory: str = "", limits: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    requests = {key: text for key, text in (("cpu", cpu), ("memory", memory)) if text}
    resources = ({"requests": requests} if requests else {}) | ({"limits": limits} if limits else {})
    return container(name, **({"resources": resources} if resources else {}), **fields)


SIDECAR = asking("s", cpu="1", restartPolicy="Always")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": [asking(cpu="100m", memory="1Gi"), asking(cpu="1")]}, {"cpu": 1100, "memory": 1 << 30}),
        ({"containers": [asking(cpu="1")], "initContainers": [asking("i", cpu="3"), asking("j", cpu="2")]}, {"cpu": 3000}),
        ({"containers": [asking(cpu="2")], "initContainers": [SIDECAR, asking("i", cpu="3")]}, {"cpu": 4000}),
        ({"containers": [asking(cpu="2")], "initContainers": [asking("i", cpu="3"), SIDECAR]}, {"cpu": 3000}),
        ({"containers": [asking(cpu="1")], "overhead": {"cpu": "250m", "memory": "64Mi"}}, {"cpu": 1250, "memory": 64 << 20}),
        ({"containers": [asking(limits={"cpu": "2"})]}, {"cpu": 2000}),
        ({"containers": [asking(cpu="1")], "resources": {"requests": {"cpu": "5"}}}, {"cpu": 5000}),
        ({"containers": [asking()]}, {}),
    ],
    ids=["sum", "init", "sidecar-first", "sidecar-last", "overhead", "limits", "pod-level", "nothing"],
)
def test_requests(spec: dict[str, Any], expected: dict[str, int]) -> None:
    assert pod_requests(spec) == expected


BOTH = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([asking()], "BestEffort"),
        ([asking(cpu="1")], "Burstable"),
        ([asking(limits=BOTH)], "Guaranteed"),
        ([asking(cpu="1", memory="1Gi", limits=BOTH)], "Guaranteed"),
        ([asking(cpu="1", memory="1Gi", limits={**BOTH, "cpu": "2"})], "Burstable"),
        ([asking(limits=BOTH), asking("b")], "Burstable"),
    ],
)
def test_qos(containers: list[dict[str, Any]], expected: str) -> None:
    assert qos_class({"containers": containers}) == expected


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.25", "IfNotPresent"),
        ("host:5000/nginx", "Always"),
        ("nginx@sha256:00", "IfNotPresent"),
    ],
)
def test_pull_policy(image: str, policy: str) -> None:
    assert default_pull_policy(image) == policy


def test_host_ports_of_sidecars_count_and_of_init_containers_do_not() -> None:
    port = {"ports": [{"containerPort": 80, "hostPort": 80}]}
    other = {"ports": [{"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "10.0.0.1"}]}
    spec = {"containers": [container(**port)], "initContainers": [container("s", restartPolicy="Always", **other), container("i", **port)]}
    assert TemplateFacts(spec).host_ports == (("0.0.0.0", "TCP", 80), ("10.0.0.1", "UDP", 53))


def test_back_off() -> None:
    backoff = Backoff()
    now_ns, waits = 1000 * SECOND, []
    for _ in range(8):
        due_ns = backoff.due_ns(now_ns)
        waits.append((due_ns - now_ns) // SECOND)
        backoff.next(now_ns, due_ns)
        now_ns = due_ns + SECOND
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert backoff.due_ns(now_ns + 599 * SECOND) > now_ns + 599 * SECOND
    assert backoff.due_ns(now_ns + 601 * SECOND) == now_ns + 601 * SECOND, "forgotten after ten quiet minutes"
