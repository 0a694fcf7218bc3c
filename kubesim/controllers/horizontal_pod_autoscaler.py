"""The HorizontalPodAutoscaler: as many Pods as the usage of those that are there asks for, within bounds, not too fast.

    desired = ceil(ready Pods * usage / target)      unless usage / target is within 10 % of 1

of several metrics the largest counts. Then the behaviours: the stabilization windows (the largest recent recommendation going down, the
smallest going up) and the scaling policies (so many Pods or percent per period); then minReplicas and maxReplicas.

Usage comes from a usage model: a function of a Pod and the time (``annotated_usage`` by default: ``kubesim.dev/usage-cpu`` and
``kubesim.dev/usage-memory`` of the Pod, which may be curves over time). Resource and container metrics are served; Pods, Object and
External metrics have no source.

Upstream: pkg/controller/podautoscaler (horizontal.go, replica_calculator.go). It looks every 15 s; here a look that can change nothing
by itself waits for a change of the Pods or the target.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from kubesim.api import quantity
from kubesim.api.conditions import set_condition
from kubesim.api.curve import Curve, parse_curve
from kubesim.api.kinds import KINDS
from kubesim.api.meta import key_of
from kubesim.api.selectors import Selector, from_labels, from_object
from kubesim.apiserver.requests import Object, Request, update
from kubesim.client.informer import looks_at
from kubesim.controllers.contract import DONE, Burst, ControllerBase, EventIntent, Intent, Mapper, Result, View, own_key
from kubesim.controllers.owned_pods import ENDED, is_ready
from kubesim.kernel.time import SECOND, format_time, parse_time

RESOURCE = "horizontalpodautoscalers.autoscaling"
PERIOD_NS = 15 * SECOND
TOLERANCE_PERCENT = 10
DOWN_WINDOW_SECONDS = 300
SCALED = ("deployments.apps", "replicasets.apps", "replicationcontrollers", "statefulsets.apps")
USAGE = "kubesim.dev/usage-"
Usage = Callable[[Object, int], Mapping[str, int]]  # (Pod, now_ns) -> millicores and bytes by resource


class Proposal(NamedTuple):
    """What a metric asks for, and how it is shown in the status; ``error`` if it cannot be had."""

    replicas: int
    current: Object | None
    error: str = ""


def annotated_usage(pod: Object, now_ns: int) -> Mapping[str, int]:
    """The usage that a Pod's annotations say, of all its containers; a curve (api/curve.py) runs from the Pod's start."""
    start = (pod.get("status") or {}).get("startTime")
    offset_ns = now_ns - parse_time(start) if start else 0
    found: dict[str, int] = {}
    for name, curve in _curves(pod):
        found[name] = found.get(name, 0) + curve.at(max(offset_ns, 0))
    return found


def _curves(pod: Object) -> Iterator[tuple[str, Curve]]:
    """(resource, curve) of a Pod's annotations; what cannot be understood is the kubelet's to complain about."""
    for key, text in (pod["metadata"].get("annotations") or {}).items():
        if key.startswith(USAGE):
            name = key.removeprefix(USAGE).partition(".")[0]
            with suppress(ValueError):
                yield name, parse_curve(text.strip(), name)


def changes_later(pod: Object, now_ns: int) -> bool:
    """Whether a Pod's annotated usage will be another one by itself."""
    start = (pod.get("status") or {}).get("startTime")
    offset_ns = max(now_ns - parse_time(start), 0) if start else 0
    return any(curve.changes_after(offset_ns) for _, curve in _curves(pod))


