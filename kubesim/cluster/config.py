"""What a cluster is made of, checked: nodes, seed, latencies. Every error names the field, the value and what was expected."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubesim.api.kinds import KINDS, KindRegistry
from kubesim.api.kinds.registry import kinds_with
from kubesim.client.leader_election import ElectionSettings
from kubesim.cloud.balancing import ALGORITHMS, ROUND_ROBIN
from kubesim.cluster import scheduling
from kubesim.cluster.scheduling import SchedulerSource
from kubesim.kernel.time import MILLISECOND, SECOND, format_duration, parse_duration
from kubesim.kubelet.config import KubeletConfig
from kubesim.kubelet.models.contract import Model
from kubesim.proxy.modes import all_modes
from kubesim.scheduler import Plugin, SchedulerConfig
from kubesim.scheduler.extender import Door, nobody
from kubesim.workload import nodes as node_maker

Object = dict[str, Any]
Nodes = int | str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]
Duration = int | str
CONTROL_PLANES_MAX = 9
ETCD_MEMBERS_MAX = 7
SEED_MAX = 2**64 - 1
LATENCY_NS_MAX = 60 * SECOND


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """The parts of a cluster. ``nodes`` are Node objects; ``configure`` makes one from friendlier arguments."""

    nodes: tuple[Object, ...] = ()
    seed: int = 0
    watch_latency_ns: int = MILLISECOND  # from a write to the components that watch
    timeline_entries_max: int = 100_000
    proxy_mode: str = "iptables"  # how kube-proxy balances: iptables, ipvs or nftables
    model: Model | None = None  # how containers behave (kubelet/models/contract.py); None: by annotations
    kubelet: KubeletConfig | None = None  # of every node: eviction, image collection, shutdown; ``model`` counts before its own
    control_planes: int = 1  # masters; more than one, or an external etcd, makes a control plane of hosts on a network
    etcd_members: int = 0  # of an external etcd; 0: one member on each master
    balancing: str = ROUND_ROBIN  # how the load balancers choose: round-robin, least-connections or source-hash
    election: ElectionSettings | None = None  # of scheduler and controller manager; None: upstream's 15, 10 and 2 s
    shuffle_ties: bool = False  # run simultaneous events in an order drawn from the seed
    debug: bool = False  # freeze stored objects and catch who writes into one
    scheduler: SchedulerConfig | None = None
    scheduler_plugins: tuple[type[Plugin], ...] = ()  # the user's own
    scheduler_door: Door = nobody  # to the scheduler's HTTP extenders (scheduler/extender.py)

    def __post_init__(self) -> None:
        _number("seed", self.seed, 0, SEED_MAX)
        _number("watch_latency_ns", self.watch_latency_ns, 0, LATENCY_NS_MAX)
        _number("timeline_entries_max", self.timeline_entries_max, 0, 2**31)
        _number("control_planes", self.control_planes, 1, CONTROL_PLANES_MAX)
        _number("etcd_members", self.etcd_members, 0, ETCD_MEMBERS_MAX)
        if self.balancing not in ALGORITHMS:
            raise ValueError(f"balancing is {self.balancing!r}; expected one of {', '.join(ALGORITHMS)}")
        for field in ("shuffle_ties", "debug"):
            if not isinstance(getattr(self, field), bool):
                raise ValueError(f"{field} is {getattr(self, field)!r}; expected True or False")
        if self.proxy_mode not in all_modes():
            raise ValueError(f"proxy_mode is {self.proxy_mode!r}; expected one of {', '.join(all_modes())}")
        names = set()
        for node in self.nodes:
            name = node["metadata"]["name"]
            if name in names:
                raise ValueError(f"nodes has {name!r} twice; expected different names")
            names.add(name)

    @property
    def kinds(self) -> KindRegistry:
        """What the apiserver serves, with the alpha kinds of the scheduler's plugins: a profile that has one is their gate."""
        has_gangs = self.scheduler is not None and self.scheduler.enables("GangScheduling")
        return kinds_with(KINDS, "GenericWorkload") if has_gangs else KINDS

    @property
    def is_spread(self) -> bool:
        """Whether the control plane is on hosts of a network."""
        return self.control_planes > 1 or self.etcd_members > 0


def configure(
    nodes: Nodes = 10,
    seed: int = 0,
    *,
    watch_latency: Duration = MILLISECOND,
    scheduler_config: SchedulerSource | None = None,
    scheduler_plugins: Iterable[type[Plugin]] = (),
    **rest: Any,
) -> ClusterConfig:
    """A ClusterConfig from a number of nodes, ``{"count": 3, "template": …}``, Node objects, or a file of these.

    ``scheduler_config`` is a KubeSchedulerConfiguration or a file of one. ``scheduler_plugins`` are plugin classes of one's own: without a
    configuration they join the default profile, with one they do what it says.
    Durations are nanoseconds or texts such as ``"1ms"``. Raises ValueError (a ManifestError for a file) that names the field.
    """
    plugins = tuple(scheduler_plugins)
    scheduler = scheduling.scheduler_config(scheduler_config, plugins)
    latency_ns = duration_ns("watch_latency", watch_latency)
    return ClusterConfig(tuple(make_nodes(nodes)), seed, latency_ns, scheduler=scheduler, scheduler_plugins=plugins, **rest)


def make_nodes(nodes: Nodes) -> list[Object]:
    """The Node objects that ``nodes`` means."""
    if isinstance(nodes, bool) or not isinstance(nodes, int | str | Path | Mapping | Sequence):
        raise ValueError(f"nodes is {nodes!r}; expected a number, a template, a list of Nodes or a file of these")
    if isinstance(nodes, int):
        return node_maker.from_count(nodes)
    if isinstance(nodes, str | Path):
        return node_maker.read_nodes(nodes)
    return node_maker.from_entries([nodes] if isinstance(nodes, Mapping) else nodes, "nodes")


def duration_ns(field: str, value: Duration) -> int:
    """Nanoseconds of a number of nanoseconds or a text such as ``"30s"``; raises ValueError that names ``field``."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"{field} is {value} ns; expected 0 or more")
        return value
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError:
            pass
    raise ValueError(f'{field} is {value!r}; expected a duration such as "30s" or "1m30s", or a number of nanoseconds')


def _number(field: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        expected = f"a number from {low} to {high}"
        if field.endswith("_ns"):
            expected += f" ({format_duration(low)} to {format_duration(high)})"
        raise ValueError(f"{field} is {value!r}; expected {expected}")
