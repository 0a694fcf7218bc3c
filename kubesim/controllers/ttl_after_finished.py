"""The TTL controller: a finished Job with ``ttlSecondsAfterFinished`` is deleted, its Pods with it, when that time is over.

Upstream: pkg/controller/ttlafterfinished/ttlafterfinished_controller.go. The Job is looked at once more, live, before it is deleted.
"""

from collections.abc import Mapping, Sequence

from kubesim.apiserver.requests import Object, delete, get
from kubesim.controllers.contract import DONE, Again, Burst, ControllerBase, Intent, Mapper, Result, View, own_key
from kubesim.kernel.time import SECOND, parse_time

RESOURCE = "jobs.batch"


def left_ns(job: Object, now_ns: int) -> int | None:
    """The ns until a Job is to be deleted; None if it is not."""
    seconds = job["spec"].get("ttlSecondsAfterFinished")
    if seconds is None or job["metadata"].get("deletionTimestamp"):
        return None
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return max(parse_time(condition["lastTransitionTime"]) + seconds * SECOND - now_ns, 0)
    return None


class TtlAfterFinishedController(ControllerBase):
    """Reconciles Jobs by ``namespace/name``."""

    name = "ttl-after-finished-controller"
    resource = RESOURCE
    watches: Mapping[str, Mapper] = {RESOURCE: own_key}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Delete the Job if its time is over, else wait."""
        job = view.get(RESOURCE, key)
        wait_ns = left_ns(job, now_ns) if job is not None else None
        if job is None or wait_ns is None:
            return DONE
        if wait_ns:
            return Result((), wait_ns)
        namespace, name, uid = job["metadata"]["namespace"], job["metadata"]["name"], job["metadata"]["uid"]

        def expired(live: Object) -> Sequence[Intent]:
            if live["metadata"]["uid"] != uid:
                return ()
            wait_ns = left_ns(live, now_ns)
            if wait_ns:
                return [Again(wait_ns)]
            preconditions = {"uid": uid}
            return [delete(RESOURCE, namespace, name, propagationPolicy="Foreground", preconditions=preconditions)] if wait_ns == 0 else ()

        return Result([Burst([get(RESOURCE, namespace, name)], on_success=expired, expected=("NotFound",))])


CONTROLLER = TtlAfterFinishedController
