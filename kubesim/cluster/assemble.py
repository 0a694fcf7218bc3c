"""Put a cluster together: the only file that names every room.

The order is the order of dependence: time, etcd, the apiserver with what every cluster has from the start, then those who watch it.
Each component gets a link of its own, so that audit, trace and timeline say who did what.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from kubesim.apiserver.requests import create
from kubesim.apiserver.server import ApiServer, Audit
from kubesim.client.informer import InformerFactory
from kubesim.client.link import DirectLink
from kubesim.cluster.config import ClusterConfig
from kubesim.cluster.masters import Masters
from kubesim.controllers import all_controllers
from kubesim.controllers.runner import ControllerManager
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from kubesim.kubelet.config import KubeletConfig
from kubesim.kubelet.doors.csi import CsiDoor
from kubesim.kubelet.kubelets import Kubelets
from kubesim.scheduler.scheduler import Scheduler

CONTROLLER_MANAGER = "kube-controller-manager"
STORAGE_CLASS, STORAGE_DRIVER = "standard", "csi.kubesim.dev"


@dataclass(slots=True)
class Parts:
    """The rooms of one running cluster; controllers and scheduler are others after a crash."""

    kernel: Kernel
    etcd: LocalEtcd
    apiserver: ApiServer
    controllers: ControllerManager
    scheduler: Scheduler
    kubelets: Kubelets
    link: Callable[[str], DirectLink]  # a way to the apiserver for one more user
    links: list[DirectLink] = field(default_factory=list)  # all of them

    @property
    def controller_names(self) -> Collection[str]:
        """The names of the controllers that run."""
        return [worker.controller.name for worker in self.controllers.workers]


def assemble(config: ClusterConfig, audit: Sequence[Audit] = ()) -> Parts | Masters:
    """Build and start every component; the nodes register as their kubelets start."""
    if config.is_spread:
        return Masters(config, list(audit))
    kernel = Kernel(seed=config.seed, shuffle_ties=config.shuffle_ties)
    etcd = LocalEtcd(kernel)
    apiserver = ApiServer(kernel, etcd, kinds=config.kinds, debug=config.debug)
    apiserver.audit.extend(audit)
    add_storage(config, kernel, apiserver)
    links: list[DirectLink] = []
    controllers = start_controllers(config, kernel, apiserver, links=links)
    scheduler = start_scheduler(config, kernel, apiserver, links)
    kubelets = start_kubelets(config, kernel, apiserver, links)

    def link(user: str) -> DirectLink:
        return link_of(config, kernel, apiserver, user, links)

    return Parts(kernel, etcd, apiserver, controllers, scheduler, kubelets, link, links)


def add_storage(config: ClusterConfig, kernel: Kernel, apiserver: ApiServer) -> None:
    """Give the cluster the storage class that claims without one get, and its driver, as an administrator would."""
    link = link_of(config, kernel, apiserver, "cluster-admin")
    driver = {"kind": "CSIDriver", "apiVersion": "storage.k8s.io/v1", "metadata": {"name": STORAGE_DRIVER}}
    link.send(create("csidrivers.storage.k8s.io", "", {**driver, "spec": {"attachRequired": True}}))
    metadata = {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    storage_class = {"kind": "StorageClass", "apiVersion": "storage.k8s.io/v1", "metadata": metadata, "provisioner": STORAGE_DRIVER}
    link.send(create("storageclasses.storage.k8s.io", "", storage_class))


def link_of(
    config: ClusterConfig, kernel: Kernel, apiserver: ApiServer, user: str, links: list[DirectLink] | None = None
) -> DirectLink:
    """A component's way to the apiserver, noted in ``links``."""
    link = DirectLink(kernel, apiserver, user, config.watch_latency_ns)
    if links is not None:
        links.append(link)
    return link


def start_controllers(
    config: ClusterConfig,
    kernel: Kernel,
    apiserver: ApiServer,
    chosen: Callable[[str], bool] | None = None,
    links: list[DirectLink] | None = None,
) -> ControllerManager:
    """Start the controllers whose names are ``chosen``; those of a cluster without clients outside by default."""
    controllers = [each for each in all_controllers(chosen is not None) if chosen is None or chosen(each.name)]
    manager = ControllerManager(kernel, link_of(config, kernel, apiserver, CONTROLLER_MANAGER, links), controllers)
    apiserver.fields.managers.update(dict.fromkeys((controller.name for controller in controllers), CONTROLLER_MANAGER))
    manager.start()
    return manager


def start_scheduler(config: ClusterConfig, kernel: Kernel, apiserver: ApiServer, links: list[DirectLink] | None = None) -> Scheduler:
    """Start the scheduler."""
    link = link_of(config, kernel, apiserver, "kube-scheduler", links)
    scheduler = Scheduler(kernel, link, config.scheduler, plugins=config.scheduler_plugins, door=config.scheduler_door)
    scheduler.start()
    return scheduler


def start_kubelets(config: ClusterConfig, kernel: Kernel, apiserver: ApiServer, links: list[DirectLink] | None = None) -> Kubelets:
    """Start the kubelets; their nodes register."""
    link = link_of(config, kernel, apiserver, "kubelet", links)
    factory = InformerFactory(link)
    volumes = CsiDoor(kernel, factory).plugins
    settings = config.kubelet or KubeletConfig()
    settings = replace(settings, model=config.model or settings.model, volume_plugins={**volumes, **settings.volume_plugins})
    kubelets = Kubelets(kernel, link, settings, factory)
    kubelets.start()
    for node in config.nodes:
        kubelets.add_node(node)
    return kubelets
