"""Run the plugins of a profile in order, and remember what they did with a template.

Ten thousand Pods of one ReplicaSet share one ``spec``: the plugins that look at nothing else run for the first of them, the rest
get the same admitted ``spec`` again, the very same dict. An entry holds as long as no policy object has changed.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from kubesim.apiserver.admission.contract import CREATE, Attributes, Object, Plugin, Policy

TEMPLATES_MAX = 4096
Runs = tuple[tuple[bool, tuple[Plugin, ...]], ...]


class AdmissionChain:
    """The plugins that are on; ``policy_revision`` grows with every change of a policy object."""

    def __init__(self, plugins: Sequence[Plugin], policy: Policy) -> None:
        self.plugins = tuple(plugins)
        self.policy_revision = 0
        self._policy = policy
        self._chosen: dict[tuple[str, str], tuple[Runs, tuple[Plugin, ...]]] = {}
        self._templates: dict[tuple[str, str, int], tuple[int, Any, Any, bool]] = {}  # ..., and whether nothing else is asked
        self._later: dict[tuple[int, str, str, int], tuple[int, Any, Any]] = {}  # the same for later runs of plugins, by their place

    def _choose(self, operation: str, resource: str) -> tuple[Runs, tuple[Plugin, ...]]:
        """The plugins of an operation: the mutating ones in runs of those asked once per template and others, and the validating ones."""
        key = (operation, resource)
        chosen = self._chosen.get(key)
        if chosen is None:
            fit = [plugin for plugin in self.plugins if operation in plugin.operations and resource in (plugin.resources or (resource,))]
            mutating = [plugin for plugin in fit if plugin.mutate is not None]
            runs = groupby(mutating, lambda plugin: operation == CREATE and plugin.of_template)
            chosen = (tuple((once, tuple(plugins)) for once, plugins in runs), tuple(_validating(fit, operation, resource)))
            self._chosen[key] = chosen
        return chosen

    def known(self, resource: str, namespace: str, obj: Object) -> Object | None:
        """A new object as ``mutate`` would return it, when that is remembered for its template and is all there is to its admission.

        None: ask ``mutate`` and ``validate``. O(1).
        """
        spec = obj.get("spec")
        entry = self._templates.get((resource, namespace, id(spec)))
        if entry is None or entry[0] != self.policy_revision or not entry[3]:
            return None
        return obj if entry[2] is spec else {**obj, "spec": entry[2]}

    def mutate(self, attributes: Attributes) -> Object:
        """The object after all mutating plugins; raises the ApiError of the first that refuses."""
        for place, (once, plugins) in enumerate(self._choose(attributes.operation, attributes.resource.name)[0]):
            if once:
                attributes.obj = self._with_template(plugins, attributes, place)
                continue
            for plugin in plugins:
                assert plugin.mutate is not None
                attributes.obj = plugin.mutate(attributes, self._policy)
        obj: Object = attributes.obj
        return obj

    def validate(self, attributes: Attributes) -> None:
        """Ask all validating plugins; raises the ApiError of the first that refuses."""
        for plugin in self._choose(attributes.operation, attributes.resource.name)[1]:
            assert plugin.validate is not None
            plugin.validate(attributes, self._policy)

    def _with_template(self, plugins: tuple[Plugin, ...], attributes: Attributes, place: int) -> Object:
        obj: Object = attributes.obj
        spec = obj.get("spec")
        name, namespace = attributes.resource.name, attributes.namespace
        entry = self._later.get((place, name, namespace, id(spec))) if place else self._templates.get((name, namespace, id(spec)))
        if entry is not None and entry[0] == self.policy_revision:
            return obj if entry[2] is spec else {**obj, "spec": entry[2]}
        for plugin in plugins:
            assert plugin.mutate is not None
            attributes.obj = plugin.mutate(attributes, self._policy)
        admitted: Object = attributes.obj
        # An entry keeps the spec alive, so that its id is not used again.
        if place:
            _keep(self._later, (place, name, namespace, id(spec)), (self.policy_revision, spec, admitted.get("spec")))
        else:
            runs, validating = self._choose(CREATE, name)
            is_all = len(runs) == 1 and not validating
            _keep(self._templates, (name, namespace, id(spec)), (self.policy_revision, spec, admitted.get("spec"), is_all))
        return admitted


def _keep(entries: dict[Any, Any], key: Any, entry: Any) -> None:
    """Remember; the oldest entry goes first."""
    if key not in entries and len(entries) >= TEMPLATES_MAX:
        del entries[next(iter(entries))]
    entries[key] = entry


def _validating(plugins: Iterable[Plugin], operation: str, resource: str) -> Iterable[Plugin]:
    """The plugins that validate an operation on a resource."""
    for plugin in plugins:
        if plugin.validate is not None and (not plugin.validates or (operation, resource) in plugin.validates):
            yield plugin
