"""Probes: when to ask, how many answers in a row count, and what follows. Pure, like the machine that it belongs to.

A container is asked first ``initialDelaySeconds`` after its start and then once per period. An answer comes with the time until which it
will stay the same; once it has been given often enough to count, asking again before that time could change nothing, so nobody asks:
a Pod whose probes succeed for ever costs nothing. Unlike upstream's, the first question is not shifted by a random part of the period.

Upstream: pkg/kubelet/prober/worker.go.
"""

from kubesim.kubelet import closing
from kubesim.kubelet.facts import LIVENESS, PROBE_NAMES, READINESS, STARTUP
from kubesim.kubelet.pod_state import ASK_PROBE, BECOME_READY, RECORD, Call, Container, Event, PodState, Probe


def begin(container: Container, now_ns: int, calls: list[Call]) -> None:
    """A container with probes started: the startup probe goes first and alone."""
    container.probes = [None, None, None]
    if container.facts.probes[STARTUP] is not None:
        _ask(container, STARTUP, now_ns, calls)
    else:
        _after_startup(container, now_ns, calls)


def _after_startup(container: Container, now_ns: int, calls: list[Call]) -> None:
    container.started = True
    container.ready = container.facts.probes[READINESS] is None
    for kind in (READINESS, LIVENESS):
        if container.facts.probes[kind] is not None:
            _ask(container, kind, now_ns, calls)


def _ask(container: Container, kind: int, now_ns: int, calls: list[Call]) -> None:
    facts = container.facts.probes[kind]
    assert facts is not None and container.probes is not None
    base_ns = max(now_ns, container.started_ns + facts.initial_delay_ns)
    container.probes[kind] = Probe(facts, base_ns)
    calls.append((ASK_PROBE, container.facts.index, container.attempt, kind, base_ns))


def become_ready(container: Container, delay_ns: int | None, calls: list[Call]) -> None:
    """A container without probes is ready at once, or when its behaviour says (None: never)."""
    container.ready = delay_ns == 0
    if delay_ns:
        calls.append((BECOME_READY, container.facts.index, container.attempt, container.started_ns + delay_ns))


def answer(state: PodState, container: Container, event: Event, now_ns: int, calls: list[Call]) -> None:
    """Count an answer, act when it makes a result, and ask again if that can matter."""
    _, index, _, kind, success, message, until_ns = event
    probe = container.probes[kind] if container.probes is not None else None
    if probe is None:
        return
    probe.count = probe.count + 1 if success == probe.last else 1
    probe.last = success
    if not success:
        calls.append((RECORD, "Warning", "Unhealthy", f"{PROBE_NAMES[kind]} probe failed: {message}", index))
    needed = probe.facts.success_threshold if success else probe.facts.failure_threshold
    if probe.count >= needed and success != probe.settled:
        probe.settled = success
        if _act(state, container, kind, success, now_ns, calls):
            return
    if probe.count >= needed and until_ns is None:
        probe.asleep = True
        return
    wanted_ns = until_ns if probe.count >= needed and until_ns is not None else now_ns + 1
    calls.append((ASK_PROBE, index, container.attempt, kind, _tick(probe, max(wanted_ns, now_ns + 1))))


def _tick(probe: Probe, time_ns: int) -> int:
    """The first question at or after a time: base + k * period."""
    period_ns = probe.facts.period_ns
    return probe.base_ns + -(-(time_ns - probe.base_ns) // period_ns) * period_ns


def _act(state: PodState, container: Container, kind: int, success: bool, now_ns: int, calls: list[Call]) -> bool:
    """Follow a new result; returns whether the probe is over."""
    probes = container.probes
    assert probes is not None
    if kind == READINESS:
        container.ready = success
        return False
    if success:
        if kind == STARTUP:
            probes[STARTUP] = None
            _after_startup(container, now_ns, calls)
        return kind == STARTUP
    facts = container.facts.probes[kind]
    assert facts is not None
    name = PROBE_NAMES[kind].lower()
    grace_ns = state.facts.grace_ns if facts.grace_ns is None else facts.grace_ns
    container.probes = None
    closing.stop(container, grace_ns, f"Container {container.facts.name} failed {name} probe, will be restarted", calls)
    return True


def wake(container: Container, now_ns: int, calls: list[Call]) -> None:
    """The behaviour behind the probes may have changed: those that slept ask at their next tick."""
    for kind, probe in enumerate(container.probes or ()):
        if probe is not None and probe.asleep:
            probe.asleep = False
            calls.append((ASK_PROBE, container.facts.index, container.attempt, kind, _tick(probe, now_ns)))
