"""The life of Pods on a node, against the real apiserver: what is reported, when, and which events say so."""

from itertools import pairwise
from typing import Any

import pytest

from kubesim.kubelet.models.contract import Image
from tests.kubelet.world import World, container, pod

MEBIBYTE = 1 << 20
IMAGES = {"*/app:1": Image(100 * MEBIBYTE), "*/log:1": Image(50 * MEBIBYTE), "*/broken:*": Image(0, "not found"), "*": Image(0)}


def test_a_pod_starts() -> None:
    world = World(images=IMAGES)
    world.place(pod())
    world.run(10)
    reports = world.reports()
    # bound at 0, seen 1 ms later; then sandbox 0.2 s, registry 0.3 s, transfer 1 s, start 0.1 s
    assert [time for time, _ in reports] == [0.001, 1.601]
    first, second = (status for _, status in reports)
    assert first["phase"] == "Pending" and second["phase"] == "Running"
    assert first["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert second["podIP"] == "10.244.0.2" and second["podIPs"] == [{"ip": "10.244.0.2"}]
    assert [each["type"] for each in second["conditions"]] == [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]
    assert {each["status"] for each in second["conditions"]} == {"True"}
    assert world.events() == [
        ("Normal", "Pulling", 'Pulling image "registry.example/app:1"'),
        (
            "Normal",
            "Pulled",
            'Successfully pulled image "registry.example/app:1" in 1.3s (1.3s including waiting). Image size: 104857600 bytes.',
        ),
        ("Normal", "Created", "Container created"),
        ("Normal", "Started", "Container started"),
    ]


def test_the_status_has_upstreams_fields() -> None:
    world = World(images=IMAGES)
    resources = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}
    world.place(pod(containers=[container(resources=resources)]))
    world.run(10)
    status = world.status()
    assert list(status) == [
        "observedGeneration", "phase", "conditions", "hostIP", "hostIPs", "podIP", "podIPs", "startTime", "containerStatuses", "qosClass",
    ]  # fmt: skip
    (app,) = status["containerStatuses"]
    assert list(app) == [
        "name", "state", "lastState", "ready", "restartCount", "image", "imageID", "containerID", "started", "allocatedResources",
        "resources",
    ]  # fmt: skip
    assert app["imageID"].startswith("registry.example/app@sha256:")
    assert app["containerID"].startswith("containerd://")
    assert status["qosClass"] == "Burstable"
    assert status["hostIP"] == "172.16.0.1"


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    world = World(images=IMAGES)
    probe = {"httpGet": {"path": "/", "port": 80}, "initialDelaySeconds": 5}
    world.place(pod(containers=[container(readinessProbe=probe)]))
    world.run(10)
    times = {each["type"]: each["lastTransitionTime"][-4:] for each in world.status()["conditions"]}
    assert times["Initialized"] == ":00Z"
    assert times["PodReadyToStartContainers"] == ":01Z"
    assert times["Ready"] == times["ContainersReady"] == ":06Z"


def test_pods_of_one_node_share_an_image() -> None:
    world = World(images=IMAGES)
    for name in ("a", "b", "c"):
        world.place(pod(name))
    world.run(10)
    # The pulls stand in line; b and c only ask the registry once it is their turn.
    running = {name: next(time for time, status in world.reports(name) if status["phase"] == "Running") for name in ("a", "b", "c")}
    assert running == {"a": 1.601, "b": 1.901, "c": 2.201}
    assert world.events("c")[1][2] == (
        'Successfully pulled image "registry.example/app:1" in 300ms (1.9s including waiting). Image size: 104857600 bytes.'
    )
    world.place(pod("d"))
    world.run(10)
    assert world.events("d")[0] == (
        "Normal",
        "Pulled",
        'Container image "registry.example/app:1" already present on machine and can be accessed by the pod',
    )
    assert world.get("node-0", "nodes")["status"]["images"][0]["sizeBytes"] == 100 * MEBIBYTE


