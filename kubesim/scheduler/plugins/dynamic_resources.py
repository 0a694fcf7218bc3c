"""DynamicResources: a Pod's resource claims get devices on the node that takes it (structured parameters).

PreFilter finds the claims, Filter tries to allocate those that have no devices yet, Score prefers the earlier sub-requests of
``firstAvailable``, Reserve takes the devices, PreBind writes allocation and reservation into the claims. An error of an expression rejects
the node with upstream's text, where upstream ends the whole cycle.

Upstream: plugins/dynamicresources/dynamicresources.go.
"""

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import update
from kubesim.scheduler.contract import (
    ERROR,
    NODE_ADD,
    NODE_LABEL,
    POD_CLAIMS,
    SKIP,
    UNRESOLVABLE,
    UNSIGNABLE,
    ClusterEvent,
    Handle,
    Hint,
    Normalization,
    Plugin,
    PostFilterResult,
    Prepared,
    Rejection,
    Scope,
    Skip,
    Steps,
    always,
)
from kubesim.scheduler.device_allocation import Allocator, InUse, devices_in_use
from kubesim.scheduler.devices import DeviceError, pools_of
from kubesim.scheduler.node_selector import compile_terms, term_matches
from kubesim.scheduler.pod_facts import PodInfo

Object = dict[str, Any]
RESERVATIONS_MAX = 256
SUB_REQUESTS_MAX = 8
FINALIZER = "resource.kubernetes.io/delete-protection"
ELSEWHERE, NO_DEVICES, FIRST_ERROR = 1, 2, 3
CLAIM_EVENTS = tuple(
    ClusterEvent(resource, action)
    for resource, actions in (
        ("resourceclaims", ("Add", "Update", "Delete")),
        ("deviceclasses", ("Add", "Update")),
        ("resourceslices", ("Add", "Update")),
    )
    for action in actions
)


class Claims:
    """A Pod's claims, those of them that need devices, and what was found per row."""

    def __init__(self, pod: PodInfo, claims: tuple[Object, ...]) -> None:
        self.pod = pod
        self.claims = claims
        self.open = tuple(claim for claim in claims if not _allocation(claim))
        self.allocations: dict[int, list[Object]] = {}
        self.errors: list[str] = []


class Reserved(NamedTuple):
    """What a Pod's claims become: (claim as it was, its allocation or None for one that had it)."""

    claims: tuple[tuple[Object, Object | None], ...]
    assumed: tuple[Object, ...]


