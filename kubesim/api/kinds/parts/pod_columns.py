"""The printer columns of a Pod: its one-word status is a small history of the containers.

Upstream: printPod in pkg/printers/internalversion/printers.go.
"""

from typing import Any

from kubesim.api.conditions import get_condition
from kubesim.api.kinds.contract import Column
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.shape import get_in
from kubesim.api.kinds.parts.table import NONE, human_duration
from kubesim.kernel.time import parse_time

Object = dict[str, Any]


def _is_sidecar(container: Object) -> bool:
    return container.get("restartPolicy") == "Always"


def _init_reason(pod: Object) -> str:
    """ "Init:..." while an init container has not done its work, else empty."""
    containers = {container["name"]: container for container in get_in(pod, "spec", "initContainers") or ()}
    for index, status in enumerate(get_in(pod, "status", "initContainerStatuses") or ()):
        state = status.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if _is_sidecar(containers.get(status["name"], {})) and status.get("started"):
            continue
        if terminated is not None:
            if terminated.get("reason"):
                return f"Init:{terminated['reason']}"
            return f"Init:Signal:{terminated['signal']}" if terminated.get("signal") else f"Init:ExitCode:{terminated.get('exitCode', 0)}"
        if waiting is not None and waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{len(containers)}"
    return ""


def _container_reason(pod: Object, reason: str) -> str:
    """What the containers say, the first one last: a waiting or terminated one gives the Pod its word."""
    running = False
    for status in reversed(get_in(pod, "status", "containerStatuses") or ()):
        state = status.get("state") or {}
        waiting, terminated = state.get("waiting"), state.get("terminated")
        if waiting is not None and waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None and terminated.get("reason"):
            reason = terminated["reason"]
        elif terminated is not None:
            reason = f"Signal:{terminated['signal']}" if terminated.get("signal") else f"ExitCode:{terminated.get('exitCode', 0)}"
        elif status.get("ready") and state.get("running") is not None:
            running = True
    if reason == "Completed" and running:
        ready = get_condition(pod, "Ready")
        return "Running" if ready is not None and ready["status"] == "True" else "NotReady"
    return reason


def status_word(pod: Object) -> str:
    """The STATUS column: Pending, Init:0/1, ContainerCreating, Running, CrashLoopBackOff, Terminating, ..."""
    reason = get_in(pod, "status", "reason") or get_in(pod, "status", "phase") or ""
    scheduled = get_condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    initializing = _init_reason(pod)
    initialized = get_condition(pod, "Initialized")
    if initializing and not (initialized is not None and initialized["status"] == "True"):
        reason = initializing
    else:
        reason = _container_reason(pod, reason)
    if pod["metadata"].get("deletionTimestamp") is None:
        return reason
    if get_in(pod, "status", "reason") == "NodeLost":
        return "Unknown"
    return reason if get_in(pod, "status", "phase") in ("Succeeded", "Failed") else "Terminating"


def _status_cell(pod: Object, now_ns: int) -> str:
    return status_word(pod)


def _counted(pod: Object) -> list[Object]:
    """Statuses that count for READY and RESTARTS: containers and sidecars."""
    sidecars = {container["name"] for container in get_in(pod, "spec", "initContainers") or () if _is_sidecar(container)}
    statuses = [status for status in get_in(pod, "status", "initContainerStatuses") or () if status["name"] in sidecars]
    return statuses + list(get_in(pod, "status", "containerStatuses") or ())


def _ready_cell(pod: Object, now_ns: int) -> str:
    total = len(get_in(pod, "spec", "containers") or ())
    total += sum(_is_sidecar(container) for container in get_in(pod, "spec", "initContainers") or ())
    ready = sum(bool(status.get("ready")) and (status.get("state") or {}).get("running") is not None for status in _counted(pod))
    return f"{ready}/{total}"


def _restarts_cell(pod: Object, now_ns: int) -> str:
    initializing = _init_reason(pod) and get_in(pod, "status", "initContainerStatuses")
    statuses = initializing or _counted(pod)
    restarts = sum(status.get("restartCount", 0) for status in statuses)
    ends = [finished for status in statuses if (finished := get_in(status, "lastState", "terminated", "finishedAt"))]
    if not restarts or not ends:
        return str(restarts)
    return f"{restarts} ({human_duration((now_ns - max(parse_time(end) for end in ends)) // 1_000_000_000)} ago)"


def _ip_cell(pod: Object, now_ns: int) -> str:
    return get_in(pod, "status", "podIP") or NONE


def _node_cell(pod: Object, now_ns: int) -> str:
    return get_in(pod, "spec", "nodeName") or NONE


def _nominated_cell(pod: Object, now_ns: int) -> str:
    return get_in(pod, "status", "nominatedNodeName") or NONE


def _gates_cell(pod: Object, now_ns: int) -> str:
    gates = get_in(pod, "spec", "readinessGates")
    if not gates:
        return NONE
    met = sum((get_condition(pod, gate["conditionType"]) or {}).get("status") == "True" for gate in gates)
    return f"{met}/{len(gates)}"


COLUMNS = (
    NAME,
    Column("Ready", "string", _ready_cell),
    Column("Status", "string", _status_cell),
    Column("Restarts", "string", _restarts_cell),
    AGE,
    Column("IP", "string", _ip_cell, 1),
    Column("Node", "string", _node_cell, 1),
    Column("Nominated Node", "string", _nominated_cell, 1),
    Column("Readiness Gates", "string", _gates_cell, 1),
)
