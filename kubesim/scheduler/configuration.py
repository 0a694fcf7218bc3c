"""KubeSchedulerConfiguration v1 (kubescheduler.config.k8s.io), read, defaulted and validated into a ``SchedulerConfig``.

Upstream: pkg/scheduler/apis/config/{v1/default_plugins.go,v1/defaults.go,validation}, framework/runtime (expandMultiPointPlugins).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.kinds.parts.resource_validation import is_extended
from kubesim.api.names import check_qualified_name
from kubesim.kernel.time import parse_duration
from kubesim.scheduler.contract import Plugin
from kubesim.scheduler.extender import TIMEOUT_NS, Extender
from kubesim.scheduler.plugins import registry
from kubesim.scheduler.pod_facts import DEFAULT_SCHEDULER_NAME
from kubesim.scheduler.profile import DEFAULT_PLUGINS, SEEDED, PluginConfig, Profile, SchedulerConfig

API_VERSION, KIND = "kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration"
ALL = "*"
POINTS = (
    "preEnqueue",
    "queueSort",
    "preFilter",
    "filter",
    "postFilter",
    "preScore",
    "score",
    "reserve",
    "permit",
    "preBind",
    "bind",
    "postBind",
)
WITHOUT_FILE = frozenset({"NodeDeclaredFeatures"})  # it concerns Pods that are resized in place only
WEIGHT_MAX = 2**63 - 1
TOP_FIELDS = frozenset(
    (
        "apiVersion",
        "kind",
        "parallelism",
        "leaderElection",
        "clientConnection",
        "enableProfiling",
        "enableContentionProfiling",
        "percentageOfNodesToScore",
        "podInitialBackoffSeconds",
        "podMaxBackoffSeconds",
        "profiles",
        "extenders",
        "delayCacheUntilActive",
    )
)
PROFILE_FIELDS = frozenset(("schedulerName", "percentageOfNodesToScore", "plugins", "pluginConfig"))
Object = Mapping[str, Any]
Known = Mapping[str, type[Plugin]]


_PATH = re.compile(r'unknown field "([^"]+)"|^([\w.\[\]]+): ')


class ConfigurationError(ValueError):
    """What is wrong with a configuration, one sentence per line."""

    def at_lines(self, source: str, line_of: Callable[[str], int]) -> "ConfigurationError":
        """The same with the place in front of each sentence; ``line_of`` knows the line of a field, 0 where it does not."""
        placed = []
        for text in str(self).splitlines():
            found = _PATH.search(text)
            line = line_of(found[1] or found[2]) if found else 0
            placed.append(f"{source}:{line}: {text}" if line else f"{source}: {text}")
        return ConfigurationError("\n".join(placed))


def read_configuration(document: Any, tie_break: str = SEEDED, plugins: Mapping[str, type[Plugin]] | None = None) -> SchedulerConfig:
    """Make a SchedulerConfig of a configuration object; ``plugins`` are the user's own.

    Raises:
        ConfigurationError: with upstream's messages, where it has them.
    """
    known: Known = {**registry(), **(plugins or {}), **dict.fromkeys(WITHOUT_FILE, Plugin)}
    errors = _errors(document, known)
    if errors:
        raise ConfigurationError("\n".join(errors))
    given: Sequence[Object] = document.get("profiles") or ({},)
    ignored = [resource["name"] for resource in _managed(document) if resource.get("ignoredByScheduler")]
    profiles = tuple(_profile(profile, known, ignored) for profile in given)
    errors = _point_errors(profiles)
    if errors:
        raise ConfigurationError("\n".join(errors))
    second = 1_000_000_000
    try:
        return SchedulerConfig(
            profiles=profiles,
            extenders=tuple(map(_extender, document.get("extenders") or ())),
            tie_break=tie_break,
            percentage=document.get("percentageOfNodesToScore") or 0,
            backoff_initial_ns=(document.get("podInitialBackoffSeconds") or 1) * second,
            backoff_max_ns=(document.get("podMaxBackoffSeconds") or 10) * second,
        )
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _managed(document: Object) -> Iterable[Object]:
    """The resources that extenders manage."""
    return (resource for entry in document.get("extenders") or () for resource in entry.get("managedResources") or ())


def _profile(profile: Object, known: Known, ignored: Sequence[str]) -> Profile:
    """``ignored``: resources that extenders count and NodeResourcesFit does not."""
    sets = profile.get("plugins") or {}
    arguments = {entry["name"]: entry.get("args") or {} for entry in profile.get("pluginConfig") or ()}
    if ignored:
        fit = arguments.get("NodeResourcesFit") or {}
        arguments["NodeResourcesFit"] = {**fit, "ignoredResources": [*(fit.get("ignoredResources") or ()), *ignored]}
    multi_point = merged(sets.get("multiPoint") or {})
    points = {
        point: tuple(name for name in expanded(multi_point, sets.get(point) or {}) if point in known[name].extends) for point in POINTS
    }
    weights = _weights([*((sets.get("score") or {}).get("enabled") or ()), *multi_point])
    names = dict.fromkeys(entry["name"] for entry in multi_point)
    names.update(dict.fromkeys(name for enabled in points.values() for name in enabled))
    kept = [name for name in names if name not in WITHOUT_FILE]
    enabled = tuple(PluginConfig(name, weights.get(name, 1), arguments.get(name, {})) for name in kept)
    return Profile(profile.get("schedulerName") or DEFAULT_SCHEDULER_NAME, enabled, points, profile.get("percentageOfNodesToScore"))


def merged(custom: Object) -> list[Object]:
    """The default multi-point plugins with a user's own set: replaced in place, disabled, or appended."""
    disabled = {entry["name"] for entry in custom.get("disabled") or ()}
    own = {entry["name"]: entry for entry in custom.get("enabled") or ()}
    replaced: set[str] = set()
    found: list[Object] = []
    for default in DEFAULT_PLUGINS if ALL not in disabled else ():
        if default.name in disabled:
            continue
        if default.name in own:
            replaced.add(default.name)
        found.append(own.get(default.name, {"name": default.name, "weight": default.weight}))
    return found + [entry for entry in custom.get("enabled") or () if entry["name"] not in replaced]


