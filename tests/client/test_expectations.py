"""Expectations: a key waits until the caches show what was sent for it."""

from kubesim.apiserver.requests import Object, WatchEvent
from kubesim.client.expectations import EXPECTATIONS_TIMEOUT_NS, Expectations
from kubesim.client.informer import Informer


def pod(revision: int, uid: str = "u", dying: bool = False) -> Object:
    metadata = {"name": "p", "namespace": "ns", "uid": uid, "resourceVersion": str(revision)}
    if dying:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"kind": "Pod", "metadata": metadata}


def make(patient: bool = True) -> tuple[Expectations, Informer]:
    informer = Informer(None, "pods")
    informer.on_list([pod(3)], 3)
    return Expectations({"pods": informer}.get, patient), informer


def test_a_written_revision_is_awaited() -> None:
    expectations, informer = make()
    expectations.written("k", "pods", 5, 0)
    assert expectations.waits_for("k", 0) == "pods"
    assert expectations.waits_for("other", 0) is None
    informer.on_events([WatchEvent("MODIFIED", pod(5), None, 5)])
    assert expectations.waits_for("k", 0) is None and len(expectations) == 0


def test_what_the_cache_shows_already_or_nobody_watches_is_not_awaited() -> None:
    expectations, _ = make()
    expectations.written("k", "pods", 3, 0)
    expectations.written("k", "nodes", 9, 0)
    expectations.deleted("k", "nodes", "n", "u", 0)
    assert expectations.waits_for("k", 0) is None


def test_a_deletion_is_awaited_until_the_object_is_dying_gone_or_another() -> None:
    for change in (
        WatchEvent("MODIFIED", pod(5, dying=True), None, 5),
        WatchEvent("DELETED", pod(5), None, 5),
        WatchEvent("ADDED", pod(5, uid="another"), None, 5),
    ):
        expectations, informer = make()
        expectations.deleted("k", "pods", "ns/p", "u", 0)
        assert expectations.waits_for("k", 0) == "pods"
        informer.on_events([WatchEvent("MODIFIED", pod(4), None, 4)])
        assert expectations.waits_for("k", 0) == "pods", "still alive"
        informer.on_events([change])
        assert expectations.waits_for("k", 0) is None, change


def test_one_who_is_not_patient_waits_five_minutes_for_his_own_writes() -> None:
    expectations, _ = make(patient=False)
    expectations.written("k", "pods", 5, 1000)
    assert expectations.waits_for("k", 1000 + EXPECTATIONS_TIMEOUT_NS) == "pods"
    assert expectations.waits_for("k", 1001 + EXPECTATIONS_TIMEOUT_NS) is None


def test_a_patient_one_waits_for_ever_but_for_deletions_only_five_minutes() -> None:
    expectations, _ = make()
    expectations.written("k", "pods", 5, 1000)
    assert expectations.waits_for("k", 1001 + EXPECTATIONS_TIMEOUT_NS) == "pods"
    expectations.deleted("other", "pods", "default/p", "u", 1000)
    assert expectations.waits_for("other", 1001 + EXPECTATIONS_TIMEOUT_NS) is None


def test_forget_drops_everything() -> None:
    expectations, _ = make()
    expectations.written("k", "pods", 5, 0)
    expectations.forget("k")
    assert expectations.waits_for("k", 0) is None
