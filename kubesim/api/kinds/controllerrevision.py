"""ControllerRevision: a numbered snapshot of a workload's template that never changes. Upstream: ValidateControllerRevision."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import count
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import IMMUTABLE, metadata_errors, metadata_update_errors, not_negative_errors
from kubesim.api.kinds.parts.table import NONE
from kubesim.api.meta import controller_of
from kubesim.api.verbatim import text_of

Object = dict[str, Any]


def _validate(revision: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(revision)
    if revision.get("data") is None:
        wrong.append(field.required("data", "data is mandatory"))
    return wrong + not_negative_errors(revision.get("revision"), "revision")


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    after, before = new.get("data"), old.get("data")
    return wrong if text_of(after) == text_of(before) else [*wrong, field.invalid("data", after, IMMUTABLE)]


def _controller_cell(revision: Object, now_ns: int) -> str:
    owner = controller_of(revision)
    if owner is None:
        return NONE
    group = owner.get("apiVersion", "").rpartition("/")[0]
    kind = owner["kind"].lower()
    return f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"


KIND = Kind(
    update_order="mMSu",
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    schema="io.k8s.api.apps.v1.ControllerRevision",
    validate=_validate,
    validate_update=_validate_update,
    verbatim_fields=("data",),
    columns=(NAME, Column("Controller", "string", _controller_cell), Column("Revision", "string", count("revision")), AGE),
    has_generation=False,
)
