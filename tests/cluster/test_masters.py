"""A control plane of several masters: it comes up, survives what it must, and loses nothing that it has acknowledged."""

import pytest

from kubesim import ApiError, Cluster
from kubesim.apiserver.requests import Request
from kubesim.kernel.time import MILLISECOND, SECOND
from kubesim.testing.builders import deployment
from kubesim.testing.masters import Prober, kill_row


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(nodes=3, control_planes=3)


def running(cluster: Cluster) -> int:
    return sum(pod["status"]["phase"] == "Running" for pod in cluster.list("Pod"))


def leaders(cluster: Cluster) -> dict[str, str]:
    return {each.name: each.master for each in cluster.parts.candidates if each.is_leader}


def test_three_masters_run_a_deployment(cluster: Cluster) -> None:
    assert sorted(leaders(cluster)) == ["kube-controller-manager", "kube-scheduler"]
    assert list(cluster.hosts) == ["master-1", "master-2", "master-3", "lb-1", "lb-2"]
    cluster.apply(deployment("web", 4))
    cluster.run_until_converged()
    assert running(cluster) == 4
    served = [process.request_count for process in cluster.parts.apiservers.values()]
    assert all(served), "every apiserver has had clients"
    cluster.run_for("2s")
    stores = [machine.member.state.store for machine in cluster.parts.etcd_cluster.machines.values()]
    assert len({store.revision for store in stores}) == 1
    assert {process.revision for process in cluster.parts.apiservers.values()} == {stores[0].revision}
    lease = cluster.get("Lease", "kube-scheduler", "kube-system")
    assert lease["spec"]["holderIdentity"].startswith(leaders(cluster)["kube-scheduler"] + "_")
    with pytest.raises(ApiError) as refused:
        cluster.get("Pod", "nobody")
    assert refused.value.code == 404


def test_equal_seeds_give_equal_digests() -> None:
    def digest(seed: int) -> str:
        with Cluster(nodes=1, control_planes=3, seed=seed) as cluster:
            cluster.apply(deployment("web", 2))
            cluster.hosts["master-1"].kill()
            cluster.run_until_converged()
            return cluster.digest

    assert digest(1) == digest(1) != digest(2)


KILLS = [  # what is done, to which host
    ("kill", "master-1"),
    ("kill", "master-2"),
    ("isolate", "master-3"),
    ("pause", "master-1"),
    ("kill", "lb-1"),
]


@pytest.mark.parametrize(("fault", "host"), KILLS)
def test_a_fault_of_one_host_loses_nothing(cluster: Cluster, fault: str, host: str) -> None:
    row = kill_row(cluster, fault, host, down_seconds=20.0, requests=300)
    assert row.lost == 0
    assert row.acknowledged > 100
    assert row.recovery_ns < 30 * SECOND
    cluster.apply(deployment("after", 3))
    cluster.run_until_converged()
    assert running(cluster) == 3


def test_a_minority_answers_nothing(cluster: Cluster) -> None:
    prober = Prober(cluster)
    prober.run(50, 20 * MILLISECOND)
    cluster.hosts["master-1"].kill()
    cluster.hosts["master-2"].kill()
    cluster.run_for("3s")
    before = prober.acknowledged_count
    prober.run(50, 200 * MILLISECOND)
    assert prober.acknowledged_count == before, "one member of three is no majority"
    cluster.hosts["master-1"].restart()
    cluster.hosts["master-2"].restart()
    cluster.run_for("30s")
    prober.run(50, 20 * MILLISECOND)
    assert prober.acknowledged_count >= before + 40
    assert prober.lost() == []


def test_the_leader_of_a_lease_is_replaced_when_its_duration_is_over(cluster: Cluster) -> None:
    name = "kube-scheduler"
    old = leaders(cluster)[name]
    store = cluster.parts.store
    renewed = [change for change in store.changes(1) if change.key.endswith(b"/kube-system/kube-scheduler")]
    cluster.run_for("10s")
    changes = cluster.parts.store.changes(renewed[-1].revision)
    assert any(change.key.endswith(b"/kube-system/kube-scheduler") for change in changes), "it is renewed"
    cluster.hosts[old].kill(name)
    killed_ns = cluster.kernel.now_ns
    while leaders(cluster).get(name) in (None, old):
        cluster.run_for("100ms")
    took_ns = cluster.kernel.now_ns - killed_ns
    assert 13 * SECOND <= took_ns <= 17.5 * SECOND, "15 s after the last renewal, found out within a retry of 2 s"


