"""CSIStorageCapacity. Upstream: pkg/apis/storage/validation/validation.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names, quantity
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.checks import required_text_errors
from kubesim.api.kinds.parts.columns import NAME_AND_AGE
from kubesim.api.kinds.parts.label_selector import label_selector_errors
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors

Object = dict[str, Any]


def _validate(capacity: Object) -> Sequence[FieldError]:
    wrong = metadata_errors(capacity)
    wrong += label_selector_errors(capacity.get("nodeTopology"), "nodeTopology")
    wrong += required_text_errors(capacity.get("storageClassName"), "storageClassName", names.check_dns_subdomain)
    for name in ("capacity", "maximumVolumeSize"):
        amount = capacity.get(name)
        if amount is not None and quantity.compare(amount, "0") < 0:
            wrong.append(field.invalid(name, amount, names.NOT_NEGATIVE))
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = metadata_update_errors(new, old)
    for name in ("nodeTopology", "storageClassName"):
        wrong += immutable_errors(new.get(name), old.get(name), name)
    return wrong


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    schema="io.k8s.api.storage.v1.CSIStorageCapacity",
    validate=_validate,
    validate_update=_validate_update,
    columns=NAME_AND_AGE,
    has_generation=False,
    allow_unconditional_update=False,
)
