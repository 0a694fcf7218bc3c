"""A profile made real: its plugins over one node table, sorted by extension point, and the signatures of Pods.

Upstream: pkg/scheduler/framework/runtime/framework.go.
"""

from collections.abc import Hashable, Mapping

from kubesim.scheduler.contract import UNSIGNABLE, ClusterEvent, Handle, Hint, Plugin
from kubesim.scheduler.plugins import registry
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.profile import Profile

SCORE_WEIGHT_MAX = 2**31 - 1


class Framework:
    """The plugins of one profile. ``plugins`` may add the user's own to those found in ``plugins/``."""

    def __init__(self, profile: Profile, handle: Handle, plugins: Mapping[str, type[Plugin]] | None = None) -> None:
        known = {**registry(), **(plugins or {})}
        self.table = handle.table
        self.profile = profile
        self.plugins: list[Plugin] = []
        self.weights: dict[str, int] = {}
        for config in profile.plugins:
            if config.name not in known:
                raise ValueError(f"profile {profile.scheduler_name!r}: there is no plugin {config.name!r}")
            if config.name in self.weights:
                raise ValueError(f"profile {profile.scheduler_name!r}: plugin {config.name!r} is enabled twice")
            if not 0 <= config.weight <= SCORE_WEIGHT_MAX:
                raise ValueError(f"profile {profile.scheduler_name!r}: weight {config.weight} of plugin {config.name!r} is out of range")
            self.weights[config.name] = config.weight or 1
            self.plugins.append(known[config.name](config.arguments, handle))
        self.pre_enqueue = self._of("preEnqueue")
        self.pre_filter = self._of("preFilter")
        self.filter = self._of("filter")
        self.post_filter = self._of("postFilter")
        pre_score = self._of("preScore")
        # A score whose PreScore does not run has nothing to look at.
        self.score = [plugin for plugin in self._of("score") if "preScore" not in plugin.extends or plugin in pre_score]
        self.reserve = self._of("reserve")
        self.permit = self._of("permit")
        self.pre_bind = self._of("preBind")

    def _of(self, point: str) -> list[Plugin]:
        """The plugins of an extension point, in the profile's order for it."""
        names = self.profile.points.get(point)
        if names is None:
            return [plugin for plugin in self.plugins if point in plugin.extends]
        by_name = {plugin.name: plugin for plugin in self.plugins if point in plugin.extends}
        return [by_name[name] for name in names if name in by_name]

    def signature(self, pod: PodInfo) -> Hashable | None:
        """What decides this Pod's masks and scores; None when it must not share them. O(plugins)."""
        parts = tuple(plugin.signature(pod) for plugin in self.plugins)
        return None if UNSIGNABLE in parts else parts

    def gate(self, pod: PodInfo) -> tuple[str, str] | None:
        """(plugin, message) of the first plugin that keeps the Pod out of the queue, or None."""
        for plugin in self.pre_enqueue:
            message = plugin.pre_enqueue(pod)
            if message is not None:
                return plugin.name, message
        return None

    def hints(self) -> dict[ClusterEvent, list[tuple[str, Hint]]]:
        """Event -> (plugin, hint) of every plugin that registered for it, in plugin order."""
        found: dict[ClusterEvent, list[tuple[str, Hint]]] = {}
        for plugin in self.plugins:
            for event, hint in plugin.events().items():
                found.setdefault(event, []).append((plugin.name, hint))
        return found
