"""The life of one Pod on its node: ``step(state, event, now_ns)`` takes news, changes the state and returns calls as data.

The state is the caller's and is changed in place (one Pod has one owner; copying it per event was rejected for its cost); nothing
else is touched: no clock, no randomness, no I/O. When ``state.dirty`` is set there is a new status, which ``status.render`` gives;
so news that coincide become one report. Like upstream's pod worker the machine is serial and level-based: whatever happened,
``_sync`` looks at all containers and orders what is missing, one SYNC_POD at a time.

Upstream: pkg/kubelet/pod_workers.go, kubelet.go (SyncPod), kuberuntime/kuberuntime_manager.go (computePodActions).
"""

from collections.abc import Callable

from kubesim.apiserver.requests import Object
from kubesim.kernel.time import SECOND, format_duration, format_time
from kubesim.kubelet import closing, probing
from kubesim.kubelet.backoff import BACKOFF_NS_MAX, Backoff
from kubesim.kubelet.facts import APP, EPHEMERAL, INIT, SIDECAR, TemplateFacts
from kubesim.kubelet.pod_state import (
    EXITED,
    FAILED,
    MOUNT,
    NEVER_NS,
    RECORD,
    RUNNING,
    SUCCEEDED,
    SYNC_POD,
    TIMER,
    WAITING,
    Call,
    Container,
    Event,
    PodState,
    StartResult,
)

RELIST_NS = SECOND  # a state shows as it is; what the kubelet makes of it (a back-off) shows one relist of the runtime later
SANDBOX_RETRY_NS = 10 * SECOND
HOPELESS_TRIES = 30  # from then on, and from the longest back-off on, a further try is not something that others wait for
PULL_ERRORS = ("ErrImagePull", "ImagePullBackOff")
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


def step(state: PodState, event: Event, now_ns: int) -> list[Call]:
    """Take one event. Returns what is to be done, in order. O(containers)."""
    calls: list[Call] = []
    _HANDLERS[event[0]](state, event, now_ns, calls)
    return calls


