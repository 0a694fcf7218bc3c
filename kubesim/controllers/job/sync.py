"""One sync of a Job: from its Pods to Pods to create or delete, finalizers to remove, and the status, in the order that counts each Pod
once.

The order is what makes the count exact whenever the controller stops: first the uids of ended Pods are written to
``status.uncountedTerminatedPods`` together with the counters known so far, then the finalizers of those Pods are removed, then the uids
move into the counters. Only when nothing is uncounted and no Pod is terminating does the interim condition (SuccessCriteriaMet,
FailureTarget) become the terminal one (Complete, Failed).

Upstream: pkg/controller/job/job_controller.go (syncJob, manageJob, trackJobStatusAndRemoveFinalizers, enactJobFinished).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, Request, create, delete, patch, update
from kubesim.controllers.contract import Burst, EventIntent, Intent, Result
from kubesim.controllers.deletion_order import pods_to_delete
from kubesim.controllers.job import indexes as numbers
from kubesim.controllers.job.indexes import UNKNOWN, index_of
from kubesim.controllers.job.pods import (
    FAILURE_COUNT,
    FINALIZER,
    IGNORED_COUNT,
    Maker,
    absolute_failure_count,
    backoff_left_ns,
    failure_count,
    finished_ns,
    is_active,
    is_failed,
    is_terminating,
    is_tracked,
    phase_of,
    replaces_only_failed,
    sum_restarts,
)
from kubesim.controllers.job.policies import success_message, verdict
from kubesim.controllers.owned_pods import is_ready
from kubesim.kernel.time import SECOND, format_time, parse_time

RESOURCE = "jobs.batch"
UNCOUNTED_MAX = 500
PODS_PER_SYNC_MAX = 500
STATUS_ORDER = (
    "conditions", "startTime", "completionTime", "active", "succeeded", "failed", "terminating", "completedIndexes", "failedIndexes",
    "uncountedTerminatedPods", "ready",
)  # fmt: skip
Record = tuple[int, int]  # failures in a row, when the last one ended


def find(conditions: Iterable[Object] | None, type_: str) -> Object | None:
    """The condition of this type if it is True."""
    return next((each for each in conditions or () if each["type"] == type_ and each["status"] == "True"), None)


def is_finished(job: Object) -> bool:
    """Whether a Job is Complete or Failed."""
    conditions = (job.get("status") or {}).get("conditions")
    return find(conditions, "Complete") is not None or find(conditions, "Failed") is not None


class Sync:
    """The sync of one Job; ``record`` is what is known of its failures in a row, ``keep(record)`` stores the new one."""

    def __init__(
        self, job: Object, pods: Sequence[Object], record: Record, keep: Callable[[Record], None], maker: Maker, now_ns: int
    ) -> None:
        self.job = job
        self.spec: Object = job["spec"]
        self.pods = pods
        self.record = record
        self.keep = keep
        self.maker = maker
        self.now_ns = now_ns
        self.now = format_time(now_ns)
        self.namespace: str = job["metadata"]["namespace"]
        self.status: Object = {**(job.get("status") or {})}
        self.indexed = self.spec.get("completionMode") == "Indexed"
        self.completions: int | None = self.spec.get("completions")
        self.per_index = self.spec.get("backoffLimitPerIndex") is not None
        self.suspended = bool(self.spec.get("suspend"))
        uncounted = self.status.get("uncountedTerminatedPods") or {}
        self.uncounted = {field: list(uncounted.get(field) or ()) for field in ("succeeded", "failed")}
        self.active = [pod for pod in pods if is_active(pod)]
        self.active_count = len(self.active)
        self.ready = sum(1 for pod in self.active if is_ready(pod))
        self.terminating = sum(1 for pod in pods if is_terminating(pod))
        self.requeue_ns: int | None = None
        self.condition: Object | None = None  # how the Job ends
        self.flush = False
        self.before: list[Intent] = []  # Pods to create or delete, events
        self.succeeded_before: set[int] = set()
        self.succeeded_indexes: set[int] = set()
        self.failed_indexes: set[int] = set()
        self.delayed: dict[int, Object] = {}  # index -> its last failed Pod, kept until it is replaced
        self.error: ApiError | None = None

    # -- the sync --

    def result(self) -> Result:
        """All intents of this sync."""
        if "startTime" not in self.status and not self.suspended:
            self.status["startTime"] = self.now
        new_succeeded = self.unseen("succeeded", lambda pod: phase_of(pod) == "Succeeded")
        new_failed = self.unseen("failed", lambda pod: is_failed(pod, self.job))
        succeeded = self.status.get("succeeded", 0) + len(new_succeeded) + len(self.uncounted["succeeded"])
        failed = self.status.get("failed", 0) + self.counting(new_failed) + len(self.uncounted["failed"])
        self.note_failures(new_succeeded, new_failed)
        self.decide_failure(failed)
        if self.indexed:
            self.number()
            succeeded = len(self.succeeded_indexes)
        was = {field: self.status.get(field) for field in ("active", "ready", "terminating")}
        if self.condition is not None:
            self.remove_active()
        else:
            self.manage(succeeded)
        counts = {"active": self.active_count, "ready": self.ready, "terminating": self.terminating}
        self.flush = self.flush or any(
            counts[field] != (was[field] if was[field] is not None else -1) for field in ("ready", "terminating")
        )
        self.flush = self.flush or self.active_count != (was["active"] or 0)
        self.status |= counts
        return Result([*self.before, *self.tracked()], self.requeue_ns)

    def unseen(self, field: str, fits: Callable[[Object], bool]) -> list[Object]:
        """Ended Pods that are in no count yet."""
        counted = self.uncounted[field]
        return [pod for pod in self.pods if is_tracked(pod) and pod["metadata"]["uid"] not in counted and self.has_index(pod) and fits(pod)]

    def has_index(self, pod: Object) -> bool:
        """Whether a Pod belongs to an index of the Job, or needs none."""
        return not self.indexed or (index_of(pod) != UNKNOWN and index_of(pod) < (self.completions or 0))

    def counting(self, failed: Sequence[Object]) -> int:
        """How many failures count under the failure policy."""
        policy = self.spec.get("podFailurePolicy")
        return sum(1 for pod in failed if verdict(policy, pod).counts) if policy else len(failed)

    def note_failures(self, succeeded: Sequence[Object], failed: Sequence[Object]) -> None:
        """Count the failures since the last success."""
        count, last_ns = self.record
        times = sorted(finished_ns(pod) for pod in failed)
        if succeeded:
            success_ns = max(finished_ns(pod) for pod in succeeded)
            times = [time_ns for time_ns in times if time_ns >= success_ns]
            count, last_ns = 0, 0
        if times:
            count, last_ns = count + len(times), times[-1]
        self.record = (count, last_ns)

    def decide_failure(self, failed: int) -> None:
        """Find out whether the Job has failed, or had succeeded already."""
        conditions = self.status.get("conditions")
        met, target = find(conditions, "SuccessCriteriaMet"), find(conditions, "FailureTarget")
        if met is not None:
            self.condition = met
            return
        if target is not None:
            self.condition = target
            return
        policy = self.spec.get("podFailurePolicy")
        if policy:
            for pod in self.pods:
                message = verdict(policy, pod).message if is_failed(pod, self.job) else ""
                if message:
                    self.condition = self.new_condition("FailureTarget", "PodFailurePolicy", message)
                    return
        limit = self.spec.get("backoffLimit", 6)
        deadline_seconds = self.spec.get("activeDeadlineSeconds")
        if failed > limit or self.past_limit_of_restarts(limit):
            self.condition = self.new_condition("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif deadline_seconds is not None and not self.suspended and self.status.get("startTime"):
            left_ns = parse_time(self.status["startTime"]) + deadline_seconds * SECOND - self.now_ns
            if left_ns <= 0:
                self.condition = self.new_condition("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
            else:
                self.again(left_ns)

    def past_limit_of_restarts(self, limit: int) -> bool:
        """Whether containers that restart in place have used the limit up."""
        if self.spec["template"]["spec"].get("restartPolicy") != "OnFailure":
            return False
        restarts = sum_restarts(self.pods)
        return restarts > 0 if limit == 0 else restarts >= limit

    def number(self) -> None:
        """Work out succeeded and failed indexes, and what follows from them."""
        completions = self.completions or 0
        self.succeeded_before = numbers.parse(self.status.get("completedIndexes", ""), completions)
        tracked = [pod for pod in self.pods if is_tracked(pod) and self.has_index(pod)]
        fresh = {index_of(pod) for pod in tracked if phase_of(pod) == "Succeeded"}
        self.succeeded_indexes = self.succeeded_before | fresh
        if self.per_index:
            failed_before = numbers.parse(self.status.get("failedIndexes") or "", completions)
            self.failed_indexes = failed_before | {index_of(pod) for pod in tracked if self.is_index_failed(pod)}
            failed = len(self.failed_indexes)
            if self.condition is None:
                limit = self.spec.get("maxFailedIndexes")
                if limit is not None and failed > limit:
                    text = "Job has exceeded the specified maximal number of failed indexes"
                    self.condition = self.new_condition("FailureTarget", "MaxFailedIndexesExceeded", text)
                elif failed and failed + len(self.succeeded_indexes) >= completions:
                    self.condition = self.new_condition("FailureTarget", "FailedIndexes", "Job has failed indexes")
            self.delayed = self.kept_for_replacement(tracked)
        if self.condition is None:
            message = success_message(self.spec.get("successPolicy"), completions, self.succeeded_indexes)
            if message:
                self.condition = self.new_condition("SuccessCriteriaMet", "SuccessPolicy", message)

    def is_index_failed(self, pod: Object) -> bool:
        """Whether a failed Pod was the last one that its index may have."""
        if not is_failed(pod, self.job):
            return False
        found = verdict(self.spec.get("podFailurePolicy"), pod)
        return found.action == "FailIndex" or (found.counts and failure_count(pod) >= self.spec["backoffLimitPerIndex"])

    def kept_for_replacement(self, tracked: Sequence[Object]) -> dict[int, Object]:
        """The last failed Pod of every index that gets another one: it tells the next one how often the index has failed."""
        active = {index_of(pod) for pod in self.active}
        kept: dict[int, Object] = {}
        for pod in tracked:
            index = index_of(pod)
            if index in active or index in self.succeeded_indexes or index in self.failed_indexes or not is_failed(pod, self.job):
                continue
            known = kept.get(index)
            if known is None or (absolute_failure_count(known), finished_ns(known)) <= (absolute_failure_count(pod), finished_ns(pod)):
                kept[index] = pod
        return kept

    def remove_active(self) -> None:
        """The Job ends: its active Pods are deleted."""
        self.delete_pods(self.active, released=False)

    def manage(self, succeeded: int) -> None:
        """Create or delete Pods, and see whether the Job is complete or (un)suspended."""
        managed = not self.job["metadata"].get("deletionTimestamp")
        active = self.active_count
        if managed:
            self.scale(succeeded)
            active = self.active_count
        complete = succeeded > 0 and active == 0 if self.completions is None else succeeded >= self.completions and active == 0
        if complete:
            self.condition = self.new_condition("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")
        elif managed:
            self.suspend_or_resume()

    def suspend_or_resume(self) -> None:
        """Say so when the Job has been suspended or resumed."""
        known = next((each for each in self.status.get("conditions") or () if each["type"] == "Suspended"), None)
        if self.suspended and (known is None or known["status"] != "True"):
            self.set_condition(self.new_condition("Suspended", "JobSuspended", "Job suspended"))
            self.status.pop("startTime", None)
            self.before.append(EventIntent(self.job, "Normal", "Suspended", "Job suspended"))
            self.flush = True
        elif not self.suspended and known is not None and known["status"] == "True":
            self.set_condition({**self.new_condition("Suspended", "JobResumed", "Job resumed"), "status": "False"})
            self.status["startTime"] = self.now
            self.before.append(EventIntent(self.job, "Normal", "Resumed", "Job resumed"))
            self.flush = True

    def scale(self, succeeded: int) -> None:
        """Bring the number of active Pods to what is wanted: either delete or create in one sync, deletion first."""
        if self.suspended:
            self.delete_pods(self.active, released=True)
            return
        parallelism = self.spec.get("parallelism", 1)
        if self.completions is None:
            wanted = self.active_count if succeeded else parallelism
        else:
            wanted = max(min(self.completions - succeeded, parallelism), 0)
        surplus = self.surplus(max(self.active_count - wanted, 0))
        if surplus:
            self.delete_pods(surplus[:PODS_PER_SYNC_MAX], released=True)
            return
        missing = wanted - self.active_count - (self.terminating if replaces_only_failed(self.job) else 0)
        if missing > 0:
            self.create_pods(min(missing, PODS_PER_SYNC_MAX))

    def surplus(self, at_least: int) -> list[Object]:
        """Pods of an index that another Pod has too or that the Job does not have, then those that are missed least."""
        doomed: list[Object] = []
        left = self.active
        if self.indexed:
            groups: dict[int, list[Object]] = {}
            for pod in self.active:
                groups.setdefault(index_of(pod), []).append(pod)
            left = []
            for index, pods in groups.items():
                if not 0 <= index < (self.completions or 0):
                    doomed += pods
                    continue
                more = pods_to_delete(pods, len(pods) - 1, {}, self.now_ns) if len(pods) > 1 else []
                doomed += more
                left += [pod for pod in pods if not any(pod is other for other in more)]
        if len(doomed) < at_least:
            doomed += pods_to_delete(left, at_least - len(doomed), {}, self.now_ns)
        return doomed

    def create_pods(self, count: int) -> None:
        """Create Pods, after the back-off of the Job or of each index."""
        chosen: Sequence[int] = [UNKNOWN] * count
        if not self.per_index:
            wait_ns = backoff_left_ns(*self.record, self.now_ns)
            if wait_ns:
                self.again(wait_ns)
                return
        if self.indexed:
            taken = self.succeeded_indexes | {index_of(pod) for pod in self.active} | self.failed_indexes
            if replaces_only_failed(self.job):
                taken |= {index_of(pod) for pod in self.pods if is_terminating(pod)}
            chosen = self.due(numbers.first_missing(taken, count, self.completions or 0))
        requests = [create("pods", self.namespace, self.pod_of(index)) for index in chosen]
        if not requests:
            return
        self.active_count += len(requests)

        def created(outcome: Object) -> Sequence[Intent]:
            return [EventIntent(self.job, "Normal", "SuccessfulCreate", f"Created pod: {outcome['metadata']['name']}")]

        self.before.append(Burst(requests, created, self.said_failure("FailedCreate", "Error creating"), self.after))

    def due(self, chosen: Sequence[int]) -> list[int]:
        """With a limit per index, the indexes whose back-off is over; if there are none, wait for the first."""
        if not self.per_index:
            return list(chosen)
        waits = {index: self.wait_of(index) for index in chosen}
        now = [index for index in chosen if not waits[index]]
        if not now and waits:
            self.again(min(waits.values()))
        return now

    def wait_of(self, index: int) -> int:
        """The back-off that is left of an index."""
        last = self.delayed.get(index)
        return 0 if last is None else backoff_left_ns(absolute_failure_count(last) + 1, finished_ns(last), self.now_ns)

    def pod_of(self, index: int) -> Object:
        """A Pod, knowing how often its index has failed."""
        if not self.per_index:
            return self.maker.pod(index)
        last = self.delayed.get(index)
        if last is None:
            return self.maker.pod(index, 0)
        failures, ignored = failure_count(last, FAILURE_COUNT), failure_count(last, IGNORED_COUNT)
        if verdict(self.spec.get("podFailurePolicy"), last).action == "Ignore":
            return self.maker.pod(index, failures, ignored + 1)
        return self.maker.pod(index, failures + 1, ignored)

    def delete_pods(self, pods: Sequence[Object], released: bool) -> None:
        """Delete Pods; ``released``: take the finalizer off first, so that they are not counted as failed."""
        if not pods:
            return
        deletes = [delete("pods", self.namespace, pod["metadata"]["name"]) for pod in pods]
        self.active_count -= len(pods)
        self.terminating += len(pods)
        self.ready -= sum(1 for pod in pods if is_ready(pod))

        def deleted(outcome: Object) -> Sequence[Intent]:
            name = outcome["metadata"].get("name") or outcome.get("details", {}).get("name", "")
            return [EventIntent(self.job, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")]

        if released:
            self.before.append(Burst([self.release(pod) for pod in pods if is_tracked(pod)], expected=("NotFound",)))
        self.before.append(Burst(deletes, deleted, self.said_failure("FailedDelete", "Error deleting"), self.after))

    def release(self, pod: Object) -> Request:
        """Take the finalizer off a Pod."""
        metadata = pod["metadata"]
        body = {"metadata": {"uid": metadata["uid"], "$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
        return patch("pods", metadata["namespace"], metadata["name"], body, "strategic")

    def said_failure(self, reason: str, what: str) -> Callable[[ApiError], Sequence[Intent]]:
        """The event about a failure."""
        return lambda error: [EventIntent(self.job, "Warning", reason, f"{what}: {error.message}")]

    def after(self, error: ApiError | None) -> Sequence[Intent]:
        """When creating or deleting has failed, nothing of what this sync counted on is written; the key is tried again."""
        return ()

    # -- counting --

    def tracked(self) -> list[Intent]:
        """Write what is uncounted, take the finalizers off, move the uids into the counters, end the Job if it is over."""
        uids = {pod["metadata"]["uid"] for pod in self.pods if is_tracked(pod)}
        self.move_counted(self.status, uids)
        removals, reached_limit = self.collect()
        final = self.interim_conditions()
        self.write_indexes()
        job = self.job
        status = self.ordered(self.status)
        if self.record != (0, 0) or self.flush:
            self.keep(self.record)
        if not self.flush and not removals and final is None:
            return []

        def finish(fresh: Object, error: ApiError | None) -> Sequence[Intent]:
            return self.finished(fresh, uids, removals, final if not reached_limit else None, error)

        def flushed(fresh: Object) -> Sequence[Intent]:
            if not removals:
                return finish(fresh, None)
            requests = [self.release(pod) for pod in removals]
            return [Burst(requests, after=lambda error: finish(fresh, error), expected=("NotFound",))]

        if self.flush and status != (job.get("status") or {}):
            return [Burst([update(RESOURCE, {**job, "status": status}, "status")], on_success=flushed)]
        return list(flushed({**job, "status": status}))

    def move_counted(self, status: Object, uids_with_finalizer: set[str]) -> None:
        """Uids whose Pod has lost its finalizer (or is gone) go into the counters."""
        for field in ("succeeded", "failed"):
            left = [uid for uid in self.uncounted[field] if uid in uids_with_finalizer]
            gone = len(self.uncounted[field]) - len(left)
            if gone:
                status[field] = status.get(field, 0) + gone
                self.uncounted[field] = left
                self.flush = True
        status["uncountedTerminatedPods"] = {field: list(found) for field, found in self.uncounted.items() if found}

    def collect(self) -> tuple[list[Object], bool]:
        """Note the ended Pods as uncounted, and choose those that lose their finalizer."""
        removals: list[Object] = []
        newly_succeeded: set[int] = set()
        policy = self.spec.get("podFailurePolicy")
        failing = self.condition is not None and self.condition["type"] == "FailureTarget"
        pods = sorted(self.pods, key=index_of) if self.indexed else self.pods
        for pod in pods:
            if not is_tracked(pod):
                continue
            uid, failed = pod["metadata"]["uid"], is_failed(pod, self.job)
            if not self.may_release(pod, failed):
                continue
            removals.append(pod)
            if phase_of(pod) == "Succeeded" and uid not in self.uncounted["failed"]:
                if self.indexed:
                    index = index_of(pod)
                    if self.has_index(pod) and index not in self.succeeded_before:
                        newly_succeeded.add(index)
                        self.flush = True
                elif uid not in self.uncounted["succeeded"]:
                    self.uncounted["succeeded"].append(uid)
                    self.flush = True
            elif (failed or failing) and uid not in self.uncounted["failed"] and self.has_index(pod) and verdict(policy, pod).counts:
                self.uncounted["failed"].append(uid)
                self.flush = True
            if len(newly_succeeded) + len(self.uncounted["succeeded"]) + len(self.uncounted["failed"]) >= UNCOUNTED_MAX:
                return removals, True
        self.status["uncountedTerminatedPods"] = {field: list(found) for field, found in self.uncounted.items() if found}
        return removals, False

    def may_release(self, pod: Object, failed: bool) -> bool:
        """Whether a Pod is over, as far as the Job is concerned."""
        if self.job["metadata"].get("deletionTimestamp") or self.condition is not None or phase_of(pod) == "Succeeded":
            return True
        return failed and self.delayed.get(index_of(pod)) is not pod

    def interim_conditions(self) -> Object | None:
        """Add the interim condition; the terminal one that follows it, None if the Job goes on."""
        condition = self.condition
        if condition is None:
            return None
        if find(self.status.get("conditions"), condition["type"]) is None:
            self.set_condition(condition)
            self.flush = True
        final = "Failed" if condition["type"] == "FailureTarget" else "Complete"
        return self.new_condition(final, condition["reason"], condition["message"])

    def write_indexes(self) -> None:
        """Write what is known of the indexes of an indexed Job."""
        if not self.indexed:
            return
        text = numbers.format_indexes(self.succeeded_indexes)
        if text != self.status.get("completedIndexes", ""):
            self.status["completedIndexes"] = text
            self.flush = True
        self.status["succeeded"] = len(self.succeeded_indexes)
        if self.per_index:
            failed = numbers.format_indexes(self.failed_indexes)
            if failed != self.status.get("failedIndexes"):
                self.status["failedIndexes"] = failed
                self.flush = True

    def finished(
        self, fresh: Object, uids: set[str], removed: Sequence[Object], final: Object | None, error: ApiError | None
    ) -> Sequence[Intent]:
        """After the finalizers: count, and end the Job when nothing is left to wait for."""
        status: Object = {**(fresh.get("status") or {})}
        if error is None:
            self.move_counted(status, uids - {pod["metadata"]["uid"] for pod in removed})
        events: list[Intent] = []
        left = status.get("uncountedTerminatedPods") or {}
        if final is not None and error is None and not left and not status.get("terminating"):
            status["conditions"] = [*(status.get("conditions") or ()), final]
            if final["type"] == "Complete":
                status["completionTime"] = final["lastTransitionTime"]
                events.append(EventIntent(self.job, "Normal", "Completed", "Job completed"))
            else:
                events.append(EventIntent(self.job, "Warning", final["reason"], final["message"]))
        status = self.ordered(status)
        if status == fresh.get("status"):
            return events
        return [update(RESOURCE, {**fresh, "status": status}, "status"), *events]

    # -- helpers --

    def again(self, delay_ns: int) -> None:
        """Look at the Job again after a time."""
        self.requeue_ns = delay_ns if self.requeue_ns is None else min(self.requeue_ns, delay_ns)

    def new_condition(self, type_: str, reason: str, message: str) -> Object:
        """A condition that is True, fields in upstream's order."""
        times = {"lastProbeTime": self.now, "lastTransitionTime": self.now}
        return {"type": type_, "status": "True", **times, "reason": reason, "message": message}

    def set_condition(self, condition: Object) -> None:
        """Put a condition in the place of the one of its type."""
        conditions = list(self.status.get("conditions") or ())
        for place, known in enumerate(conditions):
            if known["type"] == condition["type"]:
                conditions[place] = condition
                break
        else:
            conditions.append(condition)
        self.status["conditions"] = conditions

    @staticmethod
    def ordered(status: Object) -> Object:
        """The fields in upstream's order, zeros left out where upstream leaves them out."""
        omitted: tuple[Any, ...] = ("active", "succeeded", "failed", "completedIndexes", "conditions", "startTime", "completionTime")
        return {field: status[field] for field in STATUS_ORDER if status.get(field) is not None and (status[field] or field not in omitted)}
