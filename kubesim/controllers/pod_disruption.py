"""How a controller of the control plane ends a Pod: a condition DisruptionTarget that says who and why, then the delete.

Upstream: pkg/controller/podgc, pkg/controller/tainteviction, pkg/util/pod (PatchPodStatus).
"""

from typing import Any

from kubesim.apiserver.requests import Object, Request, delete, patch
from kubesim.controllers.owned_pods import ENDED
from kubesim.kernel.time import format_time


def disruption_requests(pod: Object, reason: str, message: str, now_ns: int, *, fail: bool = False, **options: Any) -> list[Request]:
    """The status patch (also phase Failed, with ``fail``) if it is not there yet, and the delete with its options."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    namespace, name = metadata["namespace"], metadata["name"]
    body: Object = {}
    known = next((found for found in status.get("conditions") or () if found["type"] == "DisruptionTarget"), None)
    if status.get("phase") not in ENDED and (known is None or known["status"] != "True"):
        condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
        if metadata.get("generation"):
            condition["observedGeneration"] = metadata["generation"]
        body["conditions"] = [{**condition, "lastTransitionTime": format_time(now_ns)}]
    if fail and status.get("phase") not in ENDED:
        body["phase"] = "Failed"
    requests = [delete("pods", namespace, name, **options)]
    if body:
        body = {"metadata": {"uid": metadata["uid"]}, "status": body}
        requests.insert(0, patch("pods", namespace, name, body, "strategic", "status"))
    return requests
