"""The machine alone: events in, calls out; no kernel, no apiserver."""

from typing import Any

import pytest

from kubesim.kernel.time import EPOCH_NS, SECOND
from kubesim.kubelet import pod_state as s
from kubesim.kubelet.facts import READINESS, FactsCache, TemplateFacts
from kubesim.kubelet.pod_machine import step
from kubesim.kubelet.status import Host, render
from tests.kubelet.world import container, pod

HOST = Host("172.16.0.1")
NAMES = ("MOUNT", "SYNC_POD", "STOP", "TIMER", "ASK_PROBE", "BECOME_READY", "RECORD", "ABORT_SYNC", "TEARDOWN", "DELETE", "FORGET")


def result(index: int, time_s: float, ready_delay_ns: int | None = 0) -> s.StartResult:
    return index, EPOCH_NS + int(time_s * SECOND), f"containerd://{index}", "image@sha256:0", ready_delay_ns, "", "pulled", 0


def failed(index: int, reason: str, message: str = "no", retry_ns: int = 0) -> s.StartResult:
    return index, 0, "", "", None, reason, message, retry_ns


def up(ip: str = "10.244.0.2", *results: s.StartResult) -> s.Event:
    return s.SYNC, True, ip, results or (result(0, 1),), ""


class Machine:
    """One Pod's state; ``send`` returns the names of the calls."""

    def __init__(self, **spec: Any) -> None:
        self.pod = pod(**spec)
        self.pod["metadata"] |= {"uid": "u", "generation": 1}
        self.state = s.PodState(self.pod, TemplateFacts(self.pod["spec"]))
        self.calls: list[s.Call] = []

    def send(self, time_s: float, *event: Any) -> list[str]:
        self.calls = step(self.state, event, EPOCH_NS + int(time_s * SECOND))
        return [NAMES[call[0]] for call in self.calls]

    def status(self, time_s: float) -> dict[str, Any]:
        return render(self.state, self.pod, HOST, EPOCH_NS + int(time_s * SECOND))

    def phase(self) -> str:
        self.status(1000)
        return self.state.phase


def exit_(code: int, time_s: float, index: int = 0, attempt: int = 1) -> s.Event:
    return s.EXIT, index, attempt, code, "Completed" if code == 0 else "Error", EPOCH_NS + int(time_s * SECOND)


def deleted(machine: Machine, grace: int = 30) -> s.Event:
    ending = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace, "generation": 2}
    return s.UPDATE, {**machine.pod, "metadata": {**machine.pod["metadata"], **ending}}, machine.state.facts


KILL = (s.KILL, "Evicted", "why", SECOND, "")
ALWAYS: dict[str, Any] = {}
NEVER = {"restartPolicy": "Never"}
SIDECAR = {"initContainers": [container("proxy", restartPolicy="Always")]}
BOTH = (result(0, 1), result(1, 1))

