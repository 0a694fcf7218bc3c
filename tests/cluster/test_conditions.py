"""Conditions as text."""

import pytest

from kubesim.cluster.conditions import holds, parse_condition


def deployment(generation: int = 1, observed: int = 1, **counts: int) -> dict:
    return {
        "kind": "Deployment",
        "metadata": {"generation": generation},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": observed, **counts},
    }


FULL = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
CASES = [
    ("available", deployment(**FULL), True),
    ("available", deployment(generation=2, **FULL), False),
    ("available", deployment(replicas=3, updatedReplicas=1, availableReplicas=2), True),
    ("complete", deployment(replicas=3, updatedReplicas=1, availableReplicas=2), False),
    ("complete", deployment(**FULL), True),
    ("ready", {"kind": "Pod", "status": {"conditions": [{"type": "Ready", "status": "True"}]}}, True),
    ("ready", {"kind": "Pod", "status": {"conditions": [{"type": "Ready", "status": "False"}]}}, False),
    ("running", {"kind": "Pod", "status": {"phase": "Running"}}, True),
    ("running", {"kind": "Pod"}, False),
    ("exists", {"kind": "Pod"}, True),
    ("exists", None, False),
    ("deleted", None, True),
    ("deleted", {"kind": "Pod"}, False),
    ("ready", None, False),
]


@pytest.mark.parametrize(("state", "obj", "expected"), CASES)
def test_a_state(state: str, obj: dict | None, expected: bool) -> None:
    assert holds(state, obj) is expected


def test_a_condition_is_three_words() -> None:
    assert parse_condition("Deployment shop/web Available") == ("Deployment", "shop", "web", "available")
    assert parse_condition("node n-1 ready") == ("node", "default", "n-1", "ready")


NONSENSE = ["", "Deployment web", "Deployment web available now", "Deployment /web available", "Deployment shop/ ready"]


@pytest.mark.parametrize("text", NONSENSE)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected KIND"):
        parse_condition(text)
