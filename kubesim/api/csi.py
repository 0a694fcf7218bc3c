"""What the controllers and the nodes agree on about CSI volumes: which driver serves a volume, and the name of its attachment.

In-tree volumes of clouds count as volumes of the drivers that they were migrated to.

Upstream: csi-translation-lib/plugins, pkg/volume/csi/csi_attacher.go (getAttachmentName).
"""

from hashlib import blake2b
from typing import Any, NamedTuple

Object = dict[str, Any]
ATTACHMENTS = "volumeattachments.storage.k8s.io"
# in-tree source -> driver, the field with the volume's name
MIGRATED = {
    "awsElasticBlockStore": ("ebs.csi.aws.com", "volumeID"),
    "azureDisk": ("disk.csi.azure.com", "diskName"),
    "cinder": ("cinder.csi.openstack.org", "volumeID"),
    "gcePersistentDisk": ("pd.csi.storage.gke.io", "pdName"),
    "portworxVolume": ("pxd.portworx.com", "volumeID"),
    "vsphereVolume": ("csi.vsphere.vmware.com", "volumePath"),
}


class CsiVolume(NamedTuple):
    """A volume as its driver knows it."""

    driver: str
    handle: str


def csi_volume(spec: Object) -> CsiVolume | None:
    """The CSI volume of a PersistentVolume's spec or of a Pod's volume; None for one that no driver attaches."""
    source = spec.get("csi")
    if source is not None and source.get("volumeHandle"):
        return CsiVolume(source["driver"], source["volumeHandle"])
    for name, (driver, field) in MIGRATED.items():
        if name in spec:
            return CsiVolume(driver, str(spec[name].get(field, "")))
    return None


def attachment_name(volume: CsiVolume, node: str) -> str:
    """The name of the VolumeAttachment of a volume to a node."""
    text = f"{volume.handle}{volume.driver}{node}"
    return f"csi-{blake2b(text.encode(), digest_size=32).hexdigest()}"
