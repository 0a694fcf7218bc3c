"""The protection controller of volumes: a volume stays while it is bound. Upstream: pkg/controller/volume/pvprotection."""

from collections.abc import Mapping

from kubesim.apiserver.requests import update
from kubesim.controllers.contract import DONE, ControllerBase, Mapper, Result, View, own_key
from kubesim.controllers.volume import VOLUMES
from kubesim.controllers.volume_protection import with_finalizer

FINALIZER = "kubernetes.io/pv-protection"


class VolumeProtectionController(ControllerBase):
    """Reconciles PersistentVolumes by name."""

    name = "persistentvolume-protection-controller"
    resource = VOLUMES
    watches: Mapping[str, Mapper] = {VOLUMES: own_key}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Put the finalizer on, or take it off."""
        volume = view.get(VOLUMES, key)
        if volume is None:
            return DONE
        dying = bool(volume["metadata"].get("deletionTimestamp"))
        if dying and (volume.get("status") or {}).get("phase") == "Bound":
            return DONE
        fresh = with_finalizer(volume, FINALIZER, not dying)
        return DONE if fresh is None else Result([update(VOLUMES, fresh)])


CONTROLLER = VolumeProtectionController
