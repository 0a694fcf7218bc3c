"""What a fault is, what it can reach, and how its parameters are read.

A kind of fault is a function ``begin(target, parameters, stream)`` that does the damage and returns what undoes it (None: there is
nothing to undo). Randomness comes from the fault's own stream and from nothing else, so one fault more changes nothing about the others.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from kubesim.api.selectors import Selector, parse
from kubesim.kernel.loop import Kernel
from kubesim.kernel.rng import Stream
from kubesim.kernel.time import parse_duration
from kubesim.kubelet.kubelets import Kubelets

T = TypeVar("T")
Parameters = Mapping[str, Any]
End = Callable[[], object]
Begin = Callable[["Target", Parameters, Stream], End | None]
CONTROL_PLANE = ("kube-controller-manager", "kube-scheduler", "kube-apiserver", "etcd")


class Target(Protocol):
    """What faults can be done to: a cluster, as far as they need to know one."""

    kernel: Kernel
    kubelets: Kubelets

    def node_names(self) -> Sequence[str]:
        """The names of the nodes that have a kubelet."""

    def hosts(self) -> Sequence[str]:
        """The machines of the control plane; none for one in this process."""

    def components(self) -> Sequence[str]:
        """What of the control plane can crash or be paused."""

    def crash(self, component: str, host: str) -> End:
        """Kill a component (on one host, or everywhere when ``host`` is empty); returns what starts it again."""

    def pause(self, component: str, host: str) -> End:
        """Stop a component where it is: what it is sent waits; returns what lets it go on."""

    def cut_off(self, nodes: Sequence[str]) -> End:
        """Let nothing pass between these nodes and all others, the control plane included; returns what mends it."""

    def slow_link(self, source: str, destination: str, latency_ns: int) -> End:
        """Make the link between two nodes slow; returns what mends it."""

    def slow_disk(self, host: str, latency_ns: int) -> End:
        """Make the disk of an etcd member on a host slow; returns what mends it."""

    def delete_pod(self, namespace: str, name: str) -> None:
        """Delete a Pod as a user does."""


class Parameter(NamedTuple):
    """A parameter of a fault; ``read(value, target)`` raises ValueError with what was expected."""

    name: str
    read: Callable[[Any, Target], Any]
    default: Any = None
    required: bool = False


class Kind(NamedTuple):
    """A kind of fault. ``lasting``: it needs a duration, without which it would never end."""

    name: str
    summary: str
    begin: Begin
    parameters: tuple[Parameter, ...] = ()
    lasting: bool = False


def for_each(function: Callable[[T], object], items: Sequence[T]) -> End:
    """An end that calls a function for each of these."""

    def end() -> None:
        for item in items:
            function(item)

    return end


class Fault(NamedTuple):
    """A fault with its time: ``at_ns`` from the start of the scenario, ``duration_ns`` None for one that is not taken back."""

    kind: Kind
    parameters: Parameters
    at_ns: int = 0
    duration_ns: int | None = None
    seed: int = 0
    name: str = ""


def span(value: Any, target: Target) -> int:
    """A duration such as "30s" that is not negative, or a number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return round(value * 1_000_000_000)
    if isinstance(value, str):
        try:
            found = parse_duration(value)
        except ValueError:
            found = -1
        if found >= 0:
            return found
    raise ValueError('expected a duration that is not negative, such as "30s"')


def node(value: Any, target: Target) -> str:
    """The name of a node."""
    names = target.node_names()
    if value not in names:
        raise ValueError(f"there is no such node; expected one of the {len(names)} nodes of this cluster")
    return str(value)


def nodes(value: Any, target: Target) -> list[str]:
    """A list of nodes, not empty, or a single one."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ValueError("expected at least one node")
    return [node(each, target) for each in values]


def text(value: Any, target: Target) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("expected a string")
    return value


def number(low: int, high: int) -> Callable[[Any, Target], int]:
    """A whole number in a range."""

    def read(value: Any, target: Target) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"expected a number from {low} to {high}")
        return value

    return read


def percent(value: Any, target: Target) -> int:
    """A share as ``"95%"`` or a number from 0 to 100."""
    found = value.removesuffix("%") if isinstance(value, str) else value
    if isinstance(found, str) and found.isdigit():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= 100:
        raise ValueError('expected a percentage from "0%" to "100%"')
    return found


def selector(value: Any, target: Target) -> Selector:
    """A label selector as kubectl takes it."""
    if not isinstance(value, str):
        raise ValueError('expected a label selector such as "app=web"')
    return parse(value)


def component(value: Any, target: Target) -> str:
    """A component of the control plane, or "kubelet"."""
    known = (*target.components(), "kubelet")
    if value not in known:
        raise ValueError(f"there is no such component; expected one of {', '.join(known)}")
    return str(value)


def host(value: Any, target: Target) -> str:
    """A machine of the control plane."""
    known = target.hosts()
    if value not in known:
        found = f"one of {', '.join(known)}" if known else "a cluster with control_planes above 1"
        raise ValueError(f"there is no such host; expected {found}")
    return str(value)
