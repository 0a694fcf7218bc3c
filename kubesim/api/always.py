"""What upstream's encoder writes even when it is empty: fields without ``omitempty``, structs by value, times by value.

In process such fields are simply absent. Whoever encodes for a client that compares with a real server calls ``complete`` first, which
adds them: ``""``, 0, false, null or ``{}``. Which fields these are follows from the published schema (what is required is always
written) and from ``BY_VALUE``, facts of the Go types (k8s.io/api/*/types.go) that no schema tells.
"""

from functools import cache
from typing import Any, NamedTuple

from kubesim.api.schema import Field, definition

Object = dict[str, Any]
_CORE, _META = "io.k8s.api.core.v1.", "io.k8s.apimachinery.pkg.apis.meta.v1."
_ZEROS: dict[str, Any] = {"s": "", "y": None, "i": 0, "l": 0, "n": 0, "b": False, "t": None, "u": None, "q": "0", "x": 0}
_SPEC_AND_STATUS = (
    "apps.v1.DaemonSet", "apps.v1.Deployment", "apps.v1.ReplicaSet", "apps.v1.StatefulSet", "authentication.v1.TokenRequest",
    "authorization.v1.SelfSubjectAccessReview", "authorization.v1.SelfSubjectRulesReview", "authorization.v1.SubjectAccessReview",
    "authorization.v1.LocalSubjectAccessReview", "authentication.v1.TokenReview",
    "autoscaling.v1.HorizontalPodAutoscaler", "autoscaling.v1.Scale", "autoscaling.v2.HorizontalPodAutoscaler", "batch.v1.CronJob",
    "batch.v1.Job", "certificates.v1.CertificateSigningRequest", "core.v1.Namespace", "core.v1.Node", "core.v1.PersistentVolume",
    "core.v1.PersistentVolumeClaim", "core.v1.Pod", "core.v1.ReplicationController", "core.v1.ResourceQuota", "core.v1.Service",
    "flowcontrol.v1.FlowSchema", "flowcontrol.v1.PriorityLevelConfiguration", "networking.v1.Ingress", "networking.v1.ServiceCIDR",
    "policy.v1.PodDisruptionBudget", "resource.v1.ResourceClaim", "storage.v1.VolumeAttachment",
)  # fmt: skip
_SPEC = (
    "coordination.v1.Lease", "core.v1.LimitRange", "networking.v1.IngressClass", "networking.v1.IPAddress", "networking.v1.NetworkPolicy",
    "admissionregistration.v1.MutatingAdmissionPolicy", "admissionregistration.v1.MutatingAdmissionPolicyBinding",
    "admissionregistration.v1.ValidatingAdmissionPolicyBinding", "batch.v1.JobTemplateSpec", "core.v1.PodTemplateSpec",
)  # fmt: skip
_REVIEWS = (
    "authentication.v1.SelfSubjectReview", "authentication.v1.TokenRequest", "authentication.v1.TokenReview",
    "authorization.v1.LocalSubjectAccessReview", "authorization.v1.SelfSubjectAccessReview",
    "authorization.v1.SelfSubjectRulesReview", "authorization.v1.SubjectAccessReview", "batch.v1.JobTemplateSpec",
    "core.v1.PersistentVolumeClaim", "core.v1.PersistentVolumeClaimTemplate", "core.v1.PodTemplateSpec", "core.v1.Binding",
    "resource.v1.ResourceClaimTemplateSpec", "policy.v1.Eviction", "autoscaling.v1.Scale",
)  # fmt: skip
# Fields by value, by the short name of their type.
BY_VALUE: dict[str, tuple[str, ...]] = {
    "admissionregistration.v1.ValidatingAdmissionPolicy": ("spec", "status"),
    "apps.v1.DaemonSetCondition": ("lastTransitionTime",),
    "apps.v1.DaemonSetSpec": ("updateStrategy",),
    "apps.v1.DeploymentCondition": ("lastTransitionTime", "lastUpdateTime"),
    "apps.v1.DeploymentSpec": ("strategy",),
    "apps.v1.ReplicaSetCondition": ("lastTransitionTime",),
    "apps.v1.ReplicaSetSpec": ("template",),
    "apps.v1.StatefulSetCondition": ("lastTransitionTime",),
    "apps.v1.StatefulSetSpec": ("serviceName", "updateStrategy"),
    "apps.v1.StatefulSetStatus": ("availableReplicas",),
    "authentication.v1.SelfSubjectReview": ("status",),
    "authentication.v1.SelfSubjectReviewStatus": ("userInfo",),
    "authentication.v1.TokenRequestSpec": ("boundObjectRef",),
    "authentication.v1.TokenReviewStatus": ("user",),
    "autoscaling.v1.HorizontalPodAutoscalerSpec": ("scaleTargetRef",),
    "autoscaling.v2.HorizontalPodAutoscalerCondition": ("lastTransitionTime",),
    "autoscaling.v2.HorizontalPodAutoscalerStatus": ("currentMetrics",),
    "batch.v1.JobCondition": ("lastProbeTime", "lastTransitionTime"),
    "certificates.v1.CertificateSigningRequestCondition": ("lastTransitionTime", "lastUpdateTime"),
    "core.v1.Container": ("resources",),
    "core.v1.ContainerStateRunning": ("startedAt",),
    "core.v1.ContainerStateTerminated": ("finishedAt", "startedAt"),
    "core.v1.ContainerStatus": ("lastState", "state"),
    "core.v1.EphemeralContainer": ("resources",),
    "core.v1.Event": ("eventTime", "firstTimestamp", "lastTimestamp", "reportingComponent", "reportingInstance", "source"),
    "core.v1.NamespaceCondition": ("lastTransitionTime",),
    "core.v1.NodeCondition": ("lastHeartbeatTime", "lastTransitionTime"),
    "core.v1.NodeDaemonEndpoints": ("kubeletEndpoint",),
    "core.v1.NodeStatus": ("daemonEndpoints", "nodeInfo"),
    "core.v1.PersistentVolumeClaimCondition": ("lastProbeTime", "lastTransitionTime"),
    "core.v1.PersistentVolumeClaimSpec": ("resources",),
    "core.v1.PodCondition": ("lastProbeTime", "lastTransitionTime"),
    "core.v1.PodTemplate": ("template",),
    "core.v1.ProjectedVolumeSource": ("sources",),
    "core.v1.ReplicationControllerCondition": ("lastTransitionTime",),
    "core.v1.ResourceFieldSelector": ("divisor",),
    "core.v1.ServicePort": ("targetPort",),
    "core.v1.ServiceStatus": ("loadBalancer",),
    "core.v1.TypedLocalObjectReference": ("apiGroup",),
    "core.v1.TypedObjectReference": ("apiGroup",),
    "discovery.v1.Endpoint": ("conditions",),
    "discovery.v1.EndpointSlice": ("ports",),
    "events.v1.Event": ("deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedSource", "regarding"),
    "flowcontrol.v1.FlowSchemaCondition": ("lastTransitionTime",),
    "flowcontrol.v1.LimitedPriorityLevelConfiguration": ("limitResponse",),
    "flowcontrol.v1.PriorityLevelConfigurationCondition": ("lastTransitionTime",),
    "networking.v1.IngressServiceBackend": ("port",),
    "networking.v1.IngressStatus": ("loadBalancer",),
    "networking.v1.NetworkPolicySpec": ("podSelector",),
    "policy.v1.PodDisruptionBudgetStatus": (),
    "rbac.v1.ClusterRole": ("rules",),
    "rbac.v1.Role": ("rules",),
    "resource.v1.AllocationResult": ("devices",),
    "resource.v1.ResourceClaimSpec": ("devices",),
    "storage.v1.CSINodeDriver": ("topologyKeys",),
    "storage.v1.VolumeError": ("time",),
    "pkg.apis.apiextensions.v1.CustomResourceDefinition": ("status",),
    "pkg.apis.apiextensions.v1.CustomResourceDefinitionCondition": ("lastTransitionTime",),
    "pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus": ("acceptedNames", "conditions", "storedVersions"),
    "pkg.apis.apiregistration.v1.APIService": ("spec", "status"),
    "pkg.apis.apiregistration.v1.APIServiceCondition": ("lastTransitionTime",),
}


