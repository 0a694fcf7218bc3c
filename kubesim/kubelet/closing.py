"""How a Pod ends: ordinary containers stop together, then the sidecars one by one from the last; then the phase is final.

Whatever the cause (deletion, a deadline, an eviction, every container done), the API hears of a terminal phase, and the API object is
deleted, only after the last container has stopped; and each container has had its grace period.

Upstream: pkg/kubelet/pod_workers.go (SyncTerminatingPod, SyncTerminatedPod), kuberuntime_termination_order.go.
"""

from kubesim.kubelet.facts import APP, INIT, SIDECAR
from kubesim.kubelet.pod_state import (
    ABORT_SYNC,
    DELETE,
    EXITED,
    FAILED,
    FORGET,
    NEVER_NS,
    RECORD,
    RUNNING,
    STOP,
    SUCCEEDED,
    TEARDOWN,
    WAITING,
    Call,
    Container,
    PodState,
)

UNKNOWN_REASON = "ContainerStatusUnknown"
UNKNOWN_MESSAGE = "The container could not be located when the pod was terminated"


def stop(container: Container, grace_ns: int, message: str, calls: list[Call]) -> None:
    """Stop one running container; a second call with another grace replaces the first."""
    history = container.past()
    if not history.stopping:
        calls.append((RECORD, "Normal", "Killing", message, container.facts.index))
    history.stopping = True
    calls.append((STOP, container.facts.index, container.attempt, grace_ns))


def delete(state: PodState, grace_ns: int, now_ns: int, calls: list[Call]) -> None:
    """The API object is being deleted: stop within ``grace_ns`` from now, unless an earlier end is agreed already."""
    first = not state.deleted
    state.deleted = True
    if state.done:
        if first:
            calls.append((DELETE,))
        return
    _close(state, grace_ns, now_ns, calls)


def kill(state: PodState, reason: str, message: str, grace_ns: int, now_ns: int, calls: list[Call]) -> None:
    """The node ends the Pod: it will have failed for this reason. Does nothing to a Pod that is ending."""
    if not state.closing:
        state.final_phase, state.reason, state.message = FAILED, reason, message
        _close(state, grace_ns, now_ns, calls)


def end(state: PodState, phase: str, now_ns: int, calls: list[Call]) -> None:
    """Every ordinary container has ended for good (or an init container failed for good): only sidecars are left to stop."""
    state.final_phase = phase
    _close(state, state.facts.grace_ns, now_ns, calls)


def gone(state: PodState, now_ns: int, calls: list[Call]) -> None:
    """The API object vanished: nothing is reported any more, what runs is stopped."""
    state.gone = True
    state.dirty = False
    if state.done:
        calls.append((FORGET,))
    else:
        _close(state, state.facts.grace_ns, now_ns, calls)


def _close(state: PodState, grace_ns: int, now_ns: int, calls: list[Call]) -> None:
    deadline_ns = now_ns + grace_ns
    shorter = state.closing and deadline_ns < state.close_ns
    if not state.closing:
        state.closing = True
        if state.syncing:
            state.syncing = False
            calls.append((ABORT_SYNC,))
        state.close_ns = deadline_ns
    elif shorter:
        state.close_ns = deadline_ns
        for container in state.containers:
            if container.status == RUNNING and container.history is not None and container.history.stopping:
                stop(container, grace_ns, "", calls)
    go_on(state, now_ns, calls)


def go_on(state: PodState, now_ns: int, calls: list[Call]) -> None:
    """Stop what is next in the order; finish when nothing runs."""
    running = [container for container in state.containers if container.status == RUNNING]
    if not running:
        _finish(state, calls)
        return
    first = [container for container in running if container.facts.kind != SIDECAR] or running[-1:]
    for container in first:
        if container.history is None or not container.history.stopping:
            stop(container, max(state.close_ns - now_ns, 0), f"Stopping container {container.facts.name}", calls)


def _finish(state: PodState, calls: list[Call]) -> None:
    state.done = True
    if not state.final_phase or state.reason:
        _close_books(state)
    state.phase = state.final_phase or _phase(state)
    state.sandbox = False
    state.wake_ns = NEVER_NS
    state.dirty = not state.gone
    calls.append((TEARDOWN,))
    if state.gone:
        calls.append((FORGET,))
    elif state.deleted:
        calls.append((DELETE,))


def _close_books(state: PodState) -> None:
    """A container that never ran, in a Pod that was made to end, counts as killed; one in back-off as what it last was."""
    for container in state.containers:
        if container.status != WAITING:
            continue
        history = container.past()
        if container.attempt == 0:
            if container.facts.kind != INIT or not state.initialized:
                history.exit_code, history.exit_reason, history.exit_message = 137, UNKNOWN_REASON, UNKNOWN_MESSAGE
                container.status = EXITED
        else:
            container.status = EXITED
            history.last = None


def _phase(state: PodState) -> str:
    """The phase of a deleted Pod: Succeeded only if every ordinary container ran and ended with 0."""
    for container in state.containers:
        if container.facts.kind == APP and (container.history is None or container.status != EXITED or container.history.exit_code):
            return FAILED
    return SUCCEEDED
