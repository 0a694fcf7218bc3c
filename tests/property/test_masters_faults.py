"""Three masters under drawn schedules of faults, under load: first faults (nothing wrong may happen), then healing (all converges).

What is judged is etcd's history, every change of it: nothing acknowledged is lost, no Pod is bound twice, nobody takes a Lease before the
time of its holder is over, and of ../shared/guides/correctness.md A1 (versions are revisions), A8 (a uid is one object's), A9 (finalizers
are waited for) and A11 (one controlling owner).
"""

import os
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from kubesim.apiserver.requests import create
from kubesim.cluster.cluster import Cluster
from kubesim.kernel.time import MILLISECOND, SECOND, parse_time
from kubesim.testing import builders
from kubesim.testing.masters import UNDO, Prober

EXAMPLES = int(os.environ.get("KUBESIM_MASTERS_EXAMPLES", "6"))  # more for a long run
HOSTS = ("master-1", "master-2", "master-3", "lb-1", "lb-2")
PROCESSES = ("kube-apiserver", "kube-scheduler", "kube-controller-manager", "etcd")
FAULTS = (*UNDO, "slow", "cut", "crash")
steps = st.lists(st.tuples(st.sampled_from(FAULTS), st.integers(0, 4), st.integers(0, 3), st.integers(1, 12)), min_size=1, max_size=5)
HEALED_NS_MAX = 11 * 60 * SECOND  # the progress deadline of a Deployment, 10 minutes, is the longest that anybody waits
WRITES_A_STEP = 12


def inflict(cluster: Cluster, fault: str, which: int, other: int) -> None:
    """Let one fault befall a host."""
    host = cluster.hosts[HOSTS[which]]
    if fault == "slow":
        host.slow(80 * MILLISECOND)
    elif fault == "cut":
        host.cut(HOSTS[(which + 1 + other) % len(HOSTS)], one_way=bool(other % 2))
    elif fault == "crash":
        names = list(host.processes)
        name = PROCESSES[other] if PROCESSES[other] in names else names[0]
        host.kill(name)
        host.restart(name)
    else:
        getattr(host, fault)()


class History:
    """etcd's changes as they come, judged one by one."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.seen = 0
        self.nodes: dict[str, str] = {}  # uid of a Pod -> node
        self.keys: dict[str, bytes] = {}  # uid -> key
        self.holders: dict[bytes, tuple[str, int]] = {}  # Lease -> who held it, until when
        self.count = 0

    def read(self) -> None:
        """Take what is new."""
        store = self.cluster.parts.etcd.store
        for change in store.changes(max(self.seen, store.compact_revision, 0)):
            self.count += 1
            if change.is_delete:
                old = None if change.previous is None else change.previous.value
                if isinstance(old, dict) and "metadata" in old:
                    assert not old["metadata"].get("finalizers"), f"{change.key!r} went away with its finalizers"
            elif isinstance(change.value, dict) and "metadata" in change.value:
                self.judge(change.key, change.value, change.revision)
        self.seen = store.revision

    def judge(self, key: bytes, obj: Any, revision: int) -> None:
        """One object as it was written."""
        metadata = obj["metadata"]
        assert metadata["resourceVersion"] in ("", str(revision)), f"{key!r} says {metadata['resourceVersion']} at {revision}"
        assert self.keys.setdefault(metadata["uid"], key) == key, f"{key!r} has the uid of {self.keys[metadata['uid']]!r}"
        assert sum(bool(owner.get("controller")) for owner in metadata.get("ownerReferences", ())) <= 1
        if obj.get("kind") == "Pod" and obj["spec"].get("nodeName"):
            node = obj["spec"]["nodeName"]
            assert self.nodes.setdefault(metadata["uid"], node) == node, f"{key!r} is bound twice"
        if obj.get("kind") == "Lease" and metadata["namespace"] == "kube-system":
            spec = obj["spec"]
            holder, renewed_ns = spec.get("holderIdentity") or "", parse_time(spec["renewTime"])
            old, until_ns = self.holders.get(key, ("", 0))
            assert holder == old or not old or renewed_ns >= until_ns, f"{holder} took {key!r} of {old} before its time was over"
            self.holders[key] = (holder, renewed_ns + spec["leaseDurationSeconds"] * SECOND)


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32), schedule=steps)
def test_faults_lose_nothing_and_everything_heals(seed: int, schedule: list[tuple[str, int, int, int]]) -> None:
    with Cluster(nodes=2, control_planes=3, seed=seed) as cluster:
        history, prober = History(cluster), Prober(cluster)
        cluster.parts.link("user").send(create("deployments.apps", "default", builders.deployment("web", 3)))
        for fault, which, other, seconds in schedule:
            event(f"fault: {fault}")
            inflict(cluster, fault, which, other)
            prober.run(WRITES_A_STEP, seconds * SECOND // WRITES_A_STEP)
            history.read()
        cluster.hosts.heal()
        healed_ns = cluster.kernel.now_ns
        cluster.run_until_converged("15m")
        history.read()
        assert cluster.kernel.now_ns - healed_ns <= HEALED_NS_MAX
        assert cluster.get("Deployment", "web")["status"]["availableReplicas"] == 3
        assert prober.lost() == []
        assert history.count > 0
        event(f"virtual minutes: {int(cluster.virtual_seconds // 60)}")
