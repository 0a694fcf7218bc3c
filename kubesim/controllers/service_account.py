"""The service account controller: every active namespace has a ServiceAccount "default".

Upstream: pkg/controller/serviceaccount/serviceaccounts_controller.go.
"""

from collections.abc import Iterable, Mapping

from kubesim.apiserver.requests import Object, create
from kubesim.controllers.contract import DONE, Burst, ControllerBase, Mapper, Result, View, own_key

NAME = "default"


def deleted_to_namespace(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The namespace that has lost its default ServiceAccount."""
    if new is not None or old is None or old["metadata"]["name"] != NAME:
        return ()
    return (old["metadata"]["namespace"],)


class ServiceAccountController(ControllerBase):
    """Reconciles Namespaces by name."""

    name = "serviceaccount-controller"
    resource = "namespaces"
    watches: Mapping[str, Mapper] = {"namespaces": own_key, "serviceaccounts": deleted_to_namespace}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Create the ServiceAccount if it is not there."""
        namespace = view.get("namespaces", key)
        if namespace is None or (namespace.get("status") or {}).get("phase") == "Terminating":
            return DONE
        if view.get("serviceaccounts", f"{key}/{NAME}") is not None:
            return DONE
        account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": NAME, "namespace": key}}
        return Result([Burst([create("serviceaccounts", key, account)])])


CONTROLLER = ServiceAccountController
