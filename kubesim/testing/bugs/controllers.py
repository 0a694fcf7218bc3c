"""Bugs of single controllers and their clients: each puts the bug back into the controller, or the fault into its link."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, Request, get, update
from kubesim.controllers.contract import DONE, Burst, Intent, Result, View
from kubesim.controllers.daemonset import DaemonSetController
from kubesim.controllers.daemonset.template import Template
from kubesim.controllers.disruption import DisruptionController
from kubesim.controllers.garbage_collector import GarbageCollector
from kubesim.controllers.job import ORPHAN, JobController
from kubesim.controllers.replicaset import ReplicaSetController
from kubesim.controllers.service_account import ServiceAccountController
from kubesim.controllers.statefulset import StatefulSetController
from kubesim.testing.bugs import scenario
from kubesim.testing.bugs.lab import Lab, job, template, workload


@scenario("k8s-67662", "a create that timed out counts as done, and the Pod is never tried again", "E1", "bug")
def swallowed_timeout(faulty: bool) -> list[str]:
    """One create of a Pod gets lost; the faulty client says that it succeeded."""
    lab = Lab()
    lost = [0]

    def lose(request: Request) -> str:
        if request.verb == "create" and request.resource == "pods" and not lost[0]:
            lost[0] += 1
            return "swallowed" if faulty else "lost"
        return ""

    lab.link.intercept = lose
    lab.create(workload("StatefulSet", "db", replicas=1, serviceName="db"))
    lab.run(60)
    count = len(lab.living())
    return [f"E1: StatefulSet db wants 1 Pod and has {count} a minute later"] if count != 1 else []


@scenario("k8s-131116", "a kubelet that rejects what it is given: the ReplicaSet makes Pods without bound", "E1", "design")
def rejected_for_ever(faulty: bool) -> list[str]:
    """The template names its node and asks for more than the node has, so no scheduler stands in between."""
    lab = Lab()
    asked = {"requests": {"cpu": "64"}} if faulty else {"requests": {"cpu": "10m"}}
    spec = {"containers": [{"name": "main", "image": "registry.example/app:1", "resources": asked}], "nodeName": "node-1"}
    lab.create(workload("ReplicaSet", "web", replicas=1, template={"metadata": {"labels": {"app": "web"}}, "spec": spec}))
    lab.run(30)
    made = lab.made("pods")
    return [f"E1: ReplicaSet web wants 1 Pod and made {made} in 30 s"] if made > 5 else []


class _Unpinned(Template):
    """A template that forgets the node."""

    def pod_for(self, node_name: str) -> Object:
        """The Pod without its affinity."""
        pod = super().pod_for(node_name)
        return {**pod, "spec": {key: value for key, value in pod["spec"].items() if key != "affinity"}}


class _UnpinnedDaemons(DaemonSetController):
    """Makes Pods that nobody finds on the node they were made for."""

    def template(self, daemon_set: Object, hash_: str) -> Template:
        """The template that forgets the node."""
        known = super().template(daemon_set, hash_)
        if not isinstance(known, _Unpinned):
            known = _Unpinned(daemon_set, hash_)
            self._templates[daemon_set["metadata"]["uid"]] = (daemon_set["spec"]["template"], known)
        return known


@scenario("k8s-14528", "daemon Pods without a node: the controller makes more and more of them", "E7", "bug")
def nameless_daemons(faulty: bool) -> list[str]:
    """Nothing schedules the Pods, so they stay without a node."""
    lab = Lab(faulty=[_UnpinnedDaemons()] if faulty else [])
    spec = template("agent")["spec"]
    gated = {"metadata": {"labels": {"app": "agent"}}, "spec": {**spec, "schedulingGates": [{"name": "example.com/wait"}]}}
    lab.create(workload("DaemonSet", "agent", template=gated))
    lab.run(10)
    made = lab.made("pods")
    return [f"E7: DaemonSet agent has 3 nodes and made {made} Pods"] if made > 3 else []


class _ForgetfulJobs(JobController):
    """Never looks after the Pods of a Job that is gone."""

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Leave orphans alone."""
        return DONE if key.startswith(ORPHAN) else super().reconcile(key, view, now_ns)


