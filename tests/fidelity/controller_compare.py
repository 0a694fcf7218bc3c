"""Hold a replayed run against the recorded ones, by the rule of the recordings' README.

What the recorded runs agree on must be so here, up to the renaming of symbols: the status of every step, the fields of every object
that is left, how often objects were added and deleted, the order of additions and deletions, the reasons of the events. Free are times,
node placement and what follows from it, container ids, names of token volumes, and every field in which the recorded runs differ.

Zero values that Go always writes (null, {}) count as absent. Cluster-scoped objects that the script did not make belong to a scenario that
ran at the same time and are left out.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

Object = dict[str, Any]
Flat = dict[tuple[str, ...], Any]
SYMBOL, FULL_SYMBOL = re.compile(r"<([a-z]+):\d+>"), re.compile(r"<[a-z]+:\d+>")
TIME = re.compile(r"<t[+-][0-9.]+>|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
CONCURRENT_SECONDS = 0.25  # two changes nearer than this in time may come in either order
PLACEMENT = {"nodeName", "hostIP", "hostIPs", "topology.kubernetes.io/zone", "zone", "containerID"}
OF_EVERY_NAMESPACE = ("kube-root-ca.crt", "openshift-service-ca.crt")
CLUSTER_SCOPED = ("persistentvolumes", "storageclasses", "nodes", "namespaces", "priorityclasses", "volumeattachments")


def differences(scenario: Object, runs: Sequence[Object], ours: Object) -> list[str]:
    """Every respect in which ``ours`` is not as the recorded ``runs`` agree, as sentences."""
    made = _made_by(scenario)
    return [
        *_steps(runs, ours),
        *_finals(scenario, [_kept(run["final"], made) for run in runs], _kept(ours["final"], made)),
        *_counts([_recorded_counts(run, made) for run in runs], _counted(ours, made)),
        *_orders([_order(run, made) for run in runs], _order(ours, made)),
        *_reasons(scenario, [_reasons_of(run, made) for run in runs], _reasons_of(ours, made)),
    ]


def _made_by(scenario: Object) -> frozenset[str]:
    return frozenset(step["object"]["metadata"].get("name", "") for step in scenario["script"] if step["op"] == "create") | {"<ns>"}


def _is_ours(plural: str, name: str, made: frozenset[str]) -> bool:
    return plural not in CLUSTER_SCOPED or name in made or name.startswith("pvc-")


def _kept(objects: Sequence[Object], made: frozenset[str]) -> list[Object]:
    """The objects of this scenario; what every namespace has is left out, as in most recordings."""
    return [
        obj
        for obj in objects
        if _is_ours("" if obj["metadata"].get("namespace") else f"{obj['kind'].lower()}s", obj["metadata"]["name"], made)
        and obj["metadata"]["name"] not in OF_EVERY_NAMESPACE
    ]


# Steps


def _steps(runs: Sequence[Object], ours: Object) -> Iterable[str]:
    for place, step in enumerate(ours["steps"]):
        recorded = {run["steps"][place]["status"] for run in runs}
        if len(recorded) == 1 and step["status"] not in recorded:
            yield f"step {place}: status {step['status']} {step.get('message', '')}; recorded {recorded}"


# The final state


def _finals(scenario: Object, recorded: list[list[Object]], ours: list[Object]) -> Iterable[str]:
    groups = [_grouped(final) for final in (*recorded, ours)]
    for key in sorted({key for group in groups for key in group}):
        found = [group.get(key, []) for group in groups]
        counts = {len(each) for each in found[:-1]}
        if len(counts) == 1 and len(found[-1]) not in counts:
            yield f"final: {key}: {len(found[-1])} objects; recorded {counts.pop()}"
        elif len(counts) == 1:
            yield from _group_differences(key, found[:-1], found[-1])
    if len(recorded) > 1:
        free = _free_paths(recorded)
        colors = [_colors([_masked(obj, free) for obj in final]) for final in (*recorded, ours)]
        if all(color == colors[0] for color in colors[:-1]) and colors[-1] != colors[0]:
            yield "final: the objects refer to one another in another way than recorded"


def _grouped(objects: Iterable[Object]) -> dict[str, list[Flat]]:
    groups: dict[str, list[Flat]] = {}
    for obj in objects:
        groups.setdefault(_group_key(obj), []).append(_flat(obj))
    return groups


def _group_key(obj: Object) -> str:
    return SYMBOL.sub(r"<\1>", f"{obj['kind']}/{obj['metadata']['name']}")


def _group_differences(key: str, recorded: list[list[Flat]], ours: list[Flat]) -> Iterable[str]:
    free = _differing(recorded)
    left = [_thinned(flat, free) for flat in recorded[0]]
    for flat in [_thinned(flat, free) for flat in ours]:
        best = min(range(len(left)), key=lambda place: len(_unequal(flat, left[place])))
        other = left.pop(best)
        for path in sorted(_unequal(flat, other)):
            yield f"final: {key}: {'.'.join(path)} is {flat.get(path, 'absent')!r}; recorded {other.get(path, 'absent')!r}"


def _differing(recorded: list[list[Flat]]) -> frozenset[tuple[str, ...]]:
    """The paths in which the recorded runs differ, objects of a kind and folded name paired by their likeness."""
    free: set[tuple[str, ...]] = set()
    for other in recorded[1:]:
        left = list(recorded[0])
        for flat in other:
            if not left:
                break
            best = min(range(len(left)), key=lambda place: len(_unequal(flat, left[place])))
            free |= _unequal(flat, left.pop(best))
    return frozenset(free)


def _free_paths(recorded: list[list[Object]]) -> dict[str, frozenset[tuple[str, ...]]]:
    groups = [_grouped(final) for final in recorded]
    return {key: _differing([group.get(key, []) for group in groups]) for key in groups[0]}


def _thinned(flat: Flat, free: frozenset[tuple[str, ...]]) -> Flat:
    return {path: value for path, value in flat.items() if path not in free}


def _unequal(one: Flat, other: Flat) -> set[tuple[str, ...]]:
    return {path for path in one.keys() | other.keys() if one.get(path, _ABSENT) != other.get(path, _ABSENT)}


_ABSENT = object()


def _flat(obj: Object) -> Flat:
    """Leaf values by path, symbols without their numbers, what is free left out. Conditions go by type, ports by themselves."""
    return {path: SYMBOL.sub(r"<\1>", value) if isinstance(value, str) else value for path, value in _leaves(obj, ())}


def _leaves(value: Any, path: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for key, found in value.items():
            if key in PLACEMENT:
                found = "<placed>"
            if key in ("resourceVersion", "managedFields"):
                continue
            yield from _leaves(found, (*path, SYMBOL.sub(r"<\1>", key)))
    elif isinstance(value, list):
        if path[-1:] == ("endpoints",) or path[-2:-1] == ("subsets",):
            value = sorted(value, key=lambda found: str(_masked_text(str(found))))
        for place, found in enumerate(value):
            yield from _leaves(found, (*path, str(place)))
    elif value is not None:
        yield path, _masked_text(value) if isinstance(value, str) else value


def _masked_text(text: str) -> str:
    text = TIME.sub("<t>", text)
    text = re.sub(r"kube-api-access-[a-z0-9]{5}", "kube-api-access", text)
    text = re.sub(r"\bctl-[a-z]+-[a-z0-9-]+\b", "<ns>", text)
    return re.sub(r"\bnode-\d\b", "<node>", text)


# Symbols: colour refinement. An object's colour is what it says with its symbols coloured; a symbol's colour is where it stands.


def _masked(obj: Object, free: dict[str, frozenset[tuple[str, ...]]]) -> list[tuple[tuple[str, ...], str]]:
    gone = free.get(_group_key(obj), frozenset())
    return [(path, str(value)) for path, value in _leaves(obj, ()) if path not in gone]


def _colors(objects: list[list[tuple[tuple[str, ...], str]]], rounds: int = 4) -> Counter[int]:
    tokens = {token for obj in objects for _, value in obj for token in FULL_SYMBOL.findall(value)}
    color = {token: hash(token.partition(":")[0]) for token in tokens}
    found: list[int] = []
    for _ in range(rounds):
        found = [hash(tuple(sorted((path, _colored(value, color)) for path, value in obj))) for obj in objects]
        places: dict[str, list[tuple[int, tuple[str, ...]]]] = {token: [] for token in tokens}
        for obj, own in zip(objects, found, strict=True):
            for path, value in obj:
                for token in FULL_SYMBOL.findall(value):
                    places[token].append((own, path))
        color = {token: hash((token.partition(":")[0], tuple(sorted(where)))) for token, where in places.items()}
    return Counter(found)


def _colored(value: str, color: dict[str, int]) -> str:
    return FULL_SYMBOL.sub(lambda token: f"<{color[token[0]]}>", value)


# Counts


def _fold(ref: str) -> str:
    return SYMBOL.sub(r"<\1>", ref)


def _recorded_counts(run: Object, made: frozenset[str]) -> dict[str, tuple[int, int]]:
    return {
        ref: (counts.get("A", 0), counts.get("D", 0))
        for ref, counts in run["facets"]["kinds"].items()
        if _is_ours(*ref.split("/", 1), made)
    }


def _counted(run: Object, made: frozenset[str]) -> dict[str, tuple[int, int]]:
    counts: dict[str, list[int]] = {}
    for change in run["timeline"]:
        if _is_ours(*change["ref"].split("/", 1), made):
            each = counts.setdefault(_fold(change["ref"]), [0, 0])
            each[0] += change["type"] == "ADDED"
            each[1] += change["type"] == "DELETED"
    return {ref: (added, deleted) for ref, (added, deleted) in counts.items()}


def _counts(recorded: list[dict[str, tuple[int, int]]], ours: dict[str, tuple[int, int]]) -> Iterable[str]:
    for ref in sorted({ref for counts in (*recorded, ours) for ref in counts}):
        wanted = {counts.get(ref, (0, 0)) for counts in recorded}
        if len(wanted) == 1 and ours.get(ref, (0, 0)) not in wanted:
            yield f"counts: {ref} was (added, deleted) {ours.get(ref, (0, 0))}; recorded {wanted.pop()}"


# Order


def _order(run: Object, made: frozenset[str]) -> dict[tuple[str, str, int], float]:
    """When what happened for the how-maniest time: (type, folded ref, count) -> seconds."""
    seen: Counter[tuple[str, str]] = Counter()
    order: dict[tuple[str, str, int], float] = {}
    for change in run["timeline"]:
        if change["type"] in ("ADDED", "DELETED") and _is_ours(*change["ref"].split("/", 1), made):
            what = (change["type"], re.sub(r"<(gen|minute):\d+>", r"<\1>", change["ref"]))
            seen[what] += 1
            order[*what, seen[what]] = change["t"]
    return order


def _orders(recorded: list[dict[tuple[str, str, int], float]], ours: dict[tuple[str, str, int], float]) -> Iterable[str]:
    """What every recorded run had one clearly after the other may not be the other way round."""
    shared = [what for what in recorded[0] if all(what in order for order in recorded) and what in ours]
    for one in shared:
        for other in shared:
            if all(order[other] - order[one] >= CONCURRENT_SECONDS for order in recorded) and ours[one] > ours[other]:
                yield f"order: {_named(one)} after {_named(other)}; recorded the other way round"


def _named(what: tuple[str, str, int]) -> str:
    return f"{what[0]} {what[1]} (#{what[2]})"


# Events


def _reasons_of(run: Object, made: frozenset[str]) -> frozenset[tuple[str, str]]:
    found = set()
    for event in run["events"]:
        kind, _, name = event["about"].partition("/")
        if _is_ours(f"{kind.lower()}s", name, made):
            found.add((_fold(event["about"]), event["reason"]))
    return frozenset(found)


def _reasons(scenario: Object, recorded: list[frozenset[tuple[str, str]]], ours: frozenset[tuple[str, str]]) -> Iterable[str]:
    common = frozenset.intersection(*recorded)
    for about, reason in sorted(common - ours):
        yield f"events: {about} has no {reason}"
    for about, reason in sorted(ours - frozenset.union(*recorded)):
        yield f"events: {about} has {reason}, which no recorded run has"