class Step(NamedTuple):
    """What to do about one field: the zero to add when it is missing (``has_zero``), and the plan of what is in it."""

    field: str
    has_zero: bool
    zero: Any
    code: str  # "@", "a" or "m": where ``ref`` is; "" when there is nothing to do inside
    ref: str


def _short(name: str) -> str:
    for prefix in ("io.k8s.api.", "io.k8s.apiextensions-apiserver.", "io.k8s.kube-aggregator."):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


@cache
def by_value(name: str) -> frozenset[str]:
    """The fields of a definition that are structs (or times) by value."""
    short = _short(name)
    fields = set(BY_VALUE.get(short, ()))
    if short in _SPEC_AND_STATUS:
        fields |= {"spec", "status"}
    if short in _SPEC:
        fields.add("spec")
    if short in _REVIEWS:
        fields.add("metadata")
    return frozenset(fields)


def _inner(at: Field) -> tuple[str, str]:
    """Where the definition is that a field holds: in it, in its items or in its values."""
    if at.code == "@":
        return "@", at.ref
    if at.code in "am" and at.item is not None and at.item.code == "@":
        return at.code, at.item.ref
    return "", ""


def _needs_work(name: str, above: frozenset[str]) -> bool:
    """Whether anything below a definition may have to be added; one that is being asked about already says no."""
    known = definition(name)
    if known is None or not known.fields or name in above:
        return False
    if (set(known.required) | by_value(name)) & set(known.fields):
        return True
    return any(_needs_work(_inner(at)[1], above | {name}) for at in known.fields.values() if _inner(at)[1])


