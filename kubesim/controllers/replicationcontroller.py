"""The ReplicationController controller: the ReplicaSet controller for the older kind, whose selector is a plain map.

Upstream: pkg/controller/replication (replication_controller.go, conversion.go), an adapter over the ReplicaSet controller too.
"""

from collections.abc import Mapping

from kubesim.api.selectors import Selector, from_labels
from kubesim.apiserver.requests import Object
from kubesim.client.informer import IndexFunction
from kubesim.controllers.contract import Mapper, own_key
from kubesim.controllers.replicaset import RESOURCE as REPLICA_SETS
from kubesim.controllers.replicaset import ReplicaSetController, SelectorOf, by_controller, pod_mapper

RESOURCE = "replicationcontrollers"


def selector_of(controller: Object) -> Selector:
    """The selector of a ReplicationController."""
    return from_labels(controller["spec"]["selector"])


class ReplicationControllerController(ReplicaSetController):
    """Reconciles ReplicationControllers by ``namespace/name``."""

    name = "replicationcontroller-controller"
    component = "replication-controller"
    resource = RESOURCE
    selector_of: SelectorOf = staticmethod(selector_of)
    watches: Mapping[str, Mapper] = {RESOURCE: own_key, "pods": pod_mapper("ReplicationController", RESOURCE, selector_of)}
    owner_kinds: Mapping[str, str] = {"pods": "ReplicationController"}
    indexes: Mapping[str, Mapping[str, IndexFunction]] = {REPLICA_SETS: {"controller": by_controller}}
    rationed = frozenset((RESOURCE,))


CONTROLLER = ReplicationControllerController
