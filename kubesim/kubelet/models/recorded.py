"""The model of the recorded runs: fake kubelets that only obey ``fake/...`` annotations and are instant otherwise.

``fake/start-delay``, ``fake/ready-after`` (seconds or never), ``fake/run-for``, ``fake/exit-code``, ``fake/exit-codes`` (by index,
else by retry), ``fake/stop-delay`` (seconds from deletion to removal, or never). Containers run for ever unless told otherwise.
"""

from dataclasses import dataclass

from kubesim.apiserver.requests import Object
from kubesim.kernel.rng import Stream
from kubesim.kubelet.doors.volumes import NEVER_NS
from kubesim.kubelet.facts import INIT, ContainerFacts
from kubesim.kubelet.models.annotations import PLAIN
from kubesim.kubelet.models.contract import ContainerBehaviour, Image, PodBehaviour
from kubesim.kubelet.models.default import DefaultModel, Latencies
from kubesim.kubelet.models.settings import parse_codes, parse_span

INSTANT = Latencies((0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0))
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass
class RecordedModel(DefaultModel):
    """Everything takes no time but what the annotations say."""

    latencies: Latencies = INSTANT

    def behaviour(self, pod: Object) -> PodBehaviour:
        """By the ``fake/`` annotations. Raises ValueError for one that cannot be understood: recordings have none."""
        annotations: dict[str, str] = pod["metadata"].get("annotations") or {}
        ours = {key[5:]: text for key, text in annotations.items() if key.startswith("fake/")}
        if not ours:
            return PLAIN
        behaviour = ContainerBehaviour()
        if "start-delay" in ours:
            behaviour.start_delay_ns = parse_span(ours["start-delay"])
        if "ready-after" in ours:
            behaviour.ready_after_ns = None if ours["ready-after"] == "never" else parse_span(ours["ready-after"])
        if "run-for" in ours:
            behaviour.run_for_ns = parse_span(ours["run-for"])
        if "stop-delay" in ours:
            behaviour.stop_delay_ns = NEVER_NS if ours["stop-delay"] == "never" else parse_span(ours["stop-delay"])
        behaviour.exit_codes = self._codes(ours, annotations.get(COMPLETION_INDEX))
        return PodBehaviour(behaviour, {})

    def _codes(self, ours: dict[str, str], index: str | None) -> tuple[int, ...]:
        if "exit-codes" not in ours:
            return parse_codes(ours.get("exit-code", "0"))
        codes = parse_codes(ours["exit-codes"])
        return codes if index is None else (codes[min(int(index), len(codes) - 1)],)

    def image(self, image: str) -> Image:
        """Nothing to transfer."""
        return Image(0)

    def run(
        self, stream: Stream, behaviour: ContainerBehaviour, container: ContainerFacts, restarts: int, stays: bool
    ) -> tuple[int, int] | None:
        """For ever, unless there is a ``fake/run-for``."""
        if behaviour.run_for_ns is None and container.kind != INIT:
            return None
        return super().run(stream, behaviour, container, restarts, stays)
