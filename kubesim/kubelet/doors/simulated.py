"""The simulated container runtime of one node: both CRI services, answered by a behaviour model.

Images are pulled one at a time in the order asked for (serializeImagePulls, upstream's default) or all at once; while an image is on its
way, a second pull of it only asks the registry again and ends with the first at the earliest, so the transfer is shared. Container ids
are hashes of (Pod, container, attempt): the same in every run, whatever else happens.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from hashlib import blake2b

from kubesim.apiserver.requests import Object
from kubesim.kernel.rng import Stream
from kubesim.kernel.time import SECOND
from kubesim.kubelet.doors.cni import CniPlugin
from kubesim.kubelet.doors.cri import ImageRecord, PullOutcome, SandboxOutcome, StartOutcome, StopOutcome
from kubesim.kubelet.eviction.images import Unused
from kubesim.kubelet.facts import ContainerFacts
from kubesim.kubelet.models.contract import Model, PodBehaviour

RUNTIME_NAME = "containerd"
TERM_GRACE_NS_MIN = 2 * SECOND  # upstream gives every container this long between TERM and KILL
KILLED = 137


class SimulatedImages:
    """ImageService: what is on the node and until when the puller is busy."""

    __slots__ = (
        "_busy_until_ns", "_errors", "_last_used_ns", "_model", "_ready_ns", "_refs", "_serialize", "_sizes", "_stream", "changed",
        "slowness", "total_bytes",
    )  # fmt: skip

    def __init__(
        self, model: Model, stream: Stream, refs: dict[str, str], serialize: bool = True, errors: Mapping[str, str] | None = None
    ) -> None:
        self._model = model
        self._stream = stream
        self._refs = refs  # shared by all nodes of a cluster
        self._serialize = serialize
        self._errors = {} if errors is None else errors  # by pattern of names; shared too
        self.slowness = 1
        self._ready_ns: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._busy_until_ns = 0
        self._last_used_ns: dict[str, int] = {}
        self.total_bytes = 0  # of the images on the node and of those under way
        self.changed = False

    def has_image(self, image: str, now_ns: int) -> bool:
        """Whether the image has arrived."""
        ready_ns = self._ready_ns.get(image)
        return ready_ns is not None and ready_ns <= now_ns

    def image_ref(self, image: str) -> str:
        """``repository@sha256:...``, the name as containerd resolves it. O(1) after the first time."""
        ref = self._refs.get(image)
        if ref is None:
            repository = repository_of(image)
            digest = image.partition("@sha256:")[2] or blake2b(image.encode(), digest_size=32).hexdigest()
            ref = self._refs[image] = f"{repository}@sha256:{digest}"
        return ref

    def pull_image(self, image: str, now_ns: int) -> PullOutcome:
        """Queue a pull; its result is known from the beginning."""
        found = self._model.image(image)
        if self._errors:
            error = next((text for pattern, text in self._errors.items() if fnmatchcase(image, pattern)), "")
            found = found._replace(error=error or found.error)
        start_ns = max(now_ns, self._busy_until_ns) if self._serialize else now_ns
        ready_ns = self._ready_ns.get(image)
        duration_ns = self._model.pull_ns(self._stream, found, ready_ns is not None) * self.slowness
        end_ns = start_ns + duration_ns
        if ready_ns is not None and ready_ns > end_ns:
            end_ns = ready_ns
        self._busy_until_ns = max(self._busy_until_ns, end_ns)
        if not found.error and ready_ns is None:
            self._ready_ns[image] = end_ns
            self._sizes[image] = found.size_bytes
            self.total_bytes += found.size_bytes
            self.changed = True
        return PullOutcome(found.error, found.size_bytes, start_ns - now_ns, end_ns - start_ns)

    def remove_image(self, image: str) -> None:
        """Remove an image; one that is not there is not an error."""
        if self._ready_ns.pop(image, None) is not None:
            self.total_bytes -= self._sizes.pop(image)
            self._last_used_ns.pop(image, None)
            self.changed = True

    def used(self, image: str, now_ns: int) -> None:
        """A container of the image is no more: it was used until now."""
        self._last_used_ns[image] = now_ns

    def unused(self, now_ns: int) -> list[Unused]:
        """All images on the node with the times that garbage collection goes by; which of them are in use it must know. O(images)."""
        return [
            Unused(name, self._sizes[name], self._last_used_ns.get(name, 0), ready_ns)
            for name, ready_ns in self._ready_ns.items()
            if ready_ns <= now_ns
        ]

    def list_images(self, now_ns: int) -> Sequence[ImageRecord]:
        """By size, then name."""
        present = [ImageRecord(name, size) for name, size in self._sizes.items() if self._ready_ns[name] <= now_ns]
        return sorted(present, key=lambda record: (-record.size_bytes, record.name))

    def abort(self, now_ns: int) -> None:
        """The node stopped: pulls under way are lost."""
        self._busy_until_ns = 0
        for image in [name for name, ready_ns in self._ready_ns.items() if ready_ns > now_ns]:
            self.remove_image(image)


def repository_of(image: str) -> str:
    """The repository as containerd names it: ``docker.io/library/nginx`` for ``nginx:1.25``."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = head + slash + last.partition(":")[0]
    first, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in first or ":" in first or first == "localhost" else f"docker.io/{name}"


