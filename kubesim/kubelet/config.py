"""What can be set for the kubelets of a cluster."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kubesim.apiserver.requests import Object
from kubesim.kernel.time import MINUTE, SECOND
from kubesim.kubelet.eviction.thresholds import HARD_DEFAULT
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
    eviction_hard: Mapping[str, str] = field(default_factory=lambda: HARD_DEFAULT)  # signal -> what is to be left, "100Mi" or "10%"
    eviction_soft: Mapping[str, str] = field(default_factory=dict)
    eviction_soft_grace: Mapping[str, str] = field(default_factory=dict)  # signal -> duration
    eviction_reclaim: Mapping[str, str] = field(default_factory=dict)  # signal -> how much more than the threshold is to be freed
    eviction_pod_grace_ns_max: int = 0  # of Pods that a soft threshold evicts
    eviction_transition_ns: int = 5 * MINUTE  # a condition of pressure stays this long after it was last observed
    eviction_monitor_ns: int = 10 * SECOND
    shutdown_grace_ns: int = 0  # of a graceful shutdown in all; 0: the power is cut
    shutdown_critical_grace_ns: int = 0  # the part of it that is kept for critical Pods
    image_gc_high_percent: int = 85
    image_gc_low_percent: int = 80
    image_gc_age_ns_min: int = 2 * MINUTE
    image_gc_period_ns: int = 5 * MINUTE

    def __post_init__(self) -> None:
        if not 0 <= self.image_gc_low_percent < self.image_gc_high_percent <= 100:
            values = f"{self.image_gc_low_percent} and {self.image_gc_high_percent}"
            raise ValueError(f"image_gc_low_percent, image_gc_high_percent: {values}: expected 0 <= low < high <= 100")
        for name in ("eviction_monitor_ns", "image_gc_period_ns"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: {getattr(self, name)}: expected a positive number of ns")
        for name in ("eviction_pod_grace_ns_max", "eviction_transition_ns", "image_gc_age_ns_min"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)}: expected a number of ns that is not negative")
