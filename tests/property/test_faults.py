"""Scenarios of faults on whole clusters: afterwards everything is as asked; faults of components leave no trace at all (E14)."""

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kubesim import Cluster
from kubesim.testing.bugs.lab import job, workload
from kubesim.testing.builders import deployment
from kubesim.testing.differential import Differential
from kubesim.testing.invariants import broken
from kubesim.testing.watchdog import Watchdog
from tests import tally

NODES = 3
NAMES = st.sampled_from([f"node-{number}" for number in range(1, NODES + 1)])
SECONDS = st.integers(0, 90)
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
Drawn = tuple[str, dict[str, Any]]


def of(kind: str, longest: int = 400, **parameters: Any) -> st.SearchStrategy[Drawn]:
    times = {"at": SECONDS.map(lambda at: f"{at}s"), "duration": st.integers(1, longest).map(lambda span: f"{span}s")}
    return st.tuples(st.just(kind), st.fixed_dictionaries({**times, **parameters}))


COMPONENTS = st.one_of(
    of("crash", 60, component=st.sampled_from(["kube-controller-manager", "kube-scheduler", "kube-apiserver"])),
    of("pause", 60, component=st.sampled_from(["kube-controller-manager", "kube-scheduler", "etcd"])),
    of("crash", 30, component=st.just("kubelet"), node=NAMES),
    of("slow-disk", node=NAMES, factor=st.integers(2, 20)),
)
ANYTHING = st.one_of(
    COMPONENTS,
    of("fail-node", node=NAMES),
    of("partition", nodes=st.lists(NAMES, min_size=1, max_size=2, unique=True)),
    of("lose-lease", node=NAMES),
    of("flap-node", node=NAMES, down=st.just("50s"), up=st.just("15s")),
    of("shutdown-node", node=NAMES),
    of("disk-pressure", node=NAMES),
    of("memory-pressure", node=NAMES),
    of("image-pull-error", image=st.just("*")),
    of("crash-loop", selector=st.just("app=web")),
    of("oom", selector=st.sampled_from(["app=web", "app=db"])),
    of("kill-pods", selector=st.just("app=web"), count=st.integers(1, 3)),
)


def started(seed: int) -> Cluster:
    cluster = Cluster(nodes=NODES, seed=seed)
    cluster.apiserver.audit.append(Watchdog(cluster.apiserver))
    cluster.apply([deployment("web", 3), workload("StatefulSet", "db", replicas=2, serviceName="db"), workload("DaemonSet", "agent")])
    return cluster


def suffer(cluster: Cluster, faults: list[Drawn]) -> None:
    for kind, parameters in faults:
        cluster.inject(kind, **parameters)
    cluster.run_for("10m")
    cluster.faults.end_all()
    for number in range(1, NODES + 1):
        cluster.restore_node(f"node-{number}")
    cluster.run_until_converged("48h")
    for kind, count in cluster.faults.counts().items():
        tally.fault(kind, count)
    tally.passed(cluster.kernel.now_ns - cluster.start_ns)


@settings(SLOW, max_examples=12)
@given(st.integers(0, 2**32), st.lists(ANYTHING, min_size=1, max_size=6))
@example(0, [("partition", {"at": "0s", "duration": "200s", "nodes": ["node-1"]}), ("crash", {"at": "60s", "component": "kube-scheduler"})])
def test_everything_comes_back(seed: int, faults: list[Drawn]) -> None:
    cluster = started(seed)
    suffer(cluster, faults)
    assert broken(cluster.objects) == []
    before = cluster.metrics.write_count
    cluster.run_for("1h")
    assert cluster.metrics.write_count == before, [str(entry) for entry in cluster.timeline()[-5:]]


@settings(SLOW, max_examples=8)
@given(st.integers(0, 2**32), st.lists(COMPONENTS, min_size=1, max_size=5))
def test_faults_of_components_leave_no_trace(seed: int, faults: list[Drawn]) -> None:
    """E14: the same end state and the same numbers of objects as without faults."""

    def run(these: list[Drawn]) -> Any:
        cluster = started(seed)
        seen = Differential(cluster)
        cluster.apply(job("work", completions=3, parallelism=2))
        suffer(cluster, these)
        return seen.outcome()

    assert run(faults) == run([])
