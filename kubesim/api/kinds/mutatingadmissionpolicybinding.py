"""MutatingAdmissionPolicyBinding. Upstream: pkg/apis/admissionregistration/validation/validation.go and its defaults."""

from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.admission_policies import BINDING_COLUMNS, binding_errors, default_binding
from kubesim.api.kinds.parts.metadata import metadata_update_errors

KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    namespaced=False,
    categories=("api-extensions",),
    schema="io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
    default=default_binding,
    validate=binding_errors,
    validate_update=metadata_update_errors,
    columns=BINDING_COLUMNS,
    allow_unconditional_update=False,
)
