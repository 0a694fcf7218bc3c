"""The CSI door of the nodes: a claim or a driver's volume becomes a mounted one.

The order is upstream's: the claim is bound, the volume is attached to the node (a VolumeAttachment says so), staged once per node and
volume, published once per Pod. What is missing is awaited in the caches, what takes time is a timer. Volumes that no driver attaches (host
paths, local disks, NFS) are there at once.

Upstream: pkg/volume/csi (csi_attacher.go, csi_mounter.go), pkg/kubelet/volumemanager.
"""

from collections.abc import Callable
from dataclasses import dataclass

from kubesim.api.csi import ATTACHMENTS, MIGRATED, CsiVolume, attachment_name, csi_volume
from kubesim.apiserver.requests import Object
from kubesim.client.informer import InformerFactory
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import MILLISECOND

CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"
SOURCES = ("persistentVolumeClaim", "ephemeral", "csi", *MIGRATED)
UNATTACHED_SOURCES = ("cephfs", "fc", "glusterfs", "iscsi", "nfs", "rbd", "azureFile")


@dataclass(frozen=True)
class CsiLatencies:
    """What the drivers of a node take."""

    stage_ns: int = 200 * MILLISECOND
    publish_ns: int = 50 * MILLISECOND


class CsiDoor:
    """Serves the volumes of all nodes; one per cluster. ``plugins`` is what ``KubeletConfig.volume_plugins`` takes."""

    def __init__(self, kernel: Kernel, factory: InformerFactory, latencies: CsiLatencies | None = None) -> None:
        self._kernel = kernel
        self._factory = factory
        self._latencies = latencies or CsiLatencies()
        self._awaited: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self._staged: dict[tuple[str, str], int] = {}  # (node, handle) -> when it is staged
        self._published: dict[tuple[str, str], int] = {}  # (Pod uid, volume name) -> when it is published
        self._started = False

    @property
    def plugins(self) -> dict[str, "CsiDoor"]:
        """This door under the name of every source that it serves."""
        return dict.fromkeys((*SOURCES, *UNATTACHED_SOURCES), self)

    def set_up(self, pod: Object, volume: Object, node_name: str, done: Callable[[], None]) -> str:
        """Return "" when the volume is mounted, else what it waits for; then call ``done()`` once when that has changed."""
        self._start()
        found = self._find(pod, volume, node_name, done)
        if isinstance(found, str):
            return found
        return self._mount(pod, volume, node_name, found, done)

    def _find(self, pod: Object, volume: Object, node_name: str, done: Callable[[], None]) -> CsiVolume | str | None:
        """The driver's volume, None for one without a driver, or what is still missing."""
        name = volume["name"]
        spec: Object = volume
        if "persistentVolumeClaim" in volume or "ephemeral" in volume:
            claim_name = (
                volume["persistentVolumeClaim"]["claimName"] if "persistentVolumeClaim" in volume else f"{pod['metadata']['name']}-{name}"
            )
            key = f"{pod['metadata']['namespace']}/{claim_name}"
            claim = self._factory.informer(CLAIMS).objects.get(key)
            if claim is None or (claim.get("status") or {}).get("phase") != "Bound":
                return self._wait(CLAIMS, key, done, f'its volume "{name}": the claim "{claim_name}" is not bound')
            volume_name = claim["spec"]["volumeName"]
            persistent = self._factory.informer(VOLUMES).objects.get(volume_name)
            if persistent is None:
                return self._wait(VOLUMES, volume_name, done, f'its volume "{name}": the volume {volume_name} does not exist')
            spec = persistent["spec"]
        found = csi_volume(spec)
        if found is None:
            return None
        attachment_key = attachment_name(found, node_name)
        attachment = self._factory.informer(ATTACHMENTS).objects.get(attachment_key)
        if attachment is None or not (attachment.get("status") or {}).get("attached"):
            return self._wait(ATTACHMENTS, attachment_key, done, f'its volume "{name}" to be attached to {node_name}')
        return found

    def _mount(self, pod: Object, volume: Object, node_name: str, found: CsiVolume | None, done: Callable[[], None]) -> str:
        """Stage and publish."""
        if found is None:
            return ""
        now_ns = self._kernel.now_ns
        staged_ns = self._staged.setdefault((node_name, found.handle), now_ns + self._latencies.stage_ns)
        due_ns = self._published.setdefault((pod["metadata"]["uid"], volume["name"]), max(staged_ns, now_ns) + self._latencies.publish_ns)
        if due_ns <= now_ns:
            return ""
        self._kernel.at(due_ns, done)
        return f'its volume "{volume["name"]}" to be mounted'

    def _wait(self, resource: str, key: str, done: Callable[[], None], why: str) -> str:
        self._awaited.setdefault((resource, key), []).append(done)
        return why

    def _start(self) -> None:
        """Watch what volumes hang on, from the first volume on."""
        if self._started:
            return
        self._started = True
        for resource in (CLAIMS, VOLUMES, ATTACHMENTS):
            informer = self._factory.informer(resource)
            informer.add_keyed_handler(self._handler(resource))
            informer.start()
        self._factory.informer("pods").add_handler(self._on_pod)

    def _handler(self, resource: str) -> Callable[[str, Object | None, Object | None], None]:
        def on_change(key: str, old: Object | None, new: Object | None) -> None:
            if resource == ATTACHMENTS and new is None and old is not None:
                source = (old["spec"]["source"].get("inlineVolumeSpec") or {}).get("csi") or {}
                name = old["spec"]["source"].get("persistentVolumeName", "")
                self._staged.pop((old["spec"]["nodeName"], source.get("volumeHandle", name)), None)
            for done in self._awaited.pop((resource, key), ()):
                done()

        return on_change

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None and self._published:
            for volume in old["spec"].get("volumes") or ():
                self._published.pop((old["metadata"]["uid"], volume["name"]), None)
