"""The disruption controller: how many Pods a PodDisruptionBudget still allows to be evicted.

The eviction subresource spends from ``status.disruptionsAllowed`` and notes whom in ``status.disruptedPods``; this controller counts what
is healthy, and forgets a Pod that was noted once it is being deleted, or two minutes later.

Upstream: pkg/controller/disruption/disruption.go. Left out: custom kinds with a scale subresource as owners, the clean-up of
DisruptionTarget conditions of Pods that nobody deleted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.conditions import set_condition
from kubesim.api.meta import controller_of, key_of
from kubesim.apiserver.requests import Object, update
from kubesim.client.informer import told_by
from kubesim.controllers.budget_members import BUDGETS, BudgetMembers
from kubesim.controllers.contract import DONE, ControllerBase, EventIntent, Intent, Mapper, Result, View, nobody, own_key
from kubesim.controllers.owned_pods import is_ready
from kubesim.controllers.view import BUDGET_MEMBERS
from kubesim.kernel.time import MINUTE, format_time, parse_time

DELETION_TIMEOUT_NS = 2 * MINUTE
SHARED = "pods "  # the prefix of keys that stand for Pods of several budgets
SCALED = {
    "Deployment": "deployments.apps",
    "ReplicaSet": "replicasets.apps",
    "ReplicationController": "replicationcontrollers",
    "StatefulSet": "statefulsets.apps",
}


@told_by(BUDGET_MEMBERS)
def pod_to_budget(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The budget that a Pod event is about; of several the first, and the Pod itself, which is told so."""
    touched = view.derived(BudgetMembers).touched
    if len(touched) < 2:
        return touched
    pod = new if new is not None else old
    return (touched[0], f"{SHARED}{key_of(pod)}") if pod is not None else touched[:1]


