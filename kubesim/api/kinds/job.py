"""Job: the server makes its selector and labels from its uid. Upstream: pkg/registry/batch/job/strategy.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.conditions import is_true
from kubesim.api.errors import FieldError
from kubesim.api.go_dump import POD_SPEC, as_struct
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import SECOND_NS, TEMPLATE_COLUMNS, selector
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.job_spec import default_job_spec, job_selector_errors, job_spec_errors
from kubesim.api.kinds.parts.metadata import IMMUTABLE, immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import changed_spec, empty_status, get_in, keep_all_but_status, keep_status
from kubesim.api.kinds.parts.table import human_duration
from kubesim.api.kinds.parts.workload import selector_matches_template_errors
from kubesim.kernel.time import parse_time

Object = dict[str, Any]
CONTROLLER_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"


def _default(job: Object) -> Object:
    filled = changed_spec(job, default_job_spec)
    labels = get_in(filled, "spec", "template", "metadata", "labels")
    if labels and not filled["metadata"].get("labels"):
        return {**filled, "metadata": {**filled["metadata"], "labels": labels}}
    return filled


def _prepare_create(job: Object) -> Object:
    """Give the Job a selector of its own, unless its user says that the selector is managed by hand."""
    prepared = empty_status(job)
    return prepared if get_in(job, "spec", "manualSelector") else _with_selector(prepared)


def _with_selector(job: Object) -> Object:
    spec, uid, name = job["spec"], job["metadata"].get("uid", ""), job["metadata"].get("name", "")
    template = spec.get("template") or {}
    metadata = template.get("metadata") or {}
    own = {CONTROLLER_UID: uid, JOB_NAME: name, "controller-uid": uid, "job-name": name}
    labels = {**(metadata.get("labels") or {}), **own}
    selector_ = spec.get("selector") or {}
    matched = {**(selector_.get("matchLabels") or {}), CONTROLLER_UID: uid}
    given = job["metadata"].get("labels")
    if not given or given is metadata.get("labels"):  # defaulted: upstream's default shares the map with the template
        job = {**job, "metadata": {**job["metadata"], "labels": labels}}
    return {
        **job,
        "spec": {
            **spec,
            "selector": {**selector_, "matchLabels": matched},
            "template": {**template, "metadata": {**metadata, "labels": labels}},
        },
    }


def _without_shared_labels(job: Object) -> Object:
    """The Job without labels that it has from its template only: upstream fills those in when it reads what it has stored."""
    labels = job["metadata"].get("labels")
    if not labels or labels is not get_in(job, "spec", "template", "metadata", "labels"):
        return job
    return {**job, "metadata": {key: value for key, value in job["metadata"].items() if key != "labels"}}


def _generated_selector_errors(job: Object) -> list[FieldError]:
    """A selector that the server did not make although it should have."""
    spec = job["spec"]
    if spec.get("manualSelector"):
        return []
    expected = {"matchLabels": {CONTROLLER_UID: job["metadata"].get("uid", "")}}
    return (
        [] if spec.get("selector") == expected else [field.invalid("spec.selector", spec.get("selector"), "`selector` not auto-generated")]
    )


def _validate(job: Object) -> Sequence[FieldError]:
    spec = job["spec"]
    return metadata_errors(_without_shared_labels(job)) + _generated_selector_errors(job) + _spec_errors(spec)


def _spec_errors(spec: Object) -> list[FieldError]:
    wrong, at = job_spec_errors(spec, "spec"), job_selector_errors(spec, "spec")
    return wrong + (at or selector_matches_template_errors(spec.get("selector"), spec.get("template") or {}, "spec.template"))


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    after, before = new["spec"], old["spec"]
    if after is before:
        return wrong
    wrong += _spec_errors(after)  # ValidateJobSpecUpdate looks at all of it once more
    if before.get("completionMode") != "Indexed" or after.get("completions") != after.get("parallelism"):
        wrong += immutable_errors(after.get("completions"), before.get("completions"), "spec.completions")
    wrong += immutable_errors(after.get("selector"), before.get("selector"), "spec.selector")
    wrong += _template_update_errors(new, old)
    for name, struct in _FIXED.items():
        wrong += immutable_errors(after.get(name), before.get(name), f"spec.{name}", struct)
    return wrong


_FIXED = {
    "completionMode": "",
    "podFailurePolicy": "io.k8s.api.batch.v1.PodFailurePolicy",
    "backoffLimitPerIndex": "",
    "managedBy": "",
    "successPolicy": "io.k8s.api.batch.v1.SuccessPolicy",
}
_PLACEMENT = ("nodeSelector", "affinity", "tolerations", "schedulingGates")


def _template_update_errors(new: Object, old: Object) -> list[FieldError]:
    """The template is fixed, but where its Pods may run can change while the Job is suspended and has not started."""
    after, before = new["spec"].get("template") or {}, old["spec"].get("template") or {}
    if old["spec"].get("suspend") and not get_in(old, "status", "startTime"):
        kept = {name: value for name, value in (before.get("spec") or {}).items() if name in _PLACEMENT}
        bare = {name: value for name, value in (after.get("spec") or {}).items() if name not in _PLACEMENT}
        after = {**after, "metadata": before.get("metadata"), "spec": {**bare, **kept}}
    if after == before:
        return []
    at = "spec.template.spec" if after.get("spec") != before.get("spec") else "spec.template"
    return [field.invalid(at, as_struct(after.get("spec") or {}, POD_SPEC), IMMUTABLE)]


def _status_cell(job: Object, now_ns: int) -> str:
    words = (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended"), ("FailureTarget", "FailureTarget"))
    if is_true(job, "Complete") or is_true(job, "Failed"):
        return next(word for type_, word in words if is_true(job, type_))
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return next((word for type_, word in words if is_true(job, type_)), "Running")


def _completions_cell(job: Object, now_ns: int) -> str:
    succeeded, completions = get_in(job, "status", "succeeded") or 0, get_in(job, "spec", "completions")
    if completions is not None:
        return f"{succeeded}/{completions}"
    parallelism = get_in(job, "spec", "parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration_cell(job: Object, now_ns: int) -> str:
    start, end = get_in(job, "status", "startTime"), get_in(job, "status", "completionTime")
    if not start:
        return ""
    return human_duration(((parse_time(end) if end else now_ns) - parse_time(start)) // SECOND_NS)


KIND = Kind(
    group="batch",
    version="v1",
    kind="Job",
    plural="jobs",
    categories=("all",),
    schema="io.k8s.api.batch.v1.Job",
    subresources=("status",),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=metadata_update_errors,
    columns=(
        NAME,
        Column("Status", "string", _status_cell),
        Column("Completions", "string", _completions_cell),
        Column("Duration", "string", _duration_cell),
        AGE,
        *TEMPLATE_COLUMNS,
        Column("Selector", "string", selector("spec", "selector"), 1),
    ),
    selectable_fields={"status.successful": lambda job: str(get_in(job, "status", "succeeded") or 0)},
)