@scenario("k8s-109429", "the finalizer of a deleted Job's Pods stays, and so do the Pods", "E10", "bug")
def leaked_finalizers(faulty: bool) -> list[str]:
    """A running Job is deleted with its Pods."""
    lab = Lab(faulty=[_ForgetfulJobs()] if faulty else [])
    lab.create(job("work", {"fake/run-for": "600"}, parallelism=2, completions=2))
    lab.run(5)
    lab.delete("jobs.batch", "work", propagationPolicy="Background")
    lab.run(60)
    left = [pod["metadata"]["name"] for pod in lab.all("pods")]
    return [f"E10: {len(left)} Pods are left of Job work, which is gone"] if left else []


class _CarelessCollector(GarbageCollector):
    """Takes the word of an owner reference without asking the apiserver whether such an owner is there."""

    def _ask(self, reference: Object, request: Request) -> Burst:
        found = super()._ask(reference, request)
        missing = found.on_failure
        assert missing is not None
        # The answer is made up: "no such object", as a cache would say that looks in the wrong place.
        return Burst(
            [request], on_success=lambda _: missing(ApiError(404, "NotFound", "not found")), on_failure=missing, expected=found.expected
        )


@scenario("k8s-88097", "a garbage collector that trusts its cache deletes objects whose owner lives", "E10", "bug")
def careless_collector(faulty: bool) -> list[str]:
    """A ConfigMap belongs to another one that the collector's cache does not show yet."""
    lab = Lab(faulty=[_CarelessCollector()] if faulty else [])
    lab.link.hold("configmaps")
    owner = lab.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    metadata = {"name": "kept", "ownerReferences": [reference]}
    lab.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
    lab.run(10)
    names = [secret["metadata"]["name"] for secret in lab.all("secrets")]
    lab.link.release()
    return [] if "kept" in names else ["E10: Secret kept was deleted although its owner is there"]


