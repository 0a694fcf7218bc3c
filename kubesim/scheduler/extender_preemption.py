"""Extenders and preemption: each that has a ``preemptVerb`` may drop candidates, or name other victims.

Upstream: pkg/scheduler/framework/preemption/preemption.go (callExtenders), pkg/scheduler/extender.go (ProcessPreemption).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kubesim.scheduler.extender import ExtenderPlugin
from kubesim.scheduler.node_table import NodeTable
from kubesim.scheduler.pod_facts import PodInfo
from kubesim.scheduler.preemption import Candidate, importance

Object = dict[str, Any]


class ExtenderFailed(Exception):
    """An extender that must be heard has not answered, or not sensibly."""


def asked(pod: PodInfo, extenders: Iterable[ExtenderPlugin]) -> list[ExtenderPlugin]:
    """The extenders that have a word in this Pod's preemption."""
    return [found for found in extenders if found.extender.preempt_verb and found.is_interested(pod)]


def through_extenders(
    pod: PodInfo, candidates: Iterable[Candidate], extenders: Sequence[ExtenderPlugin], table: NodeTable
) -> list[Candidate]:
    """The candidates that they leave, in the order of their rows. Raises ExtenderFailed."""
    left = {candidate.node_name: candidate for candidate in candidates}
    for plugin in extenders:
        try:
            left = _ask(pod, left, plugin, table)
        except (OSError, ExtenderFailed) as error:
            if not plugin.extender.is_ignorable:
                raise ExtenderFailed(str(error)) from error
        if not left:
            break
    return sorted(left.values(), key=lambda candidate: candidate.row)


def _ask(pod: PodInfo, left: Mapping[str, Candidate], plugin: ExtenderPlugin, table: NodeTable) -> dict[str, Candidate]:
    if plugin.extender.knows_nodes:
        met = {name: _victims(found, [{"uid": info.uid} for info in found.victims]) for name, found in left.items()}
        body: Object = {"pod": pod.obj, "nodeNameToMetaVictims": met}
    else:
        whole = {name: _victims(found, [info.obj for info in found.victims]) for name, found in left.items()}
        body = {"pod": pod.obj, "nodeNameToVictims": whole}
    answer = plugin.post(plugin.extender.preempt_verb, body) or {}
    kept: dict[str, Candidate] = {}
    for name, victims in (answer.get("nodeNameToMetaVictims") or {}).items():
        found = _candidate(name, victims or {}, plugin, table)
        if found is not None:
            kept[name] = found
    return kept


def _victims(candidate: Candidate, pods: list[Object]) -> Object:
    return {"pods": pods, "numPDBViolations": candidate.violation_count}


def _candidate(name: str, victims: Object, plugin: ExtenderPlugin, table: NodeTable) -> Candidate | None:
    """One node of an answer; None for one without victims, which an ignorable extender may name."""
    row, url = table.find(name), plugin.extender.url
    if row < 0:
        raise ExtenderFailed(f'node "{name}" not found')
    pods: list[PodInfo] = []
    for victim in victims.get("pods") or ():
        info = table.pods[row].get(victim.get("uid", ""))
        if info is None:
            uid = victim.get("uid", "")
            raise ExtenderFailed(
                f"extender: {url} claims to preempt pod (UID: {uid}) on node: {name}, but the pod is not found on that node"
            )
        pods.append(info)
    if not pods:
        if plugin.extender.is_ignorable:
            return None
        raise ExtenderFailed(f'expected at least one victim pod on node "{name}"')
    return Candidate(row, name, tuple(sorted(pods, key=importance)), int(victims.get("numPDBViolations") or 0))
