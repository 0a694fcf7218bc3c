"""A cluster as faults see it: what can be broken in one process, and on the hosts of several masters.

In one process a component that crashes is cut off for good and another one is built in its place; an apiserver (or etcd) that is away
is a pause of everybody's link, since no component gives up before it is back.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request
from kubesim.client.link import DirectLink
from kubesim.cluster.assemble import Parts, start_controllers, start_scheduler
from kubesim.cluster.masters import Masters
from kubesim.faults.contract import CONTROL_PLANE, End, for_each
from kubesim.faults.scenario import ScenarioError

if TYPE_CHECKING:
    from kubesim.cluster.cluster import Cluster


class ClusterTarget:
    """What faults are done to."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._parts = cluster.parts
        self.kernel = cluster.kernel
        self.kubelets = cluster.parts.kubelets
        self._down: Counter[str] = Counter()  # component -> how many faults keep it from running
        self._paused: Counter[int] = Counter()  # the same of links, by identity: they live as long as the cluster

    def node_names(self) -> Sequence[str]:
        """The nodes that have a kubelet."""
        return list(self.kubelets.nodes)

    def hosts(self) -> Sequence[str]:
        """The machines of several masters."""
        return list(self._parts.hosts) if isinstance(self._parts, Masters) else []

    def components(self) -> Sequence[str]:
        """What can crash."""
        return CONTROL_PLANE

    # -- processes --

    def crash(self, component: str, host: str) -> End:
        """Kill a component; the end starts it anew."""
        if isinstance(self._parts, Masters):
            chosen = self._on_hosts(component, host)
            for machine in chosen:
                self._parts.hosts[machine].kill(component)
            return for_each(lambda machine: self._restart(machine, component), chosen)
        if component in ("kube-apiserver", "etcd"):
            return self._pause_links(self._parts.links)
        return self._crash_part(self._parts, component)

    def pause(self, component: str, host: str) -> End:
        """Stop a component where it is."""
        if isinstance(self._parts, Masters):
            chosen, hosts = self._on_hosts(component, host), self._parts.hosts
            for machine in chosen:
                hosts[machine].pause(component)
            return for_each(lambda machine: hosts[machine].resume(component), chosen)
        if component in ("kube-apiserver", "etcd"):
            return self._pause_links(self._parts.links)
        return self._pause_links([link for link in self._parts.links if link.user == component])

    def _restart(self, machine: str, component: str) -> None:
        assert isinstance(self._parts, Masters)
        host = self._parts.hosts[machine]
        if host.is_up:
            host.restart(component)

    def _on_hosts(self, component: str, host: str) -> list[str]:
        assert isinstance(self._parts, Masters)
        found = [name for name, each in self._parts.hosts.items() if component in each.processes and host in ("", name)]
        if not found:
            raise ScenarioError(f'host: "{host}": there is no {component} on it')
        return found

    def _pause_links(self, links: Sequence[DirectLink]) -> End:
        paused = [link for link in links if not link.is_cut]
        for link in paused:
            self._paused[id(link)] += 1
            link.pause()
        return for_each(self._resume, paused)

    def _resume(self, link: DirectLink) -> None:
        """The last of the faults that pause a link lets it go on."""
        self._paused[id(link)] -= 1
        if not self._paused[id(link)]:
            link.resume()

    def _crash_part(self, parts: Parts, component: str) -> End:
        self._down[component] += 1
        for link in parts.links:
            if link.user == component:
                link.cut()
        parts.links[:] = [link for link in parts.links if not link.is_cut]
        config, kernel, apiserver = self._cluster.config, parts.kernel, parts.apiserver

        def start() -> None:
            self._down[component] -= 1
            if self._down[component]:
                return  # another fault still has it down
            if component == "kube-scheduler":
                parts.scheduler = start_scheduler(config, kernel, apiserver, parts.links)
            else:
                observers = parts.controllers.observers
                parts.controllers = start_controllers(config, kernel, apiserver, links=parts.links)
                parts.controllers.observers.extend(observers)

        return start

    # -- the network --

    def cut_off(self, nodes: Sequence[str]) -> End:
        """Cut nodes off from the apiserver and from all other nodes."""
        cut = [name for name in nodes if self.kubelets.node(name).connected]
        for name in cut:
            self.kubelets.disconnect(name)
        links = self._cluster.network.links
        others = [name for name in self.node_names() if name not in nodes]
        links.partition(nodes, others)

        def mend() -> None:
            for name in cut:
                self.kubelets.reconnect(name)
            for name in nodes:
                for other in others:
                    links.mend(name, other)
                    links.mend(other, name)

        return mend

    def slow_link(self, source: str, destination: str, latency_ns: int) -> End:
        """Make the link between two nodes slow."""
        links = self._cluster.network.links
        usual_ns = links.latency_ns(source, destination)
        links.set_latency(source, destination, latency_ns)
        return lambda: links.set_latency(source, destination, usual_ns)

    def slow_disk(self, host: str, latency_ns: int) -> End:
        """Make the disk of an etcd member slow."""
        assert isinstance(self._parts, Masters)
        cluster, place = self._parts.etcd_cluster, f"{host}/etcd"
        if place not in cluster.machines:
            raise ScenarioError(f'host: "{host}": there is no etcd on it')
        usual_ns = cluster.machines[place].member.disk.profile.fsync_ns
        cluster.slow_disk(place, latency_ns)
        return lambda: cluster.slow_disk(place, usual_ns)

    # -- users --

    def delete_pod(self, namespace: str, name: str) -> None:
        """Delete a Pod; one that is gone already is not an error."""
        request = Request("delete", "pods", namespace, name, user="fault")
        if isinstance(self._parts, Masters):
            self._parts.link("fault").send(request)
            return
        try:
            self._parts.apiserver.call(request)
        except ApiError as error:
            if error.code != 404:
                raise
