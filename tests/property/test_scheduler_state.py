"""The incremental state is the state built from scratch, and no node is ever overcommitted, whatever happens in whatever order."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kubesim.kernel.rng import Stream
from kubesim.scheduler import SchedulingEngine
from tests.scheduler.builders import node, pod
from tests.scheduler.strategies import EXTRA, NAMES, clusters, nodes, pods, specs

PLENTY = {"cpu": "1000", "memory": "1Ti", "pods": "1000", **dict.fromkeys(EXTRA, "1Ti")}
templates = st.lists(specs, min_size=1, max_size=3)


class Cluster(RuleBasedStateMachine):
    """Pods of a few templates come and go on few nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = SchedulingEngine(stream=Stream(3, "test"))
        self.templates: list[Any] = []
        self.count = 0
        self.placed: dict[str, Any] = {}  # by name: the Pod as bound; assumed ones are bound in the end
        self.assumed: dict[str, Any] = {}

    def new_pod(self, template: int) -> Any:
        self.count += 1
        spec = self.templates[template % len(self.templates)]
        return {"metadata": {"name": f"p{self.count}", "uid": f"u{self.count}"}, "spec": spec}

    @rule(spec=specs)
    def add_template(self, spec: Any) -> None:
        self.templates = [*self.templates, spec][-3:]

    @rule(node=nodes(st.sampled_from(NAMES)))
    def set_node(self, node: Any) -> None:
        table = self.engine.table
        row = table.names.index(node["metadata"]["name"]) if node["metadata"]["name"] in table.names else -1
        if row >= 0 and table.pods[row]:  # shrinking a full node would overcommit it, as in upstream
            known = table.nodes[row]
            node = {**node, "status": {**node["status"], "allocatable": known["status"]["allocatable"] if known else PLENTY}}
        self.engine.add_node(node)

    @rule(name=st.sampled_from(NAMES))
    def remove_node(self, name: str) -> None:
        self.engine.remove_node(name)

    @precondition(lambda self: self.templates)
    @rule(template=st.integers(0, 2), times=st.integers(1, 4))
    def schedule(self, template: int, times: int) -> None:
        for _ in range(times):
            pod = self.new_pod(template)
            decision = self.engine.schedule(pod)
            if decision.node_name:
                self.assumed[decision.pod.uid] = (decision.pod, {**pod, "spec": {**pod["spec"], "nodeName": decision.node_name}})
            else:
                assert decision.message.startswith("0/") or decision.message == "no nodes available to schedule pods"

    @precondition(lambda self: self.templates)
    @rule(template=st.integers(0, 2), times=st.integers(2, 5), label=st.sampled_from("ab"))
    def schedule_at_once(self, template: int, times: int, label: str) -> None:
        run = [self.new_pod(template) for _ in range(times)]
        for obj in run:
            obj["metadata"]["labels"] = {"app": label}
        for obj, decision in zip(run, self.engine.schedule_all(run), strict=True):
            if decision.node_name:
                self.assumed[decision.pod.uid] = (decision.pod, {**obj, "spec": {**obj["spec"], "nodeName": decision.node_name}})

    @precondition(lambda self: self.assumed)
    @rule(choice=st.integers(0, 50), fails=st.booleans())
    def end_bind(self, choice: int, fails: bool) -> None:
        uid = sorted(self.assumed)[choice % len(self.assumed)]
        info, bound = self.assumed.pop(uid)
        if fails:
            self.engine.cache.forget(info)
        else:
            self.engine.add_pod(bound)
            self.placed[uid] = bound

    @precondition(lambda self: self.placed)
    @rule(choice=st.integers(0, 50))
    def remove_pod(self, choice: int) -> None:
        uid = sorted(self.placed)[choice % len(self.placed)]
        self.engine.remove_pod(self.placed.pop(uid))

    @invariant()
    def everything_agrees_with_a_rebuild(self) -> None:
        self.engine.check()

    @invariant()
    def nothing_is_overcommitted(self) -> None:
        table = self.engine.table
        gone = {table.names[row] for row in range(table.row_count) if table.nodes[row] is None}
        assert [name for name in self.engine.overcommitted() if name not in gone] == []

    @invariant()
    def the_cache_holds_what_was_placed(self) -> None:
        assert len(self.engine.cache) == len(self.placed) + len(self.assumed)


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@settings(max_examples=80, deadline=None)
@given(clusters(), st.lists(pods(st.just("p")), min_size=1, max_size=3), st.lists(st.integers(0, 2), min_size=1, max_size=4))
def test_pods_at_once_go_where_they_go_one_by_one(cluster: Any, templates: Any, runs: Any) -> None:
    """Same nodes, same messages, same draws, and the same tables behind it."""
    wanted = []
    for number in runs:
        template = templates[number % len(templates)]
        for _ in range(3):
            metadata = {**template["metadata"], "name": f"p{len(wanted)}", "uid": f"u{len(wanted)}"}
            wanted.append({**template, "metadata": metadata})
    outcomes = []
    for at_once in (False, True):
        engine = SchedulingEngine(stream=Stream(7, "test"))
        for obj in cluster[0]:
            engine.add_node(obj)
        for obj in cluster[1]:
            engine.add_pod(obj)
        found = engine.schedule_all(wanted) if at_once else [engine.schedule(obj) for obj in wanted]
        engine.check()
        outcomes.append([(decision.node_name, decision.message, decision.unschedulable_plugins) for decision in found])
    assert outcomes[0] == outcomes[1]


@settings(max_examples=60, deadline=None)
@given(
    rooms=st.lists(st.integers(1, 3), min_size=1, max_size=5),
    zones=st.lists(st.sampled_from("abc"), min_size=5, max_size=5),
    taints=st.lists(st.integers(0, 2), min_size=5, max_size=5),
    weights=st.fixed_dictionaries({zone: st.integers(0, 3) for zone in "abc"}),
    steps=st.lists(st.one_of(st.none(), st.integers(0, 20)), max_size=15),
)
def test_normalized_scores_follow_the_feasible_nodes(rooms: Any, zones: Any, taints: Any, weights: Any, steps: Any) -> None:
    """Small nodes fill up and empty again: each time the best raw score among the feasible nodes may be another one."""
    engine = SchedulingEngine(stream=Stream(3, "test"))
    for index, room in enumerate(rooms):
        avoided = [f"t{i}=x:PreferNoSchedule" for i in range(taints[index])]
        engine.add_node(node(f"n{index}", pods=str(room), labels={"zone": zones[index]}, taints=avoided))
    preferred = [
        {"weight": 10**weight, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}}
        for zone, weight in weights.items()
    ]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    spec = pod("p", "1m", affinity=affinity)["spec"]
    bound: list[Any] = []
    for number, step in enumerate(steps):
        if step is not None and bound:
            engine.remove_pod(bound.pop(step % len(bound)))
        else:
            decision = engine.schedule({"metadata": {"name": f"p{number}"}, "spec": spec})
            assert bool(decision.node_name) == (len(bound) < sum(rooms))
            if decision.node_name:
                bound.append({"metadata": {"name": f"p{number}"}, "spec": {**spec, "nodeName": decision.node_name}})
                engine.add_pod(bound[-1])
        engine.check()
