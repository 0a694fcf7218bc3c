"""Making room: the victims of a preemption are told why, then deleted; weaker promises on the node are taken back.

Upstream: pkg/scheduler/framework/preemption/executor.go (prepareCandidate, PreemptPod).
"""

from typing import Any

from kubesim.apiserver.requests import Object, Request, delete, patch
from kubesim.kernel.time import format_time
from kubesim.scheduler.nominator import Nominator
from kubesim.scheduler.pod_facts import PodInfo

REASON = "PreemptionByScheduler"


def evictions(preemptor: PodInfo, victim: PodInfo, now_ns: int) -> tuple[Request, ...]:
    """The requests that end a victim: its condition, then its deletion. None for one that is ending already."""
    if victim.is_terminating:
        return ()
    metadata = victim.obj["metadata"]
    namespace, name = victim.namespace, metadata["name"]
    condition: Object = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": REASON,
        "message": f"{preemptor.facts.scheduler_name}: preempting to accommodate a higher priority pod",
        "lastProbeTime": None,
        "lastTransitionTime": format_time(now_ns),
    }
    if metadata.get("generation"):
        condition["observedGeneration"] = metadata["generation"]
    body = {"metadata": {"uid": victim.uid}, "status": {"conditions": [condition]}}
    return (
        patch("pods", namespace, name, body, "strategic", "status"),
        delete("pods", namespace, name, preconditions={"uid": victim.uid}),
    )


def preempted_message(preemptor: PodInfo, node_name: str) -> str:
    """The words of the victim's event."""
    return f"Preempted by pod {preemptor.uid} on node {node_name}"


def take_back(nominator: Nominator, preemptor: PodInfo, node_name: str) -> tuple[Request, ...]:
    """Clear the promises of the node to Pods of lower priority: they may find another one."""
    found = []
    for other in nominator.on(node_name):
        if other.facts.priority < preemptor.facts.priority and other.uid != preemptor.uid:
            nominator.remove(other.uid)
            body: dict[str, Any] = {"metadata": {"uid": other.uid}, "status": {"nominatedNodeName": None}}
            found.append(patch("pods", other.namespace, other.obj["metadata"]["name"], body, "strategic", "status"))
    return tuple(found)
