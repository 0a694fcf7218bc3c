"""Eviction under memory and disk pressure, OOM kills, image garbage collection. Each row names the rule of upstream that it stands for."""

from typing import Any

import pytest

from kubesim.kernel.time import SECOND
from kubesim.kubelet.config import KubeletConfig
from kubesim.kubelet.eviction import images, ranking, thresholds
from kubesim.kubelet.eviction.images import Unused
from kubesim.kubelet.eviction.limits import oom_score_adjust
from kubesim.kubelet.eviction.pressure import admit_under_pressure
from kubesim.kubelet.eviction.ranking import Candidate, Usage
from kubesim.kubelet.eviction.thresholds import Amount, Observation, Threshold, parse_thresholds
from kubesim.kubelet.models.contract import Image
from tests.kubelet.world import World, container, pod

MI = 1 << 20
SMALL: dict[str, str] = {"cpu": "4", "memory": "1Gi", "ephemeral-storage": "10Gi", "pods": "20"}
IMAGES = {"*": Image(0)}


def world(**options: Any) -> World:
    return World(images=options.pop("images", IMAGES), node={"status": {"capacity": SMALL}}, **options)


def uses(name: str, memory: str, request: str = "", limit: str = "", **spec: Any) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    if request:
        resources["requests"] = {"memory": request}
    if limit:
        resources["limits"] = {"memory": limit}
    return pod(name, annotations={"kubesim.dev/usage-memory": memory}, containers=[container(resources=resources)], **spec)


def candidate(order: int, priority: int, used: int, requested: int) -> Candidate:
    return Candidate(order, priority, False, (Usage("app", used, requested),), requested)


@pytest.mark.parametrize(
    ("rule", "candidates", "order"),
    [
        ("exceedMemoryRequests before priority", [candidate(0, 0, 5, 10), candidate(1, 9, 11, 10)], [1, 0]),
        ("priority: the lower goes first", [candidate(0, 9, 20, 10), candidate(1, 1, 12, 10)], [1, 0]),
        ("memory: the larger excess goes first", [candidate(0, 1, 12, 10), candidate(1, 1, 30, 20)], [1, 0]),
        ("memory: also among those within their requests", [candidate(0, 1, 2, 10), candidate(1, 1, 9, 10)], [1, 0]),
        ("usage equal to the request does not exceed it", [candidate(0, 0, 10, 10), candidate(1, 5, 1, 0)], [1, 0]),
        ("equals in order of arrival", [candidate(0, 1, 3, 1), candidate(1, 1, 3, 1)], [0, 1]),
    ],
)
def test_the_order_of_eviction(rule: str, candidates: list[Candidate], order: list[int]) -> None:
    assert [each.order for each in ranking.rank(candidates)] == order, rule


def test_thresholds_are_met_below_and_resolved_above_the_minimum_reclaim() -> None:
    threshold = Threshold(thresholds.MEMORY, Amount(100), 0, Amount(50))
    for available, plain, enforced in [(99, True, True), (100, False, True), (149, False, True), (150, False, False)]:
        seen = {thresholds.MEMORY: Observation(available, 1000)}
        assert bool(thresholds.met([threshold], seen)) == plain
        assert bool(thresholds.met([threshold], seen, enforce_reclaim=True)) == enforced


