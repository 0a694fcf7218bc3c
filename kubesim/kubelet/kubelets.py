"""All kubelets of a cluster: one informer of Pods, dispatched by node name, and one agent per node.

An event about a Pod costs a dictionary look-up or two, however many nodes there are. ConfigMaps and Secrets are watched from
the first Pod that refers to one. Status writes of one instant go out together at its end, in the order in which the Pods changed.

Upstream: pkg/kubelet (one process per node there).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kubesim.apiserver.requests import Object, delete
from kubesim.client.contract import Link
from kubesim.client.informer import InformerFactory
from kubesim.kernel.loop import PRIORITY_LATE, Kernel
from kubesim.kernel.wake import Wakeup
from kubesim.kubelet.config import KubeletConfig
from kubesim.kubelet.doors.volumes import File, Line, Missing
from kubesim.kubelet.eviction.thresholds import parse_thresholds
from kubesim.kubelet.facts import FactsCache, Need
from kubesim.kubelet.models.contract import Model, PodBehaviour
from kubesim.kubelet.models.default import DefaultModel
from kubesim.kubelet.node_agent import NodeAgent
from kubesim.kubelet.pod_state import KILL, POKE
from kubesim.kubelet.pod_worker import PodWorker
from kubesim.kubelet.registration import complete_node
from kubesim.kubelet.shutdown import periods_of


class Kubelets:
    """The kubelets of a cluster. ``start()``, then ``add_node`` as often as there are nodes; also the other way round.

    ``nodes`` are the agents by name, in the order they were added.
    """

    def __init__(self, kernel: Kernel, link: Link, config: KubeletConfig | None = None, factory: InformerFactory | None = None) -> None:
        self.kernel = kernel
        self.link = link
        self.config = config or KubeletConfig()
        self.model: Model = self.config.model or DefaultModel(kernel.seed)
        config = self.config
        limits = (config.eviction_hard, config.eviction_soft, config.eviction_soft_grace, config.eviction_reclaim)
        self.thresholds = parse_thresholds(*limits)
        self.shutdown_periods = periods_of(config.shutdown_grace_ns, config.shutdown_critical_grace_ns)
        self.factory = factory or InformerFactory(link)
        self.facts = FactsCache()
        self.image_refs: dict[str, str] = {}
        self.image_errors: dict[str, str] = {}  # pattern of names -> why a pull fails, while a fault lasts
        self.tampers: list[Callable[[Object, PodBehaviour], PodBehaviour]] = []  # faults that change how containers behave
        self.nodes: dict[str, NodeAgent] = {}
        self._node_count = 0  # ever added: addresses are not given out again
        self._orphans: dict[str, dict[str, Object]] = {}  # Pods bound to nodes that are not here, by node and uid
        self._awaited: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self._watched: set[str] = set()
        self._changed: list[PodWorker] = []
        self._flush = Wakeup(kernel, self._write_all, priority=PRIORITY_LATE)
        self._pods = self.factory.informer("pods")
        self._pods.add_handler(self._on_pod)
        self.factory.informer("nodes").add_handler(self._on_node)

    def start(self) -> None:
        """Begin to listen."""
        self.factory.start()

    # Nodes

    def add_node(self, node: Object) -> NodeAgent:
        """Register a node and run its kubelet. ``node`` needs a name; capacity, addresses and podCIDR have defaults.

        Raises ValueError for a name that is here already or a podCIDR that is none.
        """
        full = complete_node(node, self._node_count, self.config.node_capacity, self.config.version, self.kernel.now_ns)
        name = full["metadata"]["name"]
        if name in self.nodes:
            raise ValueError(f"node: metadata.name: {name!r}: this node is here already")
        agent = self.nodes[name] = NodeAgent(self, full)
        self._node_count += 1
        agent.register()
        for uid, pod in self._orphans.pop(name, {}).items():
            agent.observe(uid, None, pod)
        return agent

    def node(self, name: str) -> NodeAgent:
        """The agent of a node. Raises ValueError when there is none of this name."""
        agent = self.nodes.get(name)
        if agent is None:
            raise ValueError(f"node {name!r} does not exist; there are {len(self.nodes)} nodes")
        return agent

    def fail(self, name: str) -> None:
        """Kubelet and containers of a node stop: no status, no heartbeats."""
        self.node(name).fail()

    def restore(self, name: str) -> None:
        """A failed node comes back: it registers as ready, ends what was deleted meanwhile and starts the rest anew."""
        self.node(name).restore()

    def shut_down(self, name: str) -> None:
        """Shut a node down: gracefully when the configuration says so (``shutdown_grace_ns``), else like ``fail``."""
        self.node(name).shut_down()

    def add_static_pod(self, name: str, pod: Object) -> None:
        """Run a static Pod on a node; a mirror of it appears in the API. Raises ValueError."""
        self.node(name).add_static(pod)

    def disconnect(self, name: str) -> None:
        """Cut a node off from the apiserver; its containers run on."""
        self.node(name).disconnect()

    def reconnect(self, name: str) -> None:
        """Undo ``disconnect``."""
        self.node(name).reconnect()

    def remove(self, name: str, delete_object: bool = True) -> None:
        """Take a node away for good, and its Node object with it."""
        self.node(name).stop()
        del self.nodes[name]
        if delete_object:
            self.link.send(delete("nodes", "", name))

    # News

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        pod: Any = old if new is None else new
        node_name = pod["spec"].get("nodeName")
        if not node_name:
            return
        uid = pod["metadata"]["uid"]
        agent = self.nodes.get(node_name)
        if agent is not None:
            agent.observe(uid, old, new)
        elif new is not None:
            self._orphans.setdefault(node_name, {})[uid] = new
        elif node_name in self._orphans:
            self._orphans[node_name].pop(uid, None)

    def _on_node(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            agent = self.nodes.get(new["metadata"]["name"])
            if agent is not None and agent.connected and agent.alive:
                agent.observe_node(new)

    def queue(self, worker: PodWorker) -> None:
        """Have a Pod's status written at the end of this instant."""
        self._changed.append(worker)
        self._flush.set()

    def _write_all(self) -> None:
        changed, self._changed = self._changed, []
        for worker in changed:
            worker.write()

    # What Pods refer to

    def caches(self, needs: Iterable[Need]) -> Mapping[str, Mapping[str, Object]]:
        """The objects by key, per resource named in ``needs``; watching begins with the first question."""
        caches = {}
        for need in needs:
            if need.resource not in caches:
                informer = self.factory.informer(need.resource)
                if need.resource not in self._watched:
                    self._watched.add(need.resource)
                    informer.start()
                    informer.add_handler(self._make_handler(need.resource))
                caches[need.resource] = informer.objects
        return caches

    def await_object(self, missing: Missing, function: Callable[[], None]) -> None:
        """Call ``function`` once when the object that is missing has appeared or changed."""
        self._awaited.setdefault((missing.resource, missing.key), []).append(function)

    # Questions

    def worker(self, namespace: str, name: str) -> PodWorker:
        """The worker of a Pod. Raises ValueError when no node has it."""
        pod = self._pods.objects.get(f"{namespace}/{name}")
        agent = self.nodes.get(pod["spec"].get("nodeName", "")) if pod is not None else None
        worker: PodWorker | None = None
        if agent is not None and pod is not None:
            uid = pod["metadata"]["uid"]
            worker = agent.workers.get(uid) or agent.mirrors.get(uid)
        if worker is None:
            raise ValueError(f"Pod {namespace}/{name} is on no node of this cluster")
        return worker

    def waiting(self) -> list[tuple[str, str]]:
        """What waits for what on the nodes: (namespace/name of a Pod, sentence), in the order of nodes and arrival. O(Pods)."""
        return [
            (f"{worker.namespace}/{worker.name}", reason)
            for agent in self.nodes.values()
            for worker in agent.workers.values()
            for reason in worker.waits
        ]

    def logs(self, namespace: str, name: str, container: str) -> list[Line]:
        """What a container has printed until now. Raises ValueError for a Pod or container that is not there."""
        return self.worker(namespace, name).log(container, self.kernel.now_ns)

    def file(self, namespace: str, name: str, container: str, path: str) -> File:
        """A file in an emptyDir as a container sees it, to write or read. Raises ValueError for a path that is in none."""
        return self.worker(namespace, name).file(container, path)

    # Interventions

    def evict(self, namespace: str, name: str, reason: str = "Evicted", message: str = "") -> None:
        """Have the kubelet end a Pod: it fails with this reason after its grace period."""
        worker = self.worker(namespace, name)
        worker.handle((KILL, reason, message, worker.state.facts.grace_ns, ""))

    def poke(self, namespace: str, name: str) -> None:
        """Have the probes of a Pod asked again at their next tick, because the model answers otherwise now."""
        self.worker(namespace, name).handle((POKE,))

    def _make_handler(self, resource: str) -> Callable[[Object | None, Object | None], None]:
        def on_object(old: Object | None, new: Object | None) -> None:
            if new is not None:
                metadata = new["metadata"]
                for function in self._awaited.pop((resource, f"{metadata['namespace']}/{metadata['name']}"), ()):
                    function()

        return on_object
