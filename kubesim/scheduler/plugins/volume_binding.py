"""VolumeBinding: bound claims keep a Pod where their volumes are; claims that wait for it find a volume, or a provisioner, for the node.

Upstream: plugins/volumebinding/{volume_binding,binder}.go.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kubesim.scheduler.contract import (
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    NODE_LABEL,
    SKIP,
    STORAGE_EVENTS,
    UNRESOLVABLE,
    UNSIGNABLE,
    ClusterEvent,
    Handle,
    Hint,
    Plugin,
    Prepared,
    Rejection,
    Scope,
    Skip,
    Steps,
    always,
)
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.volume_writes import VolumeWrites
from kubesim.scheduler.volumes import (
    NO_PROVISIONER,
    SELECTED_NODE,
    Object,
    claim_is_for,
    claim_of,
    claim_uses,
    class_of,
    has_capacity,
    has_storage,
    is_bound,
    matching_volume,
    node_matches,
    not_found,
    requested_bytes,
    topology_allows,
    waits_for_consumer,
)

CONFLICT, NO_VOLUME, NO_SPACE, GONE = 1, 2, 4, 8
TEXTS = {
    CONFLICT: "node(s) didn't match PersistentVolume's node affinity",
    NO_VOLUME: "node(s) didn't find available persistent volumes to bind",
    NO_SPACE: "node(s) did not have enough free storage",
    GONE: "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
}
BIND_TIMEOUT_SECONDS = 600
IMMEDIATE = "pod has unbound immediate PersistentVolumeClaims"


class Claims(NamedTuple):
    """A Pod's claims: bound ones, and those to be bound when it is scheduled (smallest first)."""

    bound: tuple[Object, ...]
    waiting: tuple[Object, ...]


class Bindings(NamedTuple):
    """What a node would give: (claim, volume) pairs, claims to be provisioned, and a code (0: all claims are served)."""

    matched: tuple[tuple[Object, Object], ...]
    provisioned: tuple[Object, ...]
    code: int


