"""A control plane of several masters: hosts on the kernel's network, with etcd members, apiservers, and managers elected by Lease.

Every component reaches the apiservers through a virtual address that two load balancers share; an apiserver reaches the etcd member on its
own host (stacked), or all members (external). Kubelets are on one host of the network that never fails, each node for itself does.

Upstream: kubeadm's two topologies of highly available clusters; its load balancer is haproxy with keepalived.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from kubesim._core.revision_store import RevisionStore
from kubesim.apiserver.outside import Callables
from kubesim.apiserver.process import ApiProcess, Hops
from kubesim.apiserver.registry import Registry
from kubesim.apiserver.replica import Replica
from kubesim.apiserver.server import ApiServer, Audit
from kubesim.client.leader_election import LeaderElector
from kubesim.client.network_link import NetworkLink
from kubesim.cloud.load_balancer import LoadBalancer, VirtualAddress
from kubesim.cloud.vrrp import VrrpSettings
from kubesim.cluster.config import ClusterConfig
from kubesim.cluster.front_door import FrontDoor
from kubesim.cluster.hosts import Hosts, Process
from kubesim.controllers import all_controllers
from kubesim.controllers.runner import ControllerManager
from kubesim.etcd.cluster import EtcdCluster
from kubesim.etcd.member import MemberSettings
from kubesim.kernel.loop import Kernel
from kubesim.kernel.network import LinkProfile, Network
from kubesim.kernel.time import SECOND
from kubesim.kubelet.config import KubeletConfig
from kubesim.kubelet.kubelets import Kubelets
from kubesim.scheduler.scheduler import Scheduler

BALANCERS = (("lb-1", 101), ("lb-2", 100))  # hosts and VRRP priorities
RESTART_NS = 1 * SECOND  # until a component that has ended is started again
WATCH_PROGRESS_NS = 5 * SECOND  # how soon an apiserver notices that its watch on etcd is dead


class Place:
    """A place in the network where components come and go."""

    def __init__(self, network: Network, name: str) -> None:
        self.name = name
        self.receiver: Callable[[str, Any], object] | None = None
        network.add_host(name, self.receive)

    def receive(self, source: str, message: Any) -> None:
        """Pass on to whoever is here now."""
        if self.receiver is not None:
            self.receiver(source, message)


class Candidate:
    """A scheduler or controller manager on a master: it runs while it holds the Lease, and begins anew when it has lost it."""

    def __init__(self, masters: "Masters", master: str, name: str, make: Callable[[NetworkLink], Any]) -> None:
        self.name = name
        self.master = master
        self.part: Any = None  # what runs while it leads
        self.link: NetworkLink | None = None
        self.elector: LeaderElector | None = None
        self._masters = masters
        self._make = make
        self._place = Place(masters.network, f"{master}/{name}")
        self._again = 0
        self._start_count = 0

    @property
    def is_leader(self) -> bool:
        """Whether it works."""
        return self.part is not None

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self.link is not None:
            return
        masters = self._masters
        self._start_count += 1
        self.link = masters.new_link(self._place, self.name)
        identity = f"{self.master}_{masters.kernel.rng(f'{self._place.name}/{self._start_count}').uuid()}"
        self.elector = LeaderElector(masters.kernel, self.link, self.name, identity, self._lead, self._lost, masters.config.election)
        self.elector.start()

    def stop(self, power_lost: bool = False) -> None:
        """End the process."""
        self._masters.kernel.cancel(self._again)
        if self.elector is not None and self.link is not None:
            self.elector.stop()
            self.link.close()
        self.link = self.elector = self.part = None
        self._place.receiver = None

    def pause(self) -> None:
        """Stop it where it is."""
        if self.link is not None:
            self.link.pause()

    def resume(self) -> None:
        """Let it go on."""
        if self.link is not None:
            self.link.resume()

    def _lead(self) -> None:
        assert self.link is not None
        self.part = self._make(self.link)
        self.part.start()
        self._masters.elected(self)

    def _lost(self) -> None:
        """The process ends, as upstream's does, and is started again."""
        self.stop()
        self._again = self._masters.kernel.after(RESTART_NS, self.start)


