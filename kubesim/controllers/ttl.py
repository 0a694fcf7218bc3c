"""The TTL controller: how long kubelets may keep what they have read, by the size of the cluster, as an annotation on each node.

The boundaries overlap, so that a cluster whose size swings around one does not rewrite all its nodes. Kubelets here read from watches and
do not look at it: it runs where clients can see it (``kubesim serve``), and not in process.

Upstream: pkg/controller/ttl/ttl_controller.go.
"""

from collections.abc import Mapping

from kubesim.apiserver.requests import patch
from kubesim.controllers.contract import DONE, Burst, ControllerBase, Mapper, Result, View, own_key

ANNOTATION = "node.alpha.kubernetes.io/ttl"
# (fewer nodes than this: a step down; more than this: a step up; seconds)
STEPS = ((0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, 1 << 62, 300))


class TtlController(ControllerBase):
    """Reconciles Nodes by name."""

    name = "ttl-controller"
    is_for_clients = True
    resource = "nodes"
    watches: Mapping[str, Mapper] = {"nodes": own_key}

    def __init__(self) -> None:
        self._step = 0

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Note the size of the cluster and what it means on the node."""
        node = view.get("nodes", key)
        count = sum(1 for _ in view.list("nodes"))
        while count < STEPS[self._step][0]:
            self._step -= 1
        while count > STEPS[self._step][1]:
            self._step += 1
        wanted = str(STEPS[self._step][2])
        if node is None or (node["metadata"].get("annotations") or {}).get(ANNOTATION) == wanted:
            return DONE
        body = {"metadata": {"annotations": {ANNOTATION: wanted}}}
        return Result([Burst([patch("nodes", "", key, body, "strategic")], expected=("NotFound",))])


CONTROLLER = TtlController