@cache
def plan(name: str) -> tuple[Step, ...]:
    """The steps of a definition, none when nothing is to do."""
    known = definition(name)
    if known is None:
        return ()
    steps = []
    wanted = set(known.required) | by_value(name)
    for field_name, at in known.fields.items():
        code, ref = _inner(at)
        if ref and not _needs_work(ref, frozenset()):
            code = ""
        has_zero = field_name in wanted
        if has_zero or code:
            steps.append(Step(field_name, has_zero, _zero(at) if has_zero else None, code, ref))
    return tuple(steps)


_POINTERS = (  # of required fields of a struct: null when not there
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", "io.k8s.api.authentication.v1.BoundObjectReference",
)  # fmt: skip


def _zero(at: Field) -> Any:
    if at.ref in _POINTERS:
        return None
    if at.code != "@":
        return _ZEROS.get(at.code)
    known = definition(at.ref)
    if known is None or not known.fields:
        return _ZEROS.get(known.code) if known is not None else None
    return complete({}, at.ref)


def complete(obj: Object, name: str) -> Object:
    """``obj`` with everything that its definition always writes; the object itself when it has all that. O(fields).

    >>> complete({"name": "c", "image": "i"}, "io.k8s.api.core.v1.Container")
    {'name': 'c', 'image': 'i', 'resources': {}}
    """
    copy: Object | None = None
    for field, has_zero, zero, code, ref in plan(name):
        item = obj.get(field)
        if item is None:
            if has_zero and (zero is not None or field not in obj):
                copy = dict(obj) if copy is None else copy
                copy[field] = zero
            continue
        if not code:
            continue
        new = _inside(item, code, ref)
        if new is not item:
            copy = dict(obj) if copy is None else copy
            copy[field] = new
    return obj if copy is None else copy


def _inside(item: Any, code: str, ref: str) -> Any:
    if code == "@":
        return complete(item, ref) if isinstance(item, dict) else item
    if code == "a":
        if not isinstance(item, list):
            return item
        items = [complete(each, ref) if isinstance(each, dict) else each for each in item]
        return items if any(new is not old for new, old in zip(items, item)) else item
    if not isinstance(item, dict):
        return item
    values = {key: complete(each, ref) if isinstance(each, dict) else each for key, each in item.items()}
    return values if any(values[key] is not item[key] for key in item) else item
