"""What a Job's policies say about failed Pods and succeeded indexes.

Upstream: pkg/controller/job/pod_failure_policy.go, success_policy.go.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from kubesim.apiserver.requests import Object
from kubesim.controllers.job.indexes import parse


class Verdict(NamedTuple):
    """What the failure policy says about a Pod: a message if the Job fails, whether the failure counts, and the action (empty: none)."""

    message: str
    counts: bool
    action: str


COUNTS = Verdict("", True, "")


def verdict(policy: Object | None, pod: Object) -> Verdict:
    """The first rule that matches a failed Pod."""
    for place, rule in enumerate((policy or {}).get("rules") or ()):
        action, name = rule["action"], f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        message = ""
        if rule.get("onExitCodes"):
            container = _matching_container(rule["onExitCodes"], pod)
            if container is None:
                continue
            code = container["state"]["terminated"]["exitCode"]
            message = f"Container {container['name']} for pod {name} failed with exit code {code} matching {action} rule at index {place}"
        elif rule.get("onPodConditions"):
            condition = _matching_condition(rule["onPodConditions"], pod)
            if not condition:
                continue
            message = f"Pod {name} has condition {condition} matching {action} rule at index {place}"
        else:
            continue
        if action == "Ignore":
            return Verdict("", False, action)
        return Verdict(message if action == "FailJob" else "", True, action)
    return COUNTS


def _matching_container(requirement: Object, pod: Object) -> Object | None:
    status = pod.get("status") or {}
    for container in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        terminated = (container.get("state") or {}).get("terminated")
        if terminated is None or requirement.get("containerName", container["name"]) != container["name"]:
            continue
        code = terminated["exitCode"]
        if code == 0:
            continue
        if (code in requirement["values"]) == (requirement["operator"] == "In"):
            found: Object = container
            return found
    return None


def _matching_condition(patterns: Sequence[Object], pod: Object) -> str:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        for pattern in patterns:
            if pattern["type"] == condition["type"] and pattern.get("status", "True") == condition["status"]:
                name: str = condition["type"]
                return name
    return ""


def success_message(policy: Object | None, completions: int, succeeded: Collection[int]) -> str:
    """The message of the first rule of a success policy that is met, empty when none is."""
    if not policy or not succeeded:
        return ""
    for place, rule in enumerate(policy.get("rules") or ()):
        wanted = set(succeeded)
        text, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        if text is not None:
            named = parse(text, completions)
            wanted &= named
            if count is None and len(wanted) < len(named):
                continue
        if count is not None and len(wanted) < count:
            continue
        return f"Matched rules at index {place}"
    return ""
