"""Convergence: whatever is created, scaled, updated, paused and deleted, in the end what is there is what was asked for.

All controllers run on the real apiserver. At every single write the bounds of rolling updates hold; when it is quiet, Deployments,
ReplicaSets and Pods are as asked, nothing is left over, and nothing more is written.
"""

import sys
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "controllers"))

from world import DEPLOYMENTS, REPLICA_SETS, World, deployment

from kubesim.apiserver.requests import Object
from kubesim.client.owners import controller_uid_of
from kubesim.controllers.deployment import DeploymentController
from kubesim.controllers.deployment.rollout import is_rolling, max_surge, replicas_of
from kubesim.controllers.endpoint_slice import EndpointSliceController
from kubesim.controllers.garbage_collector import GarbageCollector
from kubesim.controllers.owned_pods import OwnedPods
from kubesim.controllers.replicaset import ReplicaSetController
from kubesim.controllers.service_endpoints import ServiceEndpoints, pod_key_of
from kubesim.kernel import MILLISECOND
from kubesim.kernel.time import EPOCH_NS
from tests import tally

NAMES = ("red", "blue")
IMAGES = ("registry.example/app:1", "registry.example/app:2", "registry.example/app:3")
ROLLING = [{"maxSurge": 1, "maxUnavailable": 0}, {"maxSurge": 0, "maxUnavailable": 1}, {"maxSurge": "50%", "maxUnavailable": "30%"}]


OPERATIONS = st.one_of(
    st.tuples(st.just("update"), st.sampled_from(NAMES), st.integers(1, 2)),
    st.tuples(st.just("update"), st.just(NAMES[0]), st.integers(1, 2)),
    st.tuples(st.just("scale"), st.sampled_from(NAMES), st.integers(0, 8)),
    st.tuples(st.just("scale"), st.just(NAMES[0]), st.integers(3, 9)),
    st.tuples(st.just("pause"), st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("recreate"), st.sampled_from(NAMES), st.sampled_from(["Background", "Foreground"]), st.integers(0, 6)),
    st.tuples(st.just("kill"), st.integers(0, 20)),
)
WAITS_MS = st.sampled_from([0, 1, 2, 13, 100, 450, 900, 3000])


