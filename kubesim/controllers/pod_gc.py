"""The Pod garbage collector: Pods of nodes that no longer exist, Pods that ended and are too many, dying Pods that never ran.

Upstream looks every 20 s; a node must have been missing for 40 s and be unknown to the apiserver before its Pods are failed and deleted.
Here a look is taken at the same marks, only when there is something to see.

Upstream: pkg/controller/podgc/gc_controller.go. Left out: Pods on nodes tainted out-of-service.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, delete, get
from kubesim.client.informer import looks_at, told_by
from kubesim.controllers.contract import DONE, Again, Burst, ControllerBase, Intent, Mapper, Result, View
from kubesim.controllers.pod_disruption import disruption_requests
from kubesim.controllers.pods_by_node import PodsByNode
from kubesim.controllers.view import PODS_BY_NODE
from kubesim.kernel.time import SECOND

PERIOD_NS = 20 * SECOND
QUARANTINE_NS = 40 * SECOND
ENDED_MAX = 12_500
ENDED_KEY = "ended"


@looks_at()
def node_to_key(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """A node that went or came back."""
    if old is not None and new is not None:
        return ()
    name = (new if new is not None else old or {})["metadata"]["name"]
    return (f"node {name}",) if new is None or old is None else ()


@told_by(PODS_BY_NODE)
def pod_to_key(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """A Pod on a node that is not there, a dying Pod that never ran, or one ended Pod too many."""
    if new is None:
        return ()
    is_full = len(view.derived(PodsByNode).ended) > ENDED_MAX
    node = new["spec"].get("nodeName")
    keys = []
    if node and (old is None or not old["spec"].get("nodeName")) and view.get("nodes", node) is None:
        keys.append(f"node {node}")
    if not node and new["metadata"].get("deletionTimestamp"):
        keys.append(f"pod {new['metadata']['namespace']}/{new['metadata']['name']}")
    if is_full:
        keys.append(ENDED_KEY)
    return keys


class PodGarbageCollector(ControllerBase):
    """Reconciles keys "node <name>", "pod <key>" and "ended"."""

    name = "pod-garbage-collector-controller"
    resource = ""
    watches: Mapping[str, Mapper] = {"pods": pod_to_key, "nodes": node_to_key}
    derives: Sequence[Callable[[Any], Any]] = (PodsByNode,)

    def __init__(self) -> None:
        self._missing_ns: dict[str, int] = {}  # node -> the look that missed it first

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Wait for the next look, then do what there is to do."""
        what, _, name = key.partition(" ")
        if what == "node" and (view.get("nodes", name) is not None or not list(view.derived(PodsByNode).on(name))):
            self._missing_ns.pop(name, None)
            return DONE
        wait_ns = -now_ns % PERIOD_NS
        if what == "node":
            wait_ns = self._missing_ns.setdefault(name, now_ns + wait_ns) + QUARANTINE_NS - now_ns
        if wait_ns > 0:
            return Result((), wait_ns)
        if what == "node":
            return Result([self._orphaned(name, view, now_ns)])
        return Result(_ended(view) if what == ENDED_KEY else _never_ran(name, view, now_ns))

    def _orphaned(self, node: str, view: View, now_ns: int) -> Intent:
        """Ask the apiserver for the node; without it, fail and delete its Pods."""

        def missing(_: ApiError) -> Sequence[Intent]:
            intents: list[Intent] = []
            for key in view.derived(PodsByNode).on(node):
                pod = view.get("pods", key)
                if pod is not None:
                    message = "PodGC: node no longer exists"
                    intents += disruption_requests(pod, "DeletionByPodGC", message, now_ns, fail=True, gracePeriodSeconds=0)
            return intents

        def found(_: Object) -> Sequence[Intent]:
            self._missing_ns.pop(node, None)
            return [Again(PERIOD_NS)]

        return Burst([get("nodes", "", node)], found, missing, expected=("NotFound",))


def _ended(view: View) -> list[Intent]:
    """Delete the oldest ended Pods beyond the limit, evicted ones first."""
    pods = [pod for key in view.derived(PodsByNode).ended if (pod := view.get("pods", key)) is not None]

    def order(pod: Object) -> tuple[bool, str, str]:
        return pod["status"].get("reason") != "Evicted", pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"]

    chosen = sorted(pods, key=order)[: max(len(pods) - ENDED_MAX, 0)]
    return [delete("pods", pod["metadata"]["namespace"], pod["metadata"]["name"], gracePeriodSeconds=0) for pod in chosen]


def _never_ran(key: str, view: View, now_ns: int) -> list[Intent]:
    pod = view.get("pods", key)
    if pod is None or pod["spec"].get("nodeName") or not pod["metadata"].get("deletionTimestamp"):
        return []
    return [*disruption_requests(pod, "DeletionByPodGC", "PodGC: pod is terminating", now_ns, fail=True, gracePeriodSeconds=0)]


CONTROLLER = PodGarbageCollector
