"""What the kubelet has to know of a Pod's spec, worked out once per template.

All Pods of one ReplicaSet share the ``containers`` list of their template, and a binding copies only the path it changes, so the
identity of that list (with its few neighbours) names a template: ``FactsCache.of(pod)`` is a dictionary hit for all but the first.
Holds requests, host ports, QoS class, what the volumes need, the probes, and the constant parts of the container statuses.
Changes nothing and remembers nothing about single Pods.

Upstream: pkg/apis/core/v1/helper/qos, k8s.io/component-helpers/resource (PodRequests), pkg/kubelet/status.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api.quantity import milli_value, value
from kubesim.apiserver.requests import Object
from kubesim.kernel.time import SECOND

INIT, SIDECAR, APP, EPHEMERAL = 0, 1, 2, 3
FIELDS = ("initContainers", "initContainers", "containers", "ephemeralContainers")
STARTUP, READINESS, LIVENESS = 0, 1, 2
PROBE_FIELDS = ("startupProbe", "readinessProbe", "livenessProbe")
PROBE_NAMES = ("Startup", "Readiness", "Liveness")
FACTS_MAX = 8192
SERVED_VOLUMES = frozenset(("emptyDir", "hostPath", "configMap", "secret", "projected", "downwardAPI"))


class ProbeFacts:
    """A probe's timing, in nanoseconds and counts, upstream's defaults filled in."""

    __slots__ = ("failure_threshold", "grace_ns", "initial_delay_ns", "kind", "period_ns", "success_threshold")

    def __init__(self, kind: int, probe: Object) -> None:
        self.kind = kind
        self.initial_delay_ns = (probe.get("initialDelaySeconds") or 0) * SECOND
        self.period_ns = (probe.get("periodSeconds") or 10) * SECOND
        self.success_threshold: int = probe.get("successThreshold") or 1
        self.failure_threshold: int = probe.get("failureThreshold") or 3
        grace = probe.get("terminationGracePeriodSeconds")
        self.grace_ns: int | None = None if grace is None else grace * SECOND


class Need:
    """A ConfigMap or Secret that a volume or a container's environment wants; ``key`` is empty when any content will do."""

    __slots__ = ("key", "name", "resource", "volume")

    def __init__(self, resource: str, name: str, key: str = "", volume: str = "") -> None:
        self.resource = resource
        self.name = name
        self.key = key
        self.volume = volume


class ContainerFacts:
    """One container of a template; ``index`` counts init containers first, then ordinary ones, then ephemeral ones."""

    __slots__ = (
        "creating", "environment", "field_path", "has_post_start", "has_pre_stop", "image", "index", "kind", "name", "present_message",
        "probes", "pull_policy", "restart", "running", "spec",
    )  # fmt: skip

    def __init__(self, index: int, kind: int, spec: Object, pod_restart: str, has_init: bool) -> None:
        self.index = index
        self.kind = kind
        self.spec = spec
        self.name: str = spec["name"]
        self.image: str = spec.get("image", "")
        self.field_path = f"spec.{FIELDS[kind]}{{{self.name}}}"
        self.pull_policy: str = spec.get("imagePullPolicy") or default_pull_policy(self.image)
        self.restart = _restart_policy(kind, spec, pod_restart)
        self.probes: tuple[ProbeFacts | None, ...] = tuple(
            ProbeFacts(probe, spec[field]) if kind in (SIDECAR, APP) and spec.get(field) else None
            for probe, field in enumerate(PROBE_FIELDS)
        )
        lifecycle = spec.get("lifecycle") or {}
        self.has_post_start = bool(lifecycle.get("postStart"))
        self.has_pre_stop = bool(lifecycle.get("preStop"))
        self.environment = tuple(_environment_needs(spec))
        self.present_message = f'Container image "{self.image}" already present on machine and can be accessed by the pod'
        waiting = {"waiting": {"reason": "PodInitializing" if has_init else "ContainerCreating"}}
        tail = _status_tail(spec)
        self.creating: Object = _status(self.name, waiting, self.image, "", False) | tail
        self.running: Object = _status(self.name, {}, self.image, "", True) | {"containerID": ""} | {"started": True} | tail


def _restart_policy(kind: int, spec: Object, pod_restart: str) -> str:
    """The policy of one container: a sidecar's is Always; an init container that failed is tried again unless the Pod says Never."""
    if kind == SIDECAR:
        return "Always"
    if kind == EPHEMERAL:
        return "Never"
    own = spec.get("restartPolicy") or pod_restart
    return "OnFailure" if kind == INIT and own == "Always" else own


def _status(name: str, state: Object, image: str, image_id: str, ready: bool) -> Object:
    return {
        "name": name, "state": state, "lastState": {}, "ready": ready, "restartCount": 0, "image": image, "imageID": image_id,
    } | ({} if ready else {"started": False})  # fmt: skip


