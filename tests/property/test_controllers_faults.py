"""Every workload controller, under faults: crashes, lagging and repeated watches, lost requests and answers, conflicts, dead nodes,
vanishing Pods.

Two phases. In the first a schedule of operations and faults is drawn; after every write the rules that hold at every instant are checked.
Then all faults end, and what was asked for must be there; when it is, nothing more is written.
"""

from collections import Counter
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from kubesim.apiserver.requests import Object, Request
from kubesim.kernel.time import EPOCH_NS
from kubesim.testing.bugs.lab import Lab, job, template, workload
from tests import tally

HELD = ("pods", "replicasets.apps", "statefulsets.apps", "jobs.batch", "controllerrevisions.apps", "deployments.apps")
FAULTS = st.one_of(
    st.tuples(st.just("hold"), st.sampled_from(HELD)),
    st.tuples(st.just("repeat"), st.sampled_from(HELD)),
    st.tuples(st.just("requests"), st.sampled_from(["lost", "unanswered", "conflict"]), st.integers(2, 5)),
    st.tuples(st.just("release")),
    st.tuples(st.just("crash")),
    st.tuples(st.just("node"), st.integers(1, 3)),
    st.tuples(st.just("kill"), st.integers(0, 9)),
)
OPERATIONS = st.one_of(
    st.tuples(
        st.just("scale"), st.sampled_from(["deployments.apps web", "statefulsets.apps db", "replicasets.apps one"]), st.integers(0, 4)
    ),
    st.tuples(
        st.just("image"), st.sampled_from(["deployments.apps web", "statefulsets.apps db", "daemonsets.apps agent"]), st.integers(1, 2)
    ),
)
WAITS = st.sampled_from([0.0, 0.02, 0.3, 2.0, 12.0])
SCHEDULES = st.lists(st.tuples(st.one_of(FAULTS, OPERATIONS), WAITS), min_size=2, max_size=10)