class DynamicResources(Plugin):
    """See the module."""

    name = "DynamicResources"
    extends = frozenset({"preFilter", "filter", "preScore", "score", "postFilter", "reserve", "preBind"})
    score_scope = Scope.NODE
    normalization = Normalization.BY_MAX
    needs_pre_filter = True
    post_filter_is_shared = True

    def __init__(self, arguments: Mapping[str, Any], handle: Handle) -> None:
        super().__init__(arguments, handle)
        self._reserved: dict[str, Reserved] = {}

    def signature(self, pod: PodInfo) -> Hashable:
        return UNSIGNABLE if pod.facts.spec.get("resourceClaims") else None

    # ---- filter --------------------------------------------------------------------------------------------------------------

    def pre_filter(self, pod: PodInfo) -> Prepared | Rejection | Skip:
        if not pod.facts.spec.get("resourceClaims"):
            return SKIP
        found = self._claims_of(pod)
        if isinstance(found, str):
            return Rejection(UNRESOLVABLE, (found,))
        if not found:
            return SKIP
        for claim in found:
            problem = self._problem(pod, claim)
            if problem:
                return Rejection(UNRESOLVABLE, (problem,))
        return Prepared(Claims(pod, tuple(found)))

    def _claims_of(self, pod: PodInfo) -> list[Object] | str:
        """The Pod's claims, or why one of them cannot be used."""
        found = []
        statuses = {entry["name"]: entry for entry in (pod.obj.get("status") or {}).get("resourceClaimStatuses") or ()}
        for entry in pod.facts.spec["resourceClaims"]:
            name, is_made = entry.get("resourceClaimName"), False
            if name is None:
                if entry["name"] not in statuses:
                    return f'pod "{pod.key}": ResourceClaim not created yet'
                name, is_made = statuses[entry["name"]].get("resourceClaimName"), True
                if name is None:
                    continue  # the Pod needs none
            claim = self.objects.get("resourceclaims", f"{pod.namespace}/{name}")
            if claim is None:
                return f'resourceclaim "{name}" not found'
            if claim["metadata"].get("deletionTimestamp"):
                return f'resourceclaim "{name}" is being deleted'
            if is_made and not any(owner.get("uid") == pod.uid for owner in claim["metadata"].get("ownerReferences") or ()):
                return f"ResourceClaim {pod.namespace}/{name} was not created for pod {pod.key} (pod is not owner)"
            found.append(claim)
        return found

    def _problem(self, pod: PodInfo, claim: Object) -> str:
        """Why no node can do, or ""."""
        if _allocation(claim):
            reservations = (claim.get("status") or {}).get("reservedFor") or ()
            return "resourceclaim in use" if len(reservations) >= RESERVATIONS_MAX and not _is_reserved(claim, pod) else ""
        for request in ((claim.get("spec") or {}).get("devices") or {}).get("requests") or ():
            bodies = [(f"{request['name']}/{sub['name']}", sub) for sub in request.get("firstAvailable") or ()]
            for name, body in bodies or [(request["name"], request.get("exactly") or {})]:
                class_name = body.get("deviceClassName")
                if not class_name:
                    return f"request {name}: unsupported request type"
                if self.objects.get("deviceclasses", class_name) is None:
                    return f"request {name}: device class {class_name} does not exist"
        return ""

    def filter(self, state: Claims, rows: Any) -> Any:
        in_use, classes = self._in_use_and_classes(state)
        return np.array([self._code(state, row, in_use, classes) for row in self.table.index(rows).tolist()], np.int64)

    def filter_row(self, state: Claims, row: int) -> int:
        return self._code(state, row, *self._in_use_and_classes(state))

    def _in_use_and_classes(self, state: Claims) -> tuple[InUse, dict[str, Object]]:
        if not state.open:
            return InUse(), {}
        classes = {found["metadata"]["name"]: found for found in self.objects.all("deviceclasses")}
        return devices_in_use(self.objects.all("resourceclaims")), classes

    def _code(self, state: Claims, row: int, in_use: InUse, classes: Mapping[str, Object]) -> int:
        if self.table.nodes[row] is None:
            return NO_DEVICES
        labels, name = self.table.labels[row], self.table.names[row] or ""
        for claim in state.claims:
            terms = compile_terms((_allocation(claim) or {}).get("nodeSelector"))
            if terms is not None and not any(term_matches(term, labels, name) for term in terms):
                return ELSEWHERE
        if not state.open:
            return 0
        try:
            found = Allocator(pools_of(self.objects.all("resourceslices"), labels, name), in_use, classes, name).allocate(state.open)
        except DeviceError as error:
            if str(error) not in state.errors:
                state.errors.append(str(error))
            return FIRST_ERROR + state.errors.index(str(error))
        if found is None:
            return NO_DEVICES
        state.allocations[row] = found
        return 0

    def rejection(self, state: Claims, code: int) -> Rejection:
        if code >= FIRST_ERROR:
            return Rejection(UNRESOLVABLE, (state.errors[code - FIRST_ERROR],))
        text = "resourceclaim not available on the node" if code == ELSEWHERE else "cannot allocate all claims"
        return Rejection(UNRESOLVABLE, (text,))

    # ---- score ---------------------------------------------------------------------------------------------------------------

    def pre_score(self, pod: PodInfo, feasible_rows: Any) -> Any:
        prepared = self.pre_filter(pod) if pod.facts.spec.get("resourceClaims") else SKIP
        if not isinstance(prepared, Prepared):
            return None
        self.filter(prepared.state, None)
        return prepared.state

    def score(self, state: Claims | None, rows: Any) -> Any:
        index = self.table.index(rows)
        if state is None:
            return np.zeros(len(index), np.int64)
        return np.array([self.score_row(state, row) for row in index.tolist()], np.int64)

    def score_row(self, state: Claims | None, row: int) -> int:
        """Sum over the requests with ``firstAvailable``: 8 for the first sub-request, one less for each after it."""
        total = 0
        for claim, allocation in zip(state.open, state.allocations.get(row) or ()) if state is not None else ():
            used = dict.fromkeys(result["request"] for result in allocation["devices"]["results"])
            for request in claim["spec"]["devices"]["requests"]:
                for index, sub in enumerate(request.get("firstAvailable") or ()):
                    if f"{request['name']}/{sub['name']}" in used:
                        total += SUB_REQUESTS_MAX - index
        return total

    # ---- PostFilter ----------------------------------------------------------------------------------------------------------

    def post_filter(self, pod: PodInfo, diagnosis: Any, state: Any) -> PostFilterResult:
        kept = next((kept for plugin, kept in state.filters if plugin is self), None)
        if not isinstance(kept, Claims):
            return PostFilterResult("no new claims to deallocate")
        for claim in kept.claims:
            reserved = (claim.get("status") or {}).get("reservedFor") or ()
            if _allocation(claim) and self._is_missed(claim) and (not reserved or (len(reserved) == 1 and _is_reserved(claim, pod))):
                status = {name: value for name, value in claim["status"].items() if name not in ("allocation", "reservedFor")}
                request = update("resourceclaims.resource.k8s.io", {**claim, "status": status}, "status")
                return PostFilterResult("deallocation of ResourceClaim completed", requests=(request,))
        return PostFilterResult("still not schedulable")

    def _is_missed(self, claim: Object) -> bool:
        """Whether some node cannot use the claim's devices."""
        terms = compile_terms((_allocation(claim) or {}).get("nodeSelector"))
        rows = self.table.node_rows()
        names, labels = self.table.names, self.table.labels
        return terms is not None and any(not any(term_matches(term, labels[row], names[row] or "") for term in terms) for row in rows)

    # ---- after the choice ----------------------------------------------------------------------------------------------------

    def concerns(self, pod: PodInfo) -> bool:
        return bool(pod.facts.spec.get("resourceClaims"))

    def reserve(self, pod: PodInfo, row: int) -> Rejection | None:
        prepared = self.pre_filter(pod)
        if not isinstance(prepared, Prepared):
            return prepared if isinstance(prepared, Rejection) else None
        state: Claims = prepared.state
        if self.filter_row(state, row):
            return Rejection(ERROR, ("claim allocation not found for node",))
        allocations = dict(zip([id(claim) for claim in state.open], state.allocations.get(row) or ()))
        pairs = tuple((claim, allocations.get(id(claim))) for claim in state.claims)
        assumed = []
        for claim, allocation in pairs:
            if allocation is not None:
                assumed.append({**claim, "status": {**(claim.get("status") or {}), "allocation": allocation}})
                self.objects.assume("resourceclaims", assumed[-1])
        self._reserved[pod.uid] = Reserved(pairs, tuple(assumed))
        return None

    def unreserve(self, pod: PodInfo, row: int) -> None:
        reserved = self._reserved.pop(pod.uid, None)
        if reserved is not None:
            for claim in reserved.assumed:
                self.objects.restore("resourceclaims", claim)

    def pre_bind(self, pod: PodInfo, row: int) -> Steps | None:
        reserved = self._reserved.get(pod.uid)
        return self._steps(pod, reserved) if reserved is not None else None

    def _steps(self, pod: PodInfo, reserved: Reserved) -> Steps:
        """Finalizer, then allocation and reservation, claim by claim."""
        for claim, allocation in reserved.claims:
            if _is_reserved(claim, pod):
                continue
            current = claim
            key = f"{pod.namespace}/{claim['metadata']['name']}"
            finalizers = claim["metadata"].get("finalizers") or []
            if allocation is not None and FINALIZER not in finalizers:
                metadata = {**claim["metadata"], "finalizers": [*finalizers, FINALIZER]}
                outcome = yield update("resourceclaims.resource.k8s.io", {**claim, "metadata": metadata})
                if isinstance(outcome, ApiError):
                    return Rejection(ERROR, (f"add finalizer to claim {key}: {outcome.message}",))
                current = outcome
            status = dict(current.get("status") or {})
            if allocation is not None:
                status["allocation"] = allocation
            consumer = {"resource": "pods", "name": pod.obj["metadata"]["name"], "uid": pod.uid}
            status["reservedFor"] = [*(status.get("reservedFor") or ()), consumer]
            outcome = yield update("resourceclaims.resource.k8s.io", {**current, "status": status}, "status")
            if isinstance(outcome, ApiError):
                what = "allocation and reservation" if allocation is not None else "reservation"
                return Rejection(ERROR, (f"add {what} to claim {key}: {outcome.message}",))
            self.objects.set("resourceclaims", outcome)
        self._reserved.pop(pod.uid, None)
        return None

    def events(self) -> Mapping[ClusterEvent, Hint]:
        return dict.fromkeys((*CLAIM_EVENTS, NODE_ADD, NODE_LABEL, POD_CLAIMS), always)


def _allocation(claim: Object) -> Object | None:
    return (claim.get("status") or {}).get("allocation") or None


def _is_reserved(claim: Object, pod: PodInfo) -> bool:
    return any(consumer.get("uid") == pod.uid for consumer in (claim.get("status") or {}).get("reservedFor") or ())


PLUGIN = DynamicResources
