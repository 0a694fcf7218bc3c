"""Who is asked about a change: everybody, unless the owner's kind says that it is another one's business."""

from typing import Any

import pytest

from kubesim.apiserver.requests import WatchEvent
from kubesim.client.informer import FIRST_SIGNAL, Informer, looks_at, told_by
from kubesim.controllers.runner import _Fan
from kubesim.controllers.view import Caches

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
    informer, calls = Informer(None, "pods"), []
    fan = _Fan(Caches(lambda resource: informer), "pods")

    def mapper(label: str) -> Any:
        return lambda view, old, new: calls.append(label) or ()

    fan.add((mapper(SETS), calls.append), False, "StatefulSet")
    fan.add((mapper(JOBS), calls.append), False, "Job")
    fan.add((mapper(ALL), calls.append), False, None)
    fan.add((mapper(GONE), calls.append), True, None)
    informer.add_handler(fan.on_change)
    for _ in range(2):  # the second time from memory
        calls.clear()
        deliver(informer, old, new)
        assert calls == asked


def deliver(informer: Informer, old: Any, new: Any) -> None:
    """Have the informer tell of a change from a state that it is given without a word."""
    informer.objects = {"n/p": old} if old is not None else {}
    obj, type_ = (old, "DELETED") if new is None else (new, "MODIFIED" if old else "ADDED")
    informer.on_events([WatchEvent(type_, obj, old, informer.revision + 1)])


LABELLED = {**FREE, "metadata": {**FREE["metadata"], "labels": {}}}


@pytest.mark.parametrize(
    ("name", "old", "new", "asked"),
    [
        ("a new one", None, FREE, ["labels", "nothing", "all"]),
        ("one that is gone", FREE, None, ["labels", "nothing", "all"]),
        ("other labels", FREE, LABELLED, ["labels", "all"]),
        ("a status, which a view finds interesting", LABELLED, {**LABELLED, "status": {"phase": "Running"}}, ["told", "all"]),
    ],
)
def test_a_mapper_is_asked_about_what_it_looks_at(name: str, old: Any, new: Any, asked: list[str]) -> None:
    informer, calls = Informer(None, "pods"), []

    def signal(key: str, old: Any, new: Any) -> None:
        if new is not None and new.get("status"):
            informer.changed |= FIRST_SIGNAL

    def mapper(label: str) -> Any:
        return lambda view, old, new: calls.append(label) or ()

    informer.add_keyed_handler(signal)
    fan = _Fan(Caches(lambda resource: informer), "pods")
    for declared in (
        looks_at("metadata.labels")(mapper("labels")), looks_at()(mapper("nothing")), told_by(FIRST_SIGNAL)(mapper("told")), mapper("all"),
    ):  # fmt: skip
        fan.add((declared, calls.append), False, None)
    informer.add_handler(fan.on_change)
    deliver(informer, old, new)
    assert calls == asked
