"""Convergence: whatever is created, scaled, updated, paused and deleted, in the end what is there is what was asked for.

All controllers run on the real apiserver. At every single write the bounds of rolling updates hold; when it is quiet, Deployments,
ReplicaSets and Pods are as asked, nothing is left over, and nothing more is written.
"""

import sys
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

sys.path.insert(0, str(Path(__file__).parents[1] / "controllers"))

from world import DEPLOYMENTS, REPLICA_SETS, World, deployment

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object
from kubesim.controllers.deployment import DeploymentController
from kubesim.controllers.deployment.rollout import max_surge, replicas_of
from kubesim.controllers.endpoint_slice import EndpointSliceController
from kubesim.controllers.garbage_collector import GarbageCollector
from kubesim.controllers.owned_pods import OwnedPods
from kubesim.controllers.replicaset import ReplicaSetController
from kubesim.kernel import MILLISECOND

NAMES = ("red", "blue")
IMAGES = ("registry.example/app:1", "registry.example/app:2", "registry.example/app:3")
ROLLING = [{"maxSurge": 1, "maxUnavailable": 0}, {"maxSurge": 0, "maxUnavailable": 1}, {"maxSurge": "50%", "maxUnavailable": "30%"}]


class ConvergenceMachine(RuleBasedStateMachine):
    """A user who cannot make up his mind, a kubelet of drawn speed, and Pods that are deleted under way."""

    @initialize(seed=st.integers(0, 1000), start_ms=st.sampled_from([1, 20, 400]), stop_ms=st.sampled_from([1, 50, 800]))
    def begin(self, seed: int, start_ms: int, stop_ms: int) -> None:
        controllers = [DeploymentController(), ReplicaSetController(), GarbageCollector(), EndpointSliceController()]
        self.world = World(controllers, seed=seed)
        self.world.kubelet.start_ns, self.world.kubelet.stop_ns = start_ms * MILLISECOND, stop_ms * MILLISECOND
        account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": "default"}}
        self.world.create("serviceaccounts", account)
        for name in NAMES:
            metadata = {"name": name, "namespace": "default"}
            spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
            self.world.create("services", {"kind": "Service", "apiVersion": "v1", "metadata": metadata, "spec": spec})
        self.wanted: dict[str, tuple[int, str]] = {}
        self.world.server.audit.append(self.check_surge)

    def check_surge(self, now_ns: int, request: Any, obj: Object, revision: int) -> None:
        """A scale-up of the Deployment controller never goes beyond the surge of the Deployment as it saw it."""
        if request.user != "deployment-controller" or request.resource != REPLICA_SETS or request.verb not in ("create", "update"):
            return
        owner = (obj["metadata"].get("ownerReferences") or [{}])[0].get("name", "")
        seen = self.world.manager.caches.get(DEPLOYMENTS, f"default/{owner}")
        if seen is None or seen["spec"].get("paused"):
            return
        sizes = [replicas_of(found) for found in self.world.server.peek_all(REPLICA_SETS) if found["metadata"]["name"].startswith(owner)]
        limit = replicas_of(seen) + max_surge(seen)
        grew = replicas_of(obj) > self.sizes.get(obj["metadata"]["uid"], 0)
        self.sizes[obj["metadata"]["uid"]] = replicas_of(obj)
        assert not grew or sum(sizes) <= limit, f"{sizes} is more than {limit}"

    @initialize()
    def no_sizes(self) -> None:
        self.sizes: dict[str, int] = {}

    def patch(self, name: str, spec: Object) -> None:
        self.world.merge(DEPLOYMENTS, name, {"spec": spec})

    @rule(name=st.sampled_from(NAMES), replicas=st.integers(0, 6), strategy=st.sampled_from([*ROLLING, None]))
    def create(self, name: str, replicas: int, strategy: Object | None) -> None:
        if self.world.find(DEPLOYMENTS, name) is None:
            kind = {"type": "RollingUpdate", "rollingUpdate": strategy} if strategy else {"type": "Recreate"}
            self.world.create(DEPLOYMENTS, deployment(name, replicas, IMAGES[0], strategy=kind, revisionHistoryLimit=1))
            self.wanted[name] = (replicas, IMAGES[0])

    @precondition(lambda self: self.wanted)
    @rule(data=st.data(), replicas=st.integers(0, 7))
    def scale(self, data: st.DataObject, replicas: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.wanted)))
        self.patch(name, {"replicas": replicas})
        self.wanted[name] = (replicas, self.wanted[name][1])

    @precondition(lambda self: self.wanted)
    @rule(data=st.data(), image=st.sampled_from(IMAGES))
    def update(self, data: st.DataObject, image: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.wanted)))
        self.patch(name, {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}})
        self.wanted[name] = (self.wanted[name][0], image)

    @precondition(lambda self: self.wanted)
    @rule(data=st.data(), paused=st.booleans())
    def pause(self, data: st.DataObject, paused: bool) -> None:
        self.patch(data.draw(st.sampled_from(sorted(self.wanted))), {"paused": paused})

    @precondition(lambda self: self.wanted)
    @rule(data=st.data(), policy=st.sampled_from(["Background", "Foreground"]))
    def delete(self, data: st.DataObject, policy: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.wanted)))
        self.world.delete(DEPLOYMENTS, name, propagationPolicy=policy)
        del self.wanted[name]

    @rule(data=st.data())
    def kill_a_pod(self, data: st.DataObject) -> None:
        pods = sorted(found["metadata"]["name"] for found in self.world.all("pods"))
        if pods:
            try:
                self.world.delete("pods", data.draw(st.sampled_from(pods)))
            except ApiError as error:
                assert error.code == 404

    @rule(duration_ms=st.sampled_from([1, 2, 13, 100, 900]))
    def time_passes(self, duration_ms: int) -> None:
        self.world.run(duration_ms / 1000)

    @invariant()
    def counts_agree(self) -> None:
        if hasattr(self, "world"):
            pods = self.world.manager.caches.informer("pods").objects
            for group in self.world.manager.caches.derived(OwnedPods).groups.values():
                group.check(pods)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            for name in self.wanted:
                self.patch(name, {"paused": False})
            self.world.run_until_quiet(quiet_seconds=3)
            self.check_converged()

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


ConvergenceMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestConvergence = ConvergenceMachine.TestCase
