"""What is wrong with a scenario, before anything of it runs: shapes, unknown fields, values that the apiserver would refuse.

Each problem is one sentence: where in the scenario, which object, field, value, what was expected.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kubesim.api import schema
from kubesim.api.kinds import KINDS
from kubesim.api.kinds.contract import Kind

Object = dict[str, Any]
NEEDED = ("id", "nodes", "pending")
POD_LISTS = ("pending", "pods", "nominated")
# The lists of a scenario and the kinds in them.
KIND_OF = {
    "nodes": "nodes",
    **dict.fromkeys(POD_LISTS, "pods"),
    "namespaces": "namespaces",
    "pvs": "persistentvolumes",
    "pvcs": "persistentvolumeclaims",
    "storageClasses": "storageclasses.storage.k8s.io",
    "csiNodes": "csinodes.storage.k8s.io",
    "csiDrivers": "csidrivers.storage.k8s.io",
    "csiStorageCapacities": "csistoragecapacities.storage.k8s.io",
    "volumeAttachments": "volumeattachments.storage.k8s.io",
    "services": "services",
    "replicaSets": "replicasets.apps",
    "statefulSets": "statefulsets.apps",
    "replicationControllers": "replicationcontrollers",
    "priorityClasses": "priorityclasses.scheduling.k8s.io",
    "pdbs": "poddisruptionbudgets.policy",
    "deviceClasses": "deviceclasses.resource.k8s.io",
    "resourceSlices": "resourceslices.resource.k8s.io",
    "resourceClaims": "resourceclaims.resource.k8s.io",
    "podGroups": "podgroups.scheduling.k8s.io",
}
MODES = ("record", "nominate", "evict")


def problems(scenario: Mapping[str, Any]) -> list[str]:
    """Every problem of shape; [] when the scenario can be run. O(its size)."""
    found = [f"field {field!r} is missing; expected a scenario with {', '.join(NEEDED)}" for field in NEEDED if field not in scenario]
    mode = scenario.get("preemption")
    if mode is not None and mode not in MODES:
        found.append(f'preemption: "{mode}"; expected one of {", ".join(MODES)}')
    config = scenario.get("config")
    if config is not None and not isinstance(config, str):
        found.append(f"config: a {type(config).__name__}; expected a KubeSchedulerConfiguration as a JSON text")
    for field, resource in KIND_OF.items():
        objects = scenario.get(field)
        if objects is None:
            continue
        if not isinstance(objects, list):
            found.append(f"{field}: a {type(objects).__name__}; expected a list of objects")
            continue
        kind = KINDS.get(resource)
        seen: dict[tuple[str, str], int] = {}
        for index, obj in enumerate(objects):
            found += [f"{field}[{index}]{text}" for text in _object_problems(obj, kind)]
            if isinstance(obj, dict) and isinstance(obj.get("metadata"), dict):
                metadata = obj["metadata"]
                key = (str(metadata.get("namespace") or ""), str(metadata.get("name")))
                if key in seen:
                    found.append(f'{field}[{index}].metadata.name: Duplicate value: "{key[1]}": {field}[{seen[key]}] has it too')
                seen[key] = index
    return found


def _object_problems(obj: Any, kind: Kind | None) -> Iterator[str]:
    if not isinstance(obj, dict):
        yield f": a {type(obj).__name__}; expected an object"
        return
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        yield ".metadata.name: missing; expected the object's name"
        return
    if kind is None:
        return
    if kind.kind == "Pod" and not isinstance(obj.get("spec"), dict):
        yield f' (Pod "{metadata["name"]}").spec: missing; expected the Pod\'s spec'
        return
    for problem in schema.check(obj, kind.schema):
        yield f' ({kind.kind} "{metadata["name"]}").{problem}'


def pod_problems(pod: Object, field: str, index: int) -> list[str]:
    """What the apiserver's validation says of a Pod after admission."""
    kind = KINDS.by_resource("pods")
    name = pod["metadata"]["name"]
    return [f'{field}[{index}] (Pod "{name}").{error.field}: {error.message}' for error in kind.validate(pod)]
