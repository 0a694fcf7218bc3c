"""The CronJob controller: a Job at every time of a schedule, named after its minute, so that no time is run twice.

A reconcile goes through what upstream does in one sync: take finished Jobs off the active list, find the last time that is due, honour
deadline and concurrency policy, create the Job, trim the history, write the status; then it waits for the next time, a tenth of a
second late, as upstream does.

Upstream: pkg/controller/cronjob (cronjob_controllerv2.go, utils.go).
"""

from collections.abc import Iterable, Mapping, Sequence

from kubesim.api.errors import ApiError
from kubesim.api.kinds.parts.cron import Schedule, parse
from kubesim.api.meta import controller_of, controller_reference
from kubesim.apiserver.requests import Object, Request, create, delete, get, update
from kubesim.client.informer import IndexFunction
from kubesim.controllers.contract import DONE, Burst, ControllerBase, EventIntent, Intent, Mapper, Result, View, own_key
from kubesim.controllers.cronjob.schedule import MISSED_MANY, Due, most_recent, next_time
from kubesim.controllers.cronjob.zones import Zone, rfc1123, rfc3339, zone
from kubesim.controllers.replicaset import by_controller
from kubesim.kernel.time import MILLISECOND, SECOND, format_time, parse_time

RESOURCE, JOBS = "cronjobs.batch", "jobs.batch"
LATE_NS = 100 * MILLISECOND  # upstream's nextScheduleDelta
SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"