class DisruptionController(ControllerBase):
    """Reconciles PodDisruptionBudgets by ``namespace/name``."""

    name = "disruption-controller"
    component = "controllermanager"
    resource = BUDGETS
    watches: Mapping[str, Mapper] = {
        BUDGETS: own_key,
        "pods": pod_to_budget,
        **dict.fromkeys(SCALED.values(), nobody),  # read when Pods change, as upstream
    }
    derives: Sequence[Callable[[Any], Any]] = (BudgetMembers,)
    rationed = frozenset((BUDGETS,))

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Count the Pods of a budget. O(its Pods)."""
        if key.startswith(SHARED):
            return _shared(key.removeprefix(SHARED), view)
        budget = view.get(BUDGETS, key)
        if budget is None:
            return DONE
        pods = [pod for pod_key in view.derived(BudgetMembers).of(key) if (pod := view.get("pods", pod_key)) is not None]
        events: list[Intent] = []
        if not pods:
            events.append(EventIntent(budget, "Normal", "NoPods", "No matching pods found"))
        expected, desired, unmanaged, error = expectation(budget, pods, view)
        if error:
            message = f"Failed to calculate the number of expected pods: {error}"
            events.append(EventIntent(budget, "Warning", "CalculateExpectedPodCountFailed", message))
            return Result([*events, *_written(budget, _failed(budget, error, now_ns))])
        if unmanaged:
            events.append(EventIntent(budget, "Warning", "UnmanagedPods", _unmanaged_text(budget)))
        disrupted, late, recheck_ns = _disrupted(budget, pods, now_ns)
        where = key_of(budget)
        for pod in late:
            events.append(EventIntent(pod, "Warning", "NotDeleted", f"Pod was expected by PDB {where} to be deleted but it wasn't"))
        healthy = sum(1 for pod in pods if _is_healthy(pod, disrupted))
        status = counted_status(budget, healthy, desired, expected, disrupted, now_ns)
        return Result([*events, *_written(budget, status)], recheck_ns)


def _shared(pod_key: str, view: View) -> Result:
    """Tell a Pod of several budgets which one counts it."""
    pod = view.get("pods", pod_key)
    members = view.derived(BudgetMembers)
    budgets = [budget for budget in members.members if pod_key in members.members[budget]]
    if pod is None or len(budgets) < 2:
        return DONE
    namespace, _, name = pod_key.partition("/")
    chosen = budgets[0].partition("/")[2]
    text = f'Pod "{namespace}"/"{name}" matches multiple PodDisruptionBudgets.  Chose "{chosen}" arbitrarily.'
    return Result([EventIntent(pod, "Warning", "MultiplePodDisruptionBudgets", text)])


def expectation(budget: Object, pods: Sequence[Object], view: View) -> tuple[int, int, list[str], str]:
    """(expected Pods, desired healthy Pods, names of Pods that nobody controls, what is wrong)."""
    spec = budget["spec"]
    unavailable, available = spec.get("maxUnavailable"), spec.get("minAvailable")
    if unavailable is None and isinstance(available, int):
        return len(pods), available, [], ""
    if unavailable is None and available is None:
        return 0, 0, [], ""
    expected, unmanaged, error = expected_scale(pods, view)
    if error:
        return 0, 0, [], error
    if unavailable is not None:
        return expected, max(expected - _scaled(unavailable, expected), 0), unmanaged, ""
    return expected, _scaled(available, expected), unmanaged, ""


def _scaled(value: Any, total: int) -> int:
    """A number, or a percentage of ``total``, rounded up."""
    if isinstance(value, int):
        return value
    return -(-int(value.rstrip("%")) * total // 100)


def expected_scale(pods: Sequence[Object], view: View) -> tuple[int, list[str], str]:
    """How many Pods the controllers of these want, together; each controller once."""
    unmanaged: list[str] = []
    scales: dict[str, int] = {}
    for pod in pods:
        reference = controller_of(pod)
        if reference is None:
            unmanaged.append(pod["metadata"]["name"])
            continue
        if reference["uid"] in scales:
            continue
        namespace = pod["metadata"]["namespace"]
        resource = SCALED.get(reference["kind"])
        if resource is None:
            return (
                0,
                [],
                f"{reference['kind'].lower()}s.{reference['apiVersion'].partition('/')[0]} does not implement the scale subresource",
            )
        owner = view.get(resource, f"{namespace}/{reference['name']}")
        if owner is None or owner["metadata"]["uid"] != reference["uid"]:
            return 0, [], f'found no controllers for pod "{pod["metadata"]["name"]}"'
        above = controller_of(owner)
        if reference["kind"] == "ReplicaSet" and above is not None and above["kind"] == "Deployment":
            deployment = view.get(SCALED["Deployment"], f"{namespace}/{above['name']}")
            if deployment is not None and deployment["metadata"]["uid"] == above["uid"]:
                scales[above["uid"]] = deployment["spec"].get("replicas", 1)
                scales.setdefault(reference["uid"], 0)
                continue
        scales[reference["uid"]] = owner["spec"].get("replicas", 1)
    return sum(scales.values()), unmanaged, ""


def _disrupted(budget: Object, pods: Sequence[Object], now_ns: int) -> tuple[dict[str, str], list[Object], int | None]:
    """The noted Pods that still may go, those that should have gone, and when to look again."""
    noted = (budget.get("status") or {}).get("disruptedPods") or {}
    kept: dict[str, str] = {}
    late = []
    recheck_ns: int | None = None
    for pod in pods if noted else ():
        name = pod["metadata"]["name"]
        if pod["metadata"].get("deletionTimestamp") or name not in noted:
            continue
        left_ns = parse_time(noted[name]) + DELETION_TIMEOUT_NS - now_ns
        if left_ns < 0:
            late.append(pod)
        else:
            kept[name] = noted[name]
            recheck_ns = left_ns + 1 if recheck_ns is None else min(recheck_ns, left_ns + 1)
    return kept, late, recheck_ns


def _is_healthy(pod: Object, disrupted: Mapping[str, str]) -> bool:
    return not pod["metadata"].get("deletionTimestamp") and pod["metadata"]["name"] not in disrupted and is_ready(pod)


def counted_status(budget: Object, healthy: int, desired: int, expected: int, disrupted: Mapping[str, str], now_ns: int) -> Object:
    """The status, fields in upstream's order."""
    allowed = healthy - desired if expected > 0 and healthy > desired else 0
    generation = budget["metadata"].get("generation", 0)
    reason = "SufficientPods" if allowed else "InsufficientPods"
    status: Object = {"observedGeneration": generation}
    if disrupted:
        status["disruptedPods"] = dict(disrupted)
    status |= {"disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected}
    condition = {"type": "DisruptionAllowed", "status": "True" if allowed else "False", "observedGeneration": generation}
    status["conditions"] = _with(budget, {**condition, "reason": reason, "message": ""}, now_ns)
    return status


def _failed(budget: Object, error: str, now_ns: int) -> Object:
    """What is left when nothing can be counted: no disruption is allowed."""
    status = {**(budget.get("status") or {}), "disruptionsAllowed": 0}
    generation = budget["metadata"].get("generation", 0)
    condition = {"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": error, "observedGeneration": generation}
    return {**status, "conditions": _with(budget, condition, now_ns)}


def _with(budget: Object, condition: Object, now_ns: int) -> list[Object]:
    return list(set_condition((budget.get("status") or {}).get("conditions"), condition, format_time(now_ns)))


def _written(budget: Object, status: Object) -> list[Intent]:
    return [] if status == budget.get("status") else [update(BUDGETS, {**budget, "status": status}, "status")]


def _unmanaged_text(budget: Object) -> str:
    selector = budget["spec"].get("selector") or {}
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    shown = f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{}},}}"
    return (
        f"Pods selected by this PodDisruptionBudget (selector: {shown}) were found to be unmanaged. As a result, the status of the PDB "
        "cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set "
        '".spec.minAvailable" field of the PDB to an integer value."'
    )


CONTROLLER = DisruptionController
