"""Decisions of kube-scheduler v1.36 (recorded), replayed through the engine: rejections, feasible nodes, scores, messages.

The families are those that need only the plugins we have; another plugin's column of the recorded scores is not compared, and the
recorded choice is followed so that one difference would not hide the next.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubesim.api.kinds.pod import KIND as POD
from kubesim.scheduler import Profile, SchedulerConfig, SchedulingEngine
from kubesim.scheduler.cycle import SignatureState
from kubesim.scheduler.profile import FIRST
from kubesim.scheduler.queue import SchedulingQueue

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "conformance" / "scheduler"
FAMILIES = ("resources", "taints", "nodeaffinity", "hostports", "bestfit", "gates", "images")
Object = dict[str, Any]

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings of kube-scheduler are not beside the checkout"),
]


def cases(family: str) -> Iterator[tuple[Object, Object]]:
    with gzip.open(RECORDINGS / f"public-{family}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            yield case["scenario"], case["expected"]


class Replay:
    """One scenario: its cluster in an engine."""

    def __init__(self, scenario: Object) -> None:
        config = json.loads(scenario.get("config", '{"profiles": [{"schedulerName": "default-scheduler"}]}'))
        assert all(set(profile) == {"schedulerName"} for profile in config["profiles"]), "plugin configuration is not read here"
        profiles = tuple(Profile(profile["schedulerName"]) for profile in config["profiles"])
        self.engine = SchedulingEngine(SchedulerConfig(profiles=profiles, tie_break=FIRST))
        classes = scenario.get("priorityClasses", ())
        self.priorities = {found["metadata"]["name"]: found["value"] for found in classes}
        self.priority = next((found["value"] for found in classes if found.get("globalDefault")), 0)
        for node in scenario["nodes"]:
            self.engine.add_node(node)
        for pod in scenario.get("pods", ()):
            self.engine.add_pod(self.admitted(pod))

    def admitted(self, pod: Object) -> Object:
        """The Pod after admission and defaulting."""
        spec = dict(pod["spec"])
        spec["priority"] = self.priorities[spec["priorityClassName"]] if "priorityClassName" in spec else self.priority
        return POD.default({**pod, "metadata": {"namespace": "default", **pod["metadata"]}, "spec": spec})

    def decide(self, pod: Object, expected: Object) -> Object:
        """Our record of one Pod, with the fields that are compared; the recorded choice is then assumed."""
        pod = self.admitted(pod)
        decision = self.engine.schedule(pod)
        if decision.node_name:
            self.engine.cache.forget(decision.pod)
        found: Object = {"pod": decision.pod.key, "result": decision.result}
        if decision.result == "gated":
            found |= {"gatePlugin": "SchedulingGates", "gateMessage": decision.message}
        if decision.result in ("scheduled", "unschedulable"):
            found |= self.answers(self.engine.state(pod), expected)
        if decision.result == "scheduled" and found["scorePlugins"] == expected["scorePlugins"]:
            found["chosen"] = decision.node_name
        if decision.post_filter is not None:
            found |= {"message": decision.message, "postFilterMessage": decision.post_filter.message}
            found["unschedulablePlugins"] = list(decision.unschedulable_plugins)
        if "chosen" in expected:
            self.engine.cache.assume(self.engine.memo.info(pod), expected["chosen"])
        return found

    def answers(self, state: SignatureState, expected: Object) -> Object:
        table, diagnosis = self.engine.table, state.diagnosis()
        rejected = {}
        for row in table.node_rows():
            why = diagnosis.rejection(row)
            if why is not None:
                rejected[table.names[row]] = {"code": why[1].code, "plugin": why[0], "reasons": list(why[1].reasons)}
        feasible = [table.names[row] for row in diagnosis.feasible_rows()]
        scores = state.scores()
        return {
            "rejected": rejected,
            "feasible": feasible,
            "scorePlugins": state.score_plugins(),
            "scores": {name: [int(points[table.find(name)]) for points in scores.values()] for name in feasible},
        }


def comparable(expected: Object, found: Object) -> Object:
    """What of the recorded fields we claim, with the columns of the plugins that we have."""
    wanted = {field: expected[field] for field in found if field in expected}
    if "rejected" in found:
        wanted.setdefault("rejected", {})
    if found["result"] == "scheduled":
        keep = [index for index, name in enumerate(expected["scorePlugins"]) if name in found["scorePlugins"]]
        wanted["scorePlugins"] = [expected["scorePlugins"][index] for index in keep]
        wanted["scores"] = {name: [points[index] for index in keep] for name, points in expected["scores"].items()}
    elif found["result"] == "unschedulable":
        wanted |= {"feasible": [], "scores": {}, "scorePlugins": found["scorePlugins"]}
        wanted["unschedulablePlugins"] = sorted(expected["unschedulablePlugins"])
    return wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_decisions_are_those_of_the_real_scheduler(family: str) -> None:
    pods = 0
    for scenario, recorded in cases(family):
        replay = Replay(scenario)
        for pod, expected in zip(scenario["pending"], recorded["pods"], strict=True):
            found = replay.decide(pod, expected)
            assert found == comparable(expected, found), f"{scenario['id']} {expected['pod']}"
            pods += 1
        replay.engine.check()
    assert pods > 300


def test_the_queue_hands_out_pods_in_the_recorded_order() -> None:
    orders = 0
    for scenario, recorded in cases("gates"):
        replay = Replay(scenario)
        frameworks = replay.engine.frameworks
        queue = SchedulingQueue(replay.engine.config, lambda info, known=frameworks: known[info.facts.scheduler_name].gate(info), {})
        for now_ns, pod in enumerate(scenario["pending"]):
            info = replay.engine.memo.info(replay.admitted(pod))
            if info.facts.scheduler_name in frameworks:
                queue.add(info, now_ns)
        order = []
        while (queued := queue.pop(len(scenario["pending"]))) is not None:
            order.append(queued.info.key)
        if "queueOrder" in recorded:
            assert order == recorded["queueOrder"], scenario["id"]
            orders += 1
    assert orders > 10
