"""Priority: a Pod's priority and preemption policy come from its PriorityClass; only one class may be the default.

The system's own classes stay, which upstream says in their storage (pkg/registry/scheduling/priorityclass/storage).
Upstream: plugin/pkg/admission/priority/admission.go.
"""

from kubesim.api.kinds.priorityclass import SYSTEM_CLASSES
from kubesim.apiserver.admission.contract import CREATE, DELETE, UPDATE, Attributes, Object, Plugin, Policy, refuse

CLASSES = "priorityclasses.scheduling.k8s.io"
PREEMPT = "PreemptLowerPriority"


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Resolve the PriorityClass of a new Pod; a changed one keeps what it has."""
    pod: Object = attributes.obj
    if attributes.resource.name != "pods":
        return pod
    if attributes.operation == UPDATE:
        return _carried_over(pod, attributes.old)
    spec = pod.get("spec") or {}
    name, value, preemption = _resolve(attributes, spec.get("priorityClassName") or "", policy)
    given, given_policy = spec.get("priority"), spec.get("preemptionPolicy")
    if given is not None and given != value:
        what = f"the integer value of priority ({given}) must not be provided in pod spec; "
        raise refuse(attributes, f"{what}priority admission controller computed {value} from the given PriorityClass name")
    if given_policy is not None and given_policy != preemption:
        what = f"the string value of PreemptionPolicy ({given_policy}) must not be provided in pod spec; "
        raise refuse(attributes, f"{what}priority admission controller computed {preemption} from the given PriorityClass name")
    changes: Object = {"priority": value, "preemptionPolicy": preemption}
    if name:
        changes["priorityClassName"] = name
    return pod if changes.items() <= spec.items() else {**pod, "spec": {**spec, **changes}}


def _carried_over(pod: Object, old: Object) -> Object:
    """A changed Pod keeps the resolved fields that its sender left out."""
    spec, before = pod.get("spec") or {}, old.get("spec") or {}
    kept = {key: before[key] for key in ("priority", "preemptionPolicy") if spec.get(key) is None and before.get(key) is not None}
    return {**pod, "spec": {**spec, **kept}} if kept else pod


def _resolve(attributes: Attributes, name: str, policy: Policy) -> tuple[str, int, str]:
    """(class name, value, preemption policy) of a Pod that names ``name``, or nothing."""
    if name:
        found = policy.peek(CLASSES, "", name)
        if found is None:
            raise refuse(attributes, f"no PriorityClass with name {name} was found")
        return name, found["value"], found.get("preemptionPolicy") or PREEMPT
    # Several defaults can only come from before this plugin was on; upstream takes the lowest value then.
    defaults = [found for found in policy.peek_all(CLASSES) if found.get("globalDefault")]
    if not defaults:
        return "", 0, PREEMPT
    chosen = min(defaults, key=lambda found: (found["value"], found["metadata"]["name"]))
    return chosen["metadata"]["name"], chosen["value"], chosen.get("preemptionPolicy") or PREEMPT


def validate(attributes: Attributes, policy: Policy) -> None:
    """Refuse a second default PriorityClass, and the end of one that the system needs."""
    if attributes.operation == DELETE:
        if attributes.name in SYSTEM_CLASSES:
            raise refuse(attributes, "this is a system priority class and cannot be deleted")
        return
    if attributes.resource.name != CLASSES or not attributes.obj.get("globalDefault"):
        return
    for found in policy.peek_all(CLASSES):
        name = found["metadata"]["name"]
        if found.get("globalDefault") and name != attributes.name:
            raise refuse(attributes, f"PriorityClass {name} is already marked as default. Only one default can exist")


PLUGIN = Plugin(
    "Priority", (CREATE, UPDATE, DELETE), ("pods", CLASSES), mutate=mutate, validate=validate, of_template=True,
    validates=((CREATE, CLASSES), (UPDATE, CLASSES), (DELETE, CLASSES)),
)  # fmt: skip
