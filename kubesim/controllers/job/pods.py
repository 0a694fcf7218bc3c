"""The Pods of a Job: what counts as failed, when they ended, how long to wait before the next, and what a new one looks like.

Upstream: pkg/controller/job (job_controller.go, backoff_utils.go, indexed_job_utils.go).
"""

from collections.abc import Iterable

from kubesim.api.meta import controller_reference
from kubesim.apiserver.requests import Object
from kubesim.controllers.job.indexes import INDEX
from kubesim.controllers.owned_pods import ready_condition
from kubesim.kernel.time import MINUTE, SECOND, parse_time

FINALIZER = "batch.kubernetes.io/job-tracking"
FAILURE_COUNT = "batch.kubernetes.io/job-index-failure-count"
IGNORED_COUNT = "batch.kubernetes.io/job-index-ignored-failure-count"
BACKOFF_NS, BACKOFF_NS_MAX = 10 * SECOND, 10 * MINUTE


def phase_of(pod: Object) -> str:
    """The phase, empty before there is one."""
    phase: str = (pod.get("status") or {}).get("phase", "")
    return phase


def is_tracked(pod: Object) -> bool:
    """Whether a Pod has the Job's finalizer: it is not counted yet."""
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def replaces_only_failed(job: Object) -> bool:
    """Whether a Pod is replaced when it has failed, and not already when it is being deleted."""
    return job["spec"].get("podReplacementPolicy") == "Failed"


def is_failed(pod: Object, job: Object) -> bool:
    """Whether a Pod has failed, as far as this Job is concerned."""
    phase = phase_of(pod)
    if phase == "Failed" or replaces_only_failed(job):
        return phase == "Failed"
    return bool(pod["metadata"].get("deletionTimestamp")) and phase != "Succeeded"


def is_active(pod: Object) -> bool:
    """Neither ended nor being deleted."""
    return phase_of(pod) not in ("Succeeded", "Failed") and not pod["metadata"].get("deletionTimestamp")


def is_terminating(pod: Object) -> bool:
    """Being deleted, and not ended."""
    return phase_of(pod) not in ("Succeeded", "Failed") and bool(pod["metadata"].get("deletionTimestamp"))


def finished_ns(pod: Object) -> int:
    """When a Pod ended, as well as can be told."""
    status = pod.get("status") or {}
    times = [
        parse_time(terminated["finishedAt"])
        for container in status.get("containerStatuses") or ()
        if (terminated := (container.get("state") or {}).get("terminated")) and terminated.get("finishedAt")
    ]
    if times:
        return max(times)
    condition = ready_condition(pod)
    if condition is not None and condition["status"] == "False" and condition.get("lastTransitionTime"):
        return parse_time(condition["lastTransitionTime"])
    metadata = pod["metadata"]
    if metadata.get("deletionTimestamp"):
        return parse_time(metadata["deletionTimestamp"]) - (metadata.get("deletionGracePeriodSeconds") or 0) * SECOND
    return parse_time(metadata["creationTimestamp"])


def backoff_left_ns(failures: int, last_failure_ns: int, now_ns: int) -> int:
    """How long to wait for the next Pod: 10 s after the first failure in a row, doubled by each further one, at most 10 minutes."""
    if failures <= 0:
        return 0
    wait_ns = min(BACKOFF_NS << min(failures - 1, 20), BACKOFF_NS_MAX)
    return max(last_failure_ns + wait_ns - now_ns, 0)


def failure_count(pod: Object, annotation: str = FAILURE_COUNT) -> int:
    """How often an index had failed before this Pod."""
    text = (pod["metadata"].get("annotations") or {}).get(annotation, "0")
    return int(text) if text.isdigit() else 0


def absolute_failure_count(pod: Object) -> int:
    """Failures that count and failures that do not."""
    return failure_count(pod) + failure_count(pod, IGNORED_COUNT)


def restarts_of(pod: Object) -> int:
    """Restarts of all containers of a Pod."""
    status = pod.get("status") or {}
    containers = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    return sum(container.get("restartCount", 0) for container in containers)


class Maker:
    """Makes the Pods of one Job; they share what is equal."""

    __slots__ = ("_base", "_indexed", "_job", "_spec")

    def __init__(self, job: Object) -> None:
        template = job["spec"]["template"]
        own = template.get("metadata") or {}
        self._job = job
        self._indexed = job["spec"].get("completionMode") == "Indexed"
        finalizers = own.get("finalizers") or []
        metadata: Object = {"generateName": f"{job['metadata']['name']}-", "namespace": job["metadata"]["namespace"]}
        for field in ("labels", "annotations"):
            if own.get(field):
                metadata[field] = own[field]
        metadata["ownerReferences"] = [controller_reference(job)]
        metadata["finalizers"] = finalizers if FINALIZER in finalizers else [*finalizers, FINALIZER]
        self._base = metadata
        self._spec = _with_index_variable(template["spec"]) if self._indexed else template["spec"]

    def pod(self, index: int, failures: int | None = None, ignored: int = 0) -> Object:
        """The next Pod, of an index if the Job is indexed; ``failures`` is set with a limit per index."""
        if not self._indexed:
            return {"kind": "Pod", "apiVersion": "v1", "metadata": self._base, "spec": self._spec}
        name = self._job["metadata"]["name"]
        annotations = {**(self._base.get("annotations") or {}), INDEX: str(index)}
        if failures is not None:
            annotations[FAILURE_COUNT] = str(failures)
            if ignored:
                annotations[IGNORED_COUNT] = str(ignored)
        labels = {**(self._base.get("labels") or {}), INDEX: str(index)}
        metadata = {**self._base, "generateName": f"{name}-{index}-", "labels": labels, "annotations": annotations}
        return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {**self._spec, "hostname": f"{name}-{index}"}}


def _with_index_variable(spec: Object) -> Object:
    """Every container gets JOB_COMPLETION_INDEX from the label or annotation of its Pod."""
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    changed = {**spec}
    for field in ("initContainers", "containers"):
        if spec.get(field):
            changed[field] = [_with_variable(container, source) for container in spec[field]]
    return changed


def _with_variable(container: Object, source: Object) -> Object:
    variables = container.get("env") or []
    if any(variable["name"] == "JOB_COMPLETION_INDEX" for variable in variables):
        return container
    return {**container, "env": [*variables, {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}]}


def sum_restarts(pods: Iterable[Object]) -> int:
    """Restarts of the Pods that run or wait to."""
    return sum(restarts_of(pod) for pod in pods if phase_of(pod) in ("Running", "Pending"))
