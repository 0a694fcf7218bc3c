"""Who is asked about a change: everybody, unless the owner's kind says that it is another one's business."""

from typing import Any

import pytest

from kubesim.controllers.runner import _Fan

SETS, JOBS, ALL, GONE = "sets", "jobs", "all", "gone"


def pod(kind: str = "", **metadata: Any) -> dict[str, Any]:
    """A Pod with a controlling owner of a kind, or without one."""
    owner = {"ownerReferences": [{"kind": kind, "name": "o", "uid": "u", "controller": True}]} if kind else {}
    return {"metadata": {"name": "p", "namespace": "n", **owner, **metadata}}


OF_SET, OF_JOB, OF_NODE, FREE = pod("StatefulSet"), pod("Job"), pod("Node"), pod()
FINALIZED = pod("StatefulSet", finalizers=["batch.kubernetes.io/job-tracking"])


@pytest.mark.parametrize(
    ("name", "old", "new", "asked"),
    [
        ("a new Pod of a set", None, OF_SET, [SETS, ALL]),
        ("a status of a Pod of a set", OF_SET, {**OF_SET, "status": {}}, [SETS, ALL]),
        ("a Pod of a Job goes", OF_JOB, None, [JOBS, ALL, GONE]),
        ("an owner of a kind without a controller here", None, OF_NODE, [ALL]),
        ("a Pod without an owner", None, FREE, [SETS, JOBS, ALL]),
        ("a Pod that changes its owner", OF_SET, OF_JOB, [SETS, JOBS, ALL]),
        ("a Pod that is released", OF_SET, FREE, [SETS, JOBS, ALL]),
        ("a Pod with a finalizer", None, FINALIZED, [SETS, JOBS, ALL]),
    ],
)
def test_who_is_asked(name: str, old: Any, new: Any, asked: list[str]) -> None:
    fan, calls = _Fan(), []

    def mapper(label: str) -> Any:
        return lambda view, old, new: calls.append(label) or ()

    fan.add((mapper(SETS), None, calls.append), False, "StatefulSet")
    fan.add((mapper(JOBS), None, calls.append), False, "Job")
    fan.add((mapper(ALL), None, calls.append), False, None)
    fan.add((mapper(GONE), None, calls.append), True, None)
    for _ in range(2):  # the second time from memory
        calls.clear()
        fan.on_change(old, new)
        assert calls == asked
