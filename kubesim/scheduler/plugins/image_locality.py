"""ImageLocality: prefer nodes that have the Pod's images, the more so the more nodes have them.

Upstream: plugins/imagelocality/image_locality.go.
"""

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kubesim.scheduler.contract import SCORE_MAX, Plugin, Scope
from kubesim.scheduler.pod_facts import PodInfo

MEBIBYTE = 1024 * 1024
SUM_MIN = 23 * MEBIBYTE
CONTAINER_SUM_MAX = 1000 * MEBIBYTE


class Images(NamedTuple):
    """A Pod's images, one per container, init container and image volume; image volumes are not in ``container_count``."""

    names: tuple[str, ...]
    container_count: int


def images_of(spec: Mapping[str, Any]) -> Images:
    """The normalized image names of a spec."""
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    names = [normalized(container.get("image") or "") for container in containers]
    for volume in spec.get("volumes") or ():
        if volume.get("image"):
            names.append(normalized(volume["image"].get("reference") or ""))
    return Images(tuple(names), len(containers))


def normalized(image: str) -> str:
    """``:latest`` is added when no ``:`` stands after the last ``/``."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"


class ImageLocality(Plugin):
    """See the module."""

    name = "ImageLocality"
    extends = frozenset({"preScore", "score"})
    score_scope = Scope.CLUSTER
    score_reads_pods = False

    def signature(self, pod: PodInfo) -> Hashable:
        return images_of(pod.facts.spec)

    def version(self, state: Images) -> Hashable:
        table = self.table
        versions = [table.images.version(name) for name in state.names]
        return (*versions, table.node_count) if any(versions) else 0

    def pre_score(self, pod: PodInfo, feasible_rows: Any) -> Images:
        return images_of(pod.facts.spec)

    def score(self, state: Images, rows: Any) -> Any:
        table = self.table
        sums = np.zeros(table.row_count, np.int64)
        for name in state.names:
            image = table.images.get(name)
            if image is not None:
                sums[np.fromiter(image.rows, np.int64, len(image.rows))] += self._share(image.size, len(image.rows))
        sum_max = CONTAINER_SUM_MAX * state.container_count
        scores = SCORE_MAX * (np.clip(sums, SUM_MIN, max(sum_max, SUM_MIN)) - SUM_MIN) // max(sum_max - SUM_MIN, 1)
        return table.take(scores, rows)

    def score_row(self, state: Images, row: int) -> int:
        total = 0
        for name in state.names:
            image = self.table.images.get(name)
            if image is not None and row in image.rows:
                total += self._share(image.size, len(image.rows))
        sum_max = CONTAINER_SUM_MAX * state.container_count
        return SCORE_MAX * (max(SUM_MIN, min(total, sum_max)) - SUM_MIN) // (sum_max - SUM_MIN)

    def _share(self, size: int, row_count: int) -> int:
        """trunc(size * (nodes that have it / all nodes)) in float64."""
        return int(size * (row_count / self.table.node_count))


PLUGIN = ImageLocality
