"""PodTemplate: a Pod template on its own."""

from collections.abc import Sequence
from typing import Any

from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.pod_spec import default_template
from kubesim.api.kinds.parts.shape import change, get_in
from kubesim.api.kinds.parts.table import labels_text
from kubesim.api.kinds.parts.workload import pod_template_errors

Object = dict[str, Any]


def _default(template: Object) -> Object:
    return change(template, "template", default_template)


def _validate(template: Object) -> Sequence[FieldError]:
    return metadata_errors(template) + pod_template_errors(template.get("template") or {}, "template")


def _containers(template: Object, name: str) -> str:
    return ",".join(container.get(name, "") for container in get_in(template, "template", "spec", "containers") or ())


KIND = Kind(
    update_order="mSu",
    group="",
    version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    schema="io.k8s.api.core.v1.PodTemplate",
    default=_default,
    validate=_validate,
    validate_update=metadata_update_errors,
    columns=(
        NAME,
        Column("Containers", "string", lambda template, now_ns: _containers(template, "name")),
        Column("Images", "string", lambda template, now_ns: _containers(template, "image")),
        Column("Pod Labels", "string", lambda template, now_ns: labels_text(get_in(template, "template", "metadata", "labels"))),
    ),
)
