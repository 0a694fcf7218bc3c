"""ReplicaSet. Upstream: pkg/registry/apps/replicaset/strategy.go, ValidateReplicaSet in pkg/apis/apps/validation."""

from collections.abc import Sequence
from typing import Any

from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors, not_negative_errors
from kubesim.api.kinds.parts.pod_spec import default_template
from kubesim.api.kinds.parts.shape import change, changed_spec, fill, get_in, keep_all_but_status, keep_status
from kubesim.api.kinds.parts.table import container_images, container_names, selector_text
from kubesim.api.kinds.parts.workload import replica_status_errors, selector_errors, template_errors

Object = dict[str, Any]


def _default_spec(spec: Object) -> Object:
    return change(fill(spec, {"replicas": 1}), "template", default_template)


def _default(replica_set: Object) -> Object:
    return changed_spec(replica_set, _default_spec)


def _prepare_create(replica_set: Object) -> Object:
    return {**replica_set, "status": {"replicas": 0}}


def _spec_errors(spec: Object) -> list[FieldError]:
    wrong = not_negative_errors(spec.get("replicas"), "spec.replicas")
    wrong += not_negative_errors(spec.get("minReadySeconds"), "spec.minReadySeconds")
    wrong += selector_errors(spec, "empty selector is invalid for deployment")
    return wrong + template_errors(spec, "spec.template")


def _validate(replica_set: Object) -> Sequence[FieldError]:
    return metadata_errors(replica_set) + _spec_errors(replica_set["spec"])


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    return wrong + immutable_errors(new["spec"].get("selector"), old["spec"].get("selector"), "spec.selector")


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    return [*metadata_update_errors(new, old), *replica_status_errors(new.get("status") or {})]


def _count(*path: str) -> Any:
    return lambda replica_set, now_ns: get_in(replica_set, *path) or 0


KIND = Kind(
    update_order="mSu",
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    short_names=("rs",),
    categories=("all",),
    schema="io.k8s.api.apps.v1.ReplicaSet",
    subresources=("scale", "status"),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    columns=(
        NAME,
        Column("Desired", "integer", _count("spec", "replicas")),
        Column("Current", "integer", _count("status", "replicas")),
        Column("Ready", "integer", _count("status", "readyReplicas")),
        AGE,
        Column("Containers", "string", container_names, 1),
        Column("Images", "string", container_images, 1),
        Column("Selector", "string", lambda replica_set, now_ns: selector_text(replica_set["spec"].get("selector")), 1),
    ),
)