class Trial:
    """One cluster with one workload of each kind."""

    def __init__(self, seed: int) -> None:
        self.lab = Lab(seed=seed)
        self.wanted = {"web": 3, "db": 2, "one": 2}
        self.image = {"web": 1, "db": 1, "agent": 1}
        self.succeeded = 0
        self.dead: list[str] = []
        self.count = 0
        self.lab.server.audit.append(self.check)
        self.lab.create(workload("Deployment", "web", replicas=3))
        self.lab.create(workload("StatefulSet", "db", replicas=2, serviceName="db"))
        self.lab.create(workload("ReplicaSet", "one", replicas=2))
        self.lab.create(workload("DaemonSet", "agent"))
        self.lab.create(job("work", {"fake/run-for": "3"}, completions=4, parallelism=2, completionMode="Indexed"))

    # -- rules of every instant --

    def check(self, now_ns: int, request: Request, obj: Object, revision: int) -> None:
        observed = (obj.get("status") or {}).get("observedGeneration")
        if observed is not None and obj["kind"] != "Pod":
            assert observed <= obj["metadata"].get("generation", 0), f"E11: {request!r}"
        if request.resource == "jobs.batch" and not obj["metadata"].get("deletionTimestamp"):
            succeeded = (obj.get("status") or {}).get("succeeded", 0)
            assert self.succeeded <= succeeded <= 4, f"E8: succeeded went from {self.succeeded} to {succeeded}"
            self.succeeded = succeeded
        if request.resource == "pods":
            owners = [reference for reference in obj["metadata"].get("ownerReferences") or () if reference.get("controller")]
            assert len(owners) <= 1, "A11: more than one controller"
            if request.verb == "create" and not request.subresource and owners:
                kinds = {"replicaset-controller": "ReplicaSet", "statefulset-controller": "StatefulSet", "job-controller": "Job"}
                kinds["daemonset-controller"] = "DaemonSet"
                assert kinds[request.user] == owners[0]["kind"], f"E2: {request.user} made a Pod of a {owners[0]['kind']}"
            if request.verb == "create" and request.user == "statefulset-controller":
                self.check_order(obj)

    def check_order(self, pod: Object) -> None:
        """E5: the Pods below are there when one is made."""
        ordinal = int(pod["metadata"]["name"].rpartition("-")[2])
        if ordinal:
            assert self.lab.server.peek("pods", "default", f"db-{ordinal - 1}") is not None, f"E5: db-{ordinal} before the one below"

    # -- schedule --

    def apply(self, what: tuple[Any, ...]) -> None:
        kind, *arguments = what
        if kind not in ("scale", "image", "release"):  # those are what users do
            tally.fault(kind)
        lab = self.lab
        if kind == "hold":
            lab.link.hold(arguments[0])
        elif kind == "repeat":
            lab.link.repeated.add(arguments[0])
        elif kind == "requests":
            lab.link.intercept = self.faulty(*arguments)
        elif kind == "release":
            lab.link.release()
            lab.link.intercept = None
        elif kind == "crash":
            lab.stop_controllers()
            lab.start_controllers()
        elif kind == "node" and not self.dead:
            self.dead.append(f"node-{arguments[0]}")
            lab.kubelets.fail(self.dead[0])
        elif kind == "kill":
            pods = lab.living()
            if pods:
                lab.delete("pods", pods[arguments[0] % len(pods)]["metadata"]["name"])
        elif kind == "scale":
            resource, name = arguments[0].split()
            self.wanted[name] = arguments[1]
            lab.merge(resource, name, {"spec": {"replicas": arguments[1]}})
        elif kind == "image":
            resource, name = arguments[0].split()
            self.image[name] = arguments[1]
            spec = template(name)["spec"]
            containers = [{**spec["containers"][0], "image": f"registry.example/app:{arguments[1]}"}]
            lab.merge(resource, name, {"spec": {"template": {"spec": {"containers": containers}}}})

    def faulty(self, fault: str, period: int) -> Any:
        """Every ``period``-th write meets the fault."""

        def intercept(request: Request) -> str:
            if request.verb in ("get", "list") or request.resource == "events":
                return ""
            self.count += 1
            return fault if self.count % period == 0 and (fault != "conflict" or request.verb == "update") else ""

        return intercept

    # -- the end --

    def heal(self) -> None:
        self.lab.link.release()
        self.lab.link.repeated.clear()
        self.lab.link.intercept = None
        for node in self.dead:
            self.lab.kubelets.restore(node)
        self.lab.run(1100)  # the longest back-off of a key is 1000 s

    def broken(self) -> list[str]:
        """What is not as it was asked for."""
        lab, found = self.lab, []
        pods = lab.living()
        count: Counter[str] = Counter(pod["metadata"]["labels"]["app"] for pod in pods if pod["metadata"]["labels"]["app"] != "work")
        nodes = len(lab.server.peek_all("nodes"))
        for name, wanted in {**self.wanted, "agent": nodes}.items():
            if count[name] != wanted:
                found.append(f"E1: {name} wants {wanted} Pods and has {count[name]}")
        for pod in pods:
            name, image = pod["metadata"]["labels"]["app"], pod["spec"]["containers"][0]["image"]
            if name in self.image and image != f"registry.example/app:{self.image[name]}":
                found.append(f"E1: {pod['metadata']['name']} has the image {image}; {name} wants {self.image[name]}")
        status = lab.get("jobs.batch", "work")["status"]
        if status.get("succeeded") != 4 or status.get("completedIndexes") != "0-3":
            found.append(f"E8: Job work says {status}")
        for name, resource in (("web", "deployments.apps"), ("db", "statefulsets.apps"), ("one", "replicasets.apps")):
            obj = lab.get(resource, name)
            if obj["status"].get("readyReplicas", 0) != self.wanted[name]:
                found.append(f"E1: the status of {name} says {obj['status']}")
        return found


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), SCHEDULES)
def test_controllers_converge_whatever_happens(seed: int, schedule: list[tuple[tuple[Any, ...], float]]) -> None:
    trial = Trial(seed)
    trial.lab.run(0.5)
    for what, wait in schedule:
        note(f"{trial.lab.kernel.now_ns} {what}")
        trial.apply(what)
        trial.lab.run(wait)
    trial.heal()
    tally.passed(trial.lab.kernel.now_ns - EPOCH_NS)
    assert trial.broken() == []
    before = len(trial.lab.writes)
    trial.lab.run(300)
    late = [(verb, resource, obj["metadata"]["name"]) for verb, resource, obj in trial.lab.writes[before:] if "leases" not in resource]
    assert late == [], "E13: writes in a converged cluster"
