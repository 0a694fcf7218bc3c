"""The ration of reports: a token bucket in time, and what it does to a key under load."""

import pytest
from world import REPLICA_SETS, World, replica_set

from kubesim.controllers.ration import Ration
from kubesim.controllers.replicaset import ReplicaSetController
from kubesim.kernel import MILLISECOND, SECOND


def test_a_burst_is_free_then_one_per_interval_and_rest_pays_back() -> None:
    ration = Ration(per_second=10, burst=3)
    assert [ration.reserve(1, 0) // MILLISECOND for _ in range(5)] == [0, 0, 0, 100, 200]
    assert ration.reserve(1, 200 * MILLISECOND) // MILLISECOND == 100
    assert ration.reserve(3, 10 * SECOND) == 0, "after a pause the whole burst is there again"
    assert ration.reserve(2, 10 * SECOND) // MILLISECOND == 200


@pytest.mark.parametrize(("per_second", "burst"), [(0, 1), (1, 0)])
def test_a_ration_of_nothing_is_refused(per_second: int, burst: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        Ration(per_second, burst)


def test_under_load_the_status_lags_and_the_pods_do_not() -> None:
    world = World([ReplicaSetController()])
    account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": "default"}}
    world.create("serviceaccounts", account)
    world.kubelet.spread_ns = 5 * MILLISECOND
    for index in range(60):
        world.create(REPLICA_SETS, replica_set(f"web-{index}", 20))
    world.run(0.2)
    assert len(world.all("pods")) == 1200, "all created at once"
    world.run_until(lambda: all(found["status"].get("availableReplicas") == 20 for found in world.all(REPLICA_SETS)))
    times = [now_ns for now_ns, user, _, what in world.writes if user == "replicaset-controller" and what.endswith("/status")]
    assert len(times) <= 100 + 100 * (times[-1] - times[0]) // SECOND + 1
