"""Nobody grants more than they have: what a role or a binding may say depends on who writes it.

Checked before the write, as the user of the call: ``escalate`` and ``bind`` lift the rule. Upstream: pkg/registry/rbac/*/policybased.
"""

from typing import Any

from kubesim.api.errors import ApiError, forbidden
from kubesim.server.apiserver.call import Call
from kubesim.server.apiserver.rbac import BINDINGS, CLUSTER_BINDINGS, CLUSTER_ROLES, GROUP, ROLES, Attributes, Rbac, compact_text, uncovered
from kubesim.server.apiserver.users import MASTERS, User

Object = dict[str, Any]


def check(rbac: Rbac, call: Call, resource: str, obj: Object, old: Object | None) -> None:
    """Raise 403 when the caller may not write this role or binding."""
    user, namespace = call.user, call.target.namespace
    if MASTERS in user.groups:
        return
    name = (obj.get("metadata") or {}).get("name", "")
    if resource in (ROLES, CLUSTER_ROLES):
        if old is not None and old.get("rules") == obj.get("rules"):
            return
        if rbac.decide(user, Attributes("escalate", True, GROUP, resource.partition(".")[0], "", namespace, name)).allowed:
            return
        _refuse_uncovered(rbac, user, namespace, obj.get("rules") or [], resource, name)
    elif resource in (BINDINGS, CLUSTER_BINDINGS):
        reference = obj.get("roleRef") or {}
        if old is not None and (old.get("roleRef"), old.get("subjects")) == (reference, obj.get("subjects")):
            return
        plural = "roles" if reference.get("kind") == "Role" else "clusterroles"
        where = namespace
        if rbac.decide(user, Attributes("bind", True, GROUP, plural, "", where, reference.get("name", ""))).allowed:
            return
        rules, error = rbac.role_rules(reference, namespace)
        if error:
            raise _not_found(plural, reference.get("name", ""))
        _refuse_uncovered(rbac, user, namespace, list(rules), resource, name)


def _not_found(plural: str, name: str) -> ApiError:
    details = {"name": name, "group": GROUP, "kind": plural}
    return ApiError(404, "NotFound", f'{plural}.{GROUP} "{name}" not found', details)


def _refuse_uncovered(rbac: Rbac, user: User, namespace: str, rules: list[Object], resource: str, name: str) -> None:
    owned, _ = rbac.rules_of(user, namespace)
    missing = uncovered(owned, rules)
    if not missing:
        return
    groups = " ".join(f'"{group}"' for group in user.groups)
    lines = "\n".join(compact_text(missing))
    why = f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{lines}'
    raise forbidden(resource, name, why)
