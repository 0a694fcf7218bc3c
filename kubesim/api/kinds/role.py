"""Role. Upstream: pkg/registry/rbac/role/strategy.go."""

from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.columns import NAME_AND_AGE
from kubesim.api.kinds.parts.metadata import metadata_update_errors
from kubesim.api.kinds.parts.rbac import GROUP, role_errors

KIND = Kind(
    group=GROUP,
    version="v1",
    kind="Role",
    plural="roles",
    namespaced=True,
    schema="io.k8s.api.rbac.v1.Role",
    validate=lambda role: role_errors(role, namespaced=True),
    validate_update=metadata_update_errors,
    columns=NAME_AND_AGE,
    has_generation=False,
    allow_create_on_update=True,
)