# (what, spec, events with the names of the calls they cause, phase in the end)
TABLE: list[tuple[str, dict[str, Any], list[tuple[float, s.Event, list[str]]], str]] = [
    ("start", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, up(), [])], "Running"),
    ("refused", ALWAYS, [(0, (s.REJECT, "OutOfcpu", "no"), ["RECORD"]), (1, (s.GONE,), ["FORGET"])], "Failed"),
    ("volume first", {"volumes": [{"name": "a", "secret": {"secretName": "b"}}]},
     [(0, (s.START,), ["MOUNT"]), (1, (s.WAKE,), []), (2, (s.VOLUMES,), ["SYNC_POD"])], "Pending"),
    ("first crash: again at once", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, exit_(1, 2), ["SYNC_POD"])], "Running"),
    ("done", NEVER, [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, exit_(0, 2), ["TEARDOWN"])], "Succeeded"),
    ("failed", NEVER, [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, exit_(2, 2), ["TEARDOWN"])], "Failed"),
    ("done once, not twice", NEVER,
     [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, exit_(0, 2), ["TEARDOWN"]), (3, exit_(1, 3), []), (4, (s.WAKE,), [])], "Succeeded"),
    ("news of an earlier attempt", ALWAYS,
     [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, exit_(1, 2), ["SYNC_POD"]), (3, up(), []), (4, exit_(1, 4), [])], "Running"),
    ("no address", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, (s.SYNC, True, None, (), "no address"), ["RECORD", "TIMER"]),
     (5, (s.WAKE,), []), (11, (s.WAKE,), ["SYNC_POD"]), (12, up(), [])], "Running"),
    ("no image", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, up("ip", failed(0, "ErrImagePull")), ["TIMER"]),
     (2, (s.WAKE,), ["RECORD", "RECORD", "TIMER"]), (11, (s.WAKE,), ["SYNC_POD"])], "Pending"),
    ("no configuration", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, up("ip", failed(0, "CreateContainerConfigError", "", s.NEVER_NS)), []),
     (50, (s.RETRY, 0, EPOCH_NS), ["SYNC_POD"])], "Pending"),
    ("deleted before it was seen", ALWAYS, [(0, ("deleted",), ["TEARDOWN", "DELETE"])], "Failed"),
    ("deleted while starting", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, ("deleted",), ["ABORT_SYNC", "TEARDOWN", "DELETE"])], "Failed"),
    ("deleted", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, ("deleted",), ["RECORD", "STOP"]),
     (3, exit_(0, 3), ["TEARDOWN", "DELETE"]), (4, (s.GONE,), ["FORGET"])], "Succeeded"),
    ("deleted and killed", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, ("deleted",), ["RECORD", "STOP"]),
     (32, exit_(137, 32), ["TEARDOWN", "DELETE"])], "Failed"),
    ("gone by force", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, (s.GONE,), ["RECORD", "STOP"]),
     (3, exit_(0, 3), ["TEARDOWN", "FORGET"])], "Succeeded"),
    ("deleted after its end", NEVER, [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, exit_(0, 2), ["TEARDOWN"]),
     (3, ("deleted",), ["DELETE"]), (4, ("deleted",), [])], "Succeeded"),
    ("evicted", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, KILL, ["RECORD", "STOP"]),
     (3, exit_(0, 3), ["TEARDOWN"])], "Failed"),
    ("evicted while starting", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, KILL, ["ABORT_SYNC", "TEARDOWN"])], "Failed"),
    ("a sidecar goes last", {**NEVER, **SIDECAR}, [(0, (s.START,), ["SYNC_POD"]), (1, up(), ["SYNC_POD"]), (2, up("ip", result(1, 2)), []),
     (3, exit_(0, 3, 1), ["RECORD", "STOP"]), (4, exit_(0, 4, 0), ["TEARDOWN"])], "Succeeded"),
    ("a sidecar comes back", SIDECAR, [(0, (s.START,), ["SYNC_POD"]), (1, up(), ["SYNC_POD"]), (2, up("ip", result(1, 2)), []),
     (3, exit_(1, 3, 0), ["SYNC_POD"])], "Running"),
    ("two containers, one over", NEVER | {"containers": [container("a"), container("b")]},
     [(0, (s.START,), ["SYNC_POD"]), (1, up("ip", *BOTH), []), (2, exit_(0, 2), []), (3, exit_(1, 3, 1), ["TEARDOWN"])], "Failed"),
    ("reboot", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, (s.REBOOT,), ["RECORD", "SYNC_POD"])], "Running"),
    ("reboot of what is not restarted", NEVER, [(0, (s.START,), ["SYNC_POD"]), (1, up(), []),
     (2, (s.REBOOT,), ["RECORD", "TEARDOWN"])], "Failed"),
    ("reboot while being deleted", ALWAYS, [(0, (s.START,), ["SYNC_POD"]), (1, up(), []), (2, ("deleted",), ["RECORD", "STOP"]),
     (3, (s.REBOOT,), ["TEARDOWN", "DELETE"])], "Failed"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "script", "phase"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_life(spec: dict[str, Any], script: list[tuple[float, s.Event, list[str]]], phase: str) -> None:
    machine = Machine(**spec)
    for time_s, event, expected in script:
        actual = machine.send(time_s, *(deleted(machine) if event[0] == "deleted" else event))
        assert actual == expected, f"at {time_s} s"
    assert machine.phase() == phase


def test_a_pull_fails_in_one_of_two_containers() -> None:
    machine = Machine(containers=[container("a"), container("b", image="x/b:1")])
    machine.send(0, s.START)
    machine.send(1, *up("ip", result(0, 1), failed(1, "ErrImagePull", "gone")))
    status = machine.status(1)
    assert status["phase"] == "Pending", "as long as one container has never run"
    assert status["containerStatuses"][1]["state"] == {"waiting": {"message": "gone", "reason": "ErrImagePull"}}
    machine.send(2, s.WAKE)
    assert machine.status(2)["containerStatuses"][1]["state"] == {
        "waiting": {"message": 'Back-off pulling image "x/b:1": ErrImagePull: gone', "reason": "ImagePullBackOff"}
    }
    assert machine.send(11, s.WAKE) == ["SYNC_POD"]
    assert machine.calls == [(s.SYNC_POD, False, (1,))]
    machine.send(12, *up("ip", result(1, 12)))
    assert machine.status(12)["phase"] == "Running"


def test_a_container_that_never_ran_counts_as_killed() -> None:
    machine = Machine(initContainers=[container("init")])
    machine.send(0, s.START)
    machine.send(1, *up())
    machine.send(2, *deleted(machine))
    machine.send(3, *exit_(0, 3))
    (app,) = machine.status(3)["containerStatuses"]
    assert app["state"]["terminated"]["exitCode"] == 137
    assert app["state"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert machine.state.phase == "Failed"


def test_probes_are_counted() -> None:
    probe = {"httpGet": {"port": 1}, "failureThreshold": 2, "successThreshold": 2, "periodSeconds": 10}
    machine = Machine(containers=[container(readinessProbe=probe)])
    machine.send(0, s.START)
    assert machine.send(1, *up()) == ["ASK_PROBE"]
    answers = [(True, False), (True, True), (False, True), (True, True), (False, True), (False, False), (True, False), (True, True)]
    for number, (success, ready) in enumerate(answers):
        names = machine.send(1 + 10 * number, s.PROBE, 0, 1, READINESS, success, "why", 0)
        assert names == (["ASK_PROBE"] if success else ["RECORD", "ASK_PROBE"])
        assert machine.calls[-1][-1] == EPOCH_NS + (11 + 10 * number) * SECOND
        assert machine.state.containers[0].ready is ready


def test_an_event_that_changes_nothing_reports_nothing() -> None:
    machine = Machine()
    machine.send(0, s.START)
    machine.send(1, *up())
    machine.status(1)
    machine.send(2, s.UPDATE, machine.pod, machine.state.facts)
    machine.send(3, s.WAKE)
    machine.send(4, *exit_(1, 4, attempt=7))
    assert not machine.state.dirty


def test_pods_of_a_template_share_what_is_equal() -> None:
    cache = FactsCache()
    template = pod()["spec"]
    specs = [{**template, "nodeName": f"node-{index}"} for index in range(3)]
    facts = [cache.of(spec) for spec in specs]
    assert facts[0] is facts[1] is facts[2]
    assert cache.of({**template, "restartPolicy": "Never"}) is not facts[0]
    machines = [Machine() for _ in range(2)]
    for machine in machines:
        machine.state.facts = facts[0]
        machine.send(0, s.START)
    first, second = (machine.status(0) for machine in machines)
    assert first["containerStatuses"] is second["containerStatuses"]
    assert all(a is b for a, b in zip(first["conditions"][:4], second["conditions"][:4], strict=True))
