"""Pods that a Permit plugin holds back between their placement and their bind: they keep their place until somebody decides.

A plugin lets a Pod go with ``allow`` (when every plugin that holds it has done so, it is bound) or ends it with ``reject``. Who drives
the Pods (binding_cycle.py, or the user of the library) sets ``on_settled``.

Upstream: pkg/scheduler/framework/runtime/waiting_pods_map.go.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubesim.scheduler.pod_facts import PodInfo


class WaitingPod:
    """One Pod, placed on a row and held back by ``plugins`` (name -> the time when it gives up)."""

    __slots__ = ("info", "plugins", "refusal", "row")

    def __init__(self, info: "PodInfo", row: int, plugins: Mapping[str, int]) -> None:
        self.info = info
        self.row = row
        self.plugins = dict(plugins)
        self.refusal: tuple[str, str] | None = None  # (plugin, why)

    @property
    def deadline_ns(self) -> int:
        """When the first plugin gives up."""
        return min(self.plugins.values())

    def __repr__(self) -> str:
        return f"<WaitingPod {self.info.key} for {', '.join(self.plugins)}>"


class WaitingPods:
    """Waiting Pods by uid, in the order they came. O(1) each."""

    __slots__ = ("_pods", "on_settled")

    def __init__(self) -> None:
        self._pods: dict[str, WaitingPod] = {}
        self.on_settled: Callable[[WaitingPod], object] = lambda pod: None  # allowed, or rejected (``refusal``)

    def __len__(self) -> int:
        return len(self._pods)

    def __iter__(self) -> Iterator[WaitingPod]:
        return iter(list(self._pods.values()))

    def get(self, uid: str) -> WaitingPod | None:
        """The Pod if it waits, or None."""
        return self._pods.get(uid)

    def add(self, pod: WaitingPod) -> None:
        """Hold a Pod back."""
        self._pods[pod.info.uid] = pod

    def remove(self, uid: str) -> WaitingPod | None:
        """Forget a Pod without deciding; what waited, or None."""
        return self._pods.pop(uid, None)

    def allow(self, uid: str, plugin: str) -> None:
        """A plugin lets the Pod go; Pods that do not wait for it are left alone."""
        pod = self._pods.get(uid)
        if pod is not None and pod.plugins.pop(plugin, None) is not None and not pod.plugins:
            del self._pods[uid]
            self.on_settled(pod)

    def reject(self, uid: str, plugin: str, why: str) -> None:
        """A plugin ends the wait: the Pod gives its place back and is tried again later."""
        pod = self._pods.pop(uid, None)
        if pod is not None:
            pod.refusal = (plugin, why)
            self.on_settled(pod)