@pytest.mark.parametrize(
    ("hard", "soft", "grace", "message"),
    [
        ({"memory.free": "1Gi"}, {}, {}, "evictionHard: 'memory.free': expected one of memory.available"),
        ({"memory.available": "-1Gi"}, {}, {}, r"evictionHard\[memory.available\]: '-1Gi': expected a quantity that is not negative"),
        ({"nodefs.available": "101%"}, {}, {}, r"evictionHard\[nodefs.available\]: '101%'"),
        ({}, {"memory.available": "1Gi"}, {}, "evictionSoftGracePeriod: 'memory.available': missing"),
        ({}, {"memory.available": "1Gi"}, {"memory.available": "-1s"}, "expected a positive duration"),
    ],
)
def test_bad_thresholds(hard: dict[str, str], soft: dict[str, str], grace: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_thresholds(hard, soft, grace, {})
    with pytest.raises(ValueError, match="image_gc_low_percent"):
        KubeletConfig(image_gc_low_percent=90)


def test_memory_pressure_evicts_the_pod_whose_turn_it_is() -> None:
    w = world()
    w.place(uses("modest", "300Mi", request="300Mi"))
    w.place(uses("greedy", "200Mi+10Mi/s", request="100Mi", terminationGracePeriodSeconds=60))
    w.place(uses("important", "200Mi", priorityClassName="system-node-critical"))
    w.run(60)
    status = w.status("greedy")
    assert (status["phase"], status["reason"]) == ("Failed", "Evicted")
    # 1024 - 100 - 500 Mi are reached 22.4 s after its start at 0.901 s: the next look is at 30 s; usage is counted in pages
    used_kib = int((200 + 10 * (30 - 0.901)) * 1024) // 4 * 4
    left_kib = (1024 - 500) * 1024 - used_kib
    assert status["message"] == (
        f"The node was low on resource: memory. Threshold quantity: 100Mi, available: {left_kib}Ki. "
        f"Container app was using {used_kib}Ki, request is 100Mi, has larger consumption of memory. "
    )
    disruption = next(each for each in status["conditions"] if each["type"] == "DisruptionTarget")
    assert (disruption["status"], disruption["reason"], disruption["message"]) == ("True", "TerminationByKubelet", status["message"])
    assert ("Warning", "Evicted", status["message"]) in w.events("greedy")
    assert w.status("modest")["phase"] == w.status("important")["phase"] == "Running"
    node = {each["type"]: each for each in w.get("node-0", "nodes")["status"]["conditions"]}
    assert (node["MemoryPressure"]["status"], node["MemoryPressure"]["reason"]) == ("True", "KubeletHasInsufficientMemory")
    assert node["Ready"]["status"] == "True"
    about_node = w.events("node-0")
    assert ("Normal", "NodeHasInsufficientMemory", "Node node-0 status is now: NodeHasInsufficientMemory") in about_node
    assert ("Warning", "EvictionThresholdMet", "Attempting to reclaim memory") in about_node
    w.place(pod("besteffort"))
    w.place(uses("burstable", "1Mi", request="1Mi"))
    w.run(10)
    refused = w.status("besteffort")
    assert (refused["phase"], refused["reason"]) == ("Failed", "Evicted")
    assert refused["message"] == "Pod was rejected: The node had condition: [MemoryPressure]. "
    assert w.status("burstable")["phase"] == "Running"
    assert w.converge()  # the condition ends five minutes after it was last observed
    node = {each["type"]: each for each in w.get("node-0", "nodes")["status"]["conditions"]}
    assert node["MemoryPressure"]["status"] == "False"
    assert ("Normal", "NodeHasSufficientMemory", "Node node-0 status is now: NodeHasSufficientMemory") in w.events("node-0")
    written = w.write_count
    w.run(3600)
    assert w.write_count == written  # and a node that is well costs nothing


def test_a_soft_threshold_waits_and_gives_a_grace_period() -> None:
    soft = {"eviction_soft": {"memory.available": "500Mi"}, "eviction_soft_grace": {"memory.available": "1m"}}
    w = world(eviction_pod_grace_ns_max=20 * SECOND, **soft)
    annotations = {"kubesim.dev/usage-memory": "600Mi", "kubesim.dev/stop-delay": "never"}
    w.place(pod("slow", annotations=annotations, terminationGracePeriodSeconds=300))
    w.run(69)
    assert w.status("slow")["phase"] == "Running"
    w.run(20)  # looked at 10 s, due 60 s later, killed 20 s after that
    assert w.status("slow")["phase"] == "Running"
    w.run(5)
    assert w.status("slow")["reason"] == "Evicted"


def test_one_pod_at_a_time_until_it_is_enough() -> None:
    w = world()
    for index in range(4):
        w.place(uses(f"pod-{index}", "0s=10Mi,20s=250Mi"))
    assert w.converge()
    gone = [name for name in (f"pod-{index}" for index in range(4)) if w.status(name)["phase"] == "Failed"]
    assert gone == ["pod-0"]


def test_a_container_over_its_limit_is_killed() -> None:
    w = world()
    w.place(uses("leaky", "10Mi+10Mi/s", limit="60Mi"))
    w.run(7)
    status = w.status("leaky")["containerStatuses"][0]
    ended = status["state"].get("terminated") or status["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    assert ended["finishedAt"] == "2026-01-01T00:00:05Z"  # 50 Mi of growth at 10 Mi/s from 0.3 s on
    w.run(60)
    assert w.status("leaky")["containerStatuses"][0]["restartCount"] >= 2
    w.place(uses("within", "60Mi", limit="60Mi"))
    w.run(10)
    assert w.status("within")["containerStatuses"][0]["restartCount"] == 0


def test_a_node_without_memory_kills_by_score() -> None:
    """oom_score_adj: Guaranteed -997, Burstable by request, BestEffort 1000 (pkg/kubelet/qos/policy.go)."""
    w = world(eviction_hard={})
    exact = {"cpu": "1", "memory": "700Mi"}
    w.place(
        pod(
            "guaranteed",
            annotations={"kubesim.dev/usage-memory": "600Mi"},
            containers=[container(resources={"limits": exact, "requests": exact})],
        )
    )
    w.place(uses("besteffort", "100Mi"))
    w.place(uses("growing", "100Mi+50Mi/s", request="200Mi"))
    for name, least, most in (("guaranteed", -997, -997), ("besteffort", 1000, 1000), ("growing", 804, 805)):
        w.run(1)
        running = next(each for each in w.kubelets.node("node-0").watch().usage.running.values() if each.worker.name == name)
        assert least <= oom_score_adjust(running, 1024 * MI) <= most
    w.run(4)
    assert w.status("besteffort")["containerStatuses"][0]["state"]["running"]
    w.run(2)
    killed = {name: w.status(name)["containerStatuses"][0]["restartCount"] for name in ("guaranteed", "besteffort", "growing")}
    assert killed["guaranteed"] == 0 and killed["besteffort"] + killed["growing"] >= 1
    assert any(reason == "SystemOOM" and "System OOM encountered, victim process: app" in text for _, reason, text in w.events("node-0"))


@pytest.mark.parametrize(
    ("rule", "conditions", "qos", "priority", "static", "tolerates", "admitted"),
    [
        ("no condition", (), "BestEffort", 0, False, False, True),
        ("memory pressure refuses BestEffort", ("MemoryPressure",), "BestEffort", 0, False, False, False),
        ("memory pressure admits Burstable", ("MemoryPressure",), "Burstable", 0, False, False, True),
        ("a toleration of the taint is enough", ("MemoryPressure",), "BestEffort", 0, False, True, True),
        ("disk pressure refuses everything", ("DiskPressure",), "Guaranteed", 0, False, True, False),
        ("both refuse everything", ("MemoryPressure", "DiskPressure"), "Burstable", 0, False, True, False),
        ("critical Pods are admitted", ("DiskPressure",), "BestEffort", 2_000_000_000, False, False, True),
        ("static Pods are admitted", ("DiskPressure",), "BestEffort", 0, True, False, True),
    ],
)
def test_admission_under_pressure(
    rule: str, conditions: tuple[str, ...], qos: str, priority: int, static: bool, tolerates: bool, admitted: bool
) -> None:
    assert (admit_under_pressure(conditions, qos, priority, static, tolerates) == "") == admitted, rule


@pytest.mark.parametrize(
    ("annotations", "spec", "message"),
    [
        (
            {"usage-volume": "scratch 0s=0,1m=60Mi"},
            {"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "30Mi"}}]},
            'Usage of EmptyDir volume "scratch" exceeds the limit "30Mi". ',
        ),
        (
            {"usage-ephemeral-storage": "0s=0,1m=60Mi"},
            {"containers": [container(resources={"limits": {"ephemeral-storage": "30Mi"}})]},
            "Pod ephemeral local storage usage exceeds the total limit of containers 30Mi. ",
        ),
        (
            {"usage-ephemeral-storage.app": "0s=0,1m=60Mi"},
            {
                "containers": [
                    container(resources={"limits": {"ephemeral-storage": "30Mi"}}),
                    container("other", resources={"limits": {"ephemeral-storage": "30Mi"}}),
                ]
            },
            'Container app exceeded its local ephemeral storage limit "30Mi". ',
        ),
    ],
)
def test_local_storage_over_its_limit(annotations: dict[str, str], spec: dict[str, Any], message: str) -> None:
    w = world()
    w.place(pod(annotations={f"kubesim.dev/{name}": text for name, text in annotations.items()}, **spec))
    w.run(29)
    assert w.status()["phase"] == "Running"
    w.run(20)
    status = w.status()
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "Evicted", message)
    assert not any(each["type"] == "DisruptionTarget" for each in status["conditions"])
    assert w.converge()


def test_disk_pressure_removes_images_before_it_evicts() -> None:
    w = world(images={"*/big:*": Image(2000 * MI), "*": Image(10 * MI)}, image_gc_period_ns=3600 * SECOND)
    w.place(pod("old", containers=[container(image="registry.example/big:1")], terminationGracePeriodSeconds=0))
    w.run(60)
    w.delete("old")
    w.run(120)
    w.kubelets.node("node-0").watch().reserve("ephemeral-storage", 7500 * MI)
    w.run(20)
    assert ("Warning", "EvictionThresholdMet", "Attempting to reclaim ephemeral-storage") in w.events("node-0")
    names = [each["names"][1] for each in w.get("node-0", "nodes")["status"].get("images") or ()]
    assert not any("big" in name for name in names)
    conditions = {each["type"]: each["status"] for each in w.get("node-0", "nodes")["status"]["conditions"]}
    assert conditions["DiskPressure"] == "True"
    w.place(pod("late"))
    w.run(5)
    assert w.status("late")["message"] == "Pod was rejected: The node had condition: [DiskPressure]. "
    assert w.converge()
    conditions = {each["type"]: each["status"] for each in w.get("node-0", "nodes")["status"]["conditions"]}
    assert conditions["DiskPressure"] == "False"


@pytest.mark.parametrize(
    ("rule", "wanted", "chosen", "freed"),
    [
        ("the longest unused goes first, and no more than needed", 5, ["b"], 20),
        ("equal last use: the older one", 25, ["b", "c"], 50),
        ("one younger than the minimum age stays", None, ["b", "c", "d"], 90),
    ],
)
def test_which_images_go(rule: str, wanted: int | None, chosen: list[str], freed: int) -> None:
    known = [Unused("a", 10, 0, 95), Unused("b", 20, 5, 1), Unused("c", 30, 7, 2), Unused("d", 40, 7, 3)]
    assert images.choose(known, wanted, 100, 10) == (chosen, freed), rule


@pytest.mark.parametrize(("available", "expected"), [(16, 0), (15, 5), (0, 20), (-5, 20)])
def test_how_much_is_to_be_freed(available: int, expected: int) -> None:
    """Above the high threshold (85 %) down to the low one (80 %)."""
    assert images.excess(100, available, 85, 80) == expected


def test_images_are_collected_at_the_high_threshold() -> None:
    w = world(images={"*": Image(1500 * MI)}, eviction_hard={})
    for index in range(6):
        w.place(pod(f"pod-{index}", containers=[container(image=f"registry.example/image-{index}:1")], terminationGracePeriodSeconds=0))
    w.run(150)
    w.delete("pod-3")
    w.run(20)
    w.delete("pod-1")
    w.run(140)  # the mark of 300 s has passed: 9000 of 10240 Mi are above 85 %; 808 Mi are to be freed
    names = [each["names"][1] for each in w.get("node-0", "nodes")["status"]["images"]]
    assert "registry.example/image-3:1" not in names and "registry.example/image-1:1" in names and len(names) == 5
    assert w.converge()


def test_a_collection_that_frees_too_little_says_so() -> None:
    w = world(images={"*": Image(9000 * MI)}, eviction_hard={})
    w.place(pod())
    w.run(301)
    text = (
        "Failed to garbage collect required amount of images. "
        f"Attempted to free {9000 * MI - 10240 * MI * 80 // 100} bytes, but only found 0 bytes eligible to free."
    )
    assert ("Warning", "FreeDiskSpaceFailed", text) in w.events("node-0")
    assert w.converge()
