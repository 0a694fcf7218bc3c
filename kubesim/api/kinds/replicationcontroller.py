"""ReplicationController: a ReplicaSet of older days, with a plain map as its selector. Upstream: ValidateReplicationController."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import TEMPLATE_COLUMNS, count
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors, not_negative_errors
from kubesim.api.kinds.parts.pod_spec import default_template
from kubesim.api.kinds.parts.shape import change, changed_spec, fill, get_in, keep_all_but_status, keep_status
from kubesim.api.kinds.parts.table import labels_text
from kubesim.api.kinds.parts.workload import pod_template_errors, replica_status_errors, restart_policy_errors

Object = dict[str, Any]


def _default(controller: Object) -> Object:
    """Selector and labels come from the template where they are missing."""
    filled = changed_spec(controller, lambda spec: change(fill(spec, {"replicas": 1}), "template", default_template))
    labels = get_in(filled, "spec", "template", "metadata", "labels")
    if not labels:
        return filled
    if not filled["spec"].get("selector"):
        filled = {**filled, "spec": {**filled["spec"], "selector": labels}}
    if not filled["metadata"].get("labels"):
        filled = {**filled, "metadata": {**filled["metadata"], "labels": labels}}
    return filled


def _prepare_create(controller: Object) -> Object:
    return {**controller, "status": {"replicas": 0}}


def _validate(controller: Object) -> Sequence[FieldError]:
    spec = controller.get("spec") or {}
    wrong = metadata_errors(controller) + not_negative_errors(spec.get("minReadySeconds"), "spec.minReadySeconds")
    selector, template = spec.get("selector") or {}, spec.get("template")
    if not selector:
        wrong.append(field.required("spec.selector"))
    wrong += not_negative_errors(spec.get("replicas"), "spec.replicas")
    if template is None:
        return [*wrong, field.required("spec.template")]
    labels = get_in(template, "metadata", "labels") or {}
    if any(labels.get(name) != value for name, value in selector.items()):
        wrong.append(field.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"))
    return wrong + pod_template_errors(template, "spec.template") + restart_policy_errors(template, "spec.template")


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    return [*metadata_update_errors(new, old), *replica_status_errors(new.get("status") or {})]


KIND = Kind(
    update_order="MSmS",
    group="",
    version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    short_names=("rc",),
    categories=("all",),
    schema="io.k8s.api.core.v1.ReplicationController",
    subresources=("scale", "status"),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=metadata_update_errors,
    validate_status=_validate_status,
    columns=(
        NAME,
        Column("Desired", "integer", count("spec", "replicas")),
        Column("Current", "integer", count("status", "replicas")),
        Column("Ready", "integer", count("status", "readyReplicas")),
        AGE,
        *TEMPLATE_COLUMNS,
        Column("Selector", "string", lambda controller, now_ns: labels_text(get_in(controller, "spec", "selector")), 1),
    ),
    selectable_fields={"status.replicas": lambda controller: str(get_in(controller, "status", "replicas") or 0)},
)
