"""The Job controller: Pods until enough of them have succeeded, each counted exactly once.

A change of a Pod is taken in a second later, together with what else happens until then, as upstream does. A Pod that still has the
finalizer although its Job is gone or finished loses it ("orphan" keys). Jobs that another controller manages (``spec.managedBy``) are left
alone.

Upstream: pkg/controller/job/job_controller.go; the sync itself is in ``sync.py``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.meta import controller_of, key_of
from kubesim.api.selectors import from_object
from kubesim.apiserver.requests import Object, get, patch
from kubesim.client.owners import adopt_request, release_request
from kubesim.controllers.contract import DONE, Burst, ControllerBase, Intent, Mapper, Result, View
from kubesim.controllers.job.pods import FINALIZER, Maker, is_tracked
from kubesim.controllers.job.sync import RESOURCE, Record, Sync, is_finished
from kubesim.controllers.owned_pods import OwnedPods, state_of
from kubesim.kernel.time import SECOND

ORPHAN = "orphan "
MANAGER = "kubernetes.io/job-controller"


def is_ours(job: Object) -> bool:
    """Whether this controller manages the Job."""
    return job["spec"].get("managedBy") in (None, MANAGER)


def pod_to_jobs(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The Job of a Pod that changed its state; Jobs that may want an orphan; a Pod that nobody will count any more."""
    keys: list[str] = []
    for pod in (old, new):
        reference = controller_of(pod) if pod is not None else None
        if pod is not None and reference is not None and reference["kind"] == "Job":
            key = f"{pod['metadata']['namespace']}/{reference['name']}"
            if key not in keys and (old is None or new is None or _matters(old, new)):
                keys.append(key)
    if new is not None and is_tracked(new) and _is_forgotten(view, new):
        keys.append(f"{ORPHAN}{key_of(new)}")
    orphan = view.derived(OwnedPods).orphan
    if orphan is not None and orphan is new:
        labels = orphan["metadata"].get("labels") or {}
        for job in view.list(RESOURCE, orphan["metadata"]["namespace"]):
            if from_object(job["spec"]["selector"]).matches(labels):
                keys.append(key_of(job))
    return keys


def _matters(old: Object, new: Object) -> bool:
    """Whether a change of a Pod can change anything for its Job."""
    if state_of(old) != state_of(new) or old["metadata"].get("ownerReferences") is not new["metadata"].get("ownerReferences"):
        return True
    if is_tracked(old) != is_tracked(new) or old["metadata"].get("labels") is not new["metadata"].get("labels"):
        return True
    statuses = [pod.get("status") or {} for pod in (old, new)]
    if statuses[0].get("phase") != statuses[1].get("phase"):
        return True
    return statuses[0].get("containerStatuses") is not statuses[1].get("containerStatuses")


def _is_forgotten(view: View, pod: Object) -> bool:
    """Whether no Job will take the finalizer off a Pod."""
    reference = controller_of(pod)
    if reference is None or reference["kind"] != "Job":
        return reference is None
    job = view.get(RESOURCE, f"{pod['metadata']['namespace']}/{reference['name']}")
    return job is None or job["metadata"]["uid"] != reference["uid"] or is_finished(job)


def job_to_keys(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The Job; when it is gone or has finished, also its Pods that still have the finalizer."""
    job = new if new is not None else old
    if job is None:
        return ()
    keys = [key_of(job)]
    if new is None or (is_finished(new) and (old is None or not is_finished(old))):
        group = view.derived(OwnedPods).group(job["metadata"]["uid"])
        for key in group.states if group is not None else ():
            pod = view.get("pods", key)
            if pod is not None and is_tracked(pod):
                keys.append(f"{ORPHAN}{key}")
    return keys


class JobController(ControllerBase):
    """Reconciles Jobs by ``namespace/name``, and Pods that lost theirs by ``orphan namespace/name``."""

    name = "job-controller"
    resource = RESOURCE
    watches: Mapping[str, Mapper] = {RESOURCE: job_to_keys, "pods": pod_to_jobs}
    owner_kinds: Mapping[str, str] = {"pods": "Job"}
    derives: Sequence[Callable[[Any], Any]] = (OwnedPods,)
    delays: Mapping[str, int] = {"pods": SECOND}  # upstream's SyncJobBatchPeriod

    def __init__(self) -> None:
        self._records: dict[str, tuple[str, Record]] = {}  # Job key -> (uid, failures in a row)
        self._makers: dict[str, tuple[Object, Maker]] = {}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Sync a Job. O(its Pods)."""
        if key.startswith(ORPHAN):
            return _release_orphan(key.removeprefix(ORPHAN), view)
        job = view.get(RESOURCE, key)
        if job is None or not is_ours(job) or is_finished(job):
            self._records.pop(key, None)
            if job is None:
                self._makers.pop(key, None)
            return DONE
        claims = _claims(job, view)
        if claims:
            return Result(claims)
        uid = job["metadata"]["uid"]
        group = view.derived(OwnedPods).group(uid)
        pods = [pod for key_ in group.states if (pod := view.get("pods", key_)) is not None] if group is not None else []
        known = self._records.get(key)
        record = known[1] if known is not None and known[0] == uid else (0, 0)

        def keep(fresh: Record) -> None:
            self._records[key] = (uid, fresh)

        return Sync(job, pods, record, keep, self._maker(key, job), now_ns).result()

    def _maker(self, key: str, job: Object) -> Maker:
        known = self._makers.get(key)
        if known is None or known[0] is not job["spec"]["template"]:
            known = self._makers[key] = (job["spec"]["template"], Maker(job))
        return known[1]


def _release_orphan(key: str, view: View) -> Result:
    """Take the finalizer off a Pod that nobody will count."""
    pod = view.get("pods", key)
    if pod is None or not is_tracked(pod) or not _is_forgotten(view, pod):
        return DONE
    metadata = pod["metadata"]
    body = {"metadata": {"uid": metadata["uid"], "$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
    return Result([Burst([patch("pods", metadata["namespace"], metadata["name"], body, "strategic")], expected=("NotFound",))])


def _claims(job: Object, view: View) -> list[Intent]:
    """Adoptions (after a live look whether the Job is still there) and releases that are due."""
    metadata = job["metadata"]
    selector = from_object(job["spec"]["selector"])
    owned = view.derived(OwnedPods)
    intents: list[Intent] = []
    if metadata.get("deletionTimestamp"):
        return intents
    orphans = [
        pod for pod in owned.orphans_matching(metadata["namespace"], selector.matches) if not pod["metadata"].get("deletionTimestamp")
    ]
    if orphans:

        def adopt(live: Object) -> Sequence[Intent]:
            if live["metadata"]["uid"] != metadata["uid"] or live["metadata"].get("deletionTimestamp"):
                return ()
            return [_with_finalizer(adopt_request(job, "pods", pod)) for pod in orphans]

        intents.append(Burst([get(RESOURCE, metadata["namespace"], metadata["name"])], on_success=adopt))
    group = owned.group(metadata["uid"])
    if group is not None and any(not selector.matches(dict(labels)) for labels in group.labels_all):
        for key in group.states:
            pod = view.get("pods", key)
            if pod is not None and not selector.matches(pod["metadata"].get("labels") or {}):
                request = release_request(job, "pods", pod)
                request.obj["metadata"]["$deleteFromPrimitiveList/finalizers"] = [FINALIZER]
                intents.append(request)
    return intents


def _with_finalizer(request: Any) -> Any:
    request.obj["metadata"]["finalizers"] = [FINALIZER]
    return request


CONTROLLER = JobController
