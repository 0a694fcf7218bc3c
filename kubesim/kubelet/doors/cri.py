"""CRI: the two services a kubelet asks of a container runtime, as upstream groups them, with outcomes and durations for answers.

A call is answered at once with what will have happened and how long it takes; whoever calls waits that long in virtual time. An
outcome with an ``error`` is a failure after ``duration_ns``. Nothing here decides durations or errors: a model does.

Upstream: k8s.io/cri-api/pkg/apis/runtime/v1 (RuntimeService, ImageService).
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from kubesim.apiserver.requests import Object
from kubesim.kubelet.facts import ContainerFacts


class SandboxOutcome(NamedTuple):
    """The result of ``run_pod_sandbox``: the Pod's address, or an error."""

    ip: str
    error: str
    duration_ns: int


class PullOutcome(NamedTuple):
    """The result of ``pull_image``: it starts ``waited_ns`` from now and takes ``duration_ns``."""

    error: str
    size_bytes: int
    waited_ns: int
    duration_ns: int


class StartOutcome(NamedTuple):
    """The result of creating and starting a container; ``reason`` is the waiting reason when there is an error."""

    container_id: str
    reason: str
    error: str
    duration_ns: int


class StopOutcome(NamedTuple):
    """The result of stopping a container: how it ends, ``duration_ns`` from now."""

    exit_code: int
    reason: str
    duration_ns: int


class ImageRecord(NamedTuple):
    """An image on a node."""

    name: str
    size_bytes: int


class RuntimeService(Protocol):
    """Sandboxes and containers of one node."""

    def run_pod_sandbox(self, uid: str, host_network: bool) -> SandboxOutcome:
        """Create a Pod's sandbox and connect it to the network."""

    def stop_pod_sandbox(self, uid: str) -> None:
        """Disconnect and remove it; does nothing when there is none."""

    def start_container(self, uid: str, pod: Object, container: ContainerFacts, attempt: int) -> StartOutcome:
        """Create and start a container, pre-start work and the postStart hook included."""

    def stop_container(self, uid: str, pod: Object, container: ContainerFacts, grace_ns: int) -> StopOutcome:
        """Run the preStop hook, send TERM, and KILL when ``grace_ns`` is over."""


class ImageService(Protocol):
    """Images of one node."""

    def has_image(self, image: str, now_ns: int) -> bool:
        """Whether the image is on the node."""

    def image_ref(self, image: str) -> str:
        """The ``imageID`` that containers of the image report."""

    def pull_image(self, image: str, now_ns: int) -> PullOutcome:
        """Fetch an image, after the pulls that were asked for before."""

    def remove_image(self, image: str) -> None:
        """Remove an image from the node."""

    def list_images(self, now_ns: int) -> Sequence[ImageRecord]:
        """The images on the node, largest first."""
