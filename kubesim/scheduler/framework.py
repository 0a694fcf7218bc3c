"""A profile made real: its plugins over one node table, sorted by extension point, and the signatures of Pods.

Upstream: pkg/scheduler/framework/runtime/framework.go.
"""

from collections.abc import Generator, Hashable, Mapping, Sequence
from typing import Any

from kubesim.apiserver.requests import Request
from kubesim.kernel.time import MINUTE
from kubesim.scheduler.contract import UNSIGNABLE, ClusterEvent, Handle, Hint, Plugin, Rejection, Steps, Wait
from kubesim.scheduler.extender import ExtenderPlugin
from kubesim.scheduler.plugins import registry
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.profile import Profile
from kubesim.scheduler.row_answers import SharedAnswers

SCORE_WEIGHT_MAX = 2**31 - 1
PERMIT_TIMEOUT_NS_MAX = 15 * MINUTE


class Framework:
    """The plugins of one profile. ``plugins`` may add the user's own to those found in ``plugins/``."""

    def __init__(
        self, profile: Profile, handle: Handle, plugins: Mapping[str, type[Plugin]] | None = None, extenders: Sequence[ExtenderPlugin] = ()
    ) -> None:
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
        self.answers = SharedAnswers(handle.table)
        self.pre_enqueue = self._of("preEnqueue")
        self.pre_filter = self._of("preFilter")
        self.filter = self._of("filter")
        self.post_filter = self._of("postFilter")
        pre_score = self._of("preScore")
        # A score whose PreScore does not run has nothing to look at.
        self.score = [plugin for plugin in self._of("score") if "preScore" not in plugin.extends or plugin in pre_score]
        self.queue_sort = next(iter(self._of("queueSort")), None)
        self.reserve = self._of("reserve")
        self.permit = self._of("permit")
        self.pre_bind = self._of("preBind")
        self.bind = self._of("bind")
        self.post_bind = self._of("postBind")
        for extender in extenders:  # after everybody else
            self.plugins.append(extender)
            self.weights[extender.name] = extender.extender.weight
            for plugins_of_point in (self.pre_filter, self.filter, self.score):
                plugins_of_point.append(extender)
        self.extenders = list(extenders)
        handle.extenders.extend(found for found in extenders if found not in handle.extenders)
        self._after = [plugin for plugin in self.plugins if plugin in self.reserve or plugin in self.permit or plugin in self.pre_bind]

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

    def acts_after(self, pod: PodInfo) -> bool:
        """Whether Reserve, Permit or PreBind have anything to do for this Pod. O(plugins that have these)."""
        return any(plugin.concerns(pod) for plugin in self._after)

    # ---- after the choice ----------------------------------------------------------------------------------------------------

    def run_reserve(self, pod: PodInfo, row: int) -> tuple[str, Rejection] | None:
        """Reserve with every plugin; after a rejection all are unreserved, the last first, and (plugin, rejection) is the answer."""
        for plugin in self.reserve:
            rejection = plugin.reserve(pod, row)
            if rejection is not None:
                self.run_unreserve(pod, row)
                return plugin.name, rejection
        return None

    def run_unreserve(self, pod: PodInfo, row: int) -> None:
        """Give everything back, the last plugin first."""
        for plugin in reversed(self.reserve):
            plugin.unreserve(pod, row)

    def run_permit(self, pod: PodInfo, row: int, now_ns: int) -> tuple[str, Rejection] | dict[str, int]:
        """The first (plugin, rejection), or the plugins that hold the Pod back with the times when they give up ({}: nobody does)."""
        waits: dict[str, int] = {}
        for plugin in self.permit:
            outcome = plugin.permit(pod, row)
            if isinstance(outcome, Wait):
                waits[plugin.name] = now_ns + min(outcome.timeout_ns, PERMIT_TIMEOUT_NS_MAX)
            elif outcome is not None:
                return plugin.name, outcome
        return waits

    def run_pre_bind(self, pod: PodInfo, row: int) -> Generator[Any, Any, tuple[str, Rejection] | None] | None:
        """The steps of all plugins that have any, one after the other; None when none has."""
        work = [(plugin.name, steps) for plugin in self.pre_bind if (steps := plugin.pre_bind(pod, row)) is not None]
        return _in_turn(work) if work else None

    def run_bind(self, pod: PodInfo, row: int) -> tuple[str, Request]:
        """(plugin, request) of the first plugin that binds the Pod. Raises AssertionError when none does."""
        for plugin in self.bind:
            request = plugin.bind(pod, row)
            if request is not None:
                return plugin.name, request
        raise AssertionError(f"profile {self.profile.scheduler_name!r}: no bind plugin binds pod {pod.key}")

    def bind_by_extender(self, pod: PodInfo, node_name: str) -> str | None:
        """Let the first extender that binds do so: what went wrong, "" when nothing did; None when none does."""
        outcomes = (extender.bind_by_itself(pod, node_name) for extender in self.extenders)
        return next((outcome for outcome in outcomes if outcome is not None), None)

    def run_post_bind(self, pod: PodInfo, row: int) -> None:
        """Tell every plugin that the Pod is bound."""
        for plugin in self.post_bind:
            plugin.post_bind(pod, row)

    def hints(self) -> dict[ClusterEvent, list[tuple[str, Hint]]]:
        """Event -> (plugin, hint) of every plugin that registered for it, in plugin order."""
        found: dict[ClusterEvent, list[tuple[str, Hint]]] = {}
        for plugin in self.plugins:
            for event, hint in plugin.events().items():
                found.setdefault(event, []).append((plugin.name, hint))
        return found


def _in_turn(work: list[tuple[str, Steps]]) -> Generator[Any, Any, tuple[str, Rejection] | None]:
    """The steps of several plugins as one; ends at the first rejection."""
    for name, steps in work:
        rejection = yield from steps
        if rejection is not None:
            return name, rejection
    return None
