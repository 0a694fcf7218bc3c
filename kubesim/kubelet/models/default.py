"""The default model: plausible latencies drawn from ranges, images of a size that belongs to their name, well-behaved containers.

Containers of Pods that are restarted always run for ever; of others they work for a while and exit with 0. TERM is obeyed. Probes
succeed at once. Annotations change all of that per Pod (models/annotations.py), tables change images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from kubesim.apiserver.requests import Object
from kubesim.kernel.rng import Stream
from kubesim.kernel.time import MILLISECOND, SECOND
from kubesim.kubelet.facts import INIT, LIVENESS, ContainerFacts
from kubesim.kubelet.models.annotations import PLAIN, behaviour_of
from kubesim.kubelet.models.contract import Answer, ContainerBehaviour, Image, PodBehaviour
from kubesim.kubelet.models.distribution import Distribution, drawn

MEBIBYTE = 1 << 20
Range = tuple[int, int]  # from, to; both ends can be drawn


@dataclass(frozen=True)
class Latencies:
    """Ranges in ns, and the bandwidth of a node in bytes per second."""

    sandbox_ns: Range = (150 * MILLISECOND, 400 * MILLISECOND)
    start_ns: Range = (80 * MILLISECOND, 250 * MILLISECOND)
    resolve_ns: Range = (150 * MILLISECOND, 450 * MILLISECOND)  # asking the registry what a tag means
    stop_ns: Range = (50 * MILLISECOND, 300 * MILLISECOND)
    hook_ns: Range = (50 * MILLISECOND, 200 * MILLISECOND)
    init_run_ns: Range = (500 * MILLISECOND, 2 * SECOND)
    work_run_ns: Range = (2 * SECOND, 10 * SECOND)  # of a container that is not expected to run for ever
    bandwidth_bytes: int = 100 * MEBIBYTE

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "bandwidth_bytes" and not 0 <= value[0] <= value[1]:
                raise ValueError(f"{name}: {value}: expected two numbers of ns, not negative, the smaller first")
        if self.bandwidth_bytes <= 0:
            raise ValueError(f"bandwidth_bytes: {self.bandwidth_bytes}: expected a positive number of bytes per second")


@dataclass
class DefaultModel:
    """``images`` overrides the registry, by name or pattern (``*/broken:*``), the first match counts; ``seed`` decides the other sizes."""

    seed: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    images: Mapping[str, Image] = field(default_factory=dict)
    _known: dict[str, Image] = field(default_factory=dict, repr=False)

    def behaviour(self, pod: Object) -> PodBehaviour:
        """By the Pod's annotations."""
        annotations = pod["metadata"].get("annotations")
        return behaviour_of(annotations, pod["spec"]["containers"][0]["name"]) if annotations else PLAIN

    def sandbox_ns(self, stream: Stream) -> int:
        """Draw from the range."""
        low, high = self.latencies.sandbox_ns
        return stream.between(low, high)

    def start_ns(self, stream: Stream, behaviour: ContainerBehaviour, container: ContainerFacts) -> int:
        """Draw from the range; the postStart hook and the asked-for delay come on top."""
        low, high = self.latencies.start_ns
        delay_ns = stream.between(low, high) + behaviour.start_delay_ns
        return delay_ns + stream.between(*self.latencies.hook_ns) if container.has_post_start else delay_ns

    def image(self, image: str) -> Image:
        """The table's, else an image of 8 to 264 MiB; the same name has the same size everywhere and always."""
        known = self._known.get(image)
        if known is None:
            known = self._known[image] = self._look_up(image)
        return known

    def _look_up(self, image: str) -> Image:
        for pattern, found in self.images.items():
            if pattern == image or fnmatchcase(image, pattern):
                return found
        stream = Stream(self.seed, f"kubelet/image/{image}")
        return Image(8 * MEBIBYTE * (1 << stream.below(6)) + stream.below(8 * MEBIBYTE))

    def pull_ns(self, stream: Stream, image: Image, is_present: bool) -> int:
        """The question to the registry, then size / bandwidth."""
        resolve_ns = stream.between(*self.latencies.resolve_ns)
        if is_present or image.error:
            return resolve_ns
        return resolve_ns + image.size_bytes * SECOND // self.latencies.bandwidth_bytes

    def run(
        self, stream: Stream, behaviour: ContainerBehaviour, container: ContainerFacts, restarts: int, stays: bool
    ) -> tuple[int, int] | None:
        """As asked for; else init containers and Pods that are to end do so after a while."""
        crashes, codes = behaviour.crashes, behaviour.exit_codes
        if crashes is not None and restarts < crashes.starts:
            return crashes.after_ns, crashes.code
        code = codes.draw(stream) if isinstance(codes, Distribution) else codes[min(restarts, len(codes) - 1)]
        if behaviour.run_for_ns is not None:
            return drawn(behaviour.run_for_ns, stream), code
        if container.kind == INIT:
            return stream.between(*self.latencies.init_run_ns), code
        if code:
            return stream.between(*self.latencies.work_run_ns), code
        return None if stays else (stream.between(*self.latencies.work_run_ns), code)

    def stop(self, stream: Stream, behaviour: ContainerBehaviour, container: ContainerFacts) -> tuple[int, int, int]:
        """TERM is obeyed within the range, with exit code 0, unless asked for otherwise."""
        hook_ns = stream.between(*self.latencies.hook_ns) if container.has_pre_stop else 0
        delay_ns = stream.between(*self.latencies.stop_ns) if behaviour.stop_delay_ns is None else behaviour.stop_delay_ns
        return hook_ns, delay_ns, behaviour.stop_exit_code or 0

    def probe(self, behaviour: ContainerBehaviour, container: ContainerFacts, kind: int, started_ns: int, now_ns: int) -> Answer:
        """Liveness by ``live_for``, the others by ``ready_after``; success otherwise."""
        if kind == LIVENESS:
            if behaviour.live_for_ns is None:
                return Answer(True, "", None)
            end_ns = started_ns + behaviour.live_for_ns
            return Answer(True, "", end_ns) if now_ns < end_ns else Answer(False, "HTTP probe failed with statuscode: 500", None)
        if behaviour.ready_after_ns is None:
            return Answer(False, "HTTP probe failed with statuscode: 503", None)
        ready_ns = started_ns + behaviour.ready_after_ns
        return Answer(True, "", None) if now_ns >= ready_ns else Answer(False, "HTTP probe failed with statuscode: 503", ready_ns)
