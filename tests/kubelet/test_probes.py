"""Probes: when a container counts as started, ready and alive, and what a failure does."""

from typing import Any

import pytest

from kubesim.kubelet.models.contract import Answer, Image
from kubesim.kubelet.models.default import DefaultModel
from tests.kubelet.world import STEADY, World, container, pod

IMAGES = {"*": Image(0)}
UP_S = 0.601  # bound and seen, sandbox, registry, start


def probe(**fields: int) -> dict[str, Any]:
    return {"httpGet": {"path": "/healthz", "port": 80}, **fields}


def ready_at(world: World) -> list[tuple[float, str]]:
    """(seconds, status) at which the Ready condition was reported with another status."""
    found: list[tuple[float, str]] = []
    for time, status in world.reports():
        ready = next(each["status"] for each in status["conditions"] if each["type"] == "Ready")
        if not found or found[-1][1] != ready:
            found.append((time, ready))
    return found


@pytest.mark.parametrize(
    ("fields", "annotations", "expected"),
    [
        ({}, {}, [(0.001, "False"), (UP_S, "True")]),
        ({"initialDelaySeconds": 7}, {}, [(0.001, "False"), (UP_S + 7, "True")]),
        ({"periodSeconds": 5, "successThreshold": 3}, {}, [(0.001, "False"), (UP_S + 10, "True")]),
        ({"periodSeconds": 5}, {"kubesim.dev/ready-after": "11s"}, [(0.001, "False"), (UP_S + 15, "True")]),
        ({}, {"kubesim.dev/ready-after": "never"}, [(0.001, "False")]),
    ],
    ids=["at-once", "delay", "threshold", "later", "never"],
)
def test_readiness(fields: dict[str, int], annotations: dict[str, str], expected: list[tuple[float, str]]) -> None:
    world = World(images=IMAGES)
    world.place(pod(annotations=annotations, containers=[container(readinessProbe=probe(**fields))]))
    world.run(120)
    assert [(round(time, 3), status) for time, status in ready_at(world)] == [(round(time, 3), status) for time, status in expected]
    assert world.status()["phase"] == "Running"


def test_an_unready_container_says_why() -> None:
    world = World(images=IMAGES)
    world.place(pod(annotations={"kubesim.dev/ready-after": "5s"}, containers=[container(readinessProbe=probe(periodSeconds=2))]))
    world.run(1)
    ready = next(each for each in world.status()["conditions"] if each["type"] == "Ready")
    assert (ready["reason"], ready["message"]) == ("ContainersNotReady", "containers with unready status: [app]")
    world.run(20)
    assert ("Warning", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503") in world.events()


def test_a_startup_probe_goes_first() -> None:
    world = World(images=IMAGES)
    app = container(startupProbe=probe(periodSeconds=3, failureThreshold=10), readinessProbe=probe(), livenessProbe=probe())
    world.place(pod(annotations={"kubesim.dev/ready-after": "8s"}, containers=[app]))
    world.run(5)
    assert world.status()["containerStatuses"][0]["started"] is False
    world.run(20)
    assert world.status()["containerStatuses"][0]["started"] is True
    assert [(round(time, 3), status) for time, status in ready_at(world)] == [(0.001, "False"), (9.601, "True")]
    assert world.status()["containerStatuses"][0]["restartCount"] == 0


def test_a_startup_probe_gives_up() -> None:
    world = World(images=IMAGES)
    app = container(startupProbe=probe(periodSeconds=2, failureThreshold=3))
    world.place(pod(annotations={"kubesim.dev/ready-after": "never"}, containers=[app]))
    world.run(5)
    assert ("Normal", "Killing", "Container app failed startup probe, will be restarted") in world.events()
    assert world.status()["containerStatuses"][0]["restartCount"] == 1


def test_a_sidecar_holds_up_the_rest_until_it_has_started() -> None:
    world = World(images=IMAGES)
    proxy = container("proxy", restartPolicy="Always", startupProbe=probe(periodSeconds=1, failureThreshold=30))
    world.place(pod(annotations={"kubesim.dev/ready-after.proxy": "6s"}, initContainers=[proxy]))
    world.run(5)
    assert world.status()["phase"] == "Pending" and world.conditions()["Initialized"] == "False"
    world.run(10)
    assert world.status()["phase"] == "Running" and world.conditions()["Ready"] == "True"


@pytest.mark.parametrize(("policy", "restarts", "phase"), [("Always", 1, "Running"), ("Never", 0, "Failed")])
def test_a_dead_container_is_killed(policy: str, restarts: int, phase: str) -> None:
    world = World(images=IMAGES)
    app = container(livenessProbe=probe(periodSeconds=5, failureThreshold=2))
    annotations = {"kubesim.dev/live-for": "12s", "kubesim.dev/stop-exit-code": "143", "kubesim.dev/run-for": "1h"}
    world.place(pod(annotations=annotations, restartPolicy=policy, containers=[app]))
    world.run(25)
    # Asked at 0, 5, 10, 15 and 20 s after its start; the second failure in a row counts.
    assert ("Normal", "Killing", "Container app failed liveness probe, will be restarted") in world.events()
    status = world.status()
    assert (status["phase"], status["containerStatuses"][0]["restartCount"]) == (phase, restarts)


def test_a_probe_may_have_its_own_grace_period() -> None:
    world = World(images=IMAGES)
    app = container(livenessProbe=probe(periodSeconds=1, failureThreshold=1, terminationGracePeriodSeconds=4))
    world.place(pod(annotations={"kubesim.dev/live-for": "2s", "kubesim.dev/stop-delay": "never"}, containers=[app]))
    world.run(8)
    last = world.status()["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 137
    assert (last["startedAt"], last["finishedAt"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:06Z")


class Moody(DefaultModel):
    """Probes answer what ``mood`` says at the time."""

    mood = True

    def probe(self, *_: Any) -> Answer:
        return Answer(self.mood, "in a mood", None)


def test_a_sleeping_probe_is_woken() -> None:
    model = Moody(0, STEADY, IMAGES)
    world = World(model=model)
    world.place(pod(containers=[container(readinessProbe=probe(periodSeconds=10))]))
    world.run(100)
    assert world.conditions()["Ready"] == "True"
    dispatched = world.kernel.dispatched_count
    world.run(100)
    assert world.kernel.dispatched_count == dispatched, "nobody asks while nothing can change"
    model.mood = False
    world.kubelets.poke("default", "web")
    world.run(40)
    assert world.conditions()["Ready"] == "False"
    model.mood = True
    world.kubelets.poke("default", "web")
    world.run(40)
    assert world.conditions()["Ready"] == "True"


def test_an_annotation_changes_a_running_pod() -> None:
    world = World(images=IMAGES)
    world.place(pod(containers=[container(readinessProbe=probe(periodSeconds=10))]))
    world.run(100)
    current = world.get()
    metadata = {**current["metadata"], "annotations": {"kubesim.dev/ready-after": "never"}}
    world.send_update({**current, "metadata": metadata})
    world.run(60)
    assert world.conditions()["Ready"] == "False"