def _start(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    state.started_ns = now_ns
    state.started = format_time(now_ns)
    state.dirty = True
    facts = state.facts
    if facts.active_deadline_ns is not None:
        state.deadline_ns = now_ns + facts.active_deadline_ns
        calls.append((TIMER, state.deadline_ns, True))
    if facts.volume_needs or facts.unserved:
        calls.append((MOUNT,))
        return
    state.mounted = True
    if facts.has_init:
        _sync(state, now_ns, calls)
    else:  # what _sync would find
        state.syncing = True
        calls.append((SYNC_POD, True, facts.all_indexes))


def _reject(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    _, reason, message = event
    state.started_ns = now_ns
    state.started = format_time(now_ns)
    state.phase, state.reason, state.message = FAILED, reason, f"Pod was rejected: {message}"
    state.done = state.closing = state.rejected = state.dirty = True
    calls.append((RECORD, "Warning", reason, message, None))


def _update(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    _, pod, facts = event
    metadata = pod["metadata"]
    if not state.started:  # deleted before it was admitted
        state.started = format_time(now_ns)
    if metadata.get("generation", 0) != state.generation:
        state.generation = metadata.get("generation", 0)
        state.dirty = state.dirty or not state.done
    if facts is not state.facts:
        _take_facts(state, facts, now_ns, calls)
    if state.facts.readiness_gates and not state.done:
        state.dirty = True
    if "deletionTimestamp" in metadata:
        closing.delete(state, (metadata.get("deletionGracePeriodSeconds") or 0) * SECOND, now_ns, calls)


def _take_facts(state: PodState, facts: TemplateFacts, now_ns: int, calls: list[Call]) -> None:
    """Go on under a changed spec: containers whose image changed are started again, a new deadline counts from the start."""
    state.facts = facts
    if facts.active_deadline_ns is not None and not state.done:
        state.deadline_ns = state.started_ns + facts.active_deadline_ns
        calls.append((TIMER, max(state.deadline_ns, now_ns), True))
    for container, new in zip(state.containers, facts.containers):
        changed = container.facts.image != new.image
        container.facts = new
        if changed and container.status == RUNNING and not state.closing:
            container.past().force = True
            closing.stop(container, facts.grace_ns, f"Container {new.name} definition changed, will be restarted", calls)
    if len(facts.containers) > len(state.containers):  # ephemeral ones are only ever added
        state.containers += [Container(each) for each in facts.containers[len(state.containers) :]]
        state.dirty = state.dirty or not state.done
        _sync(state, now_ns, calls)


def _volumes(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    state.mounted = True
    _sync(state, now_ns, calls)


def _wake(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    if state.closing:
        return
    if now_ns >= state.deadline_ns:
        calls.append((RECORD, "Normal", "DeadlineExceeded", DEADLINE_MESSAGE, None))
        closing.kill(state, "DeadlineExceeded", DEADLINE_MESSAGE, state.facts.grace_ns, now_ns, calls)
        return
    for container in state.containers:
        if container.history is not None and container.status != RUNNING:
            _flip(state, container, now_ns, calls)
    _sync(state, now_ns, calls)


def _flip(state: PodState, container: Container, now_ns: int, calls: list[Call]) -> None:
    """Show a container that waits for its next try as being in back-off, one relist after its failure showed."""
    history = container.history
    assert history is not None
    if not history.flip_ns or now_ns < history.flip_ns:
        return
    history.flip_ns = 0
    if now_ns >= history.due_ns:
        return
    name, index = container.facts.name, container.facts.index
    if container.status == EXITED:
        assert history.backoff is not None
        history.last = terminated(container)
        history.reason = "CrashLoopBackOff"
        wait = format_duration(history.backoff.delay_ns)
        history.message = f"back-off {wait} restarting failed container={name} pod={state.full_name}"
        container.status = WAITING
        calls.append((RECORD, "Warning", "BackOff", f"Back-off restarting failed container {name} in pod {state.full_name}", index))
    else:
        text = f'Back-off pulling image "{container.facts.image}"'
        history.message = f"{text}: {history.reason}: {history.message}"
        history.reason = "ImagePullBackOff"
        calls.append((RECORD, "Normal", "BackOff", text, index))
        calls.append((RECORD, "Warning", "Failed", "Error: ImagePullBackOff", index))
    state.dirty = True


def _sync(state: PodState, now_ns: int, calls: list[Call]) -> None:
    """Order what is missing: the sandbox and every container that is due; end the Pod when nothing will run again."""
    if state.syncing or state.closing or not state.mounted or (not state.sandbox and now_ns < state.sandbox_due_ns):
        return
    due = _due_init(state, now_ns, calls)
    if state.initialized and not state.closing:
        due = _due(state, now_ns, calls)
    if state.facts.has_ephemeral and not state.closing:
        due = (*due, *_due_ephemeral(state, now_ns, calls))
    if due:
        state.syncing = True
        calls.append((SYNC_POD, not state.sandbox, due))


def _due_init(state: PodState, now_ns: int, calls: list[Call]) -> tuple[int, ...]:
    """The next init container to start, if any; sets ``initialized`` when all have run (sidecars: have started)."""
    if state.initialized:
        return ()
    for container in state.containers:
        kind = container.facts.kind
        if kind == APP:
            break
        if container.status == RUNNING:
            if kind == SIDECAR and container.started:
                continue
            return ()
        if container.status == EXITED and kind == INIT:
            assert container.history is not None
            if not container.history.exit_code and not container.history.force:
                continue
            if not _restarts(container):
                closing.end(state, FAILED, now_ns, calls)
                return ()
        wake_ns = _wake_time(container, now_ns)
        if not wake_ns:
            return (container.facts.index,)
        _set_timer(state, wake_ns, now_ns, calls)
        return ()
    state.initialized = True
    return ()


def _due(state: PodState, now_ns: int, calls: list[Call]) -> tuple[int, ...]:
    """The containers to start now. When every ordinary one has ended for good the Pod ends."""
    due = []
    earliest_ns = NEVER_NS
    is_open = False
    for container in state.containers:
        facts = container.facts
        if facts.kind in (INIT, EPHEMERAL):
            continue
        if container.status != RUNNING:
            if container.status == EXITED and not _restarts(container):
                continue
            wake_ns = _wake_time(container, now_ns)
            if wake_ns:
                earliest_ns = min(earliest_ns, wake_ns)
            else:
                due.append(facts.index)
        is_open = is_open or facts.kind == APP
    if not is_open:
        closing.end(state, _phase_by_exit_codes(state), now_ns, calls)
        return ()
    if earliest_ns < NEVER_NS:
        _set_timer(state, earliest_ns, now_ns, calls)
    return tuple(due)


def _due_ephemeral(state: PodState, now_ns: int, calls: list[Call]) -> list[int]:
    """Ephemeral containers that have not run yet: they start whatever the others do, and never again."""
    due = []
    for container in state.containers:
        if container.facts.kind == EPHEMERAL and container.status == WAITING and not container.attempt:
            wake_ns = _wake_time(container, now_ns)
            if wake_ns:
                _set_timer(state, wake_ns, now_ns, calls)
            else:
                due.append(container.facts.index)
    return due


def _wake_time(container: Container, now_ns: int) -> int:
    """0 when a container that does not run may be started now, else when to look at it again."""
    history = container.history
    if history is None or history.due_ns <= now_ns:
        return 0
    return history.flip_ns if now_ns < history.flip_ns < history.due_ns else history.due_ns


def _set_timer(state: PodState, time_ns: int, now_ns: int, calls: list[Call]) -> None:
    """One timer at a time is enough: the earliest; the next is set when it has come."""
    if time_ns < NEVER_NS and not now_ns < state.wake_ns <= time_ns:
        state.wake_ns = time_ns
        calls.append((TIMER, time_ns, time_ns - now_ns >= BACKOFF_NS_MAX - 2 * RELIST_NS))


def _restarts(container: Container) -> bool:
    history = container.history
    assert history is not None
    policy = container.facts.restart
    return history.force or policy == "Always" or (policy == "OnFailure" and history.exit_code != 0)


def _phase_by_exit_codes(state: PodState) -> str:
    failed = any(c.facts.kind == APP and (c.history is None or c.history.exit_code) for c in state.containers)
    return FAILED if failed else SUCCEEDED


def _synced(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    _, is_done, ip, results, error = event
    if ip is not None:
        state.sandbox = True
        state.ip = ip
    for result in results:
        _started(state, result, now_ns, calls)
    if not is_done:
        return
    state.syncing = False
    if error:
        state.sandbox_failures += 1
        state.sandbox_due_ns = now_ns + SANDBOX_RETRY_NS
        calls.append((RECORD, "Warning", "FailedCreatePodSandBox", error, None))
        calls.append((TIMER, state.sandbox_due_ns, state.sandbox_failures >= HOPELESS_TRIES))
        return
    state.dirty = True
    _sync(state, now_ns, calls)


def _started(state: PodState, result: StartResult, now_ns: int, calls: list[Call]) -> None:
    index, time_ns, container_id, image_id, ready_delay_ns, error, _, _ = result
    container = state.containers[index]
    if error:
        _not_started(container, result, now_ns)
        return
    history = container.history
    if history is not None:
        _remember_failure(container, now_ns)
    if container.attempt:
        container.restarts += 1
    container.attempt += 1
    container.status = RUNNING
    container.started_ns = time_ns
    container.container_id = container_id
    container.image_id = image_id
    probes = container.facts.probes
    if container.facts.kind == EPHEMERAL:
        return
    if probes[0] is not None or probes[1] is not None or probes[2] is not None:
        container.started = container.ready = False
        probing.begin(container, now_ns, calls)
    else:
        container.started = True
        probing.become_ready(container, ready_delay_ns, calls)


def _remember_failure(container: Container, now_ns: int) -> None:
    """A container starts after an end or a failed try: the last end becomes ``lastState``, the back-off grows."""
    history = container.history
    assert history is not None
    if container.status == EXITED:
        history.last = terminated(container)
    if container.attempt and (container.status == EXITED or history.reason == "CrashLoopBackOff") and not history.force:
        if history.backoff is None:
            history.backoff = Backoff()
        history.backoff.next(history.finished_ns, now_ns)
    history.reason = history.message = ""
    history.due_ns = history.flip_ns = 0
    history.stopping = history.force = False


def _not_started(container: Container, result: StartResult, now_ns: int) -> None:
    """A container could not be started: it waits with a reason; a failed pull backs off, everything else says when to try again."""
    history = container.past()
    if container.status == EXITED:
        history.last = terminated(container)
    container.status = WAITING
    history.reason, history.message = result[5], result[6]
    if result[5] in PULL_ERRORS:
        if history.pull is None:
            history.pull = Backoff()
        history.pull.next(now_ns, now_ns)
        history.due_ns = now_ns + history.pull.delay_ns
        history.flip_ns = now_ns + RELIST_NS
    else:
        history.due_ns = result[7]
        history.flip_ns = 0


def _exited(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    _, index, attempt, exit_code, reason, finished_ns = event
    container = state.containers[index]
    if container.attempt != attempt or container.status != RUNNING:
        return
    history = container.past()
    container.status = EXITED
    container.started = False
    container.ready = container.facts.kind == INIT and exit_code == 0
    container.probes = None
    history.exit_code, history.exit_reason, history.finished_ns = exit_code, reason, finished_ns
    history.stopping = False
    state.dirty = True
    if state.closing:
        closing.go_on(state, now_ns, calls)
        return
    due_ns = finished_ns if history.backoff is None or history.force else history.backoff.due_ns(finished_ns)
    history.due_ns = due_ns
    history.flip_ns = now_ns + RELIST_NS if due_ns > now_ns + RELIST_NS else 0
    _sync(state, now_ns, calls)


def _probed(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    container = state.containers[event[1]]
    if container.attempt == event[2] and container.status == RUNNING and not state.closing:
        was = (container.started, container.ready)
        probing.answer(state, container, event, now_ns, calls)
        if was != (container.started, container.ready):
            state.dirty = True
            _sync(state, now_ns, calls)


def _became_ready(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    container = state.containers[event[1]]
    if container.attempt == event[2] and container.status == RUNNING and not container.ready:
        container.ready = True
        state.dirty = True


def _gone(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    closing.gone(state, now_ns, calls)


def _reboot(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    """Everything that ran has ended without a trace; init containers run again, the rest by its restart policy."""
    if state.done:
        return
    had_sandbox, state.sandbox, state.ip = state.sandbox, False, ""
    state.syncing = False
    state.sandbox_due_ns = state.wake_ns = 0
    state.dirty = True
    for container in state.containers:
        _lose(container, now_ns)
        if container.facts.kind == INIT and container.status == EXITED:
            container.past().force = True  # a new sandbox is initialised from the beginning
    state.initialized = not state.facts.has_init
    if state.closing:
        closing.go_on(state, now_ns, calls)
        return
    if had_sandbox:
        calls.append((RECORD, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.", None))
    if state.deadline_ns < NEVER_NS:
        calls.append((TIMER, max(state.deadline_ns, now_ns), True))
    if not state.mounted:
        calls.append((MOUNT,))
        return
    if state.facts.restart_policy == "Never" and any(c.attempt for c in state.containers):
        closing.end(state, FAILED, now_ns, calls)
        return
    _sync(state, now_ns, calls)


def _lose(container: Container, now_ns: int) -> None:
    container.probes = None
    container.started = False
    if container.status == RUNNING:
        history = container.past()
        container.status = EXITED
        container.ready = False
        history.exit_code, history.exit_reason, history.finished_ns = 255, "Unknown", now_ns
        history.stopping = False
    if container.history is not None:  # the table of back-offs was the kubelet's memory
        container.history.backoff = container.history.pull = None
        container.history.due_ns = container.history.flip_ns = 0


def _kill(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    _, reason, message, grace_ns, disruption = event
    if not state.closing:
        state.disruption = disruption
    closing.kill(state, reason, message, grace_ns, now_ns, calls)


def _poke(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    for container in state.containers:
        if container.status == RUNNING and container.probes is not None and not state.closing:
            probing.wake(container, now_ns, calls)


def _retry(state: PodState, event: Event, now_ns: int, calls: list[Call]) -> None:
    container = state.containers[event[1]]
    if container.history is not None and container.status == WAITING and not state.closing:
        container.history.due_ns = max(event[2], now_ns)
        _sync(state, now_ns, calls)


def terminated(container: Container) -> Object:
    """The ``terminated`` state of a container that ended, upstream's field order."""
    history = container.history
    assert history is not None
    state: Object = {"exitCode": history.exit_code, "reason": history.exit_reason}
    if history.exit_message:
        state["message"] = history.exit_message
    state["startedAt"] = format_time(container.started_ns)
    state["finishedAt"] = format_time(history.finished_ns)
    if container.container_id:
        state["containerID"] = container.container_id
    return state


_HANDLERS: tuple[Callable[[PodState, Event, int, list[Call]], None], ...] = (
    _start, _reject, _update, _volumes, _synced, _exited, _probed, _became_ready, _wake, _gone, _reboot, _kill, _poke, _retry,
)  # fmt: skip
