"""What Pods ask for, as tables (section 3 of upstream's rules), and a law: sidecars count on, init containers count once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubesim.api import resources

MIB = 1024 * 1024


def container(requests: dict[str, Any] | None = None, limits: dict[str, Any] | None = None, sidecar: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {"name": "c", "resources": {"requests": requests or {}, "limits": limits or {}}}
    return {**made, "restartPolicy": "Always"} if sidecar else made


def spec(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **fields: Any) -> dict[str, Any]:
    return {"containers": list(containers), "initContainers": list(init), **fields}


REQUESTS = [
    ("nothing", spec(container()), {}),
    ("a sum", spec(container({"cpu": "100m", "memory": "1Mi"}), container({"cpu": "1"})), {"cpu": 1100, "memory": MIB}),
    ("cpu rounds up to the milli", spec(container({"cpu": "100u"})), {"cpu": 1}),
    ("bytes round up", spec(container({"memory": "1500m"})), {"memory": 2}),
    ("a large init container", spec(container({"cpu": "1"}), init=(container({"cpu": "3"}),)), {"cpu": 3000}),
    ("a small init container", spec(container({"cpu": "1"}), init=(container({"cpu": "500m"}),)), {"cpu": 1000}),
    ("a sidecar adds", spec(container({"cpu": "1"}), init=(container({"cpu": "1"}, sidecar=True),)), {"cpu": 2000}),
    (
        "an init container beside an earlier sidecar",
        spec(container({"cpu": "1"}), init=(container({"cpu": "1"}, sidecar=True), container({"cpu": "2"}))),
        {"cpu": 3000},
    ),
    (
        "an init container before a sidecar",
        spec(container({"cpu": "1"}), init=(container({"cpu": "2"}), container({"cpu": "1"}, sidecar=True))),
        {"cpu": 2000},
    ),
    ("overhead is added", spec(container({"cpu": "1"}), overhead={"cpu": "250m", "memory": "1Mi"}), {"cpu": 1250, "memory": MIB}),
    (
        "the pod level replaces",
        spec(container({"cpu": "1", "example.com/x": "2"}), resources={"requests": {"cpu": "5", "example.com/x": "9"}}),
        {"cpu": 5000, "example.com/x": 2},
    ),
]


@pytest.mark.parametrize(("name", "pod_spec", "expected"), REQUESTS, ids=[row[0] for row in REQUESTS])
def test_requests(name: str, pod_spec: dict, expected: dict) -> None:
    assert expected == resources.pod_requests(pod_spec)
    assert resources.pod_requests(pod_spec) is resources.pod_requests({**pod_spec, "nodeName": "n"}), "shared by Pods of one template"


def test_limits_count_overhead_only_where_there_is_a_limit() -> None:
    assert resources.pod_limits(spec(container(limits={"cpu": "1"}), overhead={"cpu": "1", "memory": "1"})) == {"cpu": 2000}


def test_scoring_assumes_something_for_each_container_that_asks_for_nothing() -> None:
    scored = resources.pod_scored_requests(spec(container(), container({"cpu": "0", "memory": "1Mi"})))
    assert scored == {"cpu": 100, "memory": 200 * MIB + MIB}


QOS = [
    ("BestEffort", spec(container())),
    ("BestEffort", spec(container({"example.com/x": "1"}, {"example.com/x": "1"}))),
    ("BestEffort", spec(container({"cpu": "0"}))),
    ("Burstable", spec(container({"cpu": "1"}))),
    ("Burstable", spec(container({"cpu": "1", "memory": "1"}, {"cpu": "1"}))),
    ("Guaranteed", spec(container({"cpu": "1", "memory": "1"}, {"cpu": "1", "memory": "1"}))),
    ("Burstable", spec(container({"cpu": "1", "memory": "1"}, {"cpu": "1", "memory": "1"}), container())),
    ("Burstable", spec(container(), resources={"requests": {"cpu": "1"}, "limits": {"cpu": "1"}})),
    ("Guaranteed", spec(container(), resources={"requests": {"cpu": "1", "memory": "1"}, "limits": {"cpu": "1", "memory": "1"}})),
]


@pytest.mark.parametrize(("expected", "pod_spec"), QOS)
def test_qos(expected: str, pod_spec: dict) -> None:
    assert expected == resources.qos_class(pod_spec)


amounts = st.integers(0, 5)


@given(st.lists(amounts, min_size=1, max_size=3), st.lists(st.tuples(amounts, st.booleans()), max_size=4))
def test_requests_are_the_peak_over_time(main: list[int], init: list[tuple[int, bool]]) -> None:
    """Play the start of a Pod: init containers one after the other, sidecars staying, then everything at once."""
    running = peak = 0
    for amount, sidecar in init:
        peak = max(peak, running + amount)
        running += amount if sidecar else 0
    peak = max(peak, running + sum(main))
    pod_spec = spec(
        *(container({"cpu": str(amount)}) for amount in main),
        init=tuple(container({"cpu": str(amount)}, sidecar=sidecar) for amount, sidecar in init),
    )
    assert {"cpu": peak * 1000} == resources.pod_requests(pod_spec)