def expanded(multi_point: Sequence[Object], point: Object) -> tuple[str, ...]:
    """The plugins of one extension point: explicit ones that are multi-point too, the other multi-point ones, the other explicit ones."""
    explicit = [entry["name"] for entry in point.get("enabled") or ()]
    disabled = {entry["name"] for entry in point.get("disabled") or ()}
    if ALL in disabled:
        return tuple(explicit)
    general = [entry["name"] for entry in multi_point if entry["name"] not in disabled]
    first = [name for name in explicit if name in general]
    return (*first, *[name for name in general if name not in explicit], *[name for name in explicit if name not in first])


def _weights(entries: Iterable[Object]) -> dict[str, int]:
    """The first mention counts; 0 means 1."""
    weights: dict[str, int] = {}
    for entry in entries:
        weights.setdefault(entry["name"], entry.get("weight") or 1)
    return weights


# ---- validation ------------------------------------------------------------------------------------------------------------------


def _errors(document: Any, known: Known) -> list[str]:
    if not isinstance(document, Mapping):
        return [f"configuration: expected an object, got {type(document).__name__}"]
    if document.get("apiVersion", API_VERSION) != API_VERSION or document.get("kind", KIND) != KIND:
        kind, version = document.get("kind"), document.get("apiVersion")
        return [f'no kind "{kind}" is registered for version "{version}": expected {KIND} of {API_VERSION}']
    errors = [f'strict decoding error: unknown field "{name}"' for name in document if name not in TOP_FIELDS]
    errors += _percentage_errors(document, "percentageOfNodesToScore")
    initial, longest = document.get("podInitialBackoffSeconds"), document.get("podMaxBackoffSeconds")
    if initial is not None and initial <= 0:
        errors.append(f"podInitialBackoffSeconds: Invalid value: {initial}: must be greater than 0")
    if longest is not None and longest < (initial or 1):
        errors.append(f"podMaxBackoffSeconds: Invalid value: {longest}: must be greater than or equal to PodInitialBackoffSeconds")
    errors += _extender_errors(document.get("extenders") or ())
    seen: dict[str, int] = {}
    for index, profile in enumerate(document.get("profiles") or ()):
        errors += _profile_errors(profile, f"profiles[{index}]", known)
        name = profile.get("schedulerName") or DEFAULT_SCHEDULER_NAME
        if name in seen:
            errors.append(f'profiles[{index}].schedulerName: Duplicate value: "{name}"')
        seen[name] = index
    return errors


EXTENDER_FIELDS = frozenset(
    (
        "urlPrefix",
        "filterVerb",
        "prioritizeVerb",
        "bindVerb",
        "preemptVerb",
        "weight",
        "enableHTTPS",
        "tlsConfig",
        "httpTimeout",
        "nodeCacheCapable",
        "managedResources",
        "ignorable",
    )
)


