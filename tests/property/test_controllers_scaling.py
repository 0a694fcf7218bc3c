"""The arithmetic of Deployments: proportional scaling, surge and unavailability, for all small numbers."""

from fractions import Fraction
from math import ceil, floor
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kubesim.apiserver.requests import Object
from kubesim.controllers.deployment.rolling import step
from kubesim.controllers.deployment.rollout import Rollout, fenceposts, max_surge, max_unavailable, replicas_of
from kubesim.controllers.deployment.scaling import proportional_sizes

AMOUNT = st.one_of(st.integers(0, 30), st.integers(0, 100).map(lambda percent: f"{percent}%"))


def make_deployment(replicas: int, surge: Any, unavailable: Any) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": replicas, "strategy": strategy}, "status": {}}


def make_replica_set(index: int, replicas: int, available: int, max_replicas: int | None = None) -> Object:
    annotations = {} if max_replicas is None else {"deployment.kubernetes.io/max-replicas": str(max_replicas)}
    metadata = {"name": f"web-{index}", "namespace": "default", "annotations": annotations, "resourceVersion": "1"}
    metadata["creationTimestamp"] = f"2026-01-01T00:00:{index:02}Z"
    return {"metadata": metadata, "spec": {"replicas": replicas}, "status": {"replicas": replicas, "availableReplicas": available}}


def exact(value: Any, total: int, round_up: bool) -> int:
    """The oracle: fractions."""
    if isinstance(value, int):
        return value
    part = Fraction(int(value[:-1]) * total, 100)
    return ceil(part) if round_up else floor(part)


@given(replicas=st.integers(0, 200), surge=AMOUNT, unavailable=AMOUNT)
def test_fenceposts(replicas: int, surge: Any, unavailable: Any) -> None:
    deployment = make_deployment(replicas, surge, unavailable)
    expected = (exact(surge, replicas, True), exact(unavailable, replicas, False))
    assert fenceposts(deployment) == (expected if any(expected) else (0, 1))
    assert 0 <= max_unavailable(deployment) <= replicas


SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=6)


@given(sizes=SIZES, told=st.integers(-5, 60), replicas=st.integers(0, 120), surge=AMOUNT)
def test_proportional_scaling_reaches_the_allowed_total_and_shares_fairly(sizes: list[int], told: int, replicas: int, surge: Any) -> None:
    """``told`` + sum is what the annotations say of the last size: 0 in the ordinary case, else somebody meddled."""
    deployment = make_deployment(replicas, surge, 0)
    before = max(sum(sizes) + min(told, 5), 1)
    result = proportional_sizes(deployment, [make_replica_set(index, size, size, before) for index, size in enumerate(sizes)])
    allowed = replicas + max_surge(deployment) if replicas else 0
    old, new = [replicas_of(found) for found, _ in result], [size for _, size in result]
    assert sorted(old) == sorted(sizes) and old[0] == max(sizes), "the largest comes first"
    assert all(size >= 0 for size in new)
    if new[0] > 0 or allowed == 0:
        assert sum(new) == allowed
    if before == sum(sizes):
        for size_before, size in zip(old[1:], new[1:], strict=True):
            share = Fraction(size_before * allowed, before)
            assert abs(size - share) <= max(Fraction(1, 2), abs(size_before - share)), "rounded, or what was left to give"
            assert (size >= size_before) if allowed >= sum(sizes) else (size <= size_before)


@given(sizes=SIZES, replicas=st.integers(1, 100))
def test_scaling_to_zero_takes_everything(sizes: list[int], replicas: int) -> None:
    replica_sets = [make_replica_set(index, size, size, replicas) for index, size in enumerate(sizes)]
    assert {size for _, size in proportional_sizes(make_deployment(0, 1, 0), replica_sets)} == {0}


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    """A Deployment in the middle of a rolling update, within its bounds."""
    deployment = make_deployment(draw(st.integers(0, 40)), draw(AMOUNT), draw(AMOUNT))
    total = replicas_of(deployment) + max_surge(deployment)
    replica_sets = []
    for index in range(draw(st.integers(1, 4))):
        size = draw(st.integers(0, total))
        total -= size
        replica_sets.append(make_replica_set(index, size, draw(st.integers(0, size))))
    new = replica_sets.pop(draw(st.integers(0, len(replica_sets) - 1)))
    return Rollout(deployment, new, tuple(replica_sets), 0)


@settings(max_examples=300)
@given(rollout=rollouts())
def test_a_step_of_a_rolling_update_keeps_surge_and_availability(rollout: Rollout) -> None:
    assert rollout.new is not None
    sizes = {found["metadata"]["name"]: replicas_of(found) for found in rollout.all}
    written = [intent for intent in step(rollout) if hasattr(intent, "verb")]
    for request in written:
        sizes[request.name] = request.obj["spec"]["replicas"]
    assert len({request.name for request in written}) == len(written), "one write per ReplicaSet"
    desired = replicas_of(rollout.deployment)
    assert sum(sizes.values()) <= desired + max_surge(rollout.deployment)
    # Whatever Pod a shrinking ReplicaSet takes, unready ones go first: what is left available is the smaller of the two.
    left = sum(min(sizes[found["metadata"]["name"]], found["status"]["availableReplicas"]) for found in rollout.old)
    left += min(sizes[rollout.new["metadata"]["name"]], rollout.new["status"]["availableReplicas"])
    before = sum(found["status"]["availableReplicas"] for found in rollout.all)
    floor_ = desired - max_unavailable(rollout.deployment)
    if replicas_of(rollout.new) <= desired:
        assert left >= min(before, floor_)


@settings(max_examples=150)
@given(replicas=st.integers(0, 25), surge=AMOUNT, unavailable=AMOUNT, old=st.lists(st.integers(0, 25), min_size=1, max_size=3))
def test_a_rolling_update_ends(replicas: int, surge: Any, unavailable: Any, old: list[int]) -> None:
    deployment = make_deployment(replicas, surge, unavailable)
    sets = [make_replica_set(index, size, size) for index, size in enumerate(old)]
    new = make_replica_set(9, 0, 0)
    for _ in range(400):
        written = [intent for intent in step(Rollout(deployment, new, tuple(sets), 0)) if hasattr(intent, "verb")]
        if not written:
            break
        for request in written:
            size = request.obj["spec"]["replicas"]
            changed = make_replica_set(int(request.name.partition("-")[2]), size, size)
            new = changed if request.name == new["metadata"]["name"] else new
            sets = [changed if found["metadata"]["name"] == request.name else found for found in sets]
    assert [replicas_of(found) for found in sets] == [0] * len(sets) and replicas_of(new) == replicas
