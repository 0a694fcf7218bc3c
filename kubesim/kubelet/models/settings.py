"""The settings of a container's behaviour: one table of names and how their texts are read, for annotations, ContainerBehaviors and Python.

======================  ==============================================================================================
setting                 meaning (a duration is Go's notation: 90s, 5m, 1h30m; a plain number is seconds)
======================  ==============================================================================================
run-for                 the container ends by itself after this time; drawn anew at each start
exit-code               its exit code; "1,1,0" by restart, the last one stays; or a choice, drawn at each end
crash-loop              "COUNT AFTER [CODE]": the first COUNT starts ("always": all) end AFTER that time with CODE (1)
ready-after             it becomes ready this long after its start, or "never"
live-for                its liveness probe fails from then on
start-delay             added to the time that its start takes
stop-delay              time from TERM to its end, or "never": it has to be killed
stop-exit-code          its exit code after TERM
usage-memory            what it uses over time: "100Mi", "50Mi+1Mi/s", "0s=50Mi,1m=200Mi" (api/curve.py); more than
usage-cpu               its limit of memory ends it (OOMKilled); ephemeral-storage is its writable layer
usage-ephemeral-storage
usage-volume            "NAME CURVE": what it writes into the emptyDir volume NAME
writes                  "PATH PERIOD TEXT": it adds a line to a file ("%d" in it is the number of the line)
log                     "PERIOD TEXT": it adds a line to its log
tails                   "PATH": its log is what others write to that file
======================  ==============================================================================================

Durations and exit codes may be distributions: ``uniform(1s, 5s)``, ``normal(30s, 5s)``, ``exponential(10s)``, ``choice(90%: 2s, 10%: 1m)``.
Those of run-for and exit-code are drawn at each start, the others once per Pod.
"""

from collections.abc import Callable
from typing import Any

from kubesim.api.curve import parse_curve
from kubesim.kernel.time import SECOND, parse_duration
from kubesim.kubelet.doors.volumes import NEVER_NS
from kubesim.kubelet.models.contract import ContainerBehaviour, Crashes, Writes
from kubesim.kubelet.models.distribution import Distribution, Drawn, parse_distribution

COUNT_MAX = 1_000_000
STDOUT = "/dev/stdout"


def parse_span(text: str) -> int:
    """A duration that is not negative; a plain number is seconds. Raises ValueError."""
    span_ns = int(float(text) * SECOND) if text.replace(".", "", 1).isdigit() else parse_duration(text)
    if span_ns < 0:
        raise ValueError(f"duration {text!r} is negative")
    return span_ns


def parse_code(text: str) -> int:
    """An exit code from 0 to 255. Raises ValueError."""
    code = int(text)
    if not 0 <= code <= 255:
        raise ValueError(f"exit code {code} is not in 0 to 255")
    return code


def parse_codes(text: str) -> tuple[int, ...]:
    """Exit codes 0 to 255, separated by commas. Raises ValueError."""
    return tuple(parse_code(part) for part in text.split(","))


def _codes(text: str) -> tuple[int, ...] | Distribution:
    if "(" not in text:
        return parse_codes(text)
    found = parse_distribution(text, parse_code)
    assert isinstance(found, Distribution)
    if found.kind != "choice":
        raise ValueError(f"{text!r}: expected exit codes, or choice(SHARE%: CODE, ...)")
    return found


def _span(text: str) -> Drawn:
    return parse_distribution(text, parse_span)


def _never_or_span(never: Any) -> Callable[[str], Any]:
    return lambda text: never if text == "never" else _span(text)


def _crashes(text: str) -> Crashes:
    words = text.split()
    if not 2 <= len(words) <= 3:
        raise ValueError('expected "COUNT AFTER [CODE]"')
    count = COUNT_MAX if words[0] == "always" else int(words[0])
    if not 0 <= count <= COUNT_MAX:
        raise ValueError(f"count {count} is not in 0 to {COUNT_MAX}")
    code = parse_code(words[2]) if len(words) == 3 else 1
    return Crashes(count, parse_span(words[1]), code)


def _writes(text: str) -> tuple[Writes, ...]:
    path, period, line = text.split(" ", 2)
    period_ns = parse_span(period)
    if not path.startswith("/") or not period_ns:
        raise ValueError("expected an absolute PATH, a PERIOD above zero and a TEXT")
    return (Writes(path, period_ns, line),)


def _volume(text: str) -> dict[str, Any]:
    name, _, curve = text.strip().partition(" ")
    return {name: parse_curve(curve.strip())}


def _usage(resource: str) -> Callable[[str], dict[str, Any]]:
    return lambda text: {resource: parse_curve(text.strip(), resource)}


SETTINGS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "run-for": ("run_for_ns", _span),
    "exit-code": ("exit_codes", _codes),
    "crash-loop": ("crashes", _crashes),
    "ready-after": ("ready_after_ns", _never_or_span(None)),
    "live-for": ("live_for_ns", _span),
    "start-delay": ("start_delay_ns", _span),
    "stop-delay": ("stop_delay_ns", _never_or_span(NEVER_NS)),
    "stop-exit-code": ("stop_exit_code", parse_code),
    "usage-memory": ("usage", _usage("memory")),
    "usage-cpu": ("usage", _usage("cpu")),
    "usage-ephemeral-storage": ("usage", _usage("ephemeral-storage")),
    "usage-volume": ("volumes", _volume),
    "writes": ("writes", _writes),
    "log": ("writes", lambda text: _writes(f"{STDOUT} {text}")),
    "tails": ("tails", lambda text: (text,)),
}


def apply_setting(behaviour: ContainerBehaviour, setting: str, text: str) -> None:
    """Set one setting of a behaviour that is the caller's own. Raises ValueError for its text, KeyError for an unknown setting."""
    field, parse = SETTINGS[setting]
    value = parse(text)
    known = getattr(behaviour, field)
    if isinstance(value, dict):
        value = {**known, **value}
    elif field == "writes":
        value = (*known, *value)
    setattr(behaviour, field, value)