class SimulatedRuntime:
    """RuntimeService: durations from the model, addresses from the CNI plugin."""

    __slots__ = ("_host_ip", "_model", "_network", "_stream", "behaviours", "slowness")

    def __init__(self, model: Model, stream: Stream, network: CniPlugin, host_ip: str) -> None:
        self._model = model
        self._stream = stream
        self._network = network
        self._host_ip = host_ip
        self.slowness = 1
        self.behaviours: dict[str, PodBehaviour] = {}  # of Pods that have one, by uid

    def run_pod_sandbox(self, uid: str, host_network: bool) -> SandboxOutcome:
        """Take the model's time; the network is asked first, an address is held until the sandbox is removed."""
        duration_ns = self._model.sandbox_ns(self._stream) * self.slowness
        if host_network:
            return SandboxOutcome(self._host_ip, "", duration_ns)
        ip, error = self._network.add(uid)
        if not error:
            return SandboxOutcome(ip, "", duration_ns)
        sandbox = blake2b(uid.encode(), digest_size=32).hexdigest()
        why = f'plugin type="host-local" failed (add): failed to allocate for range 0: {error}'
        message = f'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "{sandbox}": {why}'
        return SandboxOutcome("", message, duration_ns)

    def stop_pod_sandbox(self, uid: str) -> None:
        """Give the address back."""
        self._network.delete(uid)

    def start_container(self, uid: str, pod: Object, container: ContainerFacts, attempt: int) -> StartOutcome:
        """Start it; in this runtime that always works."""
        duration_ns = self._model.start_ns(self._stream, self.behaviours[uid].of(container.name), container) * self.slowness
        identity = blake2b(f"{uid}/{container.name}/{attempt}".encode(), digest_size=32).hexdigest()
        return StartOutcome(f"{RUNTIME_NAME}://{identity}", "", "", duration_ns)

    def stop_container(self, uid: str, pod: Object, container: ContainerFacts, grace_ns: int) -> StopOutcome:
        """preStop within the grace period, then TERM; KILL (137) when the rest of it, but at least 2 s, is over."""
        behaviour = self.behaviours[uid].of(container.name)
        hook_ns, delay_ns, code = self._model.stop(self._stream, behaviour, container)
        hook_ns = min(hook_ns, grace_ns)
        allowed_ns = max(grace_ns - hook_ns, TERM_GRACE_NS_MIN)
        if delay_ns > allowed_ns:
            return StopOutcome(KILLED, "Error", hook_ns + allowed_ns)
        return StopOutcome(code, "Completed" if code == 0 else "Error", hook_ns + delay_ns)
