"""What can be set for the kubelets of a cluster."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kubesim.apiserver.requests import Object
from kubesim.kernel.time import SECOND
from kubesim.kubelet.models.contract import Model

DEFAULT_CAPACITY: Mapping[str, str] = {"cpu": "4", "ephemeral-storage": "100Gi", "memory": "16Gi", "pods": "110"}


class VolumePlugin(Protocol):
    """Who serves a kind of volume that the node does not serve itself (a CSI driver, behind PersistentVolumeClaims)."""

    def set_up(self, pod: Object, volume: Object, node_name: str, done: Callable[[], None]) -> str:
        """Return "" when the volume is there, else what it waits for; then call ``done()`` once when that has changed."""


@dataclass(frozen=True)
class KubeletConfig:
    """The defaults are upstream's. ``model`` None: the default model with the kernel's seed."""

    model: Model | None = None
    serialize_image_pulls: bool = True
    report_images: bool = True  # in node status, within 10 s after a pull
    node_status_images_max: int = 50
    node_status_period_ns: int = 10 * SECOND
    lease_duration_seconds: int = 40
    lease_renew_ns: int = 10 * SECOND
    node_capacity: Mapping[str, str] = field(default_factory=lambda: DEFAULT_CAPACITY)
    volume_plugins: Mapping[str, VolumePlugin] = field(default_factory=dict)  # by the name of the source: persistentVolumeClaim
    version: str = "v1.36.2"
