"""What is configured: profiles (which plugins, in which order, with which weights and arguments) and the scheduler around them.

The default profile is upstream's at v1.36.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kubesim.kernel.time import MINUTE, SECOND
from kubesim.scheduler.pod_facts import DEFAULT_SCHEDULER_NAME

if TYPE_CHECKING:
    from kubesim.scheduler.contract import Plugin

FIRST, SEEDED = "first", "seeded"


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """One enabled plugin; ``weight`` counts for its score (0 means 1)."""

    name: str
    weight: int = 1
    arguments: Mapping[str, Any] = field(default_factory=dict)


DEFAULT_PLUGINS = (
    PluginConfig("SchedulingGates"),
    PluginConfig("PrioritySort"),
    PluginConfig("NodeUnschedulable"),
    PluginConfig("NodeName"),
    PluginConfig("TaintToleration", weight=3),
    PluginConfig("NodeAffinity", weight=2),
    PluginConfig("NodePorts"),
    PluginConfig("NodeResourcesFit", weight=1),
    PluginConfig("VolumeRestrictions"),
    PluginConfig("NodeVolumeLimits"),
    PluginConfig("VolumeBinding"),
    PluginConfig("VolumeZone"),
    PluginConfig("PodTopologySpread", weight=2),
    PluginConfig("InterPodAffinity", weight=2),
    PluginConfig("DynamicResources", weight=2),
    PluginConfig("DefaultPreemption"),
    PluginConfig("NodeResourcesBalancedAllocation", weight=1),
    PluginConfig("ImageLocality", weight=1),
    PluginConfig("DefaultBinder"),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """The plugins of the Pods that name this scheduler, in their order.

    ``points``: extension point -> the names there, in order, where that differs from ``plugins``.
    """

    scheduler_name: str = DEFAULT_SCHEDULER_NAME
    plugins: tuple[PluginConfig, ...] = DEFAULT_PLUGINS
    points: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    percentage: int | None = None  # in place of the scheduler's


def default_profile(own: Iterable[type["Plugin"]] = ()) -> Profile:
    """The default profile, and a user's own plugins after its plugins."""
    return Profile(plugins=(*DEFAULT_PLUGINS, *[PluginConfig(plugin.name, plugin.weight) for plugin in own]))


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """Everything about one scheduler. Durations in ns."""

    profiles: tuple[Profile, ...] = (Profile(),)
    extenders: tuple[Any, ...] = ()  # extender.Extender
    tie_break: str = SEEDED  # among nodes with the highest total: FIRST in the table, or SEEDED by a random stream
    tries_all_nodes: bool = False  # preemption looks at every node that it may help; else upstream's tenth, at least 100
    percentage: int = 100  # of the nodes that are looked for: 100 is all, 0 upstream's adaptive formula (sampling.py)
    cycle_ns: int = 0  # how long one Pod's cycle takes
    batch_max: int = 256  # Pods per agenda event when a cycle takes no time
    backoff_initial_ns: int = SECOND
    backoff_max_ns: int = 10 * SECOND
    unschedulable_max_ns: int = 5 * MINUTE  # how long a Pod waits for an event before it is tried anyway
    unschedulable_flush_ns: int = 30 * SECOND

    def __post_init__(self) -> None:
        names = [profile.scheduler_name for profile in self.profiles]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"profiles: one per scheduler name, at least one, got {names}")
        if self.tie_break not in (FIRST, SEEDED):
            raise ValueError(f"tie_break: must be {FIRST!r} or {SEEDED!r}, got {self.tie_break!r}")
        if not 0 <= self.percentage <= 100:
            raise ValueError(f"percentage: must be from 0 to 100, got {self.percentage}")
        if self.cycle_ns < 0 or self.batch_max < 1:
            raise ValueError(f"cycle_ns must not be negative and batch_max at least 1, got {self.cycle_ns} and {self.batch_max}")

    def enables(self, plugin: str) -> bool:
        """Whether any profile has this plugin."""
        return any(config.name == plugin for profile in self.profiles for config in profile.plugins)