def job_to_cronjobs(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The CronJob that controls a Job."""
    job = new if new is not None else old
    reference = controller_of(job) if job is not None else None
    if job is None or reference is None or reference["kind"] != "CronJob":
        return ()
    return (f"{job['metadata']['namespace']}/{reference['name']}",)


def finished_type(job: Object) -> str:
    """Complete, Failed, or empty while a Job is not finished."""
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            name: str = condition["type"]
            return name
    return ""


class CronJobController(ControllerBase):
    """Reconciles CronJobs by ``namespace/name``."""

    name = "cronjob-controller"
    resource = RESOURCE
    watches: Mapping[str, Mapper] = {RESOURCE: own_key, JOBS: job_to_cronjobs}
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {JOBS: {"controller": by_controller}}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Sync a CronJob. O(its Jobs)."""
        cronjob = view.get(RESOURCE, key)
        if cronjob is None:
            return DONE
        jobs = list(view.indexed(JOBS, "controller", cronjob["metadata"]["uid"]).values())
        return _Sync(cronjob, jobs, now_ns).result()


class _Sync:
    """One sync."""

    def __init__(self, cronjob: Object, jobs: Sequence[Object], now_ns: int) -> None:
        self.cronjob = cronjob
        self.spec: Object = cronjob["spec"]
        self.jobs = jobs
        self.now_ns = now_ns
        self.now = now_ns // SECOND
        self.status: Object = {**(cronjob.get("status") or {})}
        self.active: list[Object] = list(self.status.get("active") or ())
        self.intents: list[Intent] = []
        self.wait_ns: int | None = None

    def result(self) -> Result:
        """All intents, the status last."""
        missing = self.settle()
        if missing:
            return Result(missing)
        start = None if self.cronjob["metadata"].get("deletionTimestamp") else self.plan()
        self.trim()
        if start is None:
            return Result([*self.intents, *self.written()], self.wait_ns)
        return Result([*self.intents, *start], self.wait_ns)

    def said(self, type_: str, reason: str, message: str) -> None:
        """Record an event about the CronJob."""
        self.intents.append(EventIntent(self.cronjob, type_, reason, message))

    def written(self) -> list[Intent]:
        """The status if it differs, fields in upstream's order."""
        fields = {"active": self.active, **{name: self.status.get(name) for name in ("lastScheduleTime", "lastSuccessfulTime")}}
        status = {name: value for name, value in fields.items() if value}
        return [] if status == (self.cronjob.get("status") or {}) else [update(RESOURCE, {**self.cronjob, "status": status}, "status")]

    # -- what has happened --

    def settle(self) -> list[Intent]:
        """Take finished Jobs off the active list; look for those that are on it and not in the cache, live."""
        children = set()
        for job in self.jobs:
            uid, kind = job["metadata"]["uid"], finished_type(job)
            children.add(uid)
            found = any(reference["uid"] == uid for reference in self.active)
            if not found and not kind:
                self.said("Warning", "UnexpectedJob", f"Saw a job that the controller did not create or forgot: {job['metadata']['name']}")
            elif found and kind:
                self.active = [reference for reference in self.active if reference["uid"] != uid]
                self.said("Normal", "SawCompletedJob", f"Saw completed job: {job['metadata']['name']}, condition: {kind}")
            completed = (job.get("status") or {}).get("completionTime")
            if kind == "Complete" and completed and completed > self.status.get("lastSuccessfulTime", ""):
                self.status["lastSuccessfulTime"] = completed
        lost = [reference for reference in self.active if reference["uid"] not in children]
        return [self.look_for(reference) for reference in lost]

    def look_for(self, reference: Object) -> Intent:
        """Ask for an active Job that the cache does not show; one that is gone leaves the list."""

        def failed(error: ApiError) -> Sequence[Intent]:
            if error.reason != "NotFound":
                return ()
            left = [other for other in self.active if other["uid"] != reference["uid"]]
            status = {**self.status, "active": left} if left else {k: v for k, v in self.status.items() if k != "active"}
            event = EventIntent(self.cronjob, "Normal", "MissingJob", f"Active job went missing: {reference['name']}")
            return [event, update(RESOURCE, {**self.cronjob, "status": status}, "status")]

        return Burst([get(JOBS, reference["namespace"], reference["name"])], on_failure=failed, expected=("NotFound",))

    # -- what is due --

    def plan(self) -> list[Intent] | None:
        """The start of the Job that is due, None if there is nothing to start; also finds out when to look again."""
        name = self.spec.get("timeZone") or ""
        try:
            where = zone(name)
        except ValueError as error:
            self.said("Warning", "UnknownTimeZone", f'invalid timeZone: "{name}": {error}')
            return None
        if self.spec.get("suspend"):
            return None
        try:
            schedule = parse(self.spec["schedule"])
        except ValueError as error:
            self.said("Warning", "UnparseableSchedule", f'unparseable schedule: "{self.spec["schedule"]}" : {error}')
            return None
        try:
            due = most_recent(schedule, self.earliest(with_deadline=True), self.now, where)
        except ValueError as error:
            self.said("Warning", "InvalidSchedule", f"invalid schedule: {self.spec['schedule']} : {error}")
            return None
        if due.missed > MISSED_MANY:
            text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self.said("Warning", "TooManyMissedTimes", text)
        self.wait_for_next(schedule, where)
        return None if due.time is None else self.start(due, where)

    def earliest(self, with_deadline: bool) -> int:
        """From when on times may be due."""
        text = self.status.get("lastScheduleTime") or self.cronjob["metadata"]["creationTimestamp"]
        earliest = parse_time(text) // SECOND
        deadline = self.spec.get("startingDeadlineSeconds")
        return max(earliest, self.now - deadline) if with_deadline and deadline is not None else earliest

    def wait_for_next(self, schedule: Schedule, where: Zone) -> None:
        """Look again at the next time of the schedule."""
        due = most_recent(schedule, self.earliest(with_deadline=False), self.now, where)
        recent = due.time if due.time is not None else (self.now if due.missed else due.earliest)
        time = next_time(schedule, recent, where)
        if time is not None:
            self.wait_ns = max(time * SECOND + LATE_NS - self.now_ns, 0) or 1

    def start(self, due: Due, where: Zone) -> list[Intent] | None:
        """Create the Job of a time, if deadline, history and concurrency policy allow it."""
        assert due.time is not None
        deadline = self.spec.get("startingDeadlineSeconds")
        if deadline is not None and due.time + deadline < self.now:
            self.said("Warning", "MissSchedule", f"Missed scheduled time to start a job: {rfc1123(due.time)}")
            return None
        job = self.new_job(due.time, where)
        name, scheduled = job["metadata"]["name"], format_time(due.time * SECOND)
        if any(reference["name"] == name for reference in self.active) or self.status.get("lastScheduleTime") == scheduled:
            return None
        policy = self.spec.get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and self.active:
            text = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self.said("Normal", "JobAlreadyActive", text)
            return None
        if policy == "Replace" and self.active:
            self.delete_jobs([(reference["namespace"], reference["name"]) for reference in self.active])
            self.active = []
        return [self.creation(job, scheduled)]

    def creation(self, job: Object, scheduled: str) -> Intent:
        """Create the Job; then it is on the active list, also if an earlier try had created it."""
        namespace = job["metadata"]["namespace"]

        def begun(stored: Object) -> Sequence[Intent]:
            metadata = stored["metadata"]
            reference = {"kind": "Job", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}
            self.active.append({**reference, "apiVersion": "batch/v1", "resourceVersion": metadata["resourceVersion"]})
            self.status["lastScheduleTime"] = scheduled
            return self.written()

        def created(stored: Object) -> Sequence[Intent]:
            return [EventIntent(self.cronjob, "Normal", "SuccessfulCreate", f"Created job {stored['metadata']['name']}"), *begun(stored)]

        def known(stored: Object) -> Sequence[Intent]:
            owner = controller_of(stored)
            if owner is None or owner["uid"] != self.cronjob["metadata"]["uid"] or finished_type(stored):
                return ()
            return begun(stored)

        def failed(error: ApiError) -> Sequence[Intent]:
            if error.reason == "AlreadyExists":
                return [Burst([get(JOBS, namespace, job["metadata"]["name"])], on_success=known, expected=("NotFound",))]
            return [EventIntent(self.cronjob, "Warning", "FailedCreate", f"Error creating job: {error.message}")]

        return Burst([create(JOBS, namespace, job)], created, failed, expected=("AlreadyExists",))

    def new_job(self, time: int, where: Zone) -> Object:
        """The Job of a time."""
        template, metadata = self.spec["jobTemplate"], self.cronjob["metadata"]
        own = template.get("metadata") or {}
        fresh: Object = {"name": f"{metadata['name']}-{time // 60}", "namespace": metadata["namespace"]}
        if own.get("labels"):
            fresh["labels"] = own["labels"]
        fresh["annotations"] = {**(own.get("annotations") or {}), SCHEDULED_AT: rfc3339(time, where)}
        fresh["ownerReferences"] = [controller_reference(self.cronjob)]
        return {"kind": "Job", "apiVersion": "batch/v1", "metadata": fresh, "spec": template["spec"]}

    # -- history --

    def trim(self) -> None:
        """Delete the oldest finished Jobs beyond the limits."""
        for kind, field in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            limit = self.spec.get(field)
            if limit is None:
                continue
            finished = [job for job in self.jobs if finished_type(job) == kind]
            finished.sort(key=lambda job: ((job.get("status") or {}).get("startTime", ""), job["metadata"]["name"]))
            doomed = finished[: max(len(finished) - limit, 0)]
            self.delete_jobs([(job["metadata"]["namespace"], job["metadata"]["name"]) for job in doomed])
            gone = {job["metadata"]["uid"] for job in doomed}
            self.active = [reference for reference in self.active if reference["uid"] not in gone]

    def delete_jobs(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Delete Jobs and their Pods."""
        requests: list[Request] = [delete(JOBS, namespace, name, propagationPolicy="Background") for namespace, name in jobs]
        names = iter([name for _, name in jobs])

        def deleted(_: Object) -> Sequence[Intent]:
            return [EventIntent(self.cronjob, "Normal", "SuccessfulDelete", f"Deleted job {next(names)}")]

        def failed(error: ApiError) -> Sequence[Intent]:
            if error.reason == "NotFound":
                next(names)
                return ()
            return [EventIntent(self.cronjob, "Warning", "FailedDelete", f"Deleted job: {error.message}")]

        if requests:
            self.intents.append(Burst(requests, deleted, failed, expected=("NotFound",)))


CONTROLLER = CronJobController