def _extender(entry: Object) -> Extender:
    return Extender(
        url=entry.get("urlPrefix") or "",
        filter_verb=entry.get("filterVerb") or "",
        prioritize_verb=entry.get("prioritizeVerb") or "",
        bind_verb=entry.get("bindVerb") or "",
        preempt_verb=entry.get("preemptVerb") or "",
        weight=entry.get("weight") or 1,
        timeout_ns=parse_duration(entry["httpTimeout"]) if entry.get("httpTimeout") else TIMEOUT_NS,
        knows_nodes=bool(entry.get("nodeCacheCapable")),
        is_ignorable=bool(entry.get("ignorable")),
        resources=tuple(resource["name"] for resource in entry.get("managedResources") or ()),
    )


def _extender_errors(entries: Sequence[Object]) -> list[str]:
    errors = []
    managed: set[str] = set()
    for index, entry in enumerate(entries):
        path = f"extenders[{index}]"
        errors += [f'strict decoding error: unknown field "{path}.{name}"' for name in entry if name not in EXTENDER_FIELDS]
        if entry.get("prioritizeVerb") and (entry.get("weight") or 0) <= 0:
            errors.append(f"{path}.weight: Invalid value: {entry.get('weight') or 0}: must have a positive weight applied to it")
        for place, resource in enumerate(entry.get("managedResources") or ()):
            name, where = resource.get("name") or "", f"{path}.managedResources[{place}].name"
            wrong = check_qualified_name(name) or ([] if is_extended(name) else ["is an invalid extended resource name"])
            wrong += ["duplicate extender managed resource name"] if name in managed else []
            errors += [f'{where}: Invalid value: "{name}": {text}' for text in wrong]
            managed.add(name)
        if not str(entry.get("urlPrefix") or "").startswith(("http://", "https://")):
            errors.append(f'{path}.urlPrefix: Invalid value: "{entry.get("urlPrefix") or ""}": expected a URL')
        try:
            parse_duration(entry.get("httpTimeout") or "5s")
        except ValueError:
            errors.append(f'{path}.httpTimeout: Invalid value: "{entry["httpTimeout"]}": expected a duration such as "5s"')
    binders = sum(bool(entry.get("bindVerb")) for entry in entries)
    if binders > 1:
        errors.append(f'extenders: Invalid value: "found {binders} extenders implementing bind": only one extender can implement bind')
    return errors


def _point_errors(profiles: Sequence[Profile]) -> list[str]:
    """Every profile sorts its queue with one plugin, all profiles with the same; and every profile can bind."""
    errors = []
    sorts = [profile.points["queueSort"] for profile in profiles]
    for profile, sort in zip(profiles, sorts):
        name = f'profile with scheduler name "{profile.scheduler_name}"'
        if not sort:
            errors.append(f"at least one queue sort plugin is required for {name}")
        elif len(sort) > 1:
            errors.append(f"only one queue sort plugin required for {name}, but got {len(sort)}")
        elif sort != sorts[0]:
            errors.append(f'different queue sort plugins for profile "{profile.scheduler_name}": "{sort[0]}", first: "{sorts[0][0]}"')
        if not profile.points["bind"]:
            errors.append(f"at least one bind plugin is needed for {name}")
    return errors


def _percentage_errors(where: Object, path: str) -> list[str]:
    value = where.get("percentageOfNodesToScore")
    if value is None or (isinstance(value, int) and 0 <= value <= 100):
        return []
    return [f"{path}: Invalid value: {value}: not in valid range [0-100]"]


def _profile_errors(profile: Object, path: str, known: Known) -> list[str]:
    errors = [f'strict decoding error: unknown field "{path}.{name}"' for name in profile if name not in PROFILE_FIELDS]
    errors += _percentage_errors(profile, f"{path}.percentageOfNodesToScore")
    for point, entries in (profile.get("plugins") or {}).items():
        if point not in (*POINTS, "multiPoint"):
            errors.append(f'strict decoding error: unknown field "{path}.plugins.{point}"')
            continue
        errors += _plugin_errors(entries, f"{path}.plugins.{point}", point, known)
    seen: set[str] = set()
    for index, entry in enumerate(profile.get("pluginConfig") or ()):
        name = entry.get("name") or ""
        if name in seen:
            errors.append(f'{path}.pluginConfig[{index}]: Duplicate value: "{name}"')
        seen.add(name)
        errors += _argument_errors(name, entry.get("args") or {}, f"{path}.pluginConfig[{index}].args", known)
    return errors


def _plugin_errors(entries: Object, path: str, point: str, known: Known) -> list[str]:
    errors = []
    seen: set[str] = set()
    for entry in entries.get("enabled") or ():
        name, weight = entry.get("name") or "", entry.get("weight", 0)
        if name not in known:
            errors.append(f'{path}: plugin "{name}" does not exist')
        elif point in POINTS and point not in known[name].extends and name not in WITHOUT_FILE:
            errors.append(f'{path}: plugin "{name}" does not extend {point[0].upper()}{point[1:]}Plugin plugin')
        if name in seen:
            errors.append(f'{path}: plugin "{name}" already registered')
        seen.add(name)
        if not isinstance(weight, int) or not 0 <= weight <= WEIGHT_MAX // 100:
            errors.append(f'{path}: score plugin "{name}" has an invalid weight {weight}')
    return errors


