"""Put a cluster together: the only file that names every room.

The order is the order of dependence: time, etcd, the apiserver with what every cluster has from the start, then those who watch it.
Each component gets a link of its own, so that audit, trace and timeline say who did what.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kubesim.apiserver.server import ApiServer, Audit
from kubesim.client.link import DirectLink
from kubesim.cluster.config import ClusterConfig
from kubesim.controllers import all_controllers
from kubesim.controllers.runner import ControllerManager
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from kubesim.kubelet.config import KubeletConfig
from kubesim.kubelet.kubelets import Kubelets
from kubesim.scheduler.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class Parts:
    """The rooms of one running cluster."""

    kernel: Kernel
    etcd: LocalEtcd
    apiserver: ApiServer
    controllers: ControllerManager
    scheduler: Scheduler
    kubelets: Kubelets

    @property
    def controller_names(self) -> Collection[str]:
        """The names of the controllers that run."""
        return [worker.controller.name for worker in self.controllers.workers]


def assemble(config: ClusterConfig, audit: Sequence[Audit] = ()) -> Parts:
    """Build and start every component; the nodes register as their kubelets start."""
    kernel = Kernel(seed=config.seed, shuffle_ties=config.shuffle_ties)
    etcd = LocalEtcd(kernel)
    apiserver = ApiServer(kernel, etcd, debug=config.debug)
    apiserver.audit.extend(audit)

    def link(user: str) -> DirectLink:
        return DirectLink(kernel, apiserver, user, config.watch_latency_ns)

    controllers = ControllerManager(kernel, link("kube-controller-manager"), all_controllers())
    scheduler = Scheduler(kernel, link("kube-scheduler"))
    kubelets = Kubelets(kernel, link("kubelet"), KubeletConfig(model=config.model))
    controllers.start()
    scheduler.start()
    kubelets.start()
    for node in config.nodes:
        kubelets.add_node(node)
    return Parts(kernel, etcd, apiserver, controllers, scheduler, kubelets)
