"""Nodes and Pods under random schedules: the rules N1 to N5 hold at every instant, and quiet brings the desired state.

N1 phases move forward, terminal ones stay, restart counts grow. N2 a kubelet deletes a Pod only when nothing of it runs, and no container
is killed before its grace period is over. N3 a node never runs more than it has. N4 a Pod runs on the node that it is bound to and
nowhere else. N5 a node that is cut off runs on. And: no address is in use twice.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kubesim.apiserver.requests import Request
from kubesim.kernel.time import EPOCH_NS, SECOND
from kubesim.kubelet.models.contract import Image
from kubesim.kubelet.pod_state import RUNNING
from tests import tally
from tests.kubelet.world import World, container, pod

RANK = {"Pending": 0, "Running": 1, "Succeeded": 2, "Failed": 2}
GRACE_S = 5
IMAGES = {"*/broken:*": Image(0, "not found"), "*": Image(20 << 20)}
PROBE = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 2}

behaviours = st.sampled_from(
    [
        {},
        {"kubesim.dev/run-for": "3s", "kubesim.dev/exit-code": "1"},
        {"kubesim.dev/run-for": "4s"},
        {"kubesim.dev/stop-delay": "never"},
        {"kubesim.dev/ready-after": "6s", "kubesim.dev/stop-delay": "3s"},
        {"kubesim.dev/live-for": "5s"},
    ]
)
shapes = st.fixed_dictionaries(
    {},
    optional={
        "initContainers": st.sampled_from([[container("init")], [container("proxy", restartPolicy="Always")]]),
        "restartPolicy": st.sampled_from(["Always", "OnFailure", "Never"]),
        "activeDeadlineSeconds": st.just(20),
    },
)
containers = st.lists(
    st.sampled_from(
        [
            {"resources": {"requests": {"cpu": "1200m"}}},
            {"readinessProbe": PROBE, "livenessProbe": PROBE},
            {"image": "registry.example/broken:1"},
            {},
        ]
    ),
    min_size=1,
    max_size=2,
)
seconds = st.sampled_from([0.001, 0.3, 1, 3, 11, 60, 400])
node_names = st.sampled_from(["node-0", "node-1"])


class Nodes(RuleBasedStateMachine):
    """Two nodes of two cores and five Pods; the test creates and binds Pods, deletes them, and breaks the nodes."""

    @initialize(seed=st.integers(0, 3))
    def begin(self, seed: int) -> None:
        self.world = World(0, seed=seed, images=IMAGES)
        status = {"capacity": {"cpu": "2", "memory": "4Gi", "pods": "5"}}
        for index in range(2):  # five addresses each: they are used again soon
            node = {"metadata": {"name": f"node-{index}"}, "spec": {"podCIDR": f"10.9.{index}.0/29"}, "status": status}
            self.world.kubelets.add_node(node)
        self.count = 0
        self.seen: dict[str, tuple[str, dict[str, int]]] = {}  # by uid: phase, restarts by container
        self.names: list[str] = []
        self.stopping: dict[tuple[str, str, int], int] = {}
        self.world.server.audit.append(self._check_write)
        for agent in self.world.kubelets.nodes.values():
            self._watch_stops(agent)

    def _watch_stops(self, agent: Any) -> None:
        """Check the runtime's answers at the door: N2, the grace period."""
        ask = agent.runtime.stop_container

        class Runtime:
            def __getattr__(self, name: str) -> Any:
                return getattr(inner, name)

            def stop_container(self, uid: str, obj: Any, facts: Any, grace_ns: int) -> Any:
                outcome = ask(uid, obj, facts, grace_ns)
                assert outcome.exit_code != 137 or outcome.duration_ns >= grace_ns
                deleted = obj["metadata"].get("deletionGracePeriodSeconds")
                if deleted is None:
                    assert grace_ns in (0, GRACE_S * SECOND) or grace_ns <= GRACE_S * SECOND
                return outcome

        inner = agent.runtime
        agent.runtime = Runtime()

    def _check_write(self, time_ns: int, request: Request, obj: Any, revision: int) -> None:
        if request.resource != "pods":
            return
        uid, status = obj["metadata"]["uid"], obj.get("status") or {}
        if request.subresource == "status":
            phase, restarts = self.seen.get(uid, ("Pending", {}))
            new = status["phase"]
            assert RANK[new] >= RANK[phase] and (RANK[phase] < 2 or new == phase), f"N1: {phase} -> {new}"
            for each in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
                assert each["restartCount"] >= restarts.get(each["name"], 0), "N1: a restart count fell"
                restarts[each["name"]] = each["restartCount"]
            self.seen[uid] = (new, restarts)
            if RANK[new] == 2:
                assert not self._running(uid), "N1: terminal while a container runs"
        if request.verb == "delete" and request.user.startswith("system:node:"):
            assert not self._running(uid), "N2: deleted while a container runs"

    def _running(self, uid: str) -> list[str]:
        return [
            each.facts.name
            for agent in self.world.kubelets.nodes.values()
            if agent.alive and uid in agent.workers
            for each in agent.workers[uid].state.containers
            if each.status == RUNNING
        ]

    @rule(node=node_names, pods=st.lists(st.tuples(behaviours, shapes, containers), min_size=1, max_size=4))
    def create(self, node: str, pods: list[Any]) -> None:
        for annotations, shape, fields in pods:
            if len(self.names) < 16:
                self._create(node, annotations, shape, fields)

    def _create(self, node: str, annotations: dict[str, str], shape: dict[str, Any], fields: list[dict[str, Any]]) -> None:
        name = f"pod-{self.count}"
        self.count += 1
        self.names.append(name)
        listed = [container(f"c{index}", **each) for index, each in enumerate(fields)]
        self.world.place(pod(name, annotations=annotations, containers=listed, terminationGracePeriodSeconds=GRACE_S, **shape), node)

    @precondition(lambda self: self.names)
    @rule(data=st.data(), force=st.booleans())
    def delete(self, data: st.DataObject, force: bool) -> None:
        name = data.draw(st.sampled_from(self.names))
        if self.world.has(name):
            self.world.delete(name, **({"gracePeriodSeconds": 0} if force else {}))

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def evict(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.names))
        if self.world.has(name):
            agent = self.world.kubelets.nodes[self.world.get(name)["spec"]["nodeName"]]
            if agent.alive and agent.connected and self.world.get(name)["metadata"]["uid"] in agent.workers:
                self.world.kubelets.evict("default", name, "Evicted", "by the test")

    @rule(node=node_names)
    def fail(self, node: str) -> None:
        self.world.kubelets.fail(node)
        tally.fault("fail-node")

    @rule(node=node_names)
    def restore(self, node: str) -> None:
        self.world.kubelets.restore(node)

    @rule(node=node_names)
    def disconnect(self, node: str) -> None:
        self.world.kubelets.disconnect(node)
        tally.fault("partition")

    @rule(node=node_names)
    def reconnect(self, node: str) -> None:
        self.world.kubelets.reconnect(node)

    @rule(time=seconds)
    def wait(self, time: float) -> None:
        self.world.run(time)

    @rule()
    def wait_cut_off(self) -> None:
        """N5: what runs on a node that is cut off goes on unless it ends by itself, or had been told to end before."""
        cut = [agent for agent in self.world.kubelets.nodes.values() if agent.alive and not agent.connected]
        before = [
            (each, each.attempt)
            for agent in cut
            for worker in agent.workers.values()
            if worker.behaviour.is_plain and worker.state.facts.restart_policy == "Always" and not worker.state.closing
            and worker.state.facts.active_deadline_ns is None
            for each in worker.state.containers
            if each.status == RUNNING and each.facts.kind != 0
        ]  # fmt: skip
        self.world.run(30)
        assert all(each.status == RUNNING and each.attempt == attempt for each, attempt in before)

    @invariant()
    def rules_hold(self) -> None:
        addresses: list[str] = []
        for agent in (getattr(self, "world", None) and self.world.kubelets.nodes.values()) or ():
            active = [worker for worker in agent.workers.values() if worker.taken is not None]
            assert sum(worker.taken.cpu for worker in active) == agent.resources.cpu_used <= 2000, "N3"
            assert len(active) == agent.resources.pods_used <= 5, "N3"
            for worker in agent.workers.values():
                assert worker.pod["spec"]["nodeName"] == agent.name, "N4"
                if any(each.status == RUNNING for each in worker.state.containers):
                    assert worker.taken is not None, "N3: a refused Pod runs"
            addresses += agent.network.in_use.values()
        assert len(addresses) == len(set(addresses)), "an address is in use twice"

    def teardown(self) -> None:
        """Then quiet: every node is well, and what is left is as its behaviour wants it."""
        if not hasattr(self, "world"):
            return
        for node in ("node-0", "node-1"):
            self.world.kubelets.restore(node)
            self.world.kubelets.reconnect(node)
        self.world.run(700)
        tally.passed(self.world.kernel.now_ns - EPOCH_NS)
        for name in self.names:
            if not self.world.has(name):
                continue
            obj = self.world.get(name)
            assert "deletionTimestamp" not in obj["metadata"], "what was deleted has gone"
            worker = self.world.kubelets.nodes[obj["spec"]["nodeName"]].workers.get(obj["metadata"]["uid"])
            phase = obj["status"]["phase"]
            if worker is None:
                assert RANK[phase] == 2
            elif worker.behaviour.is_plain and worker.state.facts.restart_policy == "Always" and not worker.state.done:
                broken = any("broken" in each.image for each in worker.state.facts.containers)
                assert phase == ("Pending" if broken else "Running")
                assert broken or all(each["ready"] for each in obj["status"]["containerStatuses"])


Nodes.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
TestNodes = Nodes.TestCase
