"""What a behaviour model decides: how long everything on a node takes, and how containers behave.

The runtime asks, a model answers with numbers; it may draw from the node's random stream and from nothing else, and changes nothing.
Durations are ns. A model is shared by all nodes of a cluster.
"""

from typing import Any, NamedTuple, Protocol

from kubesim.api.curve import Curve
from kubesim.apiserver.requests import Object
from kubesim.kernel.rng import Stream
from kubesim.kubelet.facts import ContainerFacts
from kubesim.kubelet.models.distribution import Distribution, Drawn


class Image(NamedTuple):
    """An image in its registry; a pull fails with ``error`` when it is not empty."""

    size_bytes: int
    error: str = ""


class Writes(NamedTuple):
    """A container adds ``text`` to the file at ``path`` every ``period_ns``."""

    path: str
    period_ns: int
    text: str


class Answer(NamedTuple):
    """A probe's answer; it stays the same until ``until_ns`` (None: for ever)."""

    success: bool
    message: str
    until_ns: int | None


class Crashes(NamedTuple):
    """The first ``starts`` starts of a container end ``after_ns`` later with ``code``."""

    starts: int
    after_ns: int
    code: int


class ContainerBehaviour:
    """How one container behaves. None means the model's default, except for ``ready_after_ns``: never."""

    __slots__ = (
        "crashes", "exit_codes", "live_for_ns", "ready_after_ns", "run_for_ns", "start_delay_ns", "stop_delay_ns", "stop_exit_code",
        "tails", "usage", "volumes", "writes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.run_for_ns: Drawn | None = None
        self.exit_codes: tuple[int, ...] | Distribution = (0,)  # by restart, the last one stays; or drawn
        self.crashes: Crashes | None = None
        self.ready_after_ns: Any = 0  # this and the next three: a number once a node has the Pod (``settled``)
        self.live_for_ns: Any = None  # its liveness probe fails from then on
        self.start_delay_ns: Any = 0
        self.stop_delay_ns: Any = None  # NEVER_NS: it ignores TERM
        self.stop_exit_code: int | None = None
        self.writes: tuple[Writes, ...] = ()
        self.tails: tuple[str, ...] = ()
        self.usage: dict[str, Curve] = {}  # by resource: memory and ephemeral-storage in bytes, cpu in millicores
        self.volumes: dict[str, Curve] = {}  # bytes written into emptyDir volumes, by name

    def copy(self) -> "ContainerBehaviour":
        """Another one with the same values, which are never changed in place."""
        copy = ContainerBehaviour()
        for name in self.__slots__:
            setattr(copy, name, getattr(self, name))
        return copy

    def settled(self, stream: Stream) -> "ContainerBehaviour":
        """The same with what is drawn once per Pod drawn; itself when nothing is."""
        found = self
        for name in ("ready_after_ns", "live_for_ns", "start_delay_ns", "stop_delay_ns"):
            value = getattr(self, name)
            if isinstance(value, Distribution):
                found = found.copy() if found is self else found
                setattr(found, name, value.draw(stream))
        return found


class PodBehaviour:
    """The behaviours of a Pod's containers: ``default`` for those without their own. ``is_plain``: nothing but the model's defaults."""

    __slots__ = ("by_container", "default", "is_plain", "problems")

    def __init__(self, default: ContainerBehaviour, by_container: dict[str, ContainerBehaviour], problems: tuple[str, ...] = ()) -> None:
        self.default = default
        self.by_container = by_container
        self.problems = problems  # sentences about what was asked for and cannot be understood
        self.is_plain = False

    def of(self, name: str) -> ContainerBehaviour:
        """The behaviour of a container."""
        return self.by_container.get(name, self.default)

    def copy(self) -> "PodBehaviour":
        """Another one, to be changed."""
        return PodBehaviour(self.default.copy(), dict(self.by_container), self.problems)

    def settled(self, stream: Stream) -> "PodBehaviour":
        """The same with what is drawn once per Pod drawn."""
        if self.is_plain:
            return self
        by_container = {name: behaviour.settled(stream) for name, behaviour in self.by_container.items()}
        return PodBehaviour(self.default.settled(stream), by_container, self.problems)


class Model(Protocol):
    """Answers of a behaviour model."""

    def behaviour(self, pod: Object) -> PodBehaviour:
        """How a Pod's containers behave; asked when a node admits it."""

    def sandbox_ns(self, stream: Stream) -> int:
        """How long a sandbox takes, its network included."""

    def start_ns(self, stream: Stream, behaviour: ContainerBehaviour, container: ContainerFacts) -> int:
        """How long creating and starting a container takes."""

    def image(self, image: str) -> Image:
        """An image as the registry has it."""

    def pull_ns(self, stream: Stream, image: Image, is_present: bool) -> int:
        """How long a pull takes once it is its turn; of an image that the node has, only the question to the registry."""

    def run(
        self, stream: Stream, behaviour: ContainerBehaviour, container: ContainerFacts, restarts: int, stays: bool
    ) -> tuple[int, int] | None:
        """(how long, exit code) of a container that ends by itself, or None. ``stays``: it is expected to run for ever."""

    def stop(self, stream: Stream, behaviour: ContainerBehaviour, container: ContainerFacts) -> tuple[int, int, int]:
        """(preStop hook's duration, time from TERM to the end, exit code) of a container that is stopped."""

    def probe(self, behaviour: ContainerBehaviour, container: ContainerFacts, kind: int, started_ns: int, now_ns: int) -> Answer:
        """Answer a probe."""