@looks_at("spec")
def target_to_autoscalers(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The autoscalers of a workload whose size has changed."""
    obj = new if new is not None else old
    if obj is None or (old is not None and new is not None and old["spec"].get("replicas") == new["spec"].get("replicas")):
        return ()
    metadata = obj["metadata"]
    return [
        key_of(autoscaler)
        for autoscaler in view.list(RESOURCE, metadata["namespace"])
        if (autoscaler["spec"]["scaleTargetRef"]["kind"], autoscaler["spec"]["scaleTargetRef"]["name"]) == (obj["kind"], metadata["name"])
    ]


@looks_at("metadata.annotations", "status.conditions")
def pod_to_autoscalers(view: View, old: Object | None, new: Object | None) -> Iterable[str]:
    """The autoscalers of a namespace, when a Pod came, went, or changed its readiness or what it uses."""
    pod = new if new is not None else old
    if pod is None or not view.list(RESOURCE):
        return ()
    if old is not None and new is not None:
        same = old["metadata"].get("annotations") is new["metadata"].get("annotations")
        if same and is_ready(old) == is_ready(new):
            return ()
    return [key_of(autoscaler) for autoscaler in view.list(RESOURCE, pod["metadata"]["namespace"])]


class HorizontalController(ControllerBase):
    """Reconciles HorizontalPodAutoscalers by ``namespace/name``."""

    name = "horizontal-pod-autoscaler-controller"
    component = "horizontal-pod-autoscaler"
    resource = RESOURCE
    watches: Mapping[str, Mapper] = {
        RESOURCE: own_key,
        **dict.fromkeys(SCALED, target_to_autoscalers),
        "pods": pod_to_autoscalers,
    }
    delays: Mapping[str, int] = dict.fromkeys((RESOURCE, "pods", *SCALED), PERIOD_NS)

    def __init__(self, usage: Usage = annotated_usage) -> None:
        self.usage = usage
        self.recommended: dict[str, list[tuple[int, int]]] = {}  # key -> (when, replicas), newest last
        self.scaled: dict[str, list[tuple[int, int]]] = {}  # key -> (when, change), newest last

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Look at an autoscaler once."""
        autoscaler = view.get(RESOURCE, key)
        if autoscaler is None:
            self.recommended.pop(key, None)
            self.scaled.pop(key, None)
            return DONE
        return _Look(self, key, autoscaler, view, now_ns).result()


class _Look:
    """One look at one autoscaler."""

    def __init__(self, controller: HorizontalController, key: str, autoscaler: Object, view: View, now_ns: int) -> None:
        self.controller = controller
        self.key = key
        self.autoscaler = autoscaler
        self.spec: Object = autoscaler["spec"]
        self.view = view
        self.now_ns = now_ns
        self.status: Object = {**(autoscaler.get("status") or {})}
        self.conditions: Sequence[Object] = self.status.get("conditions") or []
        self.intents: list[Intent] = []
        self.wait_ns: int | None = None
        self.changing = False  # some Pod will use more or less by itself

    def result(self) -> Result:
        """The rescale if there is one, and the status."""
        reference = self.spec["scaleTargetRef"]
        target = self._target(reference)
        if target is None:
            message = f"the HPA controller was unable to get the target's current scale: {reference['kind']} {reference['name']} not found"
            self.condition("AbleToScale", "False", "FailedGetScale", message)
            self.intents.append(EventIntent(self.autoscaler, "Warning", "FailedGetScale", message))
            return Result([*self.intents, *self.written()])
        self.condition("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale")
        current = target["spec"].get("replicas", 1)
        self.status["currentReplicas"] = current
        low, high = self.spec.get("minReplicas") or 1, self.spec["maxReplicas"]
        reason = ""
        if current == 0 and low != 0:
            desired = 0
            self.condition("ScalingActive", "False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
        elif current > high:
            desired, reason = high, "Current number of replicas above Spec.MaxReplicas"
        elif current < low:
            desired, reason = low, "Current number of replicas below Spec.MinReplicas"
        else:
            proposed = self.propose(target, current)
            if proposed is None:
                self.status["desiredReplicas"] = self.status.get("desiredReplicas", 0)
                return Result([*self.intents, *self.written()])
            desired, reason = proposed
        self.status["desiredReplicas"] = desired
        if desired == current:
            wait_ns = PERIOD_NS if self.wait_ns is None and self.changing else self.wait_ns
            return Result([*self.intents, *self.written()], wait_ns)
        self.intents.append(self.rescale(target, current, desired, reason))
        return Result(self.intents, PERIOD_NS)

    def _target(self, reference: Object) -> Object | None:
        namespace = self.autoscaler["metadata"]["namespace"]
        kind = KINDS.find_gvk(reference["apiVersion"], reference["kind"]) if reference.get("apiVersion") else None
        if kind is None or kind.resource not in SCALED:
            return None
        self.resource = kind.resource
        return self.view.get(kind.resource, f"{namespace}/{reference['name']}")

    # -- metrics --

    def propose(self, target: Object, current: int) -> tuple[int, str] | None:
        """The replicas that metrics and behaviours ask for, and why; None when no metric can be had."""
        selector = target["spec"].get("selector") or {}
        matches: Selector = from_object(selector) if "matchLabels" in selector or "matchExpressions" in selector else from_labels(selector)
        pods = [
            pod
            for pod in self.view.list("pods", target["metadata"]["namespace"])
            if matches.matches(pod["metadata"].get("labels") or {})
            and (pod.get("status") or {}).get("phase") not in ENDED
            and not pod["metadata"].get("deletionTimestamp")
        ]
        self.changing = any(changes_later(pod, self.now_ns) for pod in pods)
        proposals = [(metric, self.by_metric(metric, pods, current)) for metric in self.spec.get("metrics") or ()]
        good = [(metric, found) for metric, found in proposals if not found.error]
        self.status["currentMetrics"] = [found.current for _, found in good if found.current is not None] or None
        bad = next((found.error for _, found in proposals if found.error), "")
        best = max(good, key=lambda each: each[1].replicas, default=None)
        if best is None or (bad and best[1].replicas < current):
            name = (self.spec.get("metrics") or [{}])[0]
            reason = {"Resource": "FailedGetResourceMetric"}.get(name.get("type", ""), f"FailedGet{name.get('type', '')}Metric")
            text = f"the HPA was unable to compute the replica count: {bad}"
            self.condition("ScalingActive", "False", reason, text)
            self.intents.append(EventIntent(self.autoscaler, "Warning", reason, bad))
            return None
        name = _metric_name(best[0])
        text = f"the HPA was able to successfully calculate a replica count from {name}"
        self.condition("ScalingActive", "True", "ValidMetricFound", text)
        wanted = best[1].replicas
        reason = f"{name} above target" if wanted > current else "All metrics below target"
        return self.behave(current, wanted), reason

    def by_metric(self, metric: Object, pods: Sequence[Object], current: int) -> Proposal:
        """What one metric asks for."""
        if metric["type"] not in ("Resource", "ContainerResource"):
            return Proposal(0, None, f"unable to get metric: no source of {metric['type']} metrics is registered")
        source = metric["resource"] if metric["type"] == "Resource" else metric["containerResource"]
        name, goal = source["name"], source["target"]
        usages = {key_of(pod): self.controller.usage(pod, self.now_ns).get(name) for pod in pods}
        known = {key: used for key, used in usages.items() if used is not None}
        if not known:
            why = f"unable to get metrics for resource {name}: no metrics returned from resource metrics API"
            text = f"failed to get {name} utilization: {why}"
            return Proposal(0, None, text)
        ready = [pod for pod in pods if key_of(pod) in known and (is_ready(pod) or name != "cpu")]
        missing = [pod for pod in pods if key_of(pod) not in known]
        unready = [pod for pod in pods if key_of(pod) in known and not (is_ready(pod) or name != "cpu")]
        if not ready:
            return Proposal(0, None, f"failed to get {name} utilization: did not receive metrics for targeted pods (pods might be unready)")
        used = sum(known[key_of(pod)] for pod in ready)
        if goal["type"] == "Utilization":
            requests = {key_of(pod): _requested(pod, name) for pod in pods}
            if any(requests[key_of(pod)] is None for pod in pods):
                return Proposal(0, None, f"failed to get {name} utilization: missing request for {name}")
            asked = sum(requests[key_of(pod)] or 0 for pod in ready)
            percent = used * 100 // asked if asked else 0
            value = {"averageUtilization": percent, "averageValue": _amount(name, used // len(ready))}
            weigh = [requests[key_of(pod)] or 0 for pod in (*missing, *unready)]
            replicas = _replicas(used * 100, asked * goal["averageUtilization"], len(ready), current, weigh, goal["averageUtilization"])
        else:
            each = _parse(name, goal["averageValue"])
            value = {"averageValue": _amount(name, used // len(ready))}
            replicas = _replicas(used, each * len(ready), len(ready), current, [each] * (len(missing) + len(unready)), 1)
        shown = {"name": name, "current": value}
        field = "resource" if metric["type"] == "Resource" else "containerResource"
        return Proposal(replicas, {"type": metric["type"], field: shown})

    # -- behaviours --

    def behave(self, current: int, wanted: int) -> int:
        """The recommendation, stabilized, rate-limited and bounded."""
        low, high = self.spec.get("minReplicas") or 1, self.spec["maxReplicas"]
        stable = self.stabilize(current, wanted)
        if stable != wanted:
            reason = (
                "ScaleDownStabilized",
                "recent recommendations were higher than current one, applying the highest recent recommendation",
            )
            if stable < wanted:
                reason = (
                    "ScaleUpStabilized",
                    "recent recommendations were lower than current one, applying the lowest recent recommendation",
                )
            self.condition("AbleToScale", "True", *reason)
        else:
            self.condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
        limited = self.limit(current, stable)
        desired = min(max(limited, low), high)
        if desired != wanted or stable != wanted:
            self.wait_ns = PERIOD_NS
        if desired == stable:
            self.condition("ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range")
        elif stable < desired:
            self.condition("ScalingLimited", "True", "TooFewReplicas", "the desired replica count is less than the minimum replica count")
        else:
            self.condition("ScalingLimited", "True", "TooManyReplicas", "the desired replica count is more than the maximum replica count")
        if desired in (low, high) and limited == stable == wanted:
            self.wait_ns = None
        return desired

    def stabilize(self, current: int, wanted: int) -> int:
        """The largest recommendation of the last minutes if it goes down, the smallest if it goes up."""
        behaviour = self.spec.get("behavior") or {}
        windows = {
            "up": (behaviour.get("scaleUp") or {}).get("stabilizationWindowSeconds") or 0,
            "down": (behaviour.get("scaleDown") or {}).get("stabilizationWindowSeconds", DOWN_WINDOW_SECONDS),
        }
        history = self.controller.recommended.setdefault(self.key, [])
        if not history:
            history.append((self.now_ns, current))  # the size it was found with counts as a recommendation
        oldest_ns = self.now_ns - max(*windows.values(), 1) * SECOND
        history[:] = [(time_ns, count) for time_ns, count in history if time_ns > oldest_ns]
        history.append((self.now_ns, wanted))
        recent = {
            way: [wanted, *(count for time_ns, count in history if time_ns > self.now_ns - seconds * SECOND)]
            for way, seconds in windows.items()
        }
        up, down = min(recent["up"]), max(recent["down"])
        if up > current:
            return up
        return min(down, current) if down < current else current

    def limit(self, current: int, wanted: int) -> int:
        """What the scaling policies allow."""
        behaviour = self.spec.get("behavior") or {}
        history = self.controller.scaled.setdefault(self.key, [])
        if wanted > current:
            rules = behaviour.get("scaleUp") or {}
            policies = rules.get("policies") or [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ]
            limits = [self._allowed(policy, current, history, 1) for policy in policies]
            allowed = min(limits) if rules.get("selectPolicy") == "Min" else max(limits)
            return current if rules.get("selectPolicy") == "Disabled" else min(wanted, max(allowed, current))
        if wanted < current:
            rules = behaviour.get("scaleDown") or {}
            policies = rules.get("policies") or [{"type": "Percent", "value": 100, "periodSeconds": 15}]
            limits = [self._allowed(policy, current, history, -1) for policy in policies]
            allowed = max(limits) if rules.get("selectPolicy") == "Min" else min(limits)
            return current if rules.get("selectPolicy") == "Disabled" else max(wanted, min(allowed, current))
        return wanted

    def _allowed(self, policy: Object, current: int, history: Sequence[tuple[int, int]], way: int) -> int:
        """The replicas that one policy allows, given what was changed in its period."""
        since_ns = self.now_ns - policy["periodSeconds"] * SECOND
        changed = sum(change for time_ns, change in history if time_ns > since_ns and (change > 0) == (way > 0))
        start = current - changed
        if policy["type"] == "Pods":
            return start + way * policy["value"]
        return -(-start * (100 + policy["value"]) // 100) if way > 0 else start * (100 - policy["value"]) // 100

    # -- writes --

    def rescale(self, target: Object, current: int, desired: int, reason: str) -> Intent:
        """Set the target's scale, then say so."""
        metadata = target["metadata"]
        scale = {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        }
        request = Request(
            "update", self.resource, metadata["namespace"], metadata["name"], {**scale, "spec": {"replicas": desired}}, "scale"
        )

        def done(_: Object) -> Sequence[Intent]:
            message = f"the HPA controller was able to update the target scale to {desired}"
            self.condition("AbleToScale", "True", "SucceededRescale", message)
            self.status["lastScaleTime"] = format_time(self.now_ns)
            self.controller.scaled.setdefault(self.key, []).append((self.now_ns, desired - current))
            event = EventIntent(self.autoscaler, "Normal", "SuccessfulRescale", f"New size: {desired}; reason: {reason}")
            return [event, *self.written()]

        return Burst([request], on_success=done)

    def condition(self, type_: str, status: str, reason: str, message: str) -> None:
        """Set a condition."""
        condition = {"type": type_, "status": status, "reason": reason, "message": message}
        self.conditions = set_condition(self.conditions, condition, format_time(self.now_ns))

    def written(self) -> list[Intent]:
        """The status, if it says something else."""
        fields = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas", "currentMetrics")
        status = {field: self.status[field] for field in fields if field in self.status}
        status.setdefault("currentMetrics", None)
        status["conditions"] = list(self.conditions)
        return [] if status == self.autoscaler.get("status") else [update(RESOURCE, {**self.autoscaler, "status": status}, "status")]


def _replicas(used: int, goal: int, ready: int, current: int, others: Sequence[int], scale: int) -> int:
    """ceil(ratio * Pods), where Pods without a metric count as on target going down and as idle going up.

    ``used / goal`` is the ratio of the ready Pods; ``others`` are the weights of the rest, in the unit of ``goal / scale`` per Pod.
    """
    if goal <= 0:
        return current
    if abs(used - goal) * 100 <= TOLERANCE_PERCENT * goal and not others:
        return current
    if not others:
        return -(-used * ready // goal)
    rest_goal = sum(others) * scale
    rest_used = rest_goal if used < goal else 0
    total_used, total_goal = used + rest_used, goal + rest_goal
    if abs(total_used - total_goal) * 100 <= TOLERANCE_PERCENT * total_goal or (used > goal) != (total_used > total_goal):
        return current
    wanted = -(-total_used * (ready + len(others)) // total_goal)
    return current if (used < goal and wanted > current) or (used > goal and wanted < current) else wanted


def _requested(pod: Object, name: str) -> int | None:
    total = 0
    for container in pod["spec"]["containers"]:
        asked = ((container.get("resources") or {}).get("requests") or {}).get(name)
        if asked is None:
            return None
        total += _parse(name, asked)
    return total


def _parse(name: str, value: Any) -> int:
    text = quantity.as_text(value)
    return quantity.milli_value(text) if name == "cpu" else quantity.value(text)


def _amount(name: str, amount: int) -> str:
    return quantity.from_milli(amount) if name == "cpu" else quantity.from_value(amount)


def _metric_name(metric: Object) -> str:
    source = metric.get("resource") or metric.get("containerResource") or {}
    if "averageUtilization" in source.get("target", {}):
        return f"{source['name']} resource utilization (percentage of request)"
    return f"{source.get('name', '')} resource"


CONTROLLER = HorizontalController
