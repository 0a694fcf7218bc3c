"""A Kubernetes cluster in one process and in virtual time: what a user does with it.

Objects go in and come out as plain dicts. What ``get`` and ``list`` return is shared with the store: read it, and give changed
copies to ``apply``. Nothing moves between calls: time passes in ``run_for``, ``run_until`` and ``run_until_converged`` only.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from kubesim.api.errors import ApiError
from kubesim.apiserver.outside import Callables
from kubesim.apiserver.requests import Object, Request
from kubesim.cluster import apply as applying
from kubesim.cluster.assemble import Parts, assemble
from kubesim.cluster.conditions import holds, parse_condition
from kubesim.cluster.config import ClusterConfig, Duration, Nodes, configure, duration_ns
from kubesim.cluster.failing import Failing
from kubesim.cluster.hosts import Hosts
from kubesim.cluster.masters import Masters
from kubesim.cluster.names import resource_of
from kubesim.cluster.networking import Connection, Networking
from kubesim.drive import virtual
from kubesim.kernel.time import MINUTE, SECOND, format_duration, format_time
from kubesim.observe.flow import Flow
from kubesim.observe.metrics import Metrics
from kubesim.observe.summary import summarize
from kubesim.observe.timeline import Entry, Timeline
from kubesim.observe.waits import Wait, waits
from kubesim.scheduler.explanation import Explanation
from kubesim.workload import manifests
from kubesim.workload.manifests import Manifest, Problem

USER = "kubectl"
DIGEST_BATCH = 512
BOOT_NS_MAX = MINUTE  # far more than the nodes need to register and lose their first taint
Source = str | Path | Mapping[str, Any] | Sequence[Any]
Predicate = Callable[["Cluster"], bool]
Waits = list[Wait]
Entries = list[Entry]


class NotConverged(TimeoutError):
    """A run ended before what it was to reach; ``waits`` says what waits for what."""

    def __init__(self, message: str, waiting: Sequence[Wait]) -> None:
        super().__init__("\n".join([message, *(f"  {wait}" for wait in waiting[:20])]))
        self.waits = tuple(waiting)


class Cluster(Failing):
    """A control plane with nodes, up: the nodes are registered and ready, nothing else has happened.

    ``nodes`` is a number, ``{"count": 3, "template": Node}``, a list of these and of Node objects, or a file of them. ``seed`` decides
    everything that is random; equal seeds and equal calls give equal digests.
    ``parts`` are those of a cluster that somebody else runs. Further arguments are those of
    ``kubesim.cluster.config.configure``. Raises ValueError that names the argument, its value and what was expected.

    >>> with Cluster(nodes=3) as cluster:
    ...     _ = cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"},
    ...                        "spec": {"containers": [{"name": "main", "image": "nginx:1.27"}]}})
    ...     _ = cluster.run_until_converged()
    ...     cluster.get("Pod", "one")["status"]["phase"]
    'Running'
    """

    def __init__(
        self, nodes: Nodes = 10, seed: int = 0, *, config: ClusterConfig | None = None, parts: Parts | None = None, **options: Any
    ) -> None:
        self.config = configure(nodes, seed, **options) if config is None else config
        self.warnings: list[Problem] = []
        self._closed = False
        self.metrics = Metrics()
        self._timeline = Timeline(self.config.timeline_entries_max)
        audit = [self.metrics.on_write, self._timeline.on_write] if self.config.timeline_entries_max else [self.metrics.on_write]
        self.parts: Parts | Masters = assemble(self.config, audit) if parts is None else parts
        self.kernel = self.parts.kernel
        self.apiserver = self.parts.apiserver
        if parts is not None:  # those of a cluster that runs already, behind a server: from now on it is looked at
            self.apiserver.audit.extend(audit)
        elif isinstance(self.parts, Masters):
            self._drive(BOOT_NS_MAX + self.kernel.now_ns, None, predicate=self._is_settled)
        else:
            virtual.run(self.kernel, BOOT_NS_MAX + self.kernel.now_ns, until_quiet=True)
        self.start_ns = self.kernel.now_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close: what is there can still be read, but time has ended. A cluster holds no files, threads or sockets."""
        self._closed = True

    # -- objects --

    def apply(self, *sources: Source) -> list[Object]:
        """Create or update objects from files, directories, texts, dicts or lists of dicts; return them as stored.

        A text without a line break is a path. All or nothing per file: everything in it is checked before anything is written.
        Raises ManifestError with every problem found.
        """
        return [obj for source in sources for manifest in _manifests(source) for obj in self.apply_manifest(manifest)]

    def apply_manifest(self, manifest: Manifest) -> list[Object]:
        """Apply a manifest that was parsed before; the same rules. Its reader's warnings are added to ``warnings``."""
        self.warnings.extend(manifest.warnings)
        return applying.apply(self.apiserver, manifest)

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        """The object, shared with the store. Raises ApiError 404."""
        return self._call("get", kind, namespace, name)

    def list(self, kind: str, namespace: str = "", label_selector: str = "") -> list[Object]:
        """The objects of a kind, in all namespaces when ``namespace`` is empty, in the order of their names."""
        options = {"labelSelector": label_selector} if label_selector else {}
        items: list[Object] = self._call("list", kind, namespace, options=options)["items"]
        return items

    def delete(self, kind: str, name: str, namespace: str = "default", **options: Any) -> None:
        """Delete an object as kubectl does: in the background, with its own grace period. Options are those of a delete request.

        Raises ApiError 404.
        """
        self._call("delete", kind, namespace, name, options={"propagationPolicy": "Background", **options})

    def scale(self, kind: str, name: str, replicas: int, namespace: str = "default") -> Object:
        """Set the number of replicas through the scale subresource; returns the Scale. Raises ApiError 404 or 422."""
        return self._call(
            "patch", kind, namespace, name, obj={"spec": {"replicas": replicas}}, subresource="scale", options={"patchType": "merge"}
        )

    def patch(self, kind: str, name: str, body: Any, namespace: str = "default", patch_type: str = "strategic") -> Object:
        """Patch an object: ``strategic`` as kubectl does, ``merge`` or ``json``; returns it as stored. Raises ApiError 404, 409 or 422."""
        return self._call("patch", kind, namespace, name, obj=body, options={"patchType": patch_type})

    def _call(self, verb: str, kind: str, namespace: str, name: str = "", **rest: Any) -> Any:
        resource = resource_of(self.apiserver, kind)
        return self.apiserver.call(Request(verb, resource.name, namespace if resource.namespaced else "", name, user=USER, **rest))

    @property
    def webhooks(self) -> Callables:
        """Python functions as admission and conversion webhooks: ``cluster.webhooks.register("https://hook/", function)``."""
        outside = self.apiserver.outside
        assert isinstance(outside, Callables)
        return outside

    # -- nodes --

    def follow(self) -> Flow:
        """Record the path of the next Deployment that is created, step by step."""
        flow = Flow(self.apiserver.peek, self.parts.via if isinstance(self.parts, Masters) else None)
        self.apiserver.audit.append(flow.on_write)
        self.parts.controllers.observers.append(flow.on_reconcile)
        return flow

    @property
    def hosts(self) -> Hosts:
        """The machines of the control plane: ``cluster.hosts["master-1"].kill()``. Raises RuntimeError for one in this process."""
        if not isinstance(self.parts, Masters):
            raise RuntimeError("the control plane is in one process; expected Cluster(control_planes=3) for one on hosts")
        return self.parts.hosts

    def fail_node(self, name: str) -> None:
        """Cut the power of a node: its kubelet and its containers stop, nobody is told. Raises ValueError for an unknown node."""
        self._known_node(name)
        self.parts.kubelets.fail(name)

    def restore_node(self, name: str) -> None:
        """Boot a failed node: its kubelet starts, reports, and starts its Pods again. Raises ValueError for an unknown node."""
        self._known_node(name)
        self.parts.kubelets.restore(name)

    def shutdown_node(self, name: str) -> None:
        """Shut a node down, gracefully if its kubelet is configured so (``KubeletConfig.shutdown_grace_ns``). Raises ValueError."""
        self._known_node(name)
        self.parts.kubelets.shut_down(name)

    def add_static_pod(self, node: str, pod: Object) -> None:
        """Give a node a Pod to run by itself, as from a file; its mirror appears in the API. Raises ValueError."""
        self._known_node(node)
        self.parts.kubelets.add_static_pod(node, pod)

    def _known_node(self, name: str) -> None:
        if self.apiserver.peek("nodes", "", name) is None:
            raise ValueError(f"there is no node called {name!r}; expected one of the {len(self.config.nodes)} nodes of this cluster")

    # -- the network --

    @cached_property
    def network(self) -> Networking:
        """The Pod network: links between nodes, kube-proxies, DNS. Watches what it needs from the first use on."""
        return Networking(self.parts, self.config.proxy_mode)

    def connect(self, pod: str | None, url: str) -> Connection:
        """Try to connect from a Pod (``None``: from outside) to ``http://service:port``; says who answered, or what stopped it.

        Raises ApiError 404 for an unknown Pod, ValueError for a URL that is none or a Pod without an address.
        """
        return self.network.connect(pod, url)

    def can_connect(self, source: str, destination: str, port: int, protocol: str = "TCP") -> bool:
        """Whether NetworkPolicies, links and nodes let one Pod reach a port of another. Raises as ``connect``."""
        return self.network.can_connect(source, destination, port, protocol).allowed

    # -- time --

    @property
    def now(self) -> str:
        """The virtual time, as Kubernetes writes it."""
        return format_time(self.kernel.now_ns)

    @property
    def virtual_seconds(self) -> float:
        """The virtual time since the cluster was up."""
        return (self.kernel.now_ns - self.start_ns) / SECOND

    @property
    def converged(self) -> bool:
        """Whether nothing more happens by itself: only timers that are always there are left in the agenda. O(1).

        With several masters also: etcd and both managers have their leaders, and nobody waits for an answer.
        """
        return self.parts.is_settled if isinstance(self.parts, Masters) else self.kernel.quiet

    def _is_settled(self) -> bool:
        return self.converged

    def run_for(self, duration: Duration, progress: Callable[[], object] | None = None) -> Self:
        """Let time pass: nanoseconds, or a text such as ``"30s"``."""
        self._drive(self._after("duration", duration), progress)
        return self

    def run_until(self, condition: str | Predicate, timeout: Duration = "1h", progress: Callable[[], object] | None = None) -> Self:
        """Run until ``condition`` holds: a function of the cluster, or ``"KIND [NAMESPACE/]NAME STATE"``.

        STATE is ``exists``, ``deleted``, ``available`` (all replicas), ``complete``, a condition type or a phase. Asked after
        each write. Raises NotConverged when ``timeout`` of virtual time passes, ValueError for a text that means nothing.
        """
        test = self._test(condition) if isinstance(condition, str) else condition
        what = condition if isinstance(condition, str) else "the condition"
        etcd, seen = self.parts.etcd, [-1]

        def reached() -> bool:
            revision = etcd.store.revision
            if revision == seen[0]:
                return False
            seen[0] = revision
            return bool(test(self))

        if self._drive(self._after("timeout", timeout), progress, predicate=reached) != virtual.PREDICATE and not test(self):
            raise self._not_reached(what, timeout)
        return self

    def run_until_converged(self, timeout: Duration = "1h", progress: Callable[[], object] | None = None) -> Self:
        """Run until nothing more happens by itself. Raises NotConverged when ``timeout`` of virtual time passes before."""
        if isinstance(self.parts, Masters):
            self._drive(self._after("timeout", timeout), progress, predicate=self._is_settled)
        else:
            self._drive(self._after("timeout", timeout), progress, until_quiet=True)
        if not self.converged:
            raise self._not_reached("convergence", timeout)
        return self

    def _after(self, field: str, duration: Duration) -> int:
        return self.kernel.now_ns + duration_ns(field, duration)

    def _drive(self, until_ns: int, progress: Callable[[], object] | None, **how: Any) -> str:
        if self._closed:
            raise RuntimeError("the cluster is closed; expected it to be run inside its with block")
        return virtual.run(self.kernel, until_ns, progress=progress, **how)

    def _not_reached(self, what: str, timeout: Duration) -> NotConverged:
        span = format_duration(duration_ns("timeout", timeout))
        return NotConverged(f"{what} was not reached within {span} of virtual time", self.waits())

    def _test(self, text: str) -> Predicate:
        kind, namespace, name, state = parse_condition(text)
        resource = resource_of(self.apiserver, kind)
        place = namespace if resource.namespaced else ""
        return lambda cluster: holds(state, cluster.apiserver.peek(resource.name, place, name))

    # -- what can be seen --

    def explain(self, name: str, namespace: str = "default") -> Object:
        """Why a Pod is, or would be, where: the scheduler's view of every node as of now.

        Returns ``rejected`` (node -> (plugin, rejection)), ``scores`` (node -> plugin -> points), ``totals`` and ``best``. A bound Pod is
        seen as if it came anew. O(nodes). Raises ApiError 404, and ValueError for another scheduler's Pod.
        """
        return self.explanation(name, namespace).as_dict()

    def explanation(self, name: str, namespace: str = "default") -> Explanation:
        """The same as an object that answers questions: the best nodes, one node, why this node and not that one."""
        return self.parts.scheduler.engine.explanation(self.get("Pod", name, namespace))

    @property
    def digest(self) -> str:
        """A digest of everything that happened and of the state it led to: 32 hexadecimal digits. O(objects)."""
        state = blake2b(digest_size=16)
        state.update(self.kernel.trace.digest().encode())
        pairs = self.parts.etcd.store.range(b"\0", b"\0").kvs
        for start in range(0, len(pairs), DIGEST_BATCH):  # in batches: most of the time of one small object is the call
            batch = pairs[start : start + DIGEST_BATCH]
            state.update(b"\n".join([pair.key for pair in batch]))
            state.update(_encoded([pair.value for pair in batch]))
        return state.hexdigest()

    def objects(self, resource: str) -> Iterable[Object]:
        """All objects of a resource (``pods``, ``deployments.apps``), without copying; none for one that is not served."""
        return self.apiserver.peek_all(resource)

    def waits(self) -> Waits:
        """What waits for what: Pods that are not running and why, claims, Services, workloads without a controller. O(objects)."""
        kinds = {name: resource.kind.kind for name, resource in self.apiserver.registry.by_name.items()}
        drivers = self.parts.kubelets.config.volume_plugins
        return waits(self.objects, kinds, self.parts.controller_names, drivers)

    def timeline(self, kind: str = "", name: str = "", namespace: str = "") -> Entries:
        """The last writes (to the objects selected), oldest first: time, component, operation, revision."""
        resource = resource_of(self.apiserver, kind).name if kind else ""
        return self._timeline.entries(resource, namespace, name)

    def summary(self) -> Object:
        """The state in figures, JSON-shaped: nodes, Pods, placements, Deployments, Services, waits, writes, latencies. O(objects)."""
        return {
            "now": self.now,
            "virtual_seconds": self.virtual_seconds,
            "converged": self.converged,
            "seed": self.config.seed,
            "digest": self.digest,
            "revision": self.parts.etcd.store.revision,
            "events": self.kernel.dispatched_count,
            **summarize(self.objects, self.metrics, self.waits()),
        }


def _encoded(values: Sequence[Any]) -> bytes:
    """Values of the store as JSON. The few with keys that are no strings take orjson's slower way, and their batch with them."""
    try:
        return orjson.dumps(values)
    except TypeError:
        return orjson.dumps(values, option=orjson.OPT_NON_STR_KEYS)


def _manifests(source: Any) -> list[Manifest]:
    if isinstance(source, Mapping):
        return [manifests.from_objects([dict(source)])]
    if isinstance(source, str) and "\n" in source:
        return [manifests.parse(source)]
    if isinstance(source, str | Path):
        return [manifests.read(path) for path in manifests.sources(source)]
    if isinstance(source, Sequence) and all(isinstance(each, Mapping) for each in source):
        return [manifests.from_objects([dict(each) for each in source])]
    if isinstance(source, Sequence) and not isinstance(source, bytes):
        return [manifest for each in source for manifest in _manifests(each)]
    raise ValueError(f"a source is {source!r:.60}; expected a path, a text, an object or a list of objects")


__all__ = ["ApiError", "Cluster", "NotConverged"]
