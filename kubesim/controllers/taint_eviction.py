"""The taint eviction controller: a Pod that does not tolerate a NoExecute taint of its node goes, at once or after tolerationSeconds.

Upstream: pkg/controller/tainteviction/taint_eviction.go, component-helpers/scheduling/corev1 (GetMatchingTolerations).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.apiserver.requests import Object
from kubesim.client.informer import looks_at
from kubesim.controllers.contract import DONE, ControllerBase, EventIntent, Mapper, Result, View
from kubesim.controllers.pod_disruption import disruption_requests
from kubesim.controllers.pods_by_node import PodsByNode
from kubesim.kernel.time import SECOND

REASON = "TaintManagerEviction"
FOREVER = None


def no_execute_taints(node: Object | None) -> list[Object]:
    """The NoExecute taints of a node."""
    taints = ((node.get("spec") or {}).get("taints") or ()) if node is not None else ()
    return [taint for taint in taints if taint["effect"] == "NoExecute"]


@looks_at("spec")
def node_to_pods(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """All Pods of a node whose NoExecute taints changed."""
    if new is None or no_execute_taints(old) == no_execute_taints(new):
        return ()
    return list(view.derived(PodsByNode).on(new["metadata"]["name"]))


@looks_at("spec", "metadata.deletionTimestamp")
def pod_to_key(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """A Pod that has come to a tainted node, or has other tolerations there, or is gone."""
    pod = new if new is not None else old
    if pod is None:
        return ()
    spec = pod["spec"]
    node = spec.get("nodeName")
    if not node or (new is not None and old is not None and old["spec"] is spec and not new["metadata"].get("deletionTimestamp")):
        return ()
    if not no_execute_taints(view.get("nodes", node)):
        return ()
    return (f"{pod['metadata']['namespace']}/{pod['metadata']['name']}",)


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether a toleration covers a taint."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def tolerated_seconds(pod: Object, taints: Sequence[Object]) -> int | None:
    """How long the Pod may stay: 0 if it does not tolerate some taint, None for ever."""
    tolerations = pod["spec"].get("tolerations") or ()
    shortest = FOREVER
    for taint in taints:
        used = next((toleration for toleration in tolerations if tolerates(toleration, taint)), None)
        if used is None:
            return 0
        seconds = used.get("tolerationSeconds")
        if seconds is not None:
            shortest = max(seconds, 0) if shortest is None else min(shortest, max(seconds, 0))
    return shortest


class TaintEvictionController(ControllerBase):
    """Reconciles Pods by ``namespace/name``."""

    name = "taint-eviction-controller"
    resource = "pods"
    watches: Mapping[str, Mapper] = {"pods": pod_to_key, "nodes": node_to_pods}
    derives: Sequence[Callable[[Any], Any]] = (PodsByNode,)

    def __init__(self) -> None:
        self._begun: dict[str, tuple[str, int]] = {}  # Pods whose time runs: uid, and since when

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Delete the Pod when its time has come, or let it go on."""
        pod = view.get("pods", key)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            self._begun.pop(key, None)
            return DONE
        taints = no_execute_taints(view.get("nodes", pod["spec"].get("nodeName", "")))
        seconds = tolerated_seconds(pod, taints) if taints else FOREVER
        uid = pod["metadata"]["uid"]
        begun = self._begun.get(key)
        if begun is not None and begun[0] != uid:
            begun = None
        if seconds is None:
            if self._begun.pop(key, None) is not None and begun is not None:
                return Result([EventIntent(pod, "Normal", REASON, f"Cancelling deletion of Pod {key}")])
            return DONE
        begun = self._begun[key] = begun or (uid, now_ns)
        wait_ns = begun[1] + seconds * SECOND - now_ns
        if wait_ns > 0:
            return Result((), wait_ns)
        message = "Taint manager: deleting due to NoExecute taint"
        event = EventIntent(pod, "Normal", REASON, f"Marking for deletion Pod {key}")
        return Result([event, *disruption_requests(pod, "DeletionByTaintManager", message, now_ns)])


CONTROLLER = TaintEvictionController
