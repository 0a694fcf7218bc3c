"""Behaviour models: annotations, images, the pull queue, bad input."""

from typing import Any

import pytest

from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import MILLISECOND, SECOND
from kubesim.kubelet.doors.simulated import SimulatedImages, repository_of
from kubesim.kubelet.doors.volumes import NEVER_NS
from kubesim.kubelet.models.annotations import PLAIN, behaviour_of
from kubesim.kubelet.models.contract import Image, Writes
from kubesim.kubelet.models.default import DefaultModel, Latencies
from kubesim.kubelet.models.recorded import RecordedModel
from tests.kubelet.world import STEADY, World, pod


@pytest.mark.parametrize(
    ("name", "text", "field", "expected"),
    [
        ("run-for", "90s", "run_for_ns", 90 * SECOND),
        ("run-for", "2", "run_for_ns", 2 * SECOND),
        ("run-for", "1.5", "run_for_ns", 1500 * MILLISECOND),
        ("exit-code", "1,0", "exit_codes", (1, 0)),
        ("ready-after", "never", "ready_after_ns", None),
        ("stop-delay", "never", "stop_delay_ns", NEVER_NS),
        ("stop-exit-code", "143", "stop_exit_code", 143),
        ("writes", "/log/a 1s hello world", "writes", (Writes("/log/a", SECOND, "hello world"),)),
        ("tails", "/log/a", "tails", ("/log/a",)),
    ],
)
def test_annotations(name: str, text: str, field: str, expected: object) -> None:
    behaviour = behaviour_of({f"kubesim.dev/{name}": text})
    assert getattr(behaviour.of("any"), field) == expected and not behaviour.problems
    only = behaviour_of({f"kubesim.dev/{name}.app": text})
    assert getattr(only.of("app"), field) == expected
    assert getattr(only.of("other"), field) == getattr(PLAIN.default, field)


@pytest.mark.parametrize("annotations", [None, {}, {"a": "b"}, {"kubesim.dev/standing-renewal": "10s"}])
def test_no_behaviour(annotations: dict[str, str] | None) -> None:
    assert behaviour_of(annotations) is PLAIN


@pytest.mark.parametrize(
    ("name", "text"),
    [("run-for", "-1s"), ("run-for", "soon"), ("exit-code", "256"), ("exit-code", "a"), ("writes", "/a 1s"), ("writes", "/a 0s text")],
)
def test_an_annotation_that_makes_no_sense_is_named(name: str, text: str) -> None:
    world = World(images={"*": Image(0)})
    world.place(pod(annotations={f"kubesim.dev/{name}": text}))
    world.run(5)
    type_, reason, message = world.events()[0]
    assert (type_, reason) == ("Warning", "InvalidBehaviour")
    assert message.startswith(f"annotation kubesim.dev/{name}: {text!r} is not understood: ")
    assert world.status()["phase"] == "Running"


def test_an_image_has_one_size() -> None:
    one, other, third = DefaultModel(1), DefaultModel(1), DefaultModel(2)
    names = [f"registry.example/{index}:1" for index in range(30)]
    assert [one.image(name) for name in names] == [other.image(name) for name in reversed(names)][::-1]
    assert [one.image(name) for name in names] != [third.image(name) for name in names]
    assert all(8 << 20 <= one.image(name).size_bytes < 264 << 20 for name in names)
    assert DefaultModel(images={"*/x:*": Image(5, "gone")}).image("a/x:1") == Image(5, "gone")


def images(serialize: bool) -> SimulatedImages:
    model = DefaultModel(0, STEADY, {"big": Image(200 << 20), "small": Image(100 << 20), "bad": Image(0, "not found")})
    return SimulatedImages(model, Kernel().rng("test"), {}, serialize)


@pytest.mark.parametrize(
    ("serialize", "pulls", "ends_s"),
    [
        (True, ["big", "small"], [2.3, 3.6]),
        (False, ["big", "small"], [2.3, 1.3]),
        (True, ["big", "big"], [2.3, 2.6]),
        (False, ["big", "big"], [2.3, 2.3]),
        (True, ["bad", "small"], [0.3, 1.6]),
    ],
)
def test_the_pull_queue(serialize: bool, pulls: list[str], ends_s: list[float]) -> None:
    service = images(serialize)
    outcomes = [service.pull_image(name, 0) for name in pulls]
    assert [(each.waited_ns + each.duration_ns) / SECOND for each in outcomes] == ends_s
    assert service.has_image("small", 4 * SECOND) is ("small" in pulls)
    assert not service.has_image("big", SECOND) and not service.has_image("bad", 9 * SECOND)


def test_images_are_listed_and_removed() -> None:
    service = images(False)
    for name in ("small", "big"):
        service.pull_image(name, 0)
    assert [each.name for each in service.list_images(2 * SECOND)] == ["small"]
    assert [each.name for each in service.list_images(3 * SECOND)] == ["big", "small"]
    service.remove_image("big")
    service.remove_image("nothing")
    assert [each.name for each in service.list_images(3 * SECOND)] == ["small"]


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("nginx:1.25", "docker.io/library/nginx"),
        ("bitnami/redis", "docker.io/bitnami/redis"),
        ("gcr.io/a/b:v1", "gcr.io/a/b"),
        ("localhost/x", "localhost/x"),
        ("host:5000/x@sha256:00", "host:5000/x"),
    ],
)
def test_repositories(image: str, repository: str) -> None:
    assert repository_of(image) == repository


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sandbox_ns": (5, 1)}, "sandbox_ns: .*: expected two numbers of ns, not negative, the smaller first"),
        ({"stop_ns": (-1, 1)}, "stop_ns"),
        ({"bandwidth_bytes": 0}, "bandwidth_bytes: 0: expected a positive number"),
    ],
)
def test_latencies_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Latencies(**fields)


@pytest.mark.parametrize(
    ("annotations", "phase", "restarts", "seconds"),
    [
        ({}, "Running", 0, 0.001),
        ({"fake/start-delay": "3"}, "Running", 0, 3.001),
        ({"fake/run-for": "2", "fake/exit-code": "3"}, "Failed", 0, 2.001),
        ({"fake/run-for": "2", "fake/exit-codes": "7,0", "batch.kubernetes.io/job-completion-index": "1"}, "Succeeded", 0, 2.001),
    ],
)
def test_the_recorded_model(annotations: dict[str, str], phase: str, restarts: int, seconds: float) -> None:
    world = World(model=RecordedModel())
    world.place(pod(annotations=annotations, restartPolicy="Never"))
    world.run(10)
    assert (world.status()["phase"], world.status()["containerStatuses"][0]["restartCount"]) == (phase, restarts)
    assert world.reports()[-1][0] == seconds


def test_runs_are_equal() -> None:
    digests = []
    for seed in (1, 1, 2):
        world = World(2, model=DefaultModel(seed), seed=seed)
        for index in range(6):
            world.place(pod(f"p{index}", annotations={"kubesim.dev/exit-code": "1"} if index % 2 else None), f"node-{index % 2}")
        world.run(100)
        digests.append(world.kernel.trace.digest())
    assert digests[0] == digests[1] != digests[2]
