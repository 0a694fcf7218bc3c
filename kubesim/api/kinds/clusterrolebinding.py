"""ClusterRoleBinding. Upstream: pkg/registry/rbac/clusterrolebinding/strategy.go."""

from kubesim.api.kinds.contract import Kind
from kubesim.api.kinds.parts.rbac import BINDING_COLUMNS, GROUP, binding_errors, binding_update_errors, default_binding

KIND = Kind(
    group=GROUP,
    version="v1",
    kind="ClusterRoleBinding",
    plural="clusterrolebindings",
    namespaced=False,
    schema="io.k8s.api.rbac.v1.ClusterRoleBinding",
    default=default_binding,
    validate=lambda binding: binding_errors(binding, namespaced=False),
    validate_update=binding_update_errors,
    columns=BINDING_COLUMNS,
    has_generation=False,
    allow_create_on_update=True,
)
