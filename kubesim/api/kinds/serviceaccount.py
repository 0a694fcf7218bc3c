"""ServiceAccount: a name for Pods to act under."""

from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors

KIND = Kind(
    update_order="muMS",
    group="",
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    short_names=("sa",),
    schema="io.k8s.api.core.v1.ServiceAccount",
    subresources=("token",),
    validate=metadata_errors,
    validate_update=metadata_update_errors,
    columns=(NAME, AGE),
    has_generation=False,
)
