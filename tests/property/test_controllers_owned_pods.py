"""OwnedPods against a rescan: whatever happens to Pods, the counts kept by difference are those of counting again."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kubesim.apiserver.requests import Object, WatchEvent
from kubesim.client.informer import Informer
from kubesim.controllers.owned_pods import OwnedPods, ready_condition
from kubesim.controllers.view import Caches
from kubesim.kernel import EPOCH_NS, SECOND, format_time, parse_time

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
OWNERS = st.sampled_from(["", "rs1", "rs2"])


class OwnedPodsMachine(RuleBasedStateMachine):
    """Events and re-lists of a few Pods; after each the groups are checked."""

    def __init__(self) -> None:
        super().__init__()
        self.informer = Informer(None, "pods")
        self.owned = Caches(lambda _: self.informer).derived(OwnedPods)
        self.revision = 0
        self.pods: dict[str, Object] = {}

    def make(self, name: str, owner: str, app: str, state: str, ready_s: int | None) -> Object:
        self.revision += 1
        metadata: Object = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": str(self.revision)}
        metadata["labels"] = {"app": app}
        if owner:
            metadata["ownerReferences"] = [{"kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}]
        if state == "dying":
            metadata["deletionTimestamp"] = format_time(EPOCH_NS)
        condition = {"type": "Ready", "status": "False" if ready_s is None else "True"}
        condition["lastTransitionTime"] = format_time(EPOCH_NS + (ready_s or 0) * SECOND)
        status = {"phase": "Failed" if state == "ended" else "Running", "conditions": [condition]}
        return {"kind": "Pod", "metadata": metadata, "spec": {}, "status": status}

    @rule(
        name=NAMES,
        owner=OWNERS,
        app=st.sampled_from("xy"),
        state=st.sampled_from(["live", "live", "dying", "ended"]),
        ready_s=st.none() | st.integers(0, 20),
    )
    def write(self, name: str, owner: str, app: str, state: str, ready_s: int | None) -> None:
        pod = self.make(name, owner, app, state, ready_s)
        old = self.pods.get(name)
        if old is not None and old["metadata"].get("ownerReferences") == pod["metadata"].get("ownerReferences"):
            pod["metadata"] = {**pod["metadata"]}  # as the apiserver does: what did not change is the same object
            for field in ("ownerReferences", "labels"):
                if field in old["metadata"] and old["metadata"][field] == pod["metadata"].get(field):
                    pod["metadata"][field] = old["metadata"][field]
        self.pods[name] = pod
        self.informer.on_events([WatchEvent("ADDED" if old is None else "MODIFIED", pod, old, self.revision)])

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        old = self.pods.pop(name, None)
        if old is not None:
            self.revision += 1
            self.informer.on_events([WatchEvent("DELETED", old, old, self.revision)])

    @rule(name=NAMES, owner=OWNERS)
    def relist_with_another(self, name: str, owner: str) -> None:
        self.pods[name] = self.make(name, owner, "x", "live", 3)
        self.pods[name]["metadata"]["uid"] = f"uid-{name}-{self.revision}"
        self.informer.on_list(list(self.pods.values()), self.revision)

    @rule(min_ready=st.integers(0, 10), now_s=st.integers(0, 40))
    def ask_for_available(self, min_ready: int, now_s: int) -> None:
        now_ns = EPOCH_NS + now_s * SECOND
        for group in self.owned.groups.values():
            since = []
            for key, state in group.states.items():
                condition = ready_condition(self.informer.objects[key])
                if state == 2 and condition is not None:
                    since.append(parse_time(condition["lastTransitionTime"]))
            expected = sum(1 for ready_ns in since if min_ready == 0 or ready_ns + min_ready * SECOND < now_ns)
            waits = [ready_ns + min_ready * SECOND - now_ns + 1 for ready_ns in since if ready_ns + min_ready * SECOND >= now_ns]
            assert group.available(min_ready, now_ns) == (expected, min(waits, default=None) if min_ready else None)

    @invariant()
    def agree(self) -> None:
        owners = {key: pod["metadata"].get("ownerReferences", [{}])[0].get("uid", "") for key, pod in self.informer.objects.items()}
        assert {uid: set(group.states) for uid, group in self.owned.groups.items()} == {
            uid: {key for key, owner in owners.items() if owner == uid} for uid in set(owners.values()) - {""}
        }
        for group in self.owned.groups.values():
            group.check(self.informer.objects)
        orphans = {key: pod for by_labels in self.owned.orphans.get("ns", {}).values() for key, pod in by_labels.items()}
        assert orphans == {key: pod for key, pod in self.informer.objects.items() if not owners[key]}


OwnedPodsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestOwnedPodsMachine = OwnedPodsMachine.TestCase
