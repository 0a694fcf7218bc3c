"""The kit is tested too: a watchdog that never barks is worth nothing."""

from pathlib import Path

import pytest

from kubesim import Cluster
from kubesim.apiserver.requests import Request, bind
from kubesim.testing import invariants
from kubesim.testing.builders import deployment, node, pod, rolling, service
from kubesim.testing.scripts import parse_script, run_script
from kubesim.testing.watchdog import RollingUpdateBounds, Watchdog, bounds, overcommitted, requests

NODE = {"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "3"}}}


def containers(*asked: dict, init: tuple[dict, ...] = ()) -> dict:
    return {
        "spec": {
            "containers": [{"resources": {"requests": each}} for each in asked],
            "initContainers": [{"resources": {"requests": each}} for each in init],
        }
    }


def test_requests_are_the_sum_or_the_largest_init_container() -> None:
    asked = requests(containers({"cpu": "100m"}, {"cpu": "1"}, init=({"cpu": "500m", "memory": "1Ki"}, {"cpu": "2"})))
    assert asked == {"cpu": 2 * 10**9, "memory": 1024 * 10**9}


OVER = [
    ([containers({"cpu": "600m"}), containers({"cpu": "400m"})], ""),
    ([containers({"cpu": "600m"}), containers({"cpu": "401m"})], "cpu: 1.001 of 1.0"),
    ([containers({}), containers({}), containers({}), containers({})], "4 Pods of at most 3"),
    ([containers({"nvidia.com/gpu": "1"})], "nvidia.com/gpu: 1.0 of 0.0"),
    ([{"spec": {"containers": [{"ports": [{"hostPort": 80}]}]}}] * 2, "host port ('0.0.0.0', 'TCP', 80)"),
]


@pytest.mark.parametrize(("pods", "what"), OVER)
def test_overcommitment_is_found(pods: list[dict], what: str) -> None:
    assert overcommitted(NODE, pods) == what


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [(10, "25%", "25%", (3, 2)), (1, "25%", "25%", (1, 0)), (3, 0, "10%", (0, 1)), (4, 2, 1, (2, 1))],
)
def test_bounds_round_surge_up_and_unavailable_down(replicas: int, surge: object, unavailable: object, expected: tuple[int, int]) -> None:
    strategy = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    assert bounds({"spec": {"replicas": replicas, "strategy": strategy}}) == expected


def test_the_watchdog_barks_at_an_overcommitted_node() -> None:
    cluster = Cluster(nodes=[node("small", cpu="1")])
    cluster.run_until_converged()
    cluster.apiserver.audit.append(Watchdog(cluster.apiserver))
    for name in ("a", "b"):
        (made,) = cluster.apply(pod(name, cpu="600m", schedulerName="nobody"))
        request = bind("default", name, made["metadata"]["uid"], "small")
        if name == "a":
            cluster.apiserver.call(request)
        else:
            with pytest.raises(AssertionError, match="C1: Pod default/b overcommits small: cpu: 1.2 of 1.0"):
                cluster.apiserver.call(request)


def pod_status(name: str, uid: str, **status: object) -> Request:
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "uid": uid}, "status": status}
    return Request("patch", "pods", "default", name, {"status": status, "metadata": obj["metadata"]}, "status", {"patchType": "merge"})


STATUSES = [
    ([{"phase": "Running"}, {"phase": "Pending"}], "N1: the phase of Pod default/a went from Running to Pending"),
    ([{"phase": "Succeeded"}, {"phase": "Failed"}], "N1: Pod default/a left Succeeded"),
    ([{"podIPs": [{"ip": "10.9.9.9"}]}, {"name": "b", "podIPs": [{"ip": "10.9.9.9"}]}], "10.9.9.9 is the IP of Pod default/b and of Pod"),
]


@pytest.mark.parametrize(("statuses", "message"), STATUSES)
def test_the_watchdog_barks_at_a_status(statuses: list[dict], message: str) -> None:
    cluster = Cluster(nodes=1)
    uids = {name: cluster.apply(pod(name, schedulerName="nobody"))[0]["metadata"]["uid"] for name in ("a", "b")}
    cluster.apiserver.audit.append(Watchdog(cluster.apiserver))
    *before, last = [(status.pop("name", "a"), status) for status in map(dict, statuses)]
    for name, status in before:
        cluster.apiserver.call(pod_status(name, uids[name], **status))
    with pytest.raises(AssertionError) as caught:
        cluster.apiserver.call(pod_status(last[0], uids[last[0]], **last[1]))
    assert message in str(caught.value)


def test_the_bounds_of_a_rolling_update_are_watched() -> None:
    cluster = Cluster(nodes=3)
    cluster.apply(deployment("web", 4, strategy=rolling(1, 0)))
    cluster.run_until_converged()
    cluster.apiserver.audit.append(RollingUpdateBounds(cluster.apiserver, "default", "web"))
    (replica_set,) = cluster.list("ReplicaSet")
    with pytest.raises(AssertionError, match=r"E4: the ReplicaSets want 6 Pods; at most 4 \+ 1"):
        cluster.scale("ReplicaSet", replica_set["metadata"]["name"], 6)


def test_what_is_broken_at_rest_is_told() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply([deployment("web", 2), service("web")])
    assert {each[:2] for each in invariants.broken(cluster.objects)} == {"E1"}
    cluster.run_until_converged()
    assert invariants.broken(cluster.objects) == []
    state = {name: list(cluster.objects(name)) for name in ("pods", "nodes", "services", "replicasets.apps", "deployments.apps")}
    state["endpointslices.discovery.k8s.io"] = []
    state["deployments.apps"] = []
    rules = {each[:3] for each in invariants.broken(lambda name: state[name])}
    assert rules == {"E10", "P1:"}


SCRIPT = """# A comment stays where it is.
cluster nodes=2
----
2 nodes

apply
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
----
ConfigMap a

get ConfigMap b metadata.name
----
error: configmaps "b" not found

# The end.
"""


def test_a_script_is_checked_and_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text(SCRIPT)
    assert run_script(path) == 3
    path.write_text(SCRIPT.replace("ConfigMap a\n", "ConfigMap z\n"))
    with pytest.raises(AssertionError) as caught:
        run_script(path)
    assert "-ConfigMap z" in str(caught.value) and "+ConfigMap a" in str(caught.value)
    run_script(path, rewrite=True)
    assert path.read_text() == SCRIPT


def test_a_bad_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 1: the command 'cluster' has no '----' after it"):
        parse_script("cluster\n")
    path = tmp_path / "bad.txt"
    path.write_text("dance\n----\n")
    with pytest.raises(ValueError, match="line 1: there is no command 'dance'; expected one of cluster, apply"):
        run_script(path)
    path.write_text("waits\n----\nerror: the first command of a script is cluster\n")
    assert run_script(path) == 1
