"""The status that a kubelet reports for a Pod, in upstream's shape, built from the machine's state.

Pods of one template in the same step of their life share what is equal: the container statuses before anything ran are one list per
template, the conditions one list per (template, times). A condition's transition time moves only with its status; conditions that
others own (readiness gates, DisruptionTarget) are kept as they stand in the object, before the kubelet's own.

Upstream: pkg/kubelet/status/generate.go, kubelet_pods.go (generateAPIPodStatus, getPhase, convertToAPIContainerStatuses).
"""

from collections.abc import Sequence

from kubesim.apiserver.requests import Object
from kubesim.kernel.time import format_time
from kubesim.kubelet.facts import APP, EPHEMERAL, INIT
from kubesim.kubelet.pod_machine import terminated
from kubesim.kubelet.pod_state import EXITED, PENDING, RUN, RUNNING, WAITING, Container, PodState

READY_TO_START, INITIALIZED, READY, CONTAINERS_READY, SCHEDULED = (
    "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled",
)  # fmt: skip
DISRUPTION = "DisruptionTarget"
OWN = frozenset((READY_TO_START, INITIALIZED, READY, CONTAINERS_READY, SCHEDULED))
MEMO_MAX = 512


class Host:
    """What every status on one node says of the node."""

    __slots__ = ("ip", "ips")

    def __init__(self, ip: str) -> None:
        self.ip = ip
        self.ips = [{"ip": ip}]


def render(state: PodState, pod: Object, host: Host, now_ns: int) -> Object:
    """Build the status and clear ``state.dirty``; moves ``state.phase`` forward. O(containers)."""
    state.dirty = False
    now = format_time(now_ns)
    if state.rejected:
        return _rejected(state, pod)
    if not state.done:
        _advance_phase(state)
    status: Object = {"observedGeneration": state.generation, "phase": state.phase}
    status["conditions"] = _conditions(state, pod, now)
    if state.reason:
        status["message"] = state.message
        status["reason"] = state.reason
    status["hostIP"] = host.ip
    status["hostIPs"] = host.ips
    if state.ip:
        status["podIP"] = state.ip
        status["podIPs"] = [{"ip": state.ip}]
    status["startTime"] = state.started
    _add_containers(state, status)
    status["qosClass"] = state.facts.qos
    if "resourceClaims" in state.facts.spec:  # another controller's to write (mergePodStatus in status_manager.go)
        noted = (pod.get("status") or {}).get("resourceClaimStatuses")
        if noted:
            status["resourceClaimStatuses"] = noted
    return status


def _rejected(state: PodState, pod: Object) -> Object:
    return {
        "observedGeneration": state.generation, "phase": state.phase, "conditions": (pod.get("status") or {}).get("conditions") or [],
        "message": state.message, "reason": state.reason, "startTime": state.started, "qosClass": state.facts.qos,
    }  # fmt: skip


def _advance_phase(state: PodState) -> None:
    """Pending until every ordinary container has run once; never back (upstream's getPhase for Pods that have not ended)."""
    if state.phase == PENDING and state.initialized:
        for container in state.containers:
            if container.facts.kind == APP and not container.attempt:
                return
        state.phase = RUN


def _conditions(state: PodState, pod: Object, now: str) -> list[Object]:
    """The conditions of others, the kubelet's four, and PodScheduled."""
    own = state.conditions
    if own is None and state.facts.simple and not state.sandbox and not state.facts.readiness_gates and not state.done:
        own = _remembered(state, ("new", state.generation, now), now)  # the usual first report
    elif own is not None and _all_run(state):
        own = _remembered(state, ("up", state.generation, now), now)
    else:
        own = _own_conditions(state, pod, now)
    state.conditions = own
    known = (pod.get("status") or {}).get("conditions") or ()
    report = state.report
    others, scheduled = report[1:] if report is not None and report[0] is known else _split(known)
    if state.disruption:
        others = _disrupted(state, others, now)
    if scheduled is None:
        scheduled = _condition(None, SCHEDULED, "True", "", "", state.generation, now)
    conditions = [*others, *own, scheduled]
    state.report = (conditions, others, scheduled)
    return conditions


def _disrupted(state: PodState, others: Sequence[Object], now: str) -> list[Object]:
    """The conditions of others with the one that says that the kubelet ends the Pod."""
    old = next((each for each in others if each["type"] == DISRUPTION), None)
    found = _condition(old, DISRUPTION, "True", "TerminationByKubelet", state.disruption, state.generation, now)
    return [*(each for each in others if each["type"] != DISRUPTION), found]


def _all_run(state: PodState) -> bool:
    """Whether this is the usual report of a Pod that is up, whose conditions depend on nothing but times."""
    facts = state.facts
    if facts.has_init or facts.has_ephemeral or facts.readiness_gates or state.done or not state.sandbox:
        return False
    for container in state.containers:  # noqa: SIM110 - twice as fast as a generator, and it runs for every Pod
        if not container.ready:
            return False
    return True


def _remembered(state: PodState, step: tuple[str, int, str], now: str) -> list[Object]:
    """The conditions of this step after those last rendered, which all Pods of the template that came by them share."""
    before = state.conditions
    memo = state.facts.memo
    key = (*step, id(before))
    found = memo.get(key)
    if found is None or found[0] is not before:
        if len(memo) >= MEMO_MAX:
            del memo[next(iter(memo))]
        found = memo[key] = (before, _own_conditions(state, {}, now))
    own: list[Object] = found[1]
    return own