def test_a_holder_that_cannot_renew_steps_down_before_another_takes_over(cluster: Cluster) -> None:
    name = "kube-controller-manager"
    old = leaders(cluster)[name]
    cluster.hosts[old].isolate()
    seen = []
    for _ in range(250):
        cluster.run_for("100ms")
        now = tuple(each.master for each in cluster.parts.candidates if each.is_leader and each.name == name)
        assert len(now) <= 1, "two lead at once"
        if not seen or seen[-1] != now:
            seen.append(now)
    assert seen[0] == (old,) and () in seen and seen[-1] not in ((old,), ())


@pytest.mark.parametrize(("control_planes", "etcd_members"), [(2, 0), (1, 3), (2, 5)])
def test_any_number_of_masters_and_an_external_etcd(control_planes: int, etcd_members: int) -> None:
    cluster = Cluster(nodes=1, control_planes=control_planes, etcd_members=etcd_members)
    cluster.apply(deployment("web", 2))
    cluster.run_until_converged()
    assert running(cluster) == 2
    if etcd_members:
        leader = cluster.parts.etcd_cluster.leader.name.removesuffix("/etcd")
        cluster.hosts[leader].kill()
        cluster.run_for("20s")
        cluster.scale("Deployment", "web", 4)
        cluster.run_until_converged()
        assert running(cluster) == 4


@pytest.mark.parametrize("algorithm", ["least-connections", "source-hash"])
def test_other_ways_to_balance(algorithm: str) -> None:
    cluster = Cluster(nodes=1, control_planes=2, balancing=algorithm)
    cluster.apply(deployment("web", 1))
    cluster.run_until_converged()
    assert running(cluster) == 1


def test_a_lagging_apiserver_is_slow_and_never_wrong(cluster: Cluster) -> None:
    process = cluster.parts.apiservers["master-2"]
    cluster.apply(deployment("web", 1))
    cluster.run_until_converged()
    # What etcd tells this apiserver's copy is late from now on; its own questions are not.
    feed = process._feed
    feed.on_changes = lambda changes, revision, told=feed.on_changes: cluster.kernel.after(SECOND, told, changes, revision)
    link = cluster.parts.link("prober")
    link._resolve = lambda: process.host
    answers = []
    for number in range(3):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": "default"}, "data": {"n": str(number)}}
        verb = "create" if not number else "update"
        link.send(Request(verb, "configmaps", "default", "one", body), answers.append)
        link.send(Request("get", "configmaps", "default", "one"), answers.append)
        cluster.run_for("4s")
    values = [answer["data"]["n"] for answer in answers]
    assert values[0::2] == ["0", "1", "2"]
    assert cluster.get("ConfigMap", "one")["data"] == {"n": "2"}


def test_a_link_that_is_cut_or_slow(cluster: Cluster) -> None:
    cluster.hosts["master-1"].cut("master-2")
    cluster.hosts["master-3"].slow(30 * MILLISECOND)
    cluster.apply(deployment("web", 2))
    cluster.run_until_converged()
    assert running(cluster) == 2
    cluster.hosts.heal()
    cluster.hosts.partition(["master-1", "lb-1"])
    cluster.run_for("30s")
    cluster.hosts.heal()
    cluster.scale("Deployment", "web", 3)
    cluster.run_until_converged()
    assert running(cluster) == 3


BAD = [
    ({"control_planes": 0}, "control_planes is 0; expected a number from 1 to 9"),
    ({"control_planes": 10}, "control_planes is 10"),
    ({"control_planes": True}, "control_planes is True"),
    ({"control_planes": 3, "etcd_members": 8}, "etcd_members is 8; expected a number from 0 to 7"),
    ({"control_planes": 3, "balancing": "random"}, "balancing is 'random'; expected one of round-robin"),
]


@pytest.mark.parametrize(("options", "text"), BAD)
def test_what_cannot_exist_is_refused(options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Cluster(nodes=1, **options)


def test_hosts_that_do_not_exist(cluster: Cluster) -> None:
    with pytest.raises(KeyError):
        cluster.hosts["master-9"]
    with pytest.raises(ValueError, match="host 'master-9' does not exist; expected one of master-1"):
        cluster.hosts["master-1"].cut("master-9")
    with pytest.raises(ValueError, match="process is 'nginx'; expected one of etcd, kube-apiserver"):
        cluster.hosts["master-1"].kill("nginx")
    with pytest.raises(RuntimeError, match="expected Cluster\\(control_planes=3\\)"):
        Cluster(nodes=1).hosts  # noqa: B018