def test_init_containers_run_in_order_and_sidecars_stay() -> None:
    world = World(images=IMAGES)
    first, sidecar, second = container("first"), container("proxy", restartPolicy="Always"), container("second")
    world.place(pod(initContainers=[first, sidecar, second]))
    world.run(20)
    status = world.status()
    started = [each["state"].get("terminated", each["state"].get("running"))["startedAt"] for each in status["initContainerStatuses"]]
    assert started == sorted(started)
    assert [list(each["state"]) for each in status["initContainerStatuses"]] == [["terminated"], ["running"], ["terminated"]]
    assert [each["ready"] for each in status["initContainerStatuses"]] == [True, True, True]
    assert status["phase"] == "Running" and world.conditions()["Ready"] == "True"
    early = world.reports()[0][1]
    assert early["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    initialized = next(each for each in early["conditions"] if each["type"] == "Initialized")
    assert initialized["message"] == "containers with incomplete status: [first proxy second]"


@pytest.mark.parametrize(
    ("policy", "phase", "restarts"), [("Never", "Failed", 0), ("Always", "Pending", 1), ("OnFailure", "Pending", 1)], ids=str
)
def test_an_init_container_fails(policy: str, phase: str, restarts: int) -> None:
    world = World(images=IMAGES)
    annotations = {"kubesim.dev/exit-code.first": "1", "kubesim.dev/run-for.first": "1s"}
    world.place(pod(annotations=annotations, restartPolicy=policy, initContainers=[container("first")]))
    world.run(10)
    status = world.status()
    assert status["phase"] == phase
    assert status["initContainerStatuses"][0]["restartCount"] == restarts
    assert list(status["containerStatuses"][0]["state"]) == ["waiting"]
    assert world.conditions()["Initialized"] == "False"


def test_a_crash_loop_backs_off() -> None:
    world = World(images=IMAGES)
    world.place(pod(annotations={"kubesim.dev/exit-code": "1", "kubesim.dev/run-for": "1s"}))
    world.run(1000)
    starts = []
    for time, status in world.reports():
        running = status["containerStatuses"][0]["state"].get("running")
        if running and (not starts or starts[-1][1] != status["containerStatuses"][0]["restartCount"]):
            starts.append((time, status["containerStatuses"][0]["restartCount"]))
    # 1 s of work and 0.1 s of starting lie between a wait and the next.
    waits = [round(after - before - 1.1, 3) for (before, _), (after, _) in pairwise(starts)]
    assert waits[:7] == [0, 10, 20, 40, 80, 160, 300]
    status = world.status()["containerStatuses"][0]
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    uid = world.get()["metadata"]["uid"]
    assert status["state"]["waiting"]["message"] == f"back-off 5m0s restarting failed container=app pod=web_default({uid})"
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert ("Warning", "BackOff", f"Back-off restarting failed container app in pod web_default({uid})") in world.events()
    assert world.phases() == ["Pending", "Running"]


def test_a_long_run_forgets_the_back_off() -> None:
    world = World(images=IMAGES)
    world.place(pod(annotations={"kubesim.dev/exit-code": "1", "kubesim.dev/run-for": "601s"}))
    world.run(4000)
    assert not any("CrashLoopBackOff" in str(status) for _, status in world.reports())
    assert world.status()["containerStatuses"][0]["restartCount"] == 6


@pytest.mark.parametrize(
    ("policy", "code", "phase", "reason"),
    [("Never", "0", "Succeeded", "PodCompleted"), ("Never", "3", "Failed", "PodFailed"), ("OnFailure", "1,0", "Succeeded", "PodCompleted")],
    ids=str,
)
def test_a_pod_ends(policy: str, code: str, phase: str, reason: str) -> None:
    world = World(images=IMAGES)
    world.place(pod(annotations={"kubesim.dev/exit-code": code, "kubesim.dev/run-for": "2s"}, restartPolicy=policy))
    world.run(60)
    status = world.status()
    assert status["phase"] == phase
    conditions = {each["type"]: (each["status"], each.get("reason")) for each in status["conditions"]}
    assert conditions["Ready"] == conditions["ContainersReady"] == ("False", reason)
    assert conditions["PodReadyToStartContainers"] == ("False", None)
    assert world.kubelets.nodes["node-0"].network.in_use == {}
    assert world.kubelets.nodes["node-0"].resources.pods_used == 0


def test_a_sidecar_does_not_keep_a_job_alive() -> None:
    world = World(images=IMAGES)
    sidecar = container("proxy", restartPolicy="Always")
    world.place(pod(annotations={"kubesim.dev/run-for.app": "2s"}, restartPolicy="Never", initContainers=[sidecar]))
    world.run(60)
    status = world.status()
    assert status["phase"] == "Succeeded"
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    terminal = [time for time, status in world.reports() if status["phase"] == "Succeeded"]
    ended = [time for time, status in world.reports() if "terminated" in status["containerStatuses"][0]["state"]]
    assert min(terminal) > min(ended), "the phase is terminal only when the sidecar has stopped too"


def test_graceful_termination() -> None:
    world = World(images=IMAGES)
    world.place(pod())
    world.run(10)
    world.delete()
    world.run(10)
    assert not world.has()
    last = world.reports()[-1]
    assert last[0] == 10.101 and last[1]["phase"] == "Succeeded"
    deletes = [time_ns for time_ns, verb, _, _ in world.writes if verb == "delete"]
    assert deletes[0] == 10_000_000_000 and deletes[-1] == 10_101_000_000
    assert world.events()[-1] == ("Normal", "Killing", "Stopping container app")


@pytest.mark.parametrize(
    ("annotations", "grace", "hook", "seconds", "code"),
    [
        ({}, 30, False, 0.1, 0),
        ({}, 30, True, 0.15, 0),
        ({"kubesim.dev/stop-delay": "7s", "kubesim.dev/stop-exit-code": "143"}, 30, False, 7, 143),
        ({"kubesim.dev/stop-delay": "never"}, 30, False, 30, 137),
        ({"kubesim.dev/stop-delay": "never"}, 5, True, 5, 137),
        ({"kubesim.dev/stop-delay": "never"}, 1, False, 2, 137),  # never less than 2 s between TERM and KILL
    ],
    ids=["obeys", "hook", "slow", "killed", "killed-after-hook", "minimum"],
)
def test_a_container_is_stopped(annotations: dict[str, str], grace: int, hook: bool, seconds: float, code: int) -> None:
    world = World(images=IMAGES)
    extra: dict[str, Any] = {"lifecycle": {"preStop": {"exec": {"command": ["true"]}}}} if hook else {}
    world.place(pod(annotations=annotations, containers=[container(**extra)], terminationGracePeriodSeconds=grace))
    world.run(10)
    world.delete()
    world.run(60)
    time, status = world.reports()[-1]
    assert time == round(10.001 + seconds, 3)
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == code
    assert status["phase"] == ("Succeeded" if code == 0 else "Failed")
    assert not world.has()


def test_a_shorter_grace_period_wins() -> None:
    world = World(images=IMAGES)
    world.place(pod(annotations={"kubesim.dev/stop-delay": "never"}, terminationGracePeriodSeconds=600))
    world.run(10)
    world.delete()
    world.run(10)
    world.delete(gracePeriodSeconds=5)
    world.run(6)
    assert not world.has()


def test_sidecars_stop_after_the_rest_and_last_first() -> None:
    world = World(images=IMAGES)
    sidecars = [container("one", restartPolicy="Always"), container("two", restartPolicy="Always")]
    world.place(pod(annotations={"kubesim.dev/stop-delay": "2s"}, initContainers=sidecars))
    world.run(10)
    world.delete()
    world.run(30)
    killed = [(message, reason) for _, reason, message in world.events() if reason == "Killing"]
    assert [message for message, _ in killed] == ["Stopping container app", "Stopping container two", "Stopping container one"]
    assert not world.has()


def test_a_deadline_passes() -> None:
    world = World(images=IMAGES)
    world.place(pod(activeDeadlineSeconds=20, restartPolicy="Never", annotations={"kubesim.dev/run-for": "1h"}))
    world.run(30)
    status = world.status()
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert status["message"] == "Pod was active on the node longer than the specified deadline"
    assert world.reports()[-1][0] == 20.101


def test_an_image_that_cannot_be_pulled() -> None:
    world = World(images=IMAGES)
    world.place(pod(containers=[container(image="registry.example/broken:1")]))
    world.run(100)
    reasons = [status["containerStatuses"][0]["state"]["waiting"]["reason"] for _, status in world.reports()]
    assert reasons[:6] == ["ContainerCreating", "ErrImagePull", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff", "ErrImagePull"]
    times = [time for time, status in world.reports() if status["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImagePull"]
    assert [round(after - before - 0.3, 3) for before, after in pairwise(times)] == [10, 20, 40]
    text = 'failed to pull and unpack image "registry.example/broken:1": not found'
    assert ("Warning", "Failed", f'Failed to pull image "registry.example/broken:1": {text}') in world.events()
    assert ("Normal", "BackOff", 'Back-off pulling image "registry.example/broken:1"') in world.events()
    assert world.status()["phase"] == "Pending"


def test_an_image_that_may_not_be_pulled() -> None:
    world = World(images=IMAGES)
    world.place(pod(containers=[container(imagePullPolicy="Never")]))
    world.run(5)
    assert world.status()["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImageNeverPull"
    world.place(pod("other"))
    world.run(5)
    assert world.status()["phase"] == "Running", "another Pod brought the image"


@pytest.mark.parametrize(
    ("annotations", "ready"), [({}, True), ({"kubesim.dev/ready-after": "never"}, False), ({"kubesim.dev/ready-after": "3s"}, True)]
)
def test_readiness_without_a_probe(annotations: dict[str, str], ready: bool) -> None:
    world = World(images=IMAGES)
    world.place(pod(annotations=annotations))
    world.run(10)
    assert world.conditions()["Ready"] == str(ready)
    assert world.status()["phase"] == "Running"


def test_an_image_changes_in_place() -> None:
    world = World(images=IMAGES)
    world.place(pod())
    world.run(5)
    current = world.get()
    changed = {**current["spec"]["containers"][0], "image": "registry.example/log:1"}
    world.send_update({**current, "spec": {**current["spec"], "containers": [changed]}})
    world.run(10)
    (app,) = world.status()["containerStatuses"]
    assert (app["image"], app["restartCount"], list(app["state"])) == ("registry.example/log:1", 1, ["running"])
    assert ("Normal", "Killing", "Container app definition changed, will be restarted") in world.events()


def test_readiness_gates() -> None:
    world = World(images=IMAGES)
    world.place(pod(readinessGates=[{"conditionType": "example.com/ok"}]))
    world.run(5)
    ready = next(each for each in world.status()["conditions"] if each["type"] == "Ready")
    assert ready["message"] == 'corresponding condition of pod readiness gate "example.com/ok" does not exist.'
    assert world.conditions()["ContainersReady"] == "True"
    current = world.get()
    gate = {"type": "example.com/ok", "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-01-01T00:00:05Z"}
    status = {**current["status"], "conditions": [*current["status"]["conditions"], gate]}
    world.send_update({**current, "status": status}, "status")
    world.run(1)
    assert world.conditions()["Ready"] == "True"
    assert world.conditions()["example.com/ok"] == "True"


def test_the_log_sidecar() -> None:
    world = World(images=IMAGES)
    mount = [{"name": "logs", "mountPath": "/var/log/app"}]
    annotations = {
        "kubesim.dev/writes.app": "/var/log/app/access.log 1s request %d served",
        "kubesim.dev/tails.log": "/var/log/app/access.log",
    }
    containers = [container(volumeMounts=mount), container("log", "registry.example/log:1", volumeMounts=mount)]
    world.place(pod(annotations=annotations, containers=containers, volumes=[{"name": "logs", "emptyDir": {}}]))
    world.run(10)
    world.kubelets.file("default", "web", "app", "/var/log/app/access.log").append(world.kernel.now_ns, "by hand")
    lines = [line.text for line in world.kubelets.logs("default", "web", "log")]
    assert lines[:2] == ["request 0 served", "request 1 served"] and lines[-1] == "by hand"
    before = world.kernel.dispatched_count
    world.run(3600)
    assert len(world.kubelets.logs("default", "web", "log")) == len(lines) + 3600
    assert world.kernel.dispatched_count - before < 20, "lines are counted, not written"
    with pytest.raises(ValueError, match="is in no emptyDir"):
        world.kubelets.file("default", "web", "app", "/tmp/x")
    with pytest.raises(ValueError, match="has no container 'nobody'"):
        world.kubelets.file("default", "web", "nobody", "/var/log/app/access.log")


def test_an_idle_pod_costs_nothing() -> None:
    world = World(images=IMAGES)
    probe = {"httpGet": {"path": "/", "port": 80}}
    world.place(pod(containers=[container(readinessProbe=probe, livenessProbe=probe)]))
    world.run(60)
    writes, dispatched = world.write_count, world.kernel.dispatched_count
    world.run(24 * 3600)
    assert world.write_count == writes, "a converged node writes nothing"
    assert world.kernel.dispatched_count - dispatched < 1000


def test_eviction_fails_the_pod() -> None:
    world = World(images=IMAGES)
    world.place(pod())
    world.run(5)
    world.kubelets.evict("default", "web", "Evicted", "The node was low on resource: memory.")
    world.run(5)
    status = world.status()
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "Evicted", "The node was low on resource: memory.")


@pytest.mark.parametrize(
    ("image", "annotations"),
    [
        ("app", {}),
        ("broken", {}),
        ("app", {"kubesim.dev/exit-code": "1", "kubesim.dev/run-for": "1s"}),
        ("app", {"kubesim.dev/ready-after": "never"}),
    ],
    ids=["running", "image", "crash-loop", "unready"],
)
def test_nobody_waits_for_a_pod_for_ever(image: str, annotations: dict[str, str]) -> None:
    """A Pod that runs, or that has arrived at its longest back-off, leaves the kernel quiet: the cluster has converged."""
    world = World(images=IMAGES)
    probe = {"httpGet": {"path": "/", "port": 80}}
    world.place(pod(annotations=annotations, containers=[container(image=f"registry.example/{image}:1", readinessProbe=probe)]))
    assert world.converge()