def _split(conditions: Sequence[Object]) -> tuple[Sequence[Object], Object | None]:
    if len(conditions) == 1 and conditions[0]["type"] == SCHEDULED:
        return (), conditions[0]
    scheduled = None
    others = []
    for condition in conditions:
        if condition["type"] == SCHEDULED:
            scheduled = condition
        elif condition["type"] not in OWN:
            others.append(condition)
    return others, scheduled


def _own_conditions(state: PodState, pod: Object, now: str) -> list[Object]:
    old = state.conditions or (None, None, None, None)
    generation = state.generation
    ready_to_start = _condition(old[0], READY_TO_START, "True" if state.sandbox else "False", "", "", generation, now)
    initialized = _initialized(state, old[1], now)
    status, reason, message = _containers_ready(state)
    containers_ready = _condition(old[3], CONTAINERS_READY, status, reason, message, generation, now)
    if status == "True" and state.facts.readiness_gates:
        status, reason, message = _gates(state.facts.readiness_gates, pod)
    ready = _condition(old[2], READY, status, reason, message, generation, now)
    return [ready_to_start, initialized, ready, containers_ready]


def _condition(old: Object | None, type_: str, status: str, reason: str, message: str, generation: int, now: str) -> Object:
    condition: Object = {"type": type_, "observedGeneration": generation, "status": status, "lastProbeTime": None}
    condition["lastTransitionTime"] = old["lastTransitionTime"] if old is not None and old["status"] == status else now
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _names(names: list[str]) -> str:
    return f"[{' '.join(names)}]"


def _initialized(state: PodState, old: Object | None, now: str) -> Object:
    generation = state.generation
    if state.phase == "Succeeded":
        return _condition(old, INITIALIZED, "True", "PodCompleted", "", generation, now)
    incomplete = [] if state.initialized else [c.facts.name for c in state.containers if c.facts.kind < APP and not _is_initialized(c)]
    started = any(c.attempt for c in state.containers if c.facts.kind == APP)
    if incomplete and not started:
        message = f"containers with incomplete status: {_names(incomplete)}"
        return _condition(old, INITIALIZED, "False", "ContainersNotInitialized", message, generation, now)
    return _condition(old, INITIALIZED, "True", "", "", generation, now)


def _is_initialized(container: Container) -> bool:
    return container.ready if container.facts.kind == INIT else container.started


def _containers_ready(state: PodState) -> tuple[str, str, str]:
    if state.phase == "Failed":
        return "False", "PodFailed", ""
    if state.phase == "Succeeded":
        return "False", "PodCompleted", ""
    unready = [c.facts.name for c in state.containers if c.facts.kind not in (INIT, EPHEMERAL) and not c.ready]
    if unready:
        return "False", "ContainersNotReady", f"containers with unready status: {_names(unready)}"
    return "True", "", ""


def _gates(gates: tuple[str, ...], pod: Object) -> tuple[str, str, str]:
    """Ready waits for every gate's condition, which somebody else sets."""
    known = {condition["type"]: condition["status"] for condition in (pod.get("status") or {}).get("conditions") or ()}
    messages = []
    for gate in gates:
        if gate not in known:
            messages.append(f'corresponding condition of pod readiness gate "{gate}" does not exist.')
        elif known[gate] != "True":
            messages.append(f'the status of pod readiness gate "{gate}" is not "True", but {known[gate]}')
    return ("False", "ReadinessGatesNotReady", ", ".join(messages)) if messages else ("True", "", "")


def _add_containers(state: PodState, status: Object) -> None:
    facts = state.facts
    if not state.sandbox and not state.done and _is_new(state):
        if facts.init_creating_status:
            status["initContainerStatuses"] = facts.init_creating_status
        status["containerStatuses"] = facts.creating_status
        return
    if facts.has_ephemeral:
        status["ephemeralContainerStatuses"] = [container_status(state.containers[index]) for index in facts.ephemeral_order]
    if facts.has_init:
        status["initContainerStatuses"] = [container_status(c) for c in state.containers if c.facts.kind < APP]
    status["containerStatuses"] = [container_status(state.containers[index]) for index in facts.app_order]


def _is_new(state: PodState) -> bool:
    for container in state.containers:  # noqa: SIM110 - twice as fast as a generator, and it runs for every Pod
        if container.attempt or container.history is not None:
            return False
    return True


def container_status(container: Container) -> Object:
    """One entry of ``containerStatuses``, upstream's fields."""
    facts = container.facts
    if container.status == RUNNING and container.history is None and container.ready:
        return {
            **facts.running, "state": {"running": {"startedAt": format_time(container.started_ns)}}, "imageID": container.image_id,
            "containerID": container.container_id,
        }  # fmt: skip
    if not container.attempt and container.history is None:
        return facts.creating
    return _general_status(container)


def _general_status(container: Container) -> Object:
    history = container.history
    status = {
        **container.facts.running, "state": _state(container), "ready": container.ready, "restartCount": container.restarts,
        "imageID": container.image_id, "containerID": container.container_id, "started": container.started,
    }  # fmt: skip
    if history is not None and history.last is not None:
        status["lastState"] = {"terminated": history.last}
    if not container.container_id:
        del status["containerID"]
    return status


def _state(container: Container) -> Object:
    history = container.history
    if container.status == RUNNING:
        return {"running": {"startedAt": format_time(container.started_ns)}}
    if container.status == EXITED:
        return {"terminated": terminated(container)}
    assert container.status == WAITING
    if history is None or not history.reason:
        waiting: Object = container.facts.creating["state"]
        return waiting
    return {"waiting": {"message": history.message, "reason": history.reason} if history.message else {"reason": history.reason}}
