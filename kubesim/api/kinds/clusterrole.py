"""ClusterRole. Upstream: pkg/registry/rbac/clusterrole/strategy.go."""

from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.columns import NAME_AND_AGE
from kubesim.api.kinds.parts.metadata import metadata_update_errors
from kubesim.api.kinds.parts.rbac import GROUP, role_errors

KIND = Kind(
    group=GROUP,
    version="v1",
    kind="ClusterRole",
    plural="clusterroles",
    namespaced=False,
    schema="io.k8s.api.rbac.v1.ClusterRole",
    validate=lambda role: role_errors(role, namespaced=False),
    validate_update=metadata_update_errors,
    columns=NAME_AND_AGE,
    has_generation=False,
    allow_create_on_update=True,
)