class VolumeBinding(Plugin):
    """See the module."""

    name = "VolumeBinding"
    extends = frozenset({"preFilter", "filter", "reserve", "preBind"})
    filter_scope = Scope.CLUSTER

    def __init__(self, arguments: Mapping[str, Any], handle: Handle) -> None:
        super().__init__(arguments, handle)
        self._timeout_seconds: int = arguments.get("bindTimeoutSeconds") or BIND_TIMEOUT_SECONDS
        self._reserved: dict[str, VolumeWrites] = {}  # by the Pod's uid, until it is bound

    def signature(self, pod: PodInfo) -> Hashable:
        return UNSIGNABLE if has_storage(pod.facts.spec) else None

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        uses = claim_uses(pod)
        if not uses:
            return SKIP
        found = []
        for use in uses:
            claim = claim_of(self.objects, pod.namespace, use.name)
            problem = _problem(pod, use.name, use.is_ephemeral, claim)
            if problem:
                return Rejection(UNRESOLVABLE, (problem,))
            assert claim is not None
            found.append(claim)
        bound = [claim for claim in found if is_bound(claim)]
        unbound = [claim for claim in found if not is_bound(claim)]
        if any(claim["spec"].get("volumeName") or not waits_for_consumer(self.objects, claim) for claim in unbound):
            return Rejection(UNRESOLVABLE, (IMMEDIATE,))
        return Prepared(Claims(tuple(bound), tuple(sorted(unbound, key=requested_bytes))))

    def filter(self, state: Claims, rows: Any) -> Any:
        return np.array([self.filter_row(state, row) for row in self.table.index(rows).tolist()], np.int64)

    def filter_row(self, state: Claims, row: int) -> int:
        if self.table.nodes[row] is None:
            return NO_VOLUME
        return self._bound_code(state, row) | self.bindings(state, row).code

    def _bound_code(self, state: Claims, row: int) -> int:
        labels, name = self.table.labels[row], self.table.names[row] or ""
        for claim in state.bound:
            volume = self.objects.get("persistentvolumes", claim["spec"]["volumeName"])
            if volume is None:
                return GONE
            if not node_matches(volume, labels, name):
                return CONFLICT
        return 0

    def bindings(self, state: Claims, row: int) -> Bindings:
        """What one node would give to the claims that wait."""
        labels, name = self.table.labels[row], self.table.names[row] or ""
        matched: list[tuple[Object, Object]] = []
        chosen = [(claim, (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE)) for claim in state.waiting]
        if any(selected and selected != name for _, selected in chosen):
            return Bindings((), (), NO_VOLUME)
        provisioned = [claim for claim, selected in chosen if selected]
        taken: dict[str, None] = {}
        for claim, selected in chosen:
            if selected:
                continue
            volume = matching_volume(claim, self.objects.all("persistentvolumes"), labels, name, taken)
            if volume is None:
                provisioned.append(claim)
            else:
                taken[volume["metadata"]["name"]] = None
                matched.append((claim, volume))
        return Bindings(tuple(matched), tuple(provisioned), self._provision_code(provisioned, labels))

    def _provision_code(self, claims: Sequence[Object], labels: Mapping[str, str]) -> int:
        for claim in claims:
            storage_class = class_of(self.objects, claim)
            if storage_class is None or (storage_class.get("provisioner") or NO_PROVISIONER) == NO_PROVISIONER:
                return NO_VOLUME
            if not topology_allows(storage_class, labels):
                return NO_VOLUME
            if not has_capacity(self.objects, claim, storage_class, labels):
                return NO_SPACE
        return 0

    def rejection(self, state: Any, code: int) -> Rejection:
        return Rejection(UNRESOLVABLE, tuple(text for bit, text in TEXTS.items() if code & bit))

    def bindings_for(self, pod: PodInfo, row: int) -> Bindings:
        """What the chosen node gives to the Pod's claims; nothing for a Pod without any that wait."""
        prepared = self.pre_filter(pod)
        if not isinstance(prepared, Prepared) or not prepared.state.waiting:
            return Bindings((), (), 0)
        return self.bindings(prepared.state, row)

    # ---- after the choice ----------------------------------------------------------------------------------------------------

    def concerns(self, pod: PodInfo) -> bool:
        return pod.facts.has_claims

    def reserve(self, pod: PodInfo, row: int) -> Rejection | None:
        if not pod.facts.has_claims:
            return None
        found = self.bindings_for(pod, row)
        if found.matched or found.provisioned:
            writes = VolumeWrites(self.objects, self.table.names[row] or "", self.table.labels[row], self._timeout_seconds)
            for claim, volume in found.matched:
                writes.match(claim, volume)
            for claim in found.provisioned:
                writes.provision(claim)
            self._reserved[pod.uid] = writes
        return None

    def unreserve(self, pod: PodInfo, row: int) -> None:
        writes = self._reserved.pop(pod.uid, None) if self._reserved else None
        if writes is not None:
            writes.restore()

    def pre_bind(self, pod: PodInfo, row: int) -> Steps | None:
        writes = self._reserved.get(pod.uid) if self._reserved else None
        return self._steps(pod.uid, writes) if writes is not None else None

    def _steps(self, uid: str, writes: VolumeWrites) -> Steps:
        rejection = yield from writes.steps()
        if rejection is None:
            self._reserved.pop(uid, None)
        return rejection

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return {**dict.fromkeys(STORAGE_EVENTS, always), **dict.fromkeys((NODE_ADD, NODE_LABEL, ASSIGNED_POD_DELETE), always)}


def _problem(pod: PodInfo, name: str, is_ephemeral: bool, claim: Mapping[str, Any] | None) -> str:
    """Why a Pod with this claim cannot be scheduled anywhere, or ""."""
    if claim is None:
        if is_ephemeral:
            return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
        return not_found("persistentvolumeclaim", name)
    if (claim.get("status") or {}).get("phase") == "Lost":
        return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim["spec"].get("volumeName") or ""}"'
    if claim["metadata"].get("deletionTimestamp"):
        return f'persistentvolumeclaim "{name}" is being deleted'
    if is_ephemeral and not claim_is_for(claim, pod):
        return f"PVC {pod.namespace}/{name} was not created for pod {pod.key} (pod is not owner)"
    return ""


PLUGIN = VolumeBinding
