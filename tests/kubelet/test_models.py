"""Behaviour models: annotations, images, the pull queue, bad input."""

from typing import Any

import pytest

from kubesim.api.curve import Curve
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import MILLISECOND, SECOND
from kubesim.kubelet.doors.simulated import SimulatedImages, repository_of
from kubesim.kubelet.doors.volumes import NEVER_NS
from kubesim.kubelet.models.annotations import PLAIN, behaviour_of
from kubesim.kubelet.models.contract import Crashes, Image, Writes
from kubesim.kubelet.models.default import DefaultModel, Latencies
from kubesim.kubelet.models.distribution import Distribution, drawn, parse_distribution
from kubesim.kubelet.models.recorded import RecordedModel
from kubesim.kubelet.models.settings import parse_span
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
        ("log", "2s line %d", "writes", (Writes("/dev/stdout", 2 * SECOND, "line %d"),)),
        ("crash-loop", "3 2s", "crashes", Crashes(3, 2 * SECOND, 1)),
        ("crash-loop", "always 500ms 7", "crashes", Crashes(1_000_000, 500 * MILLISECOND, 7)),
        ("run-for", "uniform(1s, 5s)", "run_for_ns", Distribution("uniform", (SECOND, 5 * SECOND))),
        ("exit-code", "choice(90%: 0, 10%: 1)", "exit_codes", Distribution("choice", (0, 1), (900_000, 100_000))),
        ("usage-memory", "1Mi+1Ki/s", "usage", {"memory": Curve(((0, 1 << 20),), 1024)}),
        ("usage-volume", "scratch 1Mi", "volumes", {"scratch": Curve(((0, 1 << 20),))}),
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
    [
        ("run-for", "-1s"),
        ("run-for", "soon"),
        ("exit-code", "256"),
        ("exit-code", "a"),
        ("writes", "/a 1s"),
        ("writes", "/a 0s text"),
        ("run-for", "choice(90%: 1s, 20%: 2s)"),
        ("run-for", "uniform(5s, 1s)"),
        ("run-for", "gamma(1s)"),
        ("exit-code", "uniform(0, 1)"),
        ("crash-loop", "often 1s"),
        ("crash-loop", "3"),
        ("usage-memory", "1Mi+2"),
        ("run-for", "normal(1s)"),
    ],
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


@pytest.mark.parametrize(
    ("text", "low", "high", "mean"),
    [
        ("uniform(2s, 4s)", 2, 4, 3.0),
        ("normal(10s, 1s)", 5, 15, 10.0),
        ("exponential(4s)", 0, 60, 4.0),
        ("choice(75%: 1s, 25%: 5s)", 1, 5, 2.0),
        ("3s", 3, 3, 3.0),
    ],
)
def test_draws_are_those_of_the_distribution(text: str, low: int, high: int, mean: float) -> None:
    found = parse_distribution(text, parse_span)
    stream = Kernel(seed=1).rng("test")
    draws = [drawn(found, stream) for _ in range(2000)]
    assert low * SECOND <= min(draws) and max(draws) <= high * SECOND
    assert abs(sum(draws) / len(draws) / SECOND - mean) < 0.15 * mean


def test_a_crash_loop_ends_after_so_many_starts() -> None:
    world = World(images={"*": Image(0)})
    world.place(pod(annotations={"kubesim.dev/crash-loop": "2 1s 3"}))
    world.run(120)
    status = world.status()["containerStatuses"][0]
    assert (status["restartCount"], status["lastState"]["terminated"]["exitCode"], "running" in status["state"]) == (2, 3, True)


def test_a_readiness_delay_is_drawn_once_per_pod() -> None:
    world = World(images={"*": Image(0)})
    for index in range(4):
        world.place(pod(f"web-{index}", annotations={"kubesim.dev/ready-after": "uniform(1s, 60s)"}))
    world.run(100)
    ready = {next(c["lastTransitionTime"] for c in world.status(f"web-{i}")["conditions"] if c["type"] == "Ready") for i in range(4)}
    assert len(ready) > 1
