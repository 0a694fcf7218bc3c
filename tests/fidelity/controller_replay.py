"""Run the script of a recorded scenario in virtual time: real etcd, apiserver, scheduler and all controllers; fake kubelets at the door.

What comes out has the recordings' form: ``steps``, ``timeline``, ``events``, ``final``, names that vary replaced by numbered symbols.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from kubesim.api.errors import ApiError
from kubesim.api.kinds import KINDS
from kubesim.api.meta import key_of
from kubesim.apiserver.admission import DEFAULT_PROFILE
from kubesim.apiserver.requests import Object, Request, create, delete, patch
from kubesim.apiserver.server import ApiServer
from kubesim.client.link import DirectLink
from kubesim.controllers import all_controllers
from kubesim.controllers.runner import ControllerManager
from kubesim.drive import virtual
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel import EPOCH_NS, MILLISECOND, MINUTE, SECOND, Kernel, parse_time
from kubesim.scheduler.profile import SchedulerConfig
from kubesim.scheduler.scheduler import Scheduler
from tests.fidelity.recorded_kubelets import RecordedKubelets

NAMESPACE = "recorded"
PROFILE = tuple(step for name in DEFAULT_PROFILE for step in ((name, "ServiceAccountToken") if name == "ServiceAccount" else (name,)))
PATCH_TYPES = {"smp": "strategic", "merge": "merge", "json": "json", "apply": "apply"}
NOT_RECORDED = frozenset(("events", "leases"))
# What a cycle of the scheduler and a write of a controller take, by seed, in ms: their round trips, which varied on the recorded system.
PACES = ((10, 10), (10, 10), (0, 10), (10, 30), (15, 20), (10, 50))
SETTLE_LATENCY_NS = 20_000_000  # what a real round trip gives the others time to do before the next operation


class Change(NamedTuple):
    """One write: seconds since the start, ADDED, MODIFIED or DELETED, ``plural/name``, the object (as it was, when deleted)."""

    seconds: float
    type: str
    plural: str
    obj: Object

    @property
    def ref(self) -> str:
        return f"{self.plural}/{self.obj['metadata']['name']}"


class Replay:
    """One run of a scenario."""

    def __init__(self, scenario: Object, minute_offset_seconds: float | None = None, seed: int = 0, recorded: Object | None = None) -> None:
        # CronJobs: the first minute begins as long after the first operation as on the recorded system.
        offset_ns = int((30.0 + 0.31 * seed if minute_offset_seconds is None else minute_offset_seconds) * SECOND)
        start_ns = EPOCH_NS + MINUTE - offset_ns
        self.scenario = scenario
        self.foreign = foreign_operations(scenario, recorded) if recorded is not None else []
        self.kernel = Kernel(seed=seed, start_ns=start_ns - 5 * SECOND)
        self.server = ApiServer(self.kernel, LocalEtcd(self.kernel), profile=PROFILE, debug=True)
        self.user = DirectLink(self.kernel, self.server, "user")
        self.changes: list[Change] = []
        self.steps: list[Object] = []
        self.said: dict[str, Object] = {}  # Events by key: also those whose namespace is gone
        self.last_change_ns = 0
        self._revision = 0
        self.cluster = frozenset(scenario["cluster"])
        self._plurals = {resource.prefix: resource.kind.plural for resource in self.server.registry.by_name.values()}
        self._by_plural = {kind.plural: kind for kind in sorted(KINDS.all(), key=lambda kind: kind.group, reverse=True)}
        pace_ms, busy_ms = PACES[seed % len(PACES)]
        link = DirectLink(self.kernel, self.server, "kube-controller-manager")
        self.manager = ControllerManager(self.kernel, link, all_controllers(), busy_ns=busy_ms * MILLISECOND)
        config = SchedulerConfig(cycle_ns=pace_ms * MILLISECOND)
        self.scheduler = Scheduler(self.kernel, DirectLink(self.kernel, self.server, "kube-scheduler"), config)
        self.kubelets = RecordedKubelets(self.kernel, self.server, jitter_ns=40 * MILLISECOND if seed else 0)
        self.manager.start()
        self.scheduler.start()
        self.server.audit.append(self._on_write)
        self.send(create("namespaces", "", {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": NAMESPACE}}))
        # The recorded controller manager had a controller more than Kubernetes has: every namespace holds this ConfigMap.
        metadata = {"name": "openshift-service-ca.crt", "namespace": NAMESPACE}
        self.send(create("configmaps", NAMESPACE, {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}))
        self._run(5 * SECOND - (self.kernel.now_ns - (start_ns - 5 * SECOND)))
        self._drain()
        self.start_ns = self.kernel.now_ns
        self.changes.clear()
        self.said.clear()

    # -- the script --

    def run(self) -> "Replay":
        for number, step in enumerate(self.scenario["script"]):
            operation: Callable[[Object], Object] | None = getattr(self, f"_op_{step['op']}", None)
            assert operation is not None, f"{self.scenario['scenario']}: step {number}: unknown operation {step['op']!r}"
            for _, request_of in [found for found in self.foreign if found[0] == (number, 0.0)]:
                self._apply_foreign(request_of)
                self._run(SETTLE_LATENCY_NS)
            for (_, after_seconds), request_of in [found for found in self.foreign if found[0][0] == number and found[0][1]]:
                self.kernel.after(int(after_seconds * SECOND), self._apply_foreign, request_of)
            outcome = operation(step)
            self.steps.append({"step": number, "t": self._seconds(), **outcome})
            self._run(SETTLE_LATENCY_NS)
        self._drain()
        return self

    def _apply_foreign(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self.send(request)

    def _op_create(self, step: Object) -> Object:
        obj = step["object"]
        kind = KINDS.by_gvk(obj["apiVersion"], obj["kind"])
        namespace = NAMESPACE if kind.namespaced else ""
        if namespace:
            obj = {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}
        return self._status(create(kind.resource, namespace, obj), 201)

    def _op_patch(self, step: Object) -> Object:
        resource, namespace, name = self._resolve(step["ref"])
        kind = PATCH_TYPES[step["type"]]
        return self._status(patch(resource, namespace, name, step["body"], kind, step.get("subresource", "")), 200)

    def _op_delete(self, step: Object) -> Object:
        resource, namespace, name = self._resolve(step["ref"])
        return self._status(delete(resource, namespace, name, **step.get("options", {})), 200)

    def _op_evict(self, step: Object) -> Object:
        _, namespace, name = self._resolve(step["ref"])
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        return self._status(Request("create", "pods", namespace, name, body, "eviction"), 201)

    def _op_wait(self, step: Object) -> Object:
        resource, namespace, name = self._resolve(step["ref"])

        def holds() -> bool:
            obj = self.server.peek(resource, namespace, name)
            return obj is not None and all(_holds(obj, *condition) for condition in step["until"])

        return self._until(holds, step["timeout"])

    def _op_gone(self, step: Object) -> Object:
        resource, namespace, name = self._resolve(step["ref"])
        return self._until(lambda: self.server.peek(resource, namespace, name) is None, step["timeout"])

    def _op_settle(self, step: Object) -> Object:
        deadline_ns = self.kernel.now_ns + int(step["max"] * SECOND)
        quiet_ns = int(step["quiet"] * SECOND)
        begun_ns = self.kernel.now_ns
        while True:
            self._drain()
            until_ns = max(self.last_change_ns, begun_ns) + quiet_ns
            if until_ns <= self.kernel.now_ns or self.kernel.now_ns >= deadline_ns:
                return {"status": 200}
            self._run(min(until_ns, deadline_ns) - self.kernel.now_ns)

    def _op_sleep(self, step: Object) -> Object:
        self._run(int(step["seconds"] * SECOND))
        return {"status": 200}

    def _op_snapshot(self, step: Object) -> Object:
        return {"status": 200}

    def _node_op(self, step: Object) -> str:
        ref = step.get("node") or step.get("name") or step.get("ref")
        return str(ref["name"] if isinstance(ref, dict) else ref).rpartition("/")[2]

    def _op_kubelet_stop(self, step: Object) -> Object:
        self.kubelets.stop_node(self._node_op(step))
        return {"status": 200}

    def _op_kubelet_start(self, step: Object) -> Object:
        self.kubelets.start_node(self._node_op(step))
        return {"status": 200}

    _op_node_down = _op_stop_node = _op_fail_node = _op_stop_kubelet = _op_kubelet_stop
    _op_node_up = _op_start_node = _op_restore_node = _op_start_kubelet = _op_kubelet_start

    def send(self, request: Request) -> Any:
        """The answer or the ApiError."""
        answers: list[Any] = []
        self.user.send(request, answers.append)
        return answers[0]

    def _status(self, request: Request, success: int) -> Object:
        answer = self.send(request)
        return {"status": answer.code, "message": answer.message} if isinstance(answer, ApiError) else {"status": success}

    def _until(self, predicate: Callable[[], bool], timeout: float) -> Object:
        deadline_ns = self.kernel.now_ns + int(timeout * SECOND)
        virtual.run(self.kernel, until_ns=deadline_ns, predicate=predicate)
        return {"status": 200} if predicate() else {"status": 0, "message": "TIMEOUT"}

    def _resolve(self, ref: Any) -> tuple[str, str, str]:
        """(resource, namespace, name) of ``plural/name`` or of the n-th living object of a kind with some labels."""
        if isinstance(ref, dict):
            kind = self._by_plural[ref["kind"]]
            found = [
                obj
                for obj in self.server.peek_all(kind.resource, NAMESPACE)
                if (obj["metadata"].get("labels") or {}).items() >= ref["labels"].items() and not obj["metadata"].get("deletionTimestamp")
            ]
            order = {key_of(change.obj): place for place, change in enumerate(self._drained()) if change.type == "ADDED"}
            found.sort(key=lambda obj: order.get(key_of(obj), -1))
            return kind.resource, NAMESPACE, found[ref["index"]]["metadata"]["name"]
        plural, _, name = ref.replace("<ns>", NAMESPACE).partition("/")
        kind = self._by_plural[plural]
        return kind.resource, NAMESPACE if kind.namespaced else "", name

    # -- what happened --

    def _run(self, duration_ns: int) -> None:
        virtual.run(self.kernel, until_ns=self.kernel.now_ns + duration_ns)

    def _seconds(self) -> float:
        return round((self.kernel.now_ns - self.start_ns) / SECOND, 3)

    def _on_write(self, *_: Any) -> None:
        self._drain()

    def _drained(self) -> list[Change]:
        self._drain()
        return self.changes

    def _drain(self) -> None:
        """Take in what was written since: every change in the order of revisions."""
        for change in self.server.store.changes(self._revision):
            self._revision = change.revision
            found = self._change_of(change)
            if found is not None:
                self.changes.append(found)
                self.last_change_ns = self.kernel.now_ns

    def _change_of(self, change: Any) -> Change | None:
        path = change.key.decode().removeprefix("/registry/")
        prefix = path
        while prefix and (plural := self._plurals.get(f"/registry/{prefix}/")) is None:
            prefix = prefix.rpartition("/")[0]
        if plural == "events" and change.value is not None:
            self.said[path] = change.value
        if not prefix or plural is None or plural in NOT_RECORDED:
            return None
        obj = change.value if change.value is not None else change.previous.value if change.previous is not None else None
        if obj is None:
            return None
        namespace = obj["metadata"].get("namespace")
        wanted = namespace == NAMESPACE if namespace else plural in self.cluster
        if not wanted:
            return None
        type_ = "DELETED" if change.value is None else "ADDED" if change.version == 1 else "MODIFIED"
        return Change(round((self.kernel.now_ns - getattr(self, "start_ns", 0)) / SECOND, 3), type_, plural, obj)

    def final(self) -> list[Object]:
        """All objects that are left, where the scenario looks."""
        found: list[Object] = []
        for resource in self.server.registry.by_name.values():
            plural = resource.kind.plural
            if plural in NOT_RECORDED or not (resource.namespaced or plural in self.cluster):
                continue
            found += self.server.peek_all(resource.name, NAMESPACE if resource.namespaced else "")
        return [obj for obj in found if obj["metadata"].get("namespace") or obj["metadata"]["name"] != "default"]

    def events(self) -> list[Object]:
        """The Event objects: about, type, reason, message, from."""
        found = []
        for event in self.said.values():
            about = event.get("involvedObject") or event["regarding"]
            if about.get("namespace", "") in (NAMESPACE, "") and about["kind"] != "Node":
                message = event.get("message") or event.get("note", "")
                source = (event.get("source") or {}).get("component") or event.get("reportingComponent", "")
                found.append({
                    "about": f"{about['kind']}/{about['name']}",
                    "type": event["type"],
                    "reason": event["reason"],
                    "message": message,
                    "from": source,
                })  # fmt: skip
        return found

    def normalized(self) -> Object:
        """The run as the recordings write it."""
        symbols = Symbols(self.changes, self.final(), self.start_ns)
        return {
            "steps": self.steps,
            "timeline": [
                {"t": change.seconds, "type": change.type, "ref": symbols.text(change.ref), "object": change.obj} for change in self.changes
            ],
            "events": symbols.value(self.events()),
            "final": symbols.value([_without(obj) for obj in self.final()]),
        }


def _without(obj: Object) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("resourceVersion", "managedFields")}
    return {**obj, "metadata": metadata}


def _holds(obj: Object, path: str, operator: str, value: Any) -> bool:
    found: Any = obj
    for part in re.findall(r"[^.\[]+(?:\[[^\]]*\])?", path):
        name, _, choice = part.partition("[")
        found = found.get(name) if isinstance(found, dict) else None
        if choice and found is not None:
            key, _, wanted = choice.rstrip("]").partition("=")
            found = next((entry for entry in found if str(entry.get(key)) == wanted), None)
    if operator == "exists":
        return (found is not None) == value
    if found is None:
        found = 0 if isinstance(value, int) and not isinstance(value, bool) else "" if isinstance(value, str) else None
    checks: dict[str, Callable[[], bool]] = {
        "==": lambda: found == value,
        "!=": lambda: found != value,
        ">=": lambda: found >= value,
        "<=": lambda: found <= value,
    }
    return checks[operator]()


def foreign_operations(scenario: Object, recorded: Object) -> list[tuple[tuple[int, float], list[Request]]]:
    """What others did on the recorded system, as input: ((step, seconds after it began; 0: before it), requests).

    Scenarios ran side by side and share what has no namespace. A volume of this scenario that a claim of another namespace took was
    taken by another run of the same script, so that claim is made there; a volume that was deleted though the script deletes none was
    deleted by another scenario's clean-up.
    """
    made = {step["object"]["metadata"].get("name"): step["object"] for step in scenario["script"] if step["op"] == "create"}
    deleted = {str(step["ref"]) for step in scenario["script"] if step["op"] == "delete"}
    found: list[tuple[tuple[int, float], list[Request]]] = []
    for change in recorded["timeline"]:
        plural, _, name = change["ref"].partition("/")
        if plural != "persistentvolumes" or change["type"] != "MODIFIED" or name not in made:
            continue
        diff = change.get("diff") or {}
        claim = (diff.get("spec") or {}).get("claimRef") or {}
        requests: list[Request] = []
        if claim.get("namespace") and claim["namespace"] != "<ns>" and made.get(claim["name"], {}).get("kind") == "PersistentVolumeClaim":
            namespace = claim["namespace"]
            obj = made[claim["name"]]
            requests.append(create("namespaces", "", {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": namespace}}))
            metadata = {**obj["metadata"], "namespace": namespace}
            requests.append(create("persistentvolumeclaims", namespace, {**obj, "metadata": metadata}))
        elif (diff.get("metadata") or {}).get("deletionTimestamp") and change["ref"] not in deleted:
            requests.append(delete("persistentvolumes", "", name))
        if requests:
            begun = [step for step in recorded["steps"] if step["t"] <= change["t"] + 0.02]
            near = [step for step in begun if change["t"] - step["t"] < 0.02]
            step = near[0] if near else begun[-1]
            found.append(((step["step"], 0.0 if near else change["t"] - step["t"]), requests))
    return found


UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


class Symbols:
    """Names that vary, replaced by ``<class:number>``, numbered by first appearance."""

    def __init__(self, changes: Sequence[Change], final: Sequence[Object], start_ns: int) -> None:
        self.start_ns = start_ns
        self.words: dict[str, str] = {}  # a word -> its symbol
        self.counts: dict[str, int] = {}
        for obj in [change.obj for change in changes] + list(final):
            self._learn(obj)
        words = sorted(self.words, key=len, reverse=True)
        self._pattern = re.compile(r"(?<![a-z0-9])(?:" + "|".join(map(re.escape, words)) + r")(?![a-z0-9])") if words else None

    def _symbol(self, class_: str, word: str) -> None:
        if word and word not in self.words:
            self.counts[class_] = self.counts.get(class_, 0) + 1
            self.words[word] = f"<{class_}:{self.counts[class_]}>"

    def _learn(self, obj: Object) -> None:
        metadata = obj["metadata"]
        self._symbol("uid", metadata.get("uid", ""))
        labels = metadata.get("labels") or {}
        self._symbol("hash", labels.get("pod-template-hash", ""))
        if obj["kind"] == "ControllerRevision":
            self._symbol("rev", metadata["name"].rpartition("-")[2])
        owner = (metadata.get("ownerReferences") or [{}])[0]
        if obj["kind"] == "Job" and owner.get("kind") == "CronJob":
            self._symbol("minute", metadata["name"].rpartition("-")[2])
        generate = metadata.get("generateName")
        if generate and metadata["name"].startswith(generate) and len(metadata["name"]) == len(generate) + 5:
            self._symbol("gen", metadata["name"][len(generate) :])
        if obj["kind"] == "Service":
            for address in (obj.get("spec") or {}).get("clusterIPs") or ():
                if address != "None":
                    self._symbol("ip", address)
            for port in (obj.get("spec") or {}).get("ports") or ():
                self._symbol("nodeport", str(port.get("nodePort") or ""))
        if obj["kind"] == "Pod":
            self._symbol("podip", (obj.get("status") or {}).get("podIP", ""))

    def value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.text(key): self.value(found) for key, found in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(found) for found in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return self.words.get(str(value), value) if value >= 30000 else value
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        text = TIME.sub(lambda found: f"<t{(parse_time(found[0]) - self.start_ns) // SECOND:+d}>", text)
        if self._pattern is not None:
            text = self._pattern.sub(lambda found: self.words[found[0]], text)
        text = UID.sub("<uid:0>", text)
        return re.sub(rf"\b{NAMESPACE}\b", "<ns>", text)


def finals(run: Object) -> Iterable[Object]:
    """The objects of a run's final state."""
    return run["final"]
