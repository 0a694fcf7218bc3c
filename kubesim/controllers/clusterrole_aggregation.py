"""The aggregation of ClusterRoles: a role with an ``aggregationRule`` has the rules of all roles that it selects.

Upstream: pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go (which writes by server-side apply).
"""

from collections.abc import Iterable, Mapping

from kubesim.api.selectors import from_object
from kubesim.apiserver.requests import Object, update
from kubesim.controllers.contract import DONE, ControllerBase, Mapper, Result, View

RESOURCE = "clusterroles.rbac.authorization.k8s.io"


def aggregating(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """Every role that aggregates, whichever role has changed."""
    return [role["metadata"]["name"] for role in view.list(RESOURCE) if role.get("aggregationRule")]


class ClusterRoleAggregationController(ControllerBase):
    """Reconciles ClusterRoles by name."""

    name = "clusterrole-aggregation-controller"
    resource = RESOURCE
    watches: Mapping[str, Mapper] = {RESOURCE: aggregating}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Put the rules together, by the order of the roles' names, each once."""
        role = view.get(RESOURCE, key)
        if role is None or not role.get("aggregationRule"):
            return DONE
        rules: list[Object] = []
        for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
            matches = from_object(selector).matches
            for other in sorted(view.list(RESOURCE), key=lambda found: found["metadata"]["name"]):
                if other["metadata"]["name"] != key and matches(other["metadata"].get("labels") or {}):
                    rules += [rule for rule in other.get("rules") or () if rule not in rules]
        return DONE if rules == (role.get("rules") or []) else Result([update(RESOURCE, {**role, "rules": rules})])


CONTROLLER = ClusterRoleAggregationController