def _status_tail(spec: Object) -> Object:
    """The parts of a container status that repeat the spec: allocated resources and mounts, as kubelets of v1.36 report them."""
    tail: Object = {}
    resources = spec.get("resources") or {}
    if resources.get("requests"):
        tail["allocatedResources"] = resources["requests"]
    if resources:
        tail["resources"] = resources
    mounts = [_mount_status(mount) for mount in spec.get("volumeMounts") or ()]
    if mounts:
        tail["volumeMounts"] = mounts
    return tail


def _mount_status(mount: Object) -> Object:
    status = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        status |= {"readOnly": True, "recursiveReadOnly": mount.get("recursiveReadOnly", "Disabled")}
    return status


def default_pull_policy(image: str) -> str:
    """Always for the tag latest (or none), else IfNotPresent: upstream's default, for objects that skipped defaulting."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "IfNotPresent" if digest or (tag and tag != "latest") else "Always"


def _environment_needs(spec: Object) -> list[Need]:
    needs = []
    for source in spec.get("envFrom") or ():
        for field, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            reference = source.get(field)
            if reference and not reference.get("optional"):
                needs.append(Need(resource, reference["name"]))
    for variable in spec.get("env") or ():
        origin = variable.get("valueFrom") or {}
        for field, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            reference = origin.get(field)
            if reference and not reference.get("optional"):
                needs.append(Need(resource, reference["name"], reference.get("key", "")))
    return needs


def _volume_needs(volume: Object) -> list[Need]:
    """ConfigMaps and Secrets without which a volume cannot be set up."""
    name = volume["name"]
    sources = (volume.get("projected") or {}).get("sources") or ()
    needs = []
    for field, resource, name_field in (("configMap", "configmaps", "name"), ("secret", "secrets", "secretName")):
        direct = volume.get(field)
        found = [(direct, name_field)] if direct else []
        found += [(source[field], "name") for source in sources if source.get(field)]
        for source, key in found:
            if not source.get("optional"):
                items = source.get("items") or ()
                needs.append(Need(resource, source.get(key, ""), "", name))
                needs += [Need(resource, source.get(key, ""), item["key"], name) for item in items]
    return needs


def _amounts(requests: Object) -> dict[str, int]:
    return {name: milli_value(amount) if name == "cpu" else value(amount) for name, amount in requests.items()}


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _maximum(total: dict[str, int], other: dict[str, int]) -> None:
    for name, amount in other.items():
        if amount > total.get(name, 0):
            total[name] = amount


def _requests_of(container: Object) -> dict[str, int]:
    resources = container.get("resources") or {}
    return _amounts((resources.get("limits") or {}) | (resources.get("requests") or {}))


def pod_requests(spec: Object) -> dict[str, int]:
    """What a Pod asks of its node: CPU in millicores, everything else in units (bytes).

    max(sum of containers + all sidecars, the largest init container + the sidecars started before it), then the Pod's own
    ``resources`` in their place, then the overhead.
    """
    total: dict[str, int] = {}
    for container in spec["containers"]:
        _add(total, _requests_of(container))
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        amounts = _requests_of(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, amounts)
            _maximum(peak, sidecars)
        else:
            _add(amounts, sidecars)
            _maximum(peak, amounts)
    _add(total, sidecars)
    _maximum(total, peak)
    total |= _amounts((spec.get("resources") or {}).get("requests") or {})
    _add(total, _amounts(spec.get("overhead") or {}))
    return {name: amount for name, amount in total.items() if amount}


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, by CPU and memory of all containers."""
    if (spec.get("resources") or {}).keys() & {"requests", "limits"}:
        return _qos_of([spec["resources"]])
    return _qos_of([container.get("resources") or {} for container in [*(spec.get("initContainers") or ()), *spec["containers"]]])


def _qos_of(resources: list[Object]) -> str:
    guaranteed, any_amount = True, False
    for each in resources:
        requests, limits = _amounts(each.get("requests") or {}), _amounts(each.get("limits") or {})
        for name in ("cpu", "memory"):
            limit = limits.get(name, 0)
            request = requests.get(name, limit)
            any_amount = any_amount or bool(request or limit)
            guaranteed = guaranteed and bool(limit) and request == limit
    return "Guaranteed" if guaranteed else "Burstable" if any_amount else "BestEffort"


