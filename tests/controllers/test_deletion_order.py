"""Which Pod goes first: upstream's rules, one pair each, and the whole order."""

from typing import Any

import pytest

from kubesim.apiserver.requests import Object
from kubesim.controllers.deletion_order import deletion_cost, pods_to_delete
from kubesim.kernel import EPOCH_NS, SECOND, format_time

NOW_NS = EPOCH_NS + 100_000 * SECOND


def pod(name: str, *, node: str = "n1", phase: str = "Running", ready_s: int | None = 0, **facts: Any) -> Object:
    """``ready_s``: ready since so many seconds after the epoch, None for not ready."""
    condition = {"type": "Ready", "status": "False" if ready_s is None else "True", "lastTransitionTime": time(ready_s or 0)}
    metadata: Object = {"name": name, "uid": facts.get("uid", name), "creationTimestamp": time(facts.get("created_s", 0))}
    if "cost" in facts:
        metadata["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": facts["cost"]}
    spec: Object = {"nodeName": node, "containers": [{"name": "c"}]}
    status: Object = {"phase": phase, "conditions": [condition]}
    status["containerStatuses"] = [{"name": "c", "restartCount": facts.get("restarts", 0)}]
    if "sidecar_restarts" in facts:
        spec["initContainers"] = [{"name": "s", "restartPolicy": "Always"}]
        status["initContainerStatuses"] = [{"name": "s", "restartCount": facts["sidecar_restarts"]}]
    return {"metadata": metadata, "spec": spec, "status": status}


def time(second: int) -> str:
    return format_time(EPOCH_NS + second * SECOND)


PAIRS = [
    ("unassigned before assigned", pod("a", node=""), pod("b", phase="Pending")),
    ("pending before unknown", pod("a", phase="Pending"), pod("b", phase="Unknown")),
    ("unknown before running", pod("a", phase="Unknown"), pod("b", phase="Running")),
    ("not ready before ready", pod("a", ready_s=None), pod("b")),
    ("lower cost first", pod("a", cost="-10"), pod("b")),
    ("a ready Pod of low cost after an unready one", pod("a", ready_s=None, cost="5"), pod("b", cost="-5")),
    ("fuller node first", pod("a", node="full"), pod("b", node="n1")),
    ("ready for less time first", pod("a", ready_s=99_990), pod("b", ready_s=10)),
    ("ready about as long: by uid", pod("a", uid="1", ready_s=10), pod("b", uid="2", ready_s=20)),
    ("more restarts first", pod("a", restarts=3), pod("b", restarts=1)),
    ("more restarts of a sidecar first", pod("a", sidecar_restarts=3), pod("b", sidecar_restarts=1)),
    ("younger first", pod("a", created_s=99_990), pod("b", created_s=10)),
    ("about as old: by uid", pod("a", uid="1", created_s=10), pod("b", uid="2", created_s=20)),
]


@pytest.mark.parametrize(("first", "second"), [pair[1:] for pair in PAIRS], ids=[pair[0] for pair in PAIRS])
def test_pairs(first: Object, second: Object) -> None:
    on_node = {"full": 3, "n1": 1}
    for pods in ([first, second], [second, first]):
        assert pods_to_delete(pods, 1, on_node, NOW_NS) == [first]


def test_all_of_them_need_no_order() -> None:
    pods = [pod("b"), pod("a", phase="Pending")]
    assert pods_to_delete(pods, 5, {}, NOW_NS) == pods


def test_equals_go_in_the_order_they_were_seen() -> None:
    pods = [pod(name, uid="same") for name in "cab"]
    assert [found["metadata"]["name"] for found in pods_to_delete(pods, 2, {}, NOW_NS)] == ["c", "a"]


@pytest.mark.parametrize(
    ("text", "cost"),
    [("10", 10), ("-10", -10), ("+3", 3), ("", 0), ("x", 0), ("1.5", 0), ("007", 0), ("99999999999", 0), ("2147483647", 2**31 - 1)],
)
def test_deletion_cost(text: str, cost: int) -> None:
    assert deletion_cost(pod("a", cost=text)) == cost
