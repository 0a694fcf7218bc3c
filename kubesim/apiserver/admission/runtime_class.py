"""RuntimeClass: a Pod of a class gets the class's overhead and node selector; the class must exist.

Upstream: plugin/pkg/admission/runtimeclass/admission.go.
"""

from kubesim.apiserver.admission.contract import CREATE, Attributes, Object, Plugin, Policy, refuse

CLASSES = "runtimeclasses.node.k8s.io"


def mutate(attributes: Attributes, policy: Policy) -> Object:
    """Fill in what the Pod's RuntimeClass says."""
    pod: Object = attributes.obj
    spec = pod.get("spec") or {}
    name = spec.get("runtimeClassName")
    if not name:
        if spec.get("overhead"):
            raise refuse(attributes, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
        return pod
    found = policy.peek(CLASSES, "", name)
    if found is None:
        raise refuse(attributes, f'pod rejected: RuntimeClass "{name}" not found')
    changes = {**_overhead(attributes, spec, found), **_scheduling(attributes, spec, found)}
    return {**pod, "spec": {**spec, **changes}} if changes else pod


def _overhead(attributes: Attributes, spec: Object, runtime_class: Object) -> Object:
    fixed = (runtime_class.get("overhead") or {}).get("podFixed")
    given = spec.get("overhead")
    if given and given != fixed:
        raise refuse(attributes, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    return {"overhead": fixed} if fixed and not given else {}


def _scheduling(attributes: Attributes, spec: Object, runtime_class: Object) -> Object:
    scheduling = runtime_class.get("scheduling") or {}
    changes: Object = {}
    selector, given = scheduling.get("nodeSelector") or {}, spec.get("nodeSelector") or {}
    for key, value in selector.items():
        if given.get(key, value) != value:
            where = f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}"
            raise refuse(attributes, f"{where}; pod.spec.nodeSelector[{key}] = {given[key]}")
    if selector.items() - given.items():
        changes["nodeSelector"] = {**given, **selector}
    tolerations = spec.get("tolerations") or []
    added = [toleration for toleration in scheduling.get("tolerations") or () if toleration not in tolerations]
    if added:
        changes["tolerations"] = [*tolerations, *added]
    return changes


PLUGIN = Plugin("RuntimeClass", (CREATE,), ("pods",), mutate=mutate, of_template=True)
