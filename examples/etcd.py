"""The quorum of etcd: how many members of 1 to 7 may fail, what a client sees of it, and who leads when the leader is gone."""

from typing import Any

from kubesim.etcd.cluster import EtcdCluster
from kubesim.kernel import SECOND, Kernel, Network


def main() -> None:
    """The majority table, measured; then a partition of three members."""
    print("members  majority  may fail")
    for member_count in range(1, 8):
        may_fail = measured(member_count)
        print(f"{member_count:7}  {member_count // 2 + 1:8}  {may_fail:8}")
        assert may_fail == (member_count - 1) // 2
    partition()


def measured(member_count: int) -> int:
    """Kill one member after the other; how many were gone when the last put was answered."""
    kernel = Kernel(seed=member_count)
    cluster = EtcdCluster(kernel, Network(kernel), member_count)
    client = cluster.client("app")
    for gone, host in enumerate([*cluster.hosts, None]):
        answers = [put(kernel, client, gone), put(kernel, client, gone)]  # the first may have gone to a leader that was dying
        if "error" in answers[1] or host is None:
            return gone - 1
        cluster.kill(host)
    raise AssertionError("without members nothing is written")


def partition() -> None:
    """A leader that is cut off from both others: it answers nothing, the others go on, and what was written is everywhere in the end."""
    kernel = Kernel(seed=1)
    cluster = EtcdCluster(kernel, Network(kernel), 3)
    kernel.run_due(kernel.now_ns + 3 * SECOND)
    leader = cluster.leader
    assert leader is not None
    alone = cluster.client("alone", [leader.name])
    others = cluster.client("others", [host for host in cluster.hosts if host != leader.name])
    cluster.partition([leader.name, "alone"])
    print(f"{leader.name} leads and is cut off: {put(kernel, alone, 'lost')}")
    print(f"the others, with {cluster.leader.name} in term {cluster.leader.node.raft.term}: {put(kernel, others, 'kept')}")
    cluster.network.heal()
    kernel.run_due(kernel.now_ns + 3 * SECOND)
    values = {host: cluster.member(host).state.store.get(b"key").value for host in cluster.hosts}
    print(f"healed: {values}")
    assert set(values.values()) == {"kept"}


def put(kernel: Kernel, client: Any, value: Any) -> dict[str, Any]:
    """Write a key and let virtual time pass until there is an answer."""
    found: dict[str, Any] = {}

    def done(revision: int | None, error: Exception | None) -> None:
        found.update({"revision": revision} if error is None else {"error": str(error)})

    client.submit(("put", b"key", value), done)
    while not found:
        kernel.run_due(kernel.now_ns + SECOND // 10)
    return found


if __name__ == "__main__":
    main()