def _argument_errors(name: str, arguments: Object, path: str, known: Known) -> list[str]:
    """What the plugins themselves would refuse, with upstream's words."""
    if name not in known:
        return [f'{path}: Invalid value: "{name}": plugin does not exist']
    check = _ARGUMENT_CHECKS.get(name)
    return [f"{path}.{error}" for error in check(arguments)] if check is not None else []


def _range_errors(arguments: Object, field: str, low: int, high: int | None, text: str) -> list[str]:
    value = arguments.get(field)
    if value is None or (isinstance(value, int) and value >= low and (high is None or value <= high)):
        return []
    return [f"{field}: Invalid value: {value}: {text}"]


def _inter_pod_errors(arguments: Object) -> list[str]:
    return _range_errors(arguments, "hardPodAffinityWeight", 0, 100, "not in valid range [0-100]")


def _preemption_errors(arguments: Object) -> list[str]:
    percentage, absolute = arguments.get("minCandidateNodesPercentage"), arguments.get("minCandidateNodesAbsolute")
    errors = _range_errors(arguments, "minCandidateNodesPercentage", 0, 100, "not in valid range [0, 100]")
    errors += _range_errors(arguments, "minCandidateNodesAbsolute", 0, None, "not in valid range [0, inf)")
    if percentage == 0 and absolute == 0:
        errors += ["minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as minCandidateNodesAbsolute"]
    return errors


def _resource_errors(resources: Iterable[Object], path: str) -> list[str]:
    errors = []
    for index, entry in enumerate(resources):
        weight = entry.get("weight", 1)
        if not isinstance(weight, int) or not 0 < weight <= 100:
            name = entry.get("name")
            errors.append(f"{path}[{index}].weight: Invalid value: {weight}: resource weight of {name} not in valid range [1, 100]")
    return errors


def _fit_errors(arguments: Object) -> list[str]:
    strategy = arguments.get("scoringStrategy") or {}
    kind = strategy.get("type", "LeastAllocated")
    kinds = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
    errors = _resource_errors(strategy.get("resources") or (), "scoringStrategy.resources")
    if kind not in kinds:
        supported = ", ".join(f'"{name}"' for name in kinds)
        errors.append(f'scoringStrategy.type: Unsupported value: "{kind}": supported values: {supported}')
    shape = (strategy.get("requestedToCapacityRatio") or {}).get("shape") or ()
    if kind == "RequestedToCapacityRatio":
        path = "scoringStrategy.requestedToCapacityRatio.shape"
        if not shape:
            errors.append(f"{path}: Required value: at least one point must be specified")
        for index, point in enumerate(shape):
            used = point["utilization"]
            if index and used <= shape[index - 1]["utilization"]:
                text = "utilization values must be sorted in increasing order"
                errors.append(f"{path}[{index}].utilization: Invalid value: {used}: {text}")
            if not 0 <= point["score"] <= 10:
                errors.append(f"{path}[{index}].score: Invalid value: {point['score']}: not in valid range [0-10]")
    return errors


def _spread_errors(arguments: Object) -> list[str]:
    kind, constraints = arguments.get("defaultingType") or "System", arguments.get("defaultConstraints") or ()
    errors = []
    if kind not in ("System", "List"):
        errors.append(f'defaultingType: Unsupported value: "{kind}": supported values: "List", "System"')
    if kind == "System" and constraints:
        errors.append('defaultingType: Invalid value: "System": when .defaultConstraints are not empty')
    for index, constraint in enumerate(constraints):
        path = f"defaultConstraints[{index}]"
        if (constraint.get("maxSkew") or 0) <= 0:
            errors.append(f"{path}.maxSkew: Invalid value: {constraint.get('maxSkew', 0)}: not in valid range (0, inf)")
        if not constraint.get("topologyKey"):
            errors.append(f"{path}.topologyKey: Required value: can not be empty")
        if constraint.get("labelSelector") is not None:
            errors.append(f"{path}.labelSelector: Forbidden: constraint must not define a selector, as they deduced for each pod")
    return errors


_ARGUMENT_CHECKS = {
    "InterPodAffinity": _inter_pod_errors,
    "DefaultPreemption": _preemption_errors,
    "NodeResourcesFit": _fit_errors,
    "NodeResourcesBalancedAllocation": lambda arguments: _resource_errors(arguments.get("resources") or (), "resources"),
    "PodTopologySpread": _spread_errors,
}