class _BlindBudgets(DisruptionController):
    """Reads the budget anew before it writes what it had counted before, so it takes back what an eviction has spent."""

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Put the status that was counted onto whatever version is there."""
        found = super().reconcile(key, view, now_ns)
        return Result([_forced(intent) for intent in found.intents], found.requeue_after_ns)


def _forced(intent: Intent) -> Intent:
    if not isinstance(intent, Request) or intent.verb != "update":
        return intent
    status, resource, subresource = intent.obj["status"], intent.resource, intent.subresource

    def write(live: Object) -> Sequence[Intent]:
        return [update(resource, {**live, "status": status}, subresource)]

    return Burst([get(resource, intent.namespace, intent.name)], on_success=write)


@scenario("k8s-82149", "the budget's status is written over an eviction, and one Pod too many is evicted", "A15", "bug")
def budget_race(faulty: bool) -> list[str]:
    """The controller has not seen the first eviction when another Pod changes; then comes a second eviction."""
    lab = Lab("pre-1.36", faulty=[_BlindBudgets()] if faulty else [])
    lab.create(
        workload("ReplicaSet", "web", replicas=3, template=template("web", {"fake/stop-delay": "30"}, terminationGracePeriodSeconds=60))
    )
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    lab.create({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": spec})
    lab.run(10)
    lab.stop_controllers()
    lab.run(1)
    pods = [pod["metadata"]["name"] for pod in lab.living()]
    budgets = lab.snapshot("poddisruptionbudgets.policy")
    old_pods = lab.snapshot("pods")
    evicted = [_evict(lab, pods[0])]
    stale = budgets[0][0]
    # A controller manager that still shows what was there before the eviction counts, and writes.
    lab.start_controllers(
        {"poddisruptionbudgets.policy": ([{**stale, "status": {**stale["status"], "currentHealthy": 2}}], budgets[1]), "pods": old_pods}
    )
    lab.run(2)
    evicted.append(_evict(lab, pods[1]))
    lab.link.release()
    healthy = 3 - sum(evicted)
    return [f"A15: {healthy} Pods are left of a budget of at least 2"] if healthy < 2 else []


def _evict(lab: Lab, name: str) -> bool:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
    try:
        lab.call(Request("create", "pods", "default", name, body, "eviction"))
    except ApiError as error:
        if error.code != 429:
            raise
        return False
    return True


@scenario("k8s-54368", "the Pod of a StatefulSet on a dead node is not replaced: at most one comes before liveness", "E1", "design")
def stuck_on_a_dead_node(faulty: bool) -> list[str]:
    """The node dies; its Pod is deleted after five minutes, but only a kubelet may say that it has stopped."""
    lab = Lab()
    lab.create(workload("StatefulSet", "db", replicas=1, serviceName="db"))
    lab.run(10)
    (pod,) = lab.living()
    lab.kubelets.fail(pod["spec"]["nodeName"])
    lab.run(8 * 60)
    if not faulty:  # fenced: somebody knows that the node is gone, and takes it away
        lab.kubelets.remove(pod["spec"]["nodeName"])
        lab.run(3 * 60)
    ready = [each for each in lab.living() if each.get("status", {}).get("phase") == "Running"]
    return ["E1: StatefulSet db wants 1 Pod and has none, minutes after its node died"] if not ready else []


@scenario("k8s-75836", "a controller waits for the deletion of a Pod that is gone already", "E1", "bug")
def waits_for_the_gone(faulty: bool) -> list[str]:
    """The Pod to be deleted vanishes at that moment; the faulty client reports the deletion as one to wait for."""
    lab = Lab()
    lab.create(workload("ReplicaSet", "web", replicas=2))
    lab.run(10)
    if faulty:
        lab.link.hold("pods")  # the event of the deletion never comes
    for pod in lab.living()[:1]:
        lab.delete("pods", pod["metadata"]["name"], gracePeriodSeconds=0)
    lab.merge("replicasets.apps", "web", {"spec": {"replicas": 1}})
    lab.run(60)
    lab.merge("replicasets.apps", "web", {"spec": {"replicas": 3}})
    lab.run(60)
    count = len(lab.living())
    return [f"E1: ReplicaSet web wants 3 Pods and has {count}"] if count != 3 else []


class _EagerSets(StatefulSetController):
    """Treats every set as if its Pods need not wait for one another."""

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Show the controller another policy than the set has."""
        return super().reconcile(key, _Parallel(view), now_ns)


class _Parallel:
    """A view that shows every StatefulSet with podManagementPolicy Parallel."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    def get(self, resource: str, key: str) -> Object | None:
        """The object, with the other policy."""
        found = self._view.get(resource, key)
        if found is None or resource != "statefulsets.apps":
            return found
        return {**found, "spec": {**found["spec"], "podManagementPolicy": "Parallel"}}


@scenario("sts-order", "an ordered StatefulSet starts its Pods before the one before them is ready", "E5", "bug")
def out_of_order(faulty: bool) -> list[str]:
    """Every Pod takes two seconds to become ready."""
    lab = Lab(faulty=[_EagerSets()] if faulty else [])
    lab.create(workload("StatefulSet", "db", replicas=3, serviceName="db", template=template("db", {"fake/ready-after": "2"})))
    broken: list[str] = []
    for _ in range(12):
        lab.run(0.5)
        pods = {pod["metadata"]["name"]: pod for pod in lab.living()}
        for ordinal in (1, 2):
            before = pods.get(f"db-{ordinal - 1}")
            if f"db-{ordinal}" in pods and not (before is not None and _is_ready(before)):
                broken.append(f"E5: db-{ordinal} is there while db-{ordinal - 1} is not ready")
    return broken[:1]


def _is_ready(pod: Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in (pod.get("status") or {}).get("conditions") or ())


class _HastySets(ReplicaSetController):
    """Creates without looking how many are on their way."""

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Every burst is sent twice."""
        found = super().reconcile(key, view, now_ns)
        doubled: list[Intent] = []
        for intent in found.intents:
            doubled += [intent, intent] if isinstance(intent, Burst) and intent.requests[0].verb == "create" else [intent]
        return Result(doubled, found.requeue_after_ns)


