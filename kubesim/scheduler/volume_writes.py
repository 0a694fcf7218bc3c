"""What PreBind writes so that a Pod's claims are bound, and how it tells that they are.

A matched volume gets the claim's name (``claimRef``); a claim to be provisioned gets the node's name (an annotation). The volume controller
and the provisioner do the rest.

Upstream: plugins/volumebinding/binder.go (bindAPIUpdate, checkBindings).
"""

from typing import Any

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request, update
from kubesim.kernel.time import SECOND
from kubesim.scheduler.contract import ERROR, Rejection, Steps, Until
from kubesim.scheduler.objects import Objects
from kubesim.scheduler.volumes import SELECTED_NODE, Object, is_bound, node_matches

BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"


def promised(volume: Object, claim: Object) -> Object:
    """The volume, promised to the claim."""
    metadata = claim["metadata"]
    reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": metadata.get("namespace") or "default"}
    reference |= {"name": metadata["name"], "uid": metadata.get("uid", "")}
    if metadata.get("resourceVersion"):
        reference["resourceVersion"] = metadata["resourceVersion"]
    annotations = {**(volume["metadata"].get("annotations") or {}), BOUND_BY_CONTROLLER: "yes"}
    return {**volume, "metadata": {**volume["metadata"], "annotations": annotations}, "spec": {**volume["spec"], "claimRef": reference}}


def for_node(claim: Object, node_name: str) -> Object:
    """The claim, to be provisioned where the node can reach it."""
    annotations = {**(claim["metadata"].get("annotations") or {}), SELECTED_NODE: node_name}
    return {**claim, "metadata": {**claim["metadata"], "annotations": annotations}}


class VolumeWrites:
    """The volumes and claims that one Pod's reservation changes: ``(resource, object)`` each, as assumed."""

    def __init__(self, objects: Objects, node_name: str, labels: Any, timeout_seconds: int) -> None:
        self._objects = objects
        self._node_name = node_name
        self._labels = labels
        self._timeout_seconds = timeout_seconds
        self.writes: list[tuple[str, Object]] = []
        self.claims: list[str] = []  # the keys of claims that must come to be bound
        self._provisioned: list[str] = []
        self._problem = ""

    def match(self, claim: Object, volume: Object) -> None:
        """Promise a volume to a claim."""
        self._take("persistentvolumes", promised(volume, claim))
        self.claims.append(_key(claim))

    def provision(self, claim: Object) -> None:
        """Ask for a volume."""
        self._take("persistentvolumeclaims", for_node(claim, self._node_name))
        self.claims.append(_key(claim))
        self._provisioned.append(_key(claim))

    def _take(self, resource: str, obj: Object) -> None:
        self.writes.append((resource, obj))
        self._objects.assume(resource, obj)

    def restore(self) -> None:
        """Take everything back that was not written."""
        for resource, obj in reversed(self.writes):
            self._objects.restore(resource, obj)

    def steps(self) -> Steps:
        """Write, then wait until every claim is bound."""
        for resource, obj in self.writes:
            outcome: Object | ApiError = yield _update(resource, obj)
            if isinstance(outcome, ApiError):
                return Rejection(ERROR, (outcome.message,))
        is_done = yield Until(self._is_settled, self._timeout_seconds * SECOND)
        if self._problem:
            return Rejection(ERROR, (f"binding volumes: {self._problem}",))
        return None if is_done else Rejection(ERROR, ("binding volumes: context deadline exceeded",))

    def _is_settled(self) -> bool:
        """Whether every claim is bound, or one never will be (``_problem``)."""
        is_done = True
        for key in self.claims:
            claim = self._objects.get("persistentvolumeclaims", key)
            self._problem = self._why_not(key, claim)
            if self._problem:
                return True
            is_done &= claim is not None and is_bound(claim)
        return is_done

    def _why_not(self, key: str, claim: Object | None) -> str:
        name = key.partition("/")[2]
        if claim is None:
            return f'error getting claim "{key}"'
        if claim["metadata"].get("deletionTimestamp"):
            return f'persistentvolumeclaim "{name}" is being deleted'
        if not is_bound(claim):
            if key in self._provisioned and (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE) != self._node_name:
                return f'provisioning failed for PVC "{name}"'
            return ""
        volume = self._objects.get("persistentvolumes", claim["spec"]["volumeName"])
        if volume is not None and not node_matches(volume, self._labels, self._node_name):
            return f"pv \"{volume['metadata']['name']}\" node affinity doesn't match node \"{self._node_name}\""
        return ""


def _update(resource: str, obj: Object) -> Request:
    return update(resource, obj)


def _key(claim: Object) -> str:
    return f"{claim['metadata'].get('namespace') or 'default'}/{claim['metadata']['name']}"