def _host_ports(spec: Object) -> tuple[tuple[str, str, int], ...]:
    ports = []
    for container in [*spec["containers"], *(each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always")]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                ports.append((port.get("hostIP") or "0.0.0.0", port.get("protocol", "TCP"), port["hostPort"]))
    return tuple(ports)


class TemplateFacts:
    """Everything about a template; ``memo`` keeps the status fragments that its Pods share."""

    __slots__ = (
        "active_deadline_ns", "all_indexes", "app_order", "containers", "cpu", "creating_status", "empty_dirs", "ephemeral",
        "ephemeral_order", "grace_ns", "has_ephemeral", "has_init", "host_network", "host_ports", "init_creating_status", "memo",
        "memory", "qos", "readiness_gates", "requests", "restart_policy", "scalars", "simple", "spec", "twin", "unserved", "volume_needs",
    )  # fmt: skip

    def __init__(self, spec: Object, known: Sequence[str] = ()) -> None:
        self.spec = spec
        self.twin = dict(spec)  # ours: takes each Pod's node name, so that one comparison in C tells the usual case
        self.restart_policy: str = spec.get("restartPolicy") or "Always"
        init = spec.get("initContainers") or ()
        self.has_init = bool(init)
        ephemeral = spec.get("ephemeralContainers") or ()
        if known:  # those that are there keep their index, wherever a patch has put the new ones
            ephemeral = sorted(ephemeral, key=lambda each: known.index(each["name"]) if each["name"] in known else len(known))
        self.has_ephemeral = bool(ephemeral)
        self.containers = _containers(init, spec["containers"], ephemeral, self.restart_policy)
        self.all_indexes = tuple(range(len(self.containers)))
        self.requests = pod_requests(spec)
        self.cpu = self.requests.get("cpu", 0)
        self.memory = self.requests.get("memory", 0)
        self.ephemeral = self.requests.get("ephemeral-storage", 0)
        self.scalars = tuple((k, v) for k, v in self.requests.items() if k not in ("cpu", "memory", "ephemeral-storage"))
        self.host_ports = _host_ports(spec)
        self.qos = qos_class(spec)
        self.host_network = bool(spec.get("hostNetwork"))
        grace = spec.get("terminationGracePeriodSeconds")
        self.grace_ns = (30 if grace is None else grace) * SECOND
        deadline = spec.get("activeDeadlineSeconds")
        self.active_deadline_ns: int | None = None if deadline is None else deadline * SECOND
        self.readiness_gates = tuple(gate["conditionType"] for gate in spec.get("readinessGates") or ())
        volumes = spec.get("volumes") or ()
        self.empty_dirs = tuple(volume["name"] for volume in volumes if "emptyDir" in volume)
        self.volume_needs = tuple(need for volume in volumes for need in _volume_needs(volume))
        self.unserved = tuple(volume for volume in volumes if not SERVED_VOLUMES & volume.keys())
        self.simple = not (self.has_init or self.volume_needs or self.unserved)
        ordered = sorted(self.containers, key=lambda each: each.name)  # the order of upstream's statuses, but for init containers
        self.app_order = tuple(each.index for each in ordered if each.kind == APP)
        self.ephemeral_order = tuple(each.index for each in ordered if each.kind == EPHEMERAL)
        self.creating_status: list[Any] = [self.containers[index].creating for index in self.app_order]
        self.init_creating_status: list[Any] = [each.creating for each in self.containers if each.kind < APP]
        self.memo: dict[Any, Any] = {}

    def matches(self, spec: Object) -> bool:
        """Whether ``spec``, which has the same ``containers`` list, is of this template in everything the facts hold.

        Where a Pod may run is not among it: every Pod of a DaemonSet has its own affinity.
        """
        twin = self.twin
        twin["nodeName"] = spec.get("nodeName")
        if twin == spec:
            return True
        mine = self.spec
        return (
            spec.get("initContainers") is mine.get("initContainers")
            and spec.get("volumes") is mine.get("volumes")
            and spec.get("restartPolicy") == mine.get("restartPolicy")
            and spec.get("terminationGracePeriodSeconds") == mine.get("terminationGracePeriodSeconds")
            and spec.get("activeDeadlineSeconds") == mine.get("activeDeadlineSeconds")
            and spec.get("hostNetwork") == mine.get("hostNetwork")
            and spec.get("readinessGates") == mine.get("readinessGates")
            and spec.get("overhead") == mine.get("overhead")
            and spec.get("resources") == mine.get("resources")
        )


def _containers(init: Any, ordinary: Any, ephemeral: Any, restart_policy: str) -> tuple[ContainerFacts, ...]:
    found: list[ContainerFacts] = []
    for spec in init:
        kind = SIDECAR if spec.get("restartPolicy") == "Always" else INIT
        found.append(ContainerFacts(len(found), kind, spec, restart_policy, True))
    for spec in ordinary:
        found.append(ContainerFacts(len(found), APP, spec, restart_policy, bool(init)))
    for spec in ephemeral:
        found.append(ContainerFacts(len(found), EPHEMERAL, spec, restart_policy, False))
    return tuple(found)


class FactsCache:
    """Facts by the identity of the ``containers`` list; the cached facts keep that list alive, so an id is never another's."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[int, TemplateFacts] = {}

    def of(self, spec: Object, known: Sequence[str] = ()) -> TemplateFacts:
        """The facts of a Pod's spec; ``known`` are the names of ephemeral containers that it has already, in their order.

        O(1) for a known template, else O(size of the spec).
        """
        if spec.get("ephemeralContainers"):  # of one Pod only, and its other parts are still those of the template
            return TemplateFacts(spec, known)
        containers = spec["containers"]
        facts = self._entries.get(id(containers))
        if facts is not None and facts.spec["containers"] is containers and facts.matches(spec):
            return facts
        facts = TemplateFacts(spec)
        self._entries.pop(id(containers), None)
        self._entries[id(containers)] = facts
        if len(self._entries) > FACTS_MAX:
            del self._entries[next(iter(self._entries))]
        return facts