@scenario("rs-overshoot", "a ReplicaSet makes more Pods than it wants and deletes them again", "E3", "bug")
def overshoot(faulty: bool) -> list[str]:
    """Counted at every write."""
    lab = Lab(faulty=[_HastySets()] if faulty else [])
    most = [0]
    lab.server.audit.append(lambda *_: most.__setitem__(0, max(most[0], len(lab.server.peek_all("pods", "default")))))
    lab.create(workload("ReplicaSet", "web", replicas=3))
    lab.run(10)
    return [f"E3: ReplicaSet web wants 3 Pods and had {most[0]}"] if most[0] > 3 else []


class _RestlessAccounts(ServiceAccountController):
    """Writes although everything is as it should be."""

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """Touch the account again and again."""
        found = view.get("serviceaccounts", f"{key}/default")
        if found is None:
            return Result(super().reconcile(key, view, now_ns).intents, 10**9)
        request = Request("update", "serviceaccounts", key, "default", {**found, "imagePullSecrets": [{"name": str(now_ns)}]})
        return Result([request], 10**9)


@scenario("restless", "a controller that writes although nothing is to be done", "E13", "bug")
def restless(faulty: bool) -> list[str]:
    """An idle cluster for a minute."""
    lab = Lab(faulty=[_RestlessAccounts()] if faulty else [])
    before = len(lab.writes)
    lab.run(60)
    count = sum(1 for _, resource, _ in lab.writes[before:] if resource != "leases.coordination.k8s.io")
    return [f"E13: {count} writes in an idle cluster within a minute"] if count else []


class _ScanningJobs(JobController):
    """Counts the Pods that it sees instead of those that it has counted: completions fall when Pods vanish."""

    def reconcile(self, key: str, view: View, now_ns: int) -> Result:
        """After the sync, write the number of succeeded Pods that are there."""
        found = super().reconcile(key, view, now_ns)
        job_ = view.get("jobs.batch", key)
        if key.startswith(ORPHAN) or job_ is None:
            return found
        pods = [pod for pod in view.list("pods", job_["metadata"]["namespace"]) if (pod.get("status") or {}).get("phase") == "Succeeded"]
        succeeded = (job_.get("status") or {}).get("succeeded", 0)
        if succeeded <= len(pods) or found.intents:
            return found
        status = {**job_["status"], "succeeded": len(pods)}
        return Result([Request("update", "jobs.batch", "default", job_["metadata"]["name"], {**job_, "status": status}, "status")])


@scenario("k8s-81227", "the completions of a Job fall when its Pods vanish", "E8", "bug")
def falling_completions(faulty: bool) -> list[str]:
    """A Pod of a Job is deleted after it was counted."""
    lab = Lab(faulty=[_ScanningJobs()] if faulty else [])
    counts: list[int] = []

    def note(now_ns: int, request: Request, obj: Object, revision: int) -> None:
        if request.resource == "jobs.batch":
            counts.append((obj.get("status") or {}).get("succeeded", 0))

    lab.server.audit.append(note)
    lab.create(job("work", {"fake/run-for": "2"}, completions=4, parallelism=1))
    lab.run_until(lambda: bool(counts) and counts[-1] >= 2, 60)
    for pod in lab.all("pods"):
        if (pod.get("status") or {}).get("phase") == "Succeeded":
            lab.delete("pods", pod["metadata"]["name"])
    lab.run(30)
    falls = [(one, other) for one, other in pairwise(counts) if other < one]
    return [f"E8: the completions of Job work fell from {falls[0][0]} to {falls[0][1]}"] if falls else []