class Masters:
    """The parts of a cluster with several masters: the same names as those of one (``assemble.Parts``)."""

    def __init__(self, config: ClusterConfig, audit: list[Audit]) -> None:
        self.config = config
        self.kernel = Kernel(seed=config.seed, shuffle_ties=config.shuffle_ties)
        self.link_profile = LinkProfile(latency_ns=config.watch_latency_ns // 2, quantum_ns=2 * config.watch_latency_ns)
        self.network = Network(self.kernel, self.link_profile)
        self.audit = audit
        self.observers: list[Any] = []
        self.outside = Callables(self.kernel)
        self.hops: Hops = ()  # of the request that is being worked on
        self.address = VirtualAddress(self.kernel, BALANCERS[0][0])
        self.hosts = Hosts(self.network, self.link_profile)
        self.links: list[NetworkLink] = []
        self._last: dict[str, Any] = {}  # component -> the part that led last
        names = [f"master-{number}" for number in range(1, config.control_planes + 1)]
        etcd_hosts = [f"etcd-{number}" for number in range(1, config.etcd_members + 1)] or names
        self.etcd_cluster = EtcdCluster(
            self.kernel,
            self.network,
            hosts=[f"{host}/etcd" for host in etcd_hosts],
            settings=MemberSettings(progress_ns=WATCH_PROGRESS_NS),
            link=replace(self.link_profile, standing=True),
            in_turns=True,
        )
        self.apiservers: dict[str, ApiProcess] = {}
        self.candidates: list[Candidate] = []
        for name in names:
            self._add_master(name, stacked=not config.etcd_members)
        for host in etcd_hosts if config.etcd_members else ():
            self.hosts.add(host, [self._member(host)])
        self.balancers = [self._add_balancer(host, priority) for host, priority in BALANCERS]
        self.apiserver = FrontDoor(self.kernel, self.link("kubectl"), self._store, audit, self._registry, self.outside)
        self.kubelets = Kubelets(self.kernel, self.link("kubelet"), replace(config.kubelet or KubeletConfig(), model=config.model))
        for process in self.apiservers.values():
            process.start()
        for balancer in self.balancers:
            balancer.start()
        for candidate in self.candidates:
            candidate.start()
        self.kubelets.start()
        for node in config.nodes:
            self.kubelets.add_node(node)

    # -- building

    def _add_master(self, name: str, stacked: bool) -> None:
        place = f"{name}/kube-apiserver"
        endpoints = [f"{name}/etcd"] if stacked else self.etcd_cluster.hosts
        client = self.etcd_cluster.client(f"{place}/etcd-client", endpoints)
        process = ApiProcess(self.kernel, self.network, place, client, self._make_server, self._told)
        self.apiservers[name] = process
        config = self.config
        makers: list[tuple[str, Callable[[NetworkLink], Any]]] = [
            ("kube-controller-manager", self._make_controllers),
            ("kube-scheduler", lambda link: Scheduler(self.kernel, link, config.scheduler, plugins=config.scheduler_plugins)),
        ]
        candidates = [Candidate(self, name, component, make) for component, make in makers]
        self.candidates += candidates
        processes = [self._member(name)] if stacked else []
        processes.append(Process("kube-apiserver", (place, client.host), process.start, process.stop, process.pause, process.resume))
        for each in candidates:
            processes.append(Process(each.name, (f"{name}/{each.name}",), each.start, each.stop, each.pause, each.resume))
        self.hosts.add(name, processes)

    def _member(self, host: str) -> Process:
        place, cluster = f"{host}/etcd", self.etcd_cluster

        def stop(power_lost: bool) -> None:
            (cluster.power_off if power_lost else cluster.kill)(place)

        return Process("etcd", (place,), lambda: cluster.restart(place), stop, lambda: cluster.pause(place), lambda: cluster.resume(place))

    def _add_balancer(self, host: str, priority: int) -> LoadBalancer:
        balancer = LoadBalancer(
            self.kernel,
            self.network,
            host,
            [process.host for process in self.apiservers.values()],
            self.address,
            peers=[other for other, _ in BALANCERS if other != host],
            vrrp=VrrpSettings(priority),
            algorithm=self.config.balancing,
        )
        process = Process("haproxy", (host,), balancer.restart, lambda power_lost: balancer.stop(), balancer.pause, balancer.resume)
        self.hosts.add(host, [process])
        return balancer

    def _make_server(self, replica: Replica, name: str) -> ApiServer:
        server = ApiServer(self.kernel, replica, name=name, kinds=self.config.kinds, bootstrap=False, debug=self.config.debug)
        server.audit = self.audit
        server.outside = self.outside
        return server

    def _make_controllers(self, link: NetworkLink) -> ControllerManager:
        manager = ControllerManager(self.kernel, link, all_controllers())
        manager.observers = self.observers
        return manager

    def new_link(self, place: Place, user: str) -> NetworkLink:
        """Open a link at a place; who was there before gets nothing any more."""
        link = NetworkLink(self.kernel, self.network, place.name, user, lambda: self.address.holder)
        place.receiver = link.receive
        self.links.append(link)
        return link

    def link(self, user: str) -> NetworkLink:
        """A link for somebody outside of the masters; its place in the network is called like its user."""
        return self.new_link(Place(self.network, user), user)

    def _told(self, hops: Hops) -> None:
        self.hops = hops

    def elected(self, candidate: Candidate) -> None:
        """A candidate leads."""
        self._last[candidate.name] = candidate.part

    # -- the names of ``assemble.Parts``

    @property
    def etcd(self) -> "Masters":
        """Who has the ``store``: this."""
        return self

    @property
    def store(self) -> RevisionStore:
        """The store of the member that has come furthest."""
        return self._store()

    def _registry(self) -> Registry | None:
        """What the first running apiserver serves."""
        return next((process.server.registry for process in self.apiservers.values() if process.server is not None), None)

    def _store(self) -> RevisionStore:
        members = [machine.member for machine in self.etcd_cluster.machines.values()]
        return max(members, key=lambda member: (member.is_running, member.state.store.revision)).state.store

    @property
    def controllers(self) -> ControllerManager:
        """The controller manager that leads, or has led last."""
        return self._part("kube-controller-manager")

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler that leads, or has led last."""
        return self._part("kube-scheduler")

    def _part(self, name: str) -> Any:
        leading = (candidate.part for candidate in self.candidates if candidate.name == name and candidate.part is not None)
        found = next(leading, None) or self._last.get(name)
        if found is None:
            raise RuntimeError(f"no {name} has been elected yet; let the cluster run")
        return found

    @property
    def controller_names(self) -> Collection[str]:
        """The names of the controllers that run."""
        return [worker.controller.name for worker in self.controllers.workers]

    # -- rest

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens by itself: somebody leads etcd and each Lease, no request is under way."""
        if not self.kernel.quiet or self.etcd_cluster.leader is None or any(link.is_waiting for link in self.links if not link.is_closed):
            return False
        leading = {candidate.name for candidate in self.candidates if candidate.is_leader}
        return len(leading) == len({candidate.name for candidate in self.candidates})

    def via(self) -> str:
        """The way of the request that is being worked on, for a flow."""
        leader = self.etcd_cluster.leader
        hops = [hop.removesuffix("/kube-apiserver") for hop in self.hops[1:]]
        return " → ".join([*hops, "etcd" if leader is None else f"etcd {leader.name.removesuffix('/etcd')}"])
