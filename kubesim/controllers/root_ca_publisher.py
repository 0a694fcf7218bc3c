"""The root CA publisher: every active namespace has a ConfigMap with the certificate that the apiserver's is signed by.

Upstream: pkg/controller/certificates/rootcacertpublisher/publisher.go.
"""

from collections.abc import Iterable, Mapping

from kubesim.apiserver.requests import Object, create, update
from kubesim.controllers.contract import DONE, Burst, ControllerBase, Mapper, Result, View, own_key

NAME = "kube-root-ca.crt"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or "
    "kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)
ANNOTATIONS = {"kubernetes.io/description": DESCRIPTION}
# In process there is no TLS, so there is no certificate; what serves HTTPS passes its own.
ROOT_CA = "-----BEGIN CERTIFICATE-----\na2luZCBvZiBhIGNlcnRpZmljYXRl\n-----END CERTIFICATE-----\n"


def config_map_to_namespace(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The namespace whose ConfigMap was changed or deleted."""
    obj = new if new is not None else old
    if obj is None or old is None or obj["metadata"]["name"] != NAME:
        return ()
    return (obj["metadata"]["namespace"],)


class RootCaPublisher(ControllerBase):
    """Reconciles Namespaces by name."""

    name = "root-ca-certificate-publisher-controller"
    resource = "namespaces"
    watches: Mapping[str, Mapper] = {"namespaces": own_key, "configmaps": config_map_to_namespace}

    def __init__(self, root_ca: str = ROOT_CA) -> None:
        self.data = {"ca.crt": root_ca}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Create the ConfigMap, or put back what it should say."""
        namespace = view.get("namespaces", key)
        if namespace is None or (namespace.get("status") or {}).get("phase") == "Terminating":
            return DONE
        known = view.get("configmaps", f"{key}/{NAME}")
        if known is None:
            metadata = {"name": NAME, "namespace": key, "annotations": ANNOTATIONS}
            config_map = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": self.data}
            return Result([Burst([create("configmaps", key, config_map)])])
        annotations = known["metadata"].get("annotations") or {}
        if known.get("data") == self.data and ANNOTATIONS.items() <= annotations.items():
            return DONE
        metadata = {**known["metadata"], "annotations": {**annotations, **ANNOTATIONS}}
        return Result([update("configmaps", {**known, "metadata": metadata, "data": self.data})])


CONTROLLER = RootCaPublisher
