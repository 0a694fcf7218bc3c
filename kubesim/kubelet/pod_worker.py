"""The shell around one Pod's machine: hands it events, carries out its calls through the doors, writes its status.

A worker holds the Pod object as last known (from the informer or as the answer to its own write, whichever is newer). Its status
writes are one per instant and one at a time; a conflict reads the object again and writes again. A SYNC_POD call is walked as
upstream walks it (sandbox, then pull, create and start, container after container); what needs no pull is one event in the agenda.

Upstream: pkg/kubelet/pod_workers.go, status/status_manager.go, kuberuntime (SyncPod, startContainer), images/image_manager.go.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kubesim.api.curve import Curve, first_at_least
from kubesim.api.errors import ApiError
from kubesim.api.quantity import value
from kubesim.apiserver.requests import NO_OPTIONS, Object, Request, get
from kubesim.kernel.loop import PRIORITY_NORMAL, PRIORITY_STANDING
from kubesim.kernel.time import MILLISECOND, SECOND, format_duration
from kubesim.kubelet.doors.simulated import KILLED
from kubesim.kubelet.doors.volumes import EmptyDirs, File, Line, Missing, locate, missing_of, unserved_reason
from kubesim.kubelet.eviction.limits import limit_of
from kubesim.kubelet.eviction.usage import MEMORY
from kubesim.kubelet.facts import EPHEMERAL, INIT, TemplateFacts
from kubesim.kubelet.models.contract import PodBehaviour
from kubesim.kubelet.pod_machine import step
from kubesim.kubelet.pod_state import (
    EXIT,
    KILL,
    NEVER_NS,
    POKE,
    PROBE,
    READY,
    RETRY,
    RUNNING,
    SYNC,
    UPDATE,
    VOLUMES,
    WAKE,
    Call,
    Event,
    PodState,
    StartResult,
)
from kubesim.kubelet.status import render

if TYPE_CHECKING:
    from kubesim.kubelet.node_agent import NodeAgent

STDOUT = "/dev/stdout"
CONFIG_RETRY_NS = 10 * SECOND  # the kubelet looks again at a container that it could not configure
MOUNT_RETRY_FIRST_NS = 500 * MILLISECOND
MOUNT_RETRY_NS_MAX = 122 * SECOND
MOUNT_TIMEOUT_NS = 123 * SECOND
WRITE_RETRY_NS = SECOND


class PodWorker:
    """One Pod on one node, from its arrival until both the object and the containers are gone."""

    __slots__ = (
        "api_uid", "behaviour", "empty_dirs", "files", "in_flight", "is_static", "name", "namespace", "node", "pod", "queued", "state",
        "stdout", "sync_id", "taken", "uid", "waits", "wants_delete",
    )  # fmt: skip

    def __init__(self, node: "NodeAgent", pod: Object, facts: TemplateFacts, behaviour: PodBehaviour) -> None:
        metadata = pod["metadata"]
        self.node = node
        self.pod = pod
        self.uid: str = metadata["uid"]
        self.api_uid = self.uid  # of the object in the API, which for a static Pod is its mirror
        self.name: str = metadata["name"]
        self.namespace: str = metadata["namespace"]
        self.behaviour = behaviour
        self.state = PodState(pod, facts)
        self.sync_id = 0
        self.queued = self.in_flight = self.wants_delete = self.is_static = False
        self.taken: TemplateFacts | None = None
        self.waits: tuple[str, ...] = ()
        self.empty_dirs: EmptyDirs | None = None
        self.stdout: dict[str, File] | None = None
        self.files: dict[int, list[Callable[[int], None]]] | None = None

    # News

    def handle(self, event: Event) -> None:
        """Give the machine an event and do what it asks for."""
        state = self.state
        for call in step(state, event, self.node.kernel.now_ns):
            _CALLS[call[0]](self, call)
        if state.dirty and not self.queued:
            self.queued = True
            self.node.kubelets.queue(self)

    def observe(self, new: Object) -> None:
        """The informer shows another version of the object."""
        old = self.pod
        if new is old or int(new["metadata"]["resourceVersion"]) <= int(old["metadata"]["resourceVersion"]):
            return
        self.pod = new
        metadata = new["metadata"]
        facts = self.state.facts if new["spec"] is old["spec"] else self._facts_of(new["spec"])
        if metadata.get("annotations") != old["metadata"].get("annotations"):
            self.reconsider()
        if new.get("status") is not old.get("status"):
            self._reconcile(new)
        self.handle((UPDATE, new, facts))

    def _facts_of(self, spec: Object) -> TemplateFacts:
        """The facts of a changed spec; ephemeral containers keep their indexes."""
        known = [each.name for each in self.state.facts.containers if each.kind == EPHEMERAL]
        return self.node.kubelets.facts.of(spec, known)

    def _reconcile(self, new: Object) -> None:
        """Somebody else wrote the status: what is the kubelet's to say is said again (needsReconcile in status_manager.go)."""
        own = self.state.conditions
        if own is None or self.state.rejected:
            return
        shown = {condition["type"]: condition["status"] for condition in (new.get("status") or {}).get("conditions") or ()}
        if any(shown.get(condition["type"]) != condition["status"] for condition in own):
            self.state.dirty = True

    def reconsider(self) -> None:
        """Ask the model again how the Pod behaves: from now on it does so."""
        self.behaviour = self.node.adopt_behaviour(self.pod)
        for container in self.state.containers:
            if container.status == RUNNING:
                self._use(container.facts.index, container.attempt, container.started_ns)
        self.handle((POKE,))

    # Status

    def write(self) -> None:
        """Report the status, unless a report is under way: then its answer asks again."""
        self.queued = False
        state, node = self.state, self.node
        if self.in_flight or not state.dirty or not node.connected:
            return
        status = render(state, self.pod, node.host, node.kernel.now_ns)
        self.in_flight = True
        body = {**self.pod, "status": status}
        request = Request("update", "pods", self.namespace, self.name, body, "status", NO_OPTIONS, node.user)
        node.link.send(request, self._written)

    def _written(self, outcome: Any) -> None:
        self.in_flight = False
        if isinstance(outcome, ApiError):
            self._write_failed(outcome)
            return
        self.pod = outcome
        if self.state.dirty:
            self._queue()
        elif self.wants_delete:
            self._send_delete()

    def _write_failed(self, error: ApiError) -> None:
        if error.reason == "NotFound" or self.state.gone:
            self.state.dirty = False
            return
        if error.code in (400, 422):
            raise AssertionError(f"the apiserver refuses the status of Pod {self.namespace}/{self.name}: {error}")
        self.state.dirty = True
        if error.reason == "Conflict":
            self.in_flight = True
            request = get("pods", self.namespace, self.name)
            request.user = self.node.user
            self.node.link.send(request, self._read_again)
        else:
            self.node.kernel.after(WRITE_RETRY_NS, self._queue)

    def _read_again(self, outcome: Any) -> None:
        self.in_flight = False
        if isinstance(outcome, ApiError):
            if outcome.reason != "NotFound":
                self.node.kernel.after(WRITE_RETRY_NS, self._queue)
        elif outcome["metadata"]["uid"] == self.api_uid:
            if int(outcome["metadata"]["resourceVersion"]) > int(self.pod["metadata"]["resourceVersion"]):
                self.observe(outcome)
            self._queue()

    def _queue(self) -> None:
        if not self.queued and self.state.dirty:
            self.queued = True
            self.node.kubelets.queue(self)

    def _delete(self, call: Call) -> None:
        self.wants_delete = True
        if not self.state.dirty and not self.in_flight:
            self._send_delete()

    def _send_delete(self) -> None:
        if not self.node.connected:
            return
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        self.node.link.send(Request("delete", "pods", self.namespace, self.name, None, "", options, self.node.user))

    def reconnect(self) -> None:
        """The apiserver can be reached again: say what was held back."""
        if self.state.dirty:
            self._queue()
        elif self.wants_delete:
            self._send_delete()

    # Starting

    def _sync_pod(self, call: Call) -> None:
        _, needs_sandbox, due = call
        self.sync_id += 1
        node = self.node
        now_ns = node.kernel.now_ns
        if not needs_sandbox:
            self._walk(None, due, 0, now_ns, [])
            return
        ip, error, duration_ns = node.runtime.run_pod_sandbox(self.uid, self.state.facts.host_network)
        if error:
            node.kernel.after(duration_ns, self._sandbox_failed, self.sync_id, error)
        else:
            self._walk(ip, due, 0, now_ns + duration_ns, [])

    def _sandbox_failed(self, sync_id: int, error: str) -> None:
        if sync_id == self.sync_id and self.node.alive:
            self.handle((SYNC, True, None, (), error))

    def _walk(self, ip: str | None, due: tuple[int, ...], position: int, time_ns: int, results: list[StartResult]) -> None:
        """Go on from a container at ``time_ns``; stop where a pull begins later than now, to say so when it does."""
        node, containers = self.node, self.state.facts.containers
        now_ns = node.kernel.now_ns
        while position < len(due):
            container = containers[due[position]]
            image = container.image
            index = container.index
            present = node.images.has_image(image, time_ns)
            message = container.present_message
            trouble = self._trouble(container, present) if container.environment or container.pull_policy == "Never" else None
            if trouble is not None:
                results.append((index, time_ns, "", "", None, *trouble))
                position += 1
                continue
            if not present or container.pull_policy == "Always":
                if time_ns > now_ns:
                    node.kernel.at(time_ns, self._resume, self.sync_id, ip, due, position, results)
                    return
                self.record("Normal", "Pulling", f'Pulling image "{image}"', index)
                error, size_bytes, waited_ns, duration_ns = node.pull(image)
                time_ns = now_ns + waited_ns + duration_ns
                if error:
                    text = f'failed to pull and unpack image "{image}": {error}'
                    results.append((index, time_ns, "", "", None, "ErrImagePull", text, 0))
                    position += 1
                    continue
                message = _pulled(image, duration_ns, waited_ns + duration_ns, size_bytes)
            attempt = self.state.containers[index].attempt + 1
            container_id, reason, error, duration_ns = node.runtime.start_container(self.uid, self.pod, container, attempt)
            time_ns += duration_ns
            if error:
                results.append((index, time_ns, "", "", None, reason, error, time_ns + CONFIG_RETRY_NS))
            else:
                ready_ns = 0 if self.behaviour.is_plain else self.behaviour.of(container.name).ready_after_ns
                results.append((index, time_ns, container_id, node.images.image_ref(image), ready_ns, "", message, 0))
            position += 1
        node.kernel.at(time_ns, self._finish, self.sync_id, ip, results)

    def _resume(self, sync_id: int, ip: str | None, due: tuple[int, ...], position: int, results: list[StartResult]) -> None:
        if sync_id == self.sync_id and self.node.alive:
            if results:
                self.handle((SYNC, False, ip, results, ""))
                self._attend(results)
                if sync_id != self.sync_id:
                    return
                ip = None
            self._walk(ip, due, position, self.node.kernel.now_ns, [])

    def _finish(self, sync_id: int, ip: str | None, results: list[StartResult]) -> None:
        if sync_id == self.sync_id and self.node.alive:
            self.handle((SYNC, True, ip, results, ""))
            self._attend(results)

    def _trouble(self, container: Any, present: bool) -> tuple[str, str, int] | None:
        """Why a container cannot be made: (reason, message, when to try again)."""
        if container.pull_policy == "Never" and not present:
            self.node.await_image(container.image, self, container.index)
            return "ErrImageNeverPull", f'Container image "{container.image}" is not present with pull policy of Never', NEVER_NS
        missing = self._missing(container.environment)
        if not missing:
            return None
        since_ns = self.node.kernel.now_ns

        def retry() -> None:
            passed_ns = self.node.kernel.now_ns - since_ns
            self._retry(container.index, since_ns + -(-passed_ns // CONFIG_RETRY_NS) * CONFIG_RETRY_NS)

        self.node.kubelets.await_object(missing[0], retry)
        return "CreateContainerConfigError", missing[0].message, NEVER_NS

    def _retry(self, index: int, time_ns: int) -> None:
        if self.node.alive:
            self.handle((RETRY, index, time_ns))

    def retry_image(self, index: int) -> None:
        """An image that a container waited for has arrived on the node."""
        self._retry(index, self.node.kernel.now_ns)

    def _attend(self, results: list[StartResult]) -> None:
        """Tell of the containers that were started, and let them live."""
        for result in results:
            index, time_ns, _, _, _, reason, message, _ = result
            if reason:
                self._record_failure(index, reason, message)
                continue
            self.record("Normal", "Pulled", message, index)
            self.record("Normal", "Created", "Container created", index)
            self.record("Normal", "Started", "Container started", index)
            container = self.state.containers[index]
            stays = container.facts.restart == "Always"
            if self.behaviour.is_plain and stays and container.facts.kind != INIT:
                continue
            self._let_run(index, container.attempt, time_ns, stays)

    def _record_failure(self, index: int, reason: str, message: str) -> None:
        image = self.state.facts.containers[index].image
        if reason == "ErrImagePull":
            self.record("Warning", "Failed", f'Failed to pull image "{image}": {message}', index)
            self.record("Warning", "Failed", "Error: ErrImagePull", index)
        elif reason == "ErrImageNeverPull":
            self.record("Warning", "ErrImageNeverPull", message, index)
            self.record("Warning", "Failed", "Error: ErrImageNeverPull", index)
        else:
            self.record("Warning", "Failed", f"Error: {message}", index)

    def _let_run(self, index: int, attempt: int, started_ns: int, stays: bool) -> None:
        """Have a container do what its behaviour says: end by itself, write to files."""
        node, container = self.node, self.state.containers[index]
        behaviour = self.behaviour.of(container.facts.name)
        run = node.model.run(node.stream, behaviour, container.facts, container.restarts, stays)
        if run is not None:
            end_ns = started_ns + run[0]
            reason = "Completed" if run[1] == 0 else "Error"
            node.kernel.at(end_ns, self._exit, index, attempt, run[1], reason, end_ns)
        if behaviour.usage or behaviour.volumes:
            self._use(index, attempt, started_ns)
        if behaviour.writes:
            if self.files is None:
                self.files = {}
            self.files[index] = [
                self.file(container.facts.name, path).stream(started_ns, period_ns, text) for path, period_ns, text in behaviour.writes
            ]

    def _exit(self, index: int, attempt: int, exit_code: int, reason: str, finished_ns: int) -> None:
        container = self.state.containers[index]
        if self.node.alive and container.attempt == attempt and container.status == RUNNING:
            self.close_files(index, finished_ns)
            if self.node.monitor is not None:
                self.node.monitor.end(self, index)
            self.handle((EXIT, index, attempt, exit_code, reason, finished_ns))

    def _use(self, index: int, attempt: int, started_ns: int) -> None:
        """Say what a container uses from its start on, and when it will have used more memory than it may."""
        node = self.node
        facts = self.state.facts.containers[index]
        behaviour = self.behaviour.of(facts.name)
        if node.monitor is not None:
            node.monitor.end(self, index)
        curves = {name: curve for name, curve in behaviour.usage.items() if name != "cpu"}
        if curves or behaviour.volumes:
            node.watch().begin(self, index, started_ns, curves, behaviour.volumes)
        memory, limit = curves.get(MEMORY), limit_of(facts.spec, MEMORY)
        if memory is not None and limit:
            breaks = [started_ns + each for each in memory.breaks_after(-1)]
            start_ns = max(started_ns, node.kernel.now_ns)
            time_ns = first_at_least(lambda now_ns: memory.at(now_ns - started_ns), breaks, start_ns, value(limit) + 1)
            if time_ns < NEVER_NS:
                node.kernel.at(time_ns, self._out_of_memory, index, attempt, memory)

    def _out_of_memory(self, index: int, attempt: int, memory: Curve) -> None:
        """A container needs more memory than its limit: it is killed, unless its behaviour has changed meanwhile."""
        container = self.state.containers[index]
        if container.attempt == attempt and self.behaviour.of(container.facts.name).usage.get(MEMORY) is memory:
            self.kill_for_memory(index)

    def end_container(self, index: int, code: int) -> None:
        """A container ends by itself, now."""
        reason = "Completed" if code == 0 else "Error"
        self._exit(index, self.state.containers[index].attempt, code, reason, self.node.kernel.now_ns)

    def kill_for_memory(self, index: int) -> None:
        """The kernel of the node kills a container."""
        self._exit(index, self.state.containers[index].attempt, KILLED, "OOMKilled", self.node.kernel.now_ns)

    def evict(self, message: str, grace_ns: int, disruption: str) -> None:
        """The node needs what the Pod has: end it. ``disruption`` is the message of its condition DisruptionTarget; "" for none."""
        self.record("Warning", "Evicted", message)
        self.handle((KILL, "Evicted", message, grace_ns, disruption))

    def close_files(self, index: int, time_ns: int) -> None:
        """A container ended: it writes no more."""
        if self.files is not None:
            for close in self.files.pop(index, ()):
                close(time_ns)

    # The other calls

    def _stop(self, call: Call) -> None:
        _, index, attempt, grace_ns = call
        node = self.node
        exit_code, reason, duration_ns = node.runtime.stop_container(self.uid, self.pod, self.state.facts.containers[index], grace_ns)
        end_ns = node.kernel.now_ns + duration_ns
        node.kernel.at(end_ns, self._exit, index, attempt, exit_code, reason, end_ns)

    def _timer(self, call: Call) -> None:
        self.node.kernel.at(call[1], self._wake, priority=PRIORITY_STANDING if call[2] else PRIORITY_NORMAL)

    def _wake(self) -> None:
        if self.node.alive:
            self.handle((WAKE,))

    def _ask_probe(self, call: Call) -> None:
        _, index, attempt, kind, time_ns = call
        self.node.kernel.at(time_ns, self._probe, index, attempt, kind)

    def _probe(self, index: int, attempt: int, kind: int) -> None:
        node, container = self.node, self.state.containers[index]
        if not node.alive or container.attempt != attempt or container.status != RUNNING:
            return
        behaviour = self.behaviour.of(container.facts.name)
        answer = node.model.probe(behaviour, container.facts, kind, container.started_ns, node.kernel.now_ns)
        self.handle((PROBE, index, attempt, kind, *answer))

    def _become_ready(self, call: Call) -> None:
        _, index, attempt, time_ns = call
        self.node.kernel.at(time_ns, self._ready, index, attempt)

    def _ready(self, index: int, attempt: int) -> None:
        if self.node.alive:
            self.handle((READY, index, attempt))

    def _record(self, call: Call) -> None:
        _, type_, reason, message, index = call
        self.record(type_, reason, message, index)

    def record(self, type_: str, reason: str, message: str, index: int | None = None) -> None:
        """Record an event about the Pod or one of its containers; a node that cannot reach the apiserver says nothing."""
        if self.node.connected:
            field_path = "" if index is None else self.state.facts.containers[index].field_path
            self.node.recorder.event(self.pod, type_, reason, message, field_path)

    def _abort_sync(self, call: Call) -> None:
        self.sync_id += 1

    def _teardown(self, call: Call) -> None:
        node = self.node
        node.runtime.stop_pod_sandbox(self.uid)
        for container in self.state.facts.containers:
            node.images.used(container.image, node.kernel.now_ns)
        if node.monitor is not None:
            node.monitor.torn_down(self)
        if node.shutdown is not None:
            node.shutdown.torn_down(self)
        self.waits = ()
        if self.taken is not None:
            self.node.resources.give_back(self.taken)
            self.taken = None

    def _forget(self, call: Call) -> None:
        self.node.forget(self)

    # Volumes

    def _missing(self, needs: Any) -> list[Missing]:
        return missing_of(needs, self.namespace, self.node.kubelets.caches(needs)) if needs else []

    def _mount(self, call: Call) -> None:
        """Set up the volumes; what is not there yet is said once, and waited for."""
        now_ns = self.node.kernel.now_ns
        self._try_mount(now_ns)
        for reason in self.waits:
            if reason.startswith("MountVolume"):
                self.record("Warning", "FailedMount", reason)
        unserved = [volume["name"] for volume in self.state.facts.unserved]
        if self.waits and unserved:
            self.node.kernel.after(MOUNT_TIMEOUT_NS, self._mount_timed_out, unserved, priority=PRIORITY_STANDING)

    def _try_mount(self, since_ns: int) -> None:
        if self.state.mounted or self.state.closing or not self.node.alive:
            return
        facts = self.state.facts
        missing = self._missing(facts.volume_needs)
        for each in missing:
            self.node.kubelets.await_object(each, lambda: self._mount_again(since_ns))
        self.waits = (*(each.message for each in missing), *self._set_up(facts.unserved, since_ns))
        if not self.waits:
            self.handle((VOLUMES,))

    def _set_up(self, volumes: tuple[Object, ...], since_ns: int) -> list[str]:
        """Ask the plugins; a volume without one waits for ever."""
        reasons = []
        for volume in volumes:
            plugins = self.node.kubelets.config.volume_plugins
            plugin = next((plugins[source] for source in volume if source in plugins), None)
            if plugin is None:
                reasons.append(unserved_reason(volume, self.namespace))
            elif reason := plugin.set_up(self.pod, volume, self.node.name, lambda: self._try_mount(since_ns)):
                reasons.append(reason)
        return reasons

    def _mount_again(self, since_ns: int) -> None:
        """Something arrived: upstream finds out at its next try, 0.5 s, 1 s, 2 s, ... apart, at most 2 min 2 s."""
        kernel = self.node.kernel
        try_ns, wait_ns = since_ns, MOUNT_RETRY_FIRST_NS
        while try_ns < kernel.now_ns:
            try_ns += wait_ns
            wait_ns = min(2 * wait_ns, MOUNT_RETRY_NS_MAX)
        kernel.at(try_ns, self._try_mount, since_ns)

    def _mount_timed_out(self, names: list[str]) -> None:
        if self.node.alive and not self.state.mounted and not self.state.closing:
            volumes = " ".join(names)
            why = "unattached volumes=[], failed to process volumes=[]: timed out waiting for the condition"
            self.record("Warning", "FailedMount", f"Unable to attach or mount volumes: unmounted volumes=[{volumes}], {why}")

    # Files and logs

    def file(self, container: str, path: str) -> File:
        """A file as a container sees it: in an emptyDir, or its own standard output. Raises ValueError for any other path."""
        if path == STDOUT:
            if self.stdout is None:
                self.stdout = {}
            return self.stdout.setdefault(container, File())
        spec = next((each.spec for each in self.state.facts.containers if each.name == container), None)
        if spec is None:
            raise ValueError(f"Pod {self.namespace}/{self.name} has no container {container!r}")
        place = locate(spec, path, self.state.facts.empty_dirs)
        if place is None:
            raise ValueError(f"{path!r} is in no emptyDir that container {container!r} of Pod {self.namespace}/{self.name} mounts")
        if self.empty_dirs is None:
            self.empty_dirs = EmptyDirs()
        return self.empty_dirs.file(*place)

    def log(self, container: str, now_ns: int) -> list[Line]:
        """What a container has printed: its own lines and those of the files that it follows, in the order of their times."""
        lines = self.file(container, STDOUT).read(now_ns)
        for path in self.behaviour.of(container).tails:
            lines += self.file(container, path).read(now_ns)
        return sorted(lines, key=lambda line: line.time_ns)


def _pulled(image: str, duration_ns: int, total_ns: int, size_bytes: int) -> str:
    took = _milliseconds(duration_ns)
    total = took if total_ns == duration_ns else _milliseconds(total_ns)
    return f'Successfully pulled image "{image}" in {took} ({total} including waiting). Image size: {size_bytes} bytes.'


def _milliseconds(duration_ns: int) -> str:
    """Go's notation of a duration truncated to milliseconds; the usual ones without the general way."""
    milliseconds = duration_ns // MILLISECOND
    if 1000 <= milliseconds < 60_000:
        return f"{milliseconds / 1000:g}s"
    return format_duration(milliseconds * MILLISECOND)


_CALLS: tuple[Callable[[PodWorker, Call], None], ...] = (
    PodWorker._mount, PodWorker._sync_pod, PodWorker._stop, PodWorker._timer, PodWorker._ask_probe, PodWorker._become_ready,
    PodWorker._record, PodWorker._abort_sync, PodWorker._teardown, PodWorker._delete, PodWorker._forget,
)  # fmt: skip
