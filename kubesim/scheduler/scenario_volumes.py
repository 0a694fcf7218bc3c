"""Volumes in a scenario are bound at once with their Pod: matched ones are promised to each other, the others provisioned.

What the volume controllers and a CSI provisioner would do, without their time.
"""

from typing import Any

from kubesim.scheduler.engine import SchedulingEngine
from kubesim.scheduler.objects import Objects
from kubesim.scheduler.plugins.volume_binding import VolumeBinding
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.volumes import BIND_COMPLETED, class_name_of, class_of

Object = dict[str, Any]
FIRST_VERSION = 1000


class ScenarioVolumes:
    """Binds volumes over ``objects``; counts resource versions as a store would: one per write."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._version = FIRST_VERSION

    def bind(self, engine: SchedulingEngine, pod: PodInfo, node_name: str) -> Object:
        """Bind what waits for the Pod; the record's ``volumeBindings`` and ``provisionedPVs``, empty when there is nothing."""
        framework = engine.frameworks[pod.facts.scheduler_name]
        row = engine.table.find(node_name)
        plugin = next((plugin for plugin in framework.reserve if isinstance(plugin, VolumeBinding)), None)
        if plugin is None:
            return {}
        found = plugin.bindings_for(pod, row)
        bound: list[Object] = []
        made: list[Object] = []
        for claim, volume in found.matched:
            self._write("persistentvolumes", _promised(volume, claim))
            self._complete(claim, volume["metadata"]["name"])
            bound.append({"pvc": _key(claim), "pv": volume["metadata"]["name"]})
        for claim in found.provisioned:
            self._version += 1  # the claim's selected-node annotation
            volume = self._provision(claim, engine, row)
            made.append(volume)
            self._complete(claim, volume["metadata"]["name"])
            bound.append({"pvc": _key(claim), "pv": volume["metadata"]["name"], "provisioned": True})
        record: Object = {}
        if bound:
            record["volumeBindings"] = sorted(bound, key=lambda binding: binding["pvc"])
        if made:
            record["provisionedPVs"] = made
        return record

    def _write(self, resource: str, obj: Object) -> None:
        self._version += 1
        self._objects.set(resource, obj)

    def _complete(self, claim: Object, volume_name: str) -> None:
        metadata = claim["metadata"]
        annotations = {**(metadata.get("annotations") or {}), BIND_COMPLETED: "yes"}
        status = {**(claim.get("status") or {}), "phase": "Bound"}
        spec = {**claim["spec"], "volumeName": volume_name}
        self._write(
            "persistentvolumeclaims", {**claim, "metadata": {**metadata, "annotations": annotations}, "spec": spec, "status": status}
        )

    def _provision(self, claim: Object, engine: SchedulingEngine, row: int) -> Object:
        """The volume that the class's driver makes for a claim, reachable from nodes of the same topology."""
        storage_class = class_of(self._objects, claim)
        assert storage_class is not None
        uid, driver, spec = claim["metadata"]["uid"], storage_class["provisioner"], claim["spec"]
        made: Object = {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "csi": {"driver": driver, "volumeHandle": f"vol-{uid}"},
            "accessModes": spec.get("accessModes") or [],
            "claimRef": {**_reference(claim), "apiVersion": "v1"},
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": class_name_of(claim),
            "volumeMode": spec.get("volumeMode") or "Filesystem",
        }
        expressions = self._topology(driver, engine, row)
        if expressions:
            made["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": expressions}]}}
        metadata = {
            "name": f"pvc-{uid}",
            "uid": f"pv-{uid}",
            "resourceVersion": str(self._version + 1),
            "annotations": {"pv.kubernetes.io/provisioned-by": driver},
        }
        volume = {"metadata": metadata, "spec": made, "status": {"phase": "Bound"}}
        self._write("persistentvolumes", volume)
        return volume

    def _topology(self, driver: str, engine: SchedulingEngine, row: int) -> list[Object]:
        labels = engine.table.labels[row]
        node = self._objects.get("csinodes", engine.table.names[row] or "") or {}
        drivers = (node.get("spec") or {}).get("drivers") or ()
        keys = next((found.get("topologyKeys") or () for found in drivers if found["name"] == driver), ())
        return [{"key": key, "operator": "In", "values": [labels[key]]} for key in keys if key in labels]


def _key(claim: Object) -> str:
    return f"{claim['metadata'].get('namespace') or 'default'}/{claim['metadata']['name']}"


def _reference(claim: Object) -> Object:
    metadata = claim["metadata"]
    namespace = metadata.get("namespace") or "default"
    return {"kind": "PersistentVolumeClaim", "namespace": namespace, "name": metadata["name"], "uid": metadata["uid"]}


def _promised(volume: Object, claim: Object) -> Object:
    spec = {**volume["spec"], "claimRef": {**_reference(claim), "apiVersion": "v1"}}
    return {**volume, "spec": spec, "status": {**(volume.get("status") or {}), "phase": "Bound"}}