class Trial:
    """A user who cannot make up his mind, a kubelet of drawn speed, and Pods that are deleted under way."""

    def __init__(self, seed: int, start_ms: int, stop_ms: int, busy_ms: int, watch_ms: int) -> None:
        controllers = [DeploymentController(), ReplicaSetController(), GarbageCollector(), EndpointSliceController()]
        self.world = World(controllers, seed=seed, busy_ns=busy_ms * MILLISECOND, watch_latency_ns=watch_ms * MILLISECOND)
        self.world.kubelet.start_ns, self.world.kubelet.stop_ns = start_ms * MILLISECOND, stop_ms * MILLISECOND
        account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": "default"}}
        self.world.create("serviceaccounts", account)
        for name in NAMES:
            metadata = {"name": name, "namespace": "default"}
            spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
            self.world.create("services", {"kind": "Service", "apiVersion": "v1", "metadata": metadata, "spec": spec})
        self.wanted: dict[str, tuple[int, str]] = {}
        self.sizes: dict[str, int] = {}
        self.largest: dict[str, int] = {}
        self.world.server.audit.append(self.check_surge)

    def check_surge(self, now_ns: int, request: Any, obj: Object, revision: int) -> None:
        """A scale-up never goes beyond the surge of the Deployment as the controller saw it; no ReplicaSet makes a Pod too many."""
        if request.resource == "pods" and request.user == "replicaset-controller" and request.verb == "create":
            uid = controller_uid_of(obj)
            mine = [pod for pod in self.world.server.peek_all("pods") if controller_uid_of(pod) == uid]
            live = [pod for pod in mine if not pod["metadata"].get("deletionTimestamp")]
            assert len(live) <= self.largest.get(uid, 0), "more Pods than were ever asked for"
        if request.resource != REPLICA_SETS or request.subresource or request.verb not in ("create", "update"):
            return
        uid, owner = obj["metadata"]["uid"], obj["metadata"]["ownerReferences"][0]
        grew = replicas_of(obj) > self.sizes.get(uid, 0)
        self.sizes[uid] = replicas_of(obj)
        self.largest[uid] = max(self.largest.get(uid, 0), replicas_of(obj))
        seen = self.world.manager.caches.get(DEPLOYMENTS, f"default/{owner['name']}")
        if not grew or seen is None or seen["spec"].get("paused") or not is_rolling(seen):
            return
        mine = [found for found in self.world.server.peek_all(REPLICA_SETS) if controller_uid_of(found) == owner["uid"]]
        sizes = [self.sizes[found["metadata"]["uid"]] for found in mine]
        assert sum(sizes) <= replicas_of(seen) + max_surge(seen), f"{sizes} with {seen['spec']['strategy']} of {replicas_of(seen)}"

    def create(self, name: str, replicas: int, strategy: Object | None) -> None:
        if self.world.find(DEPLOYMENTS, name) is None:
            kind = {"type": "RollingUpdate", "rollingUpdate": strategy} if strategy else {"type": "Recreate"}
            self.world.create(DEPLOYMENTS, deployment(name, replicas, IMAGES[0], strategy=kind, revisionHistoryLimit=1))
            self.wanted[name] = (replicas, IMAGES[0])

    def patch(self, name: str, spec: Object) -> bool:
        if name in self.wanted:
            self.world.merge(DEPLOYMENTS, name, {"spec": spec})
        return name in self.wanted

    def scale(self, name: str, replicas: int) -> None:
        if self.patch(name, {"replicas": replicas}):
            self.wanted[name] = (replicas, self.wanted[name][1])

    def update(self, name: str, step: int) -> None:
        image = IMAGES[(IMAGES.index(self.wanted[name][1]) + step) % len(IMAGES)]
        if self.patch(name, {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}):
            self.wanted[name] = (self.wanted[name][0], image)

    def pause(self, name: str, paused: bool) -> None:
        self.patch(name, {"paused": paused})

    def recreate(self, name: str, policy: str, replicas: int) -> None:
        """Delete a Deployment and create it again as soon as its name is free, while its Pods may still be dying."""
        self.world.delete(DEPLOYMENTS, name, propagationPolicy=policy)
        del self.wanted[name]
        self.world.run_until(lambda: self.world.find(DEPLOYMENTS, name) is None)
        self.create(name, replicas, ROLLING[0])

    def kill(self, number: int) -> None:
        pods = sorted(found["metadata"]["name"] for found in self.world.all("pods"))
        if pods:
            self.world.delete("pods", pods[number % len(pods)])

    def wait(self, duration_ms: int) -> None:
        self.world.run(duration_ms / 1000)
        self.check_counts()

    def check_counts(self) -> None:
        """What the derived views count is what counting again gives."""
        caches = self.world.manager.caches
        for group in caches.derived(OwnedPods).groups.values():
            group.check(caches.informer("pods").objects)
        for state in caches.derived(ServiceEndpoints).by_key.values():
            for family in state.families.values():
                shown = [pod_key_of(found) for slice_ in family.slices.values() for found in slice_["endpoints"] or ()]
                assert sorted(set(shown)) == sorted(family.actual)

    def check_converged(self) -> None:
        world = self.world
        assert sorted(found["metadata"]["name"] for found in world.all(DEPLOYMENTS)) == sorted(self.wanted)
        pods = world.all("pods")
        for name, (replicas, image) in self.wanted.items():
            status = world.get(DEPLOYMENTS, name)["status"]
            counts = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
            assert counts == [replicas] * 4
            mine = [found for found in pods if found["metadata"]["labels"]["app"] == name]
            assert [found["spec"]["containers"][0]["image"] for found in mine] == [image] * replicas
            progressing = next(found for found in status["conditions"] if found["type"] == "Progressing")
            assert progressing["reason"] == "NewReplicaSetAvailable"
        assert len(pods) == sum(replicas for replicas, _ in self.wanted.values())
        slices = world.all("endpointslices.discovery.k8s.io")
        shown = sorted(endpoint["targetRef"]["name"] for found in slices for endpoint in found["endpoints"] or ())
        assert shown == sorted(found["metadata"]["name"] for found in pods)
        revision = world.server.store.revision
        world.run(1000)
        assert world.server.store.revision == revision, "a converged system writes nothing"


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    start_ms=st.sampled_from([1, 20, 400]),
    stop_ms=st.sampled_from([1, 50, 800]),
    busy_ms=st.sampled_from([0, 10]),
    watch_ms=st.sampled_from([1, 70]),
    first=st.tuples(st.integers(2, 8), st.sampled_from([*ROLLING, None])),
    operations=st.lists(st.tuples(OPERATIONS, WAITS_MS), min_size=6, max_size=20),
)
def test_in_the_end_everything_is_as_asked(
    seed: int,
    start_ms: int,
    stop_ms: int,
    busy_ms: int,
    watch_ms: int,
    first: tuple[int, Object | None],
    operations: list[tuple[tuple[Any, ...], int]],
) -> None:
    trial = Trial(seed, start_ms, stop_ms, busy_ms, watch_ms)
    trial.create(NAMES[0], *first)
    trial.create(NAMES[1], 3, ROLLING[2])
    trial.wait(100)
    for (name, *arguments), wait_ms in operations:
        getattr(trial, name)(*arguments)
        trial.wait(wait_ms)
    for name in trial.wanted:
        trial.patch(name, {"paused": False})
    trial.world.run_until_quiet(quiet_seconds=3)
    tally.passed(trial.world.kernel.now_ns - EPOCH_NS)
    trial.check_counts()
    trial.check_converged()
