"""CronJob. Upstream: pkg/registry/batch/cronjob/strategy.go, ValidateCronJobSpec in pkg/apis/batch/validation."""

import re
from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts import cron
from kubesim.api.kinds.parts.cells import age, at, selector, size
from kubesim.api.kinds.parts.checks import choice_errors, not_negative
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.job_spec import job_spec_errors
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.pod_spec import default_template
from kubesim.api.kinds.parts.shape import change, changed_spec, empty_status, fill, get_in, keep_all_but_status, keep_status
from kubesim.api.kinds.parts.table import NONE

Object = dict[str, Any]
POLICIES = ("Allow", "Forbid", "Replace")
NAME_SIZE_MAX = 52  # a Job's name gets eleven characters more
_SPEC = {"concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}
_ZONE_WRONG = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
_ZONE = re.compile(r"[A-Za-z_+\-0-9/]+\Z")


def _default_job_template(template: Object) -> Object:
    return change(fill(template, {"metadata": {}}), "spec", lambda spec: change(spec, "template", default_template))


def _default_spec(spec: Object) -> Object:
    return change(fill(spec, _SPEC), "jobTemplate", _default_job_template)


def _default(cron_job: Object) -> Object:
    return changed_spec(cron_job, _default_spec)


def _schedule_errors(text: str) -> list[FieldError]:
    path = "spec.schedule"
    if not text:
        return [field.required(path)]
    if "TZ" in text:
        return [field.invalid(path, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")]
    try:
        cron.parse(text)
    except ValueError as error:
        return [field.invalid(path, text, str(error))]
    return []


def _zone_errors(zone: str | None) -> list[FieldError]:
    path = "spec.timeZone"
    if zone is None:
        return []
    if not zone:
        return [field.invalid(path, zone, "timeZone must be nil or non-empty string")]
    if not _ZONE.match(zone):
        return [field.invalid(path, zone, f"unknown time zone {zone}")]
    return [field.invalid(path, zone, _ZONE_WRONG)] if zone.lower() == "local" else []


def _spec_errors(spec: Object) -> list[FieldError]:
    wrong = _schedule_errors(spec.get("schedule", ""))
    wrong += not_negative(spec, "spec", ("startingDeadlineSeconds",))
    wrong += _zone_errors(spec.get("timeZone"))
    wrong += choice_errors(spec.get("concurrencyPolicy"), "spec.concurrencyPolicy", POLICIES, is_required=True)
    wrong += job_spec_errors((spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")
    return wrong + not_negative(spec, "spec", ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"))


def _validate(cron_job: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(cron_job) + _spec_errors(cron_job["spec"])
    name = cron_job["metadata"].get("name", "")
    if len(name) > NAME_SIZE_MAX:
        wrong.append(field.invalid("metadata.name", name, f"must be no more than {NAME_SIZE_MAX} characters"))
    return wrong


def _containers(cron_job: Object) -> list[Object]:
    return get_in(cron_job, "spec", "jobTemplate", "spec", "template", "spec", "containers") or []


KIND = Kind(
    update_order="mSu",
    group="batch",
    version="v1",
    kind="CronJob",
    plural="cronjobs",
    short_names=("cj",),
    categories=("all",),
    schema="io.k8s.api.batch.v1.CronJob",
    subresources=("status",),
    default=_default,
    prepare_create=empty_status,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=metadata_update_errors,
    validate_status=metadata_update_errors,
    columns=(
        NAME,
        Column("Schedule", "string", at("spec", "schedule")),
        Column("Timezone", "string", at("spec", "timeZone", missing=NONE)),
        Column("Suspend", "boolean", lambda cron_job, now_ns: "True" if get_in(cron_job, "spec", "suspend") else "False"),
        Column("Active", "integer", size("status", "active")),
        Column("Last Schedule", "string", age("status", "lastScheduleTime", missing=NONE)),
        AGE,
        Column("Containers", "string", lambda cron_job, now_ns: ",".join(item["name"] for item in _containers(cron_job)), 1),
        Column("Images", "string", lambda cron_job, now_ns: ",".join(item["image"] for item in _containers(cron_job)), 1),
        Column("Selector", "string", selector("spec", "jobTemplate", "spec", "selector"), 1),
    ),
)
