"""The simulated attacher of every CSI driver: says that a volume is attached, a moment after it was asked to.

Upstream: kubernetes-csi/external-attacher (csi_handler.go). Left out: its finalizer, since a detach has nothing to wait for.
"""

from collections.abc import Iterable, Mapping

from kubesim.api.csi import ATTACHMENTS
from kubesim.apiserver.requests import Object, update
from kubesim.controllers.contract import DONE, ControllerBase, Mapper, Result, View
from kubesim.kernel.time import MILLISECOND

ATTACH_NS = 300 * MILLISECOND


def unattached(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """An attachment that is asked for."""
    return (new["metadata"]["name"],) if new is not None and not (new.get("status") or {}).get("attached") else ()


class CsiAttacher(ControllerBase):
    """Reconciles VolumeAttachments by name."""

    name = "csi-attacher"
    resource = ATTACHMENTS
    watches: Mapping[str, Mapper] = {ATTACHMENTS: unattached}
    delays: Mapping[str, int] = {ATTACHMENTS: ATTACH_NS}

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Attach."""
        attachment = view.get(ATTACHMENTS, key)
        if attachment is None or attachment["metadata"].get("deletionTimestamp") or (attachment.get("status") or {}).get("attached"):
            return DONE
        return Result([update(ATTACHMENTS, {**attachment, "status": {"attached": True}}, "status")])


CONTROLLER = CsiAttacher
