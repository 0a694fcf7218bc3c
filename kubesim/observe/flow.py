"""Follow one Deployment through the cluster: every write to it and to what it owns, from the apiserver's audit hook.

Nothing is scripted: a step is a write that happened, with the component that sent it, what it changed and the revision that etcd gave it;
or a reconcile that led to a write, with the revision of the object that the controller had seen. The Events that components record about
the objects followed tell what happened outside the API (the scheduler's choice, the container runtime).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from kubesim.apiserver.requests import Object, Request
from kubesim.kernel.time import SECOND
from kubesim.observe.changes import changes, conditions_of

PODS_MAX = 2  # Pods followed; of the others only the number is told
STEPS_MAX = 500
VERBS = {"create": "create", "update": "update", "patch": "patch", "delete": "delete"}
EVENT_RESOURCES = ("events", "events.events.k8s.io")
FOLLOWED = ("deployments.apps", "replicasets.apps", "pods")
# A kubelet's Events about its container runtime.
RUNTIME_REASONS = frozenset(("Pulling", "Pulled", "Created", "Started", "Killing", "BackOff", "Failed"))
NODE_USER = "system:node:"
Peek = Callable[[str, str, str], Object | None]


class Step(NamedTuple):
    """One thing that happened. ``revision`` is the resourceVersion that was written (or, in a reconcile, seen)."""

    time_ns: int  # since the Deployment was sent
    component: str
    text: str
    object: str
    revision: int

    @property
    def time(self) -> str:
        """``+1.250000 s``."""
        return f"+{self.time_ns // SECOND}.{self.time_ns % SECOND // 1000:06d} s"

    def as_dict(self) -> Object:
        """For JSON."""
        return {
            "seconds": self.time_ns / SECOND,
            "component": self.component,
            "step": self.text,
            "object": self.object,
            "resourceVersion": str(self.revision),
        }


class Flow:
    """The steps of the first Deployment that is created after this was made. ``peek`` reads an object from the apiserver.

    ``via`` tells which hops the request has come by that is being written now; None: there are none.
    """

    def __init__(self, peek: Peek, via: Callable[[], str] | None = None) -> None:
        self._peek = peek
        self._via = via
        self.namespace = ""
        self.name = ""
        self.steps: list[Step] = []
        self.pods_omitted = 0
        self.steps_omitted = 0
        self._start_ns = 0
        self._followed: dict[str, Object] = {}  # uid -> last state
        self._omitted: set[str] = set()
        self._pods = 0
        self._reconciles: dict[str, tuple[int, str, Object]] = {}  # controller -> what it looked at last, not told yet

    def on_write(self, time_ns: int, request: Request, obj: Object, revision: int) -> None:
        """Tell a write, if it is about what is followed: an audit function."""
        resource = request.resource
        if resource in FOLLOWED:
            self._object_written(time_ns, request, obj, revision)
        elif resource in EVENT_RESOURCES:
            self._event_written(time_ns, obj, revision)
        elif resource == "endpointslices.discovery.k8s.io" and self._shows_followed(obj):
            self._tell(time_ns, request.user, f"{VERBS.get(request.verb, request.verb)}: {_endpoints(obj)}", obj, revision)

    def on_reconcile(self, time_ns: int, controller: str, resource: str, key: str) -> None:
        """Remember that a controller looks at an object; told when a write follows from it."""
        namespace, _, name = key.rpartition("/")
        obj = self._peek(resource, namespace, name)
        if obj is not None and obj["metadata"]["uid"] in self._followed:
            self._reconciles[controller] = (time_ns, "sees it on its watch and reconciles", obj)

    def omitted(self) -> list[str]:
        """What was not told, in sentences."""
        lines = []
        if self.pods_omitted:
            lines.append(f"… and {self.pods_omitted:,} more Pods the same way")
        if self.steps_omitted:
            lines.append(f"… and {self.steps_omitted:,} more steps")
        return lines

    def _object_written(self, time_ns: int, request: Request, obj: Object, revision: int) -> None:
        metadata = obj["metadata"]
        uid = metadata["uid"]
        if not self.name and request.resource == "deployments.apps" and request.verb == "create":
            self.namespace, self.name, self._start_ns = metadata["namespace"], metadata["name"], time_ns
        elif uid not in self._followed and not self._adopt(request, obj):
            return
        old = self._followed.get(uid)
        self._followed[uid] = obj
        text = VERBS.get(request.verb, request.verb)
        if request.subresource:
            text = f"{text} {request.subresource}"
        detail = _born(obj) if old is None else changes(old, obj)
        if request.verb == "delete":
            gone = self._peek(request.resource, metadata["namespace"], metadata["name"]) is None
            detail = "gone" if gone else detail or "marked for deletion"
        self._tell(time_ns, request.user, f"{text}: {detail}" if detail else text, obj, revision)

    def _adopt(self, request: Request, obj: Object) -> bool:
        """Whether to follow this object from now on: its owner is followed, and it is not a Pod too many."""
        references = obj["metadata"].get("ownerReferences") or ()
        if not any(each["uid"] in self._followed for each in references):
            return False
        if request.resource == "pods":
            uid = obj["metadata"]["uid"]
            if uid not in self._omitted and self._pods >= PODS_MAX:
                self._omitted.add(uid)
                self.pods_omitted += 1
            if uid in self._omitted:
                return False
            self._pods += 1
        return True

    def _event_written(self, time_ns: int, event: Object, revision: int) -> None:
        regarding = event.get("involvedObject") or event.get("regarding") or {}
        found = self._followed.get(regarding.get("uid", ""))
        if found is None:
            return
        source = event.get("source") or {}
        component = event.get("reportingComponent") or source.get("component") or "unknown"
        message = event.get("message") or event.get("note") or ""
        host = source.get("host") or (event.get("reportingInstance") if component == "kubelet" else "")
        teller = f"{component} {host}" if host else component
        if event.get("reason") in RUNTIME_REASONS:
            teller += " → CRI"
        self._tell(time_ns, teller, f"event {event.get('reason')}: {message}", found, revision)

    def _shows_followed(self, piece: Object) -> bool:
        return any((each.get("targetRef") or {}).get("uid") in self._followed for each in piece.get("endpoints") or ())

    def _tell(self, time_ns: int, component: str, text: str, obj: Object, revision: int) -> None:
        looked = self._reconciles.pop(component, None)
        if looked is not None:
            seen_ns, what, seen = looked
            self._append(seen_ns, component, what, seen, int(seen["metadata"]["resourceVersion"]))
        if component.startswith(NODE_USER):
            component = f"kubelet {component.removeprefix(NODE_USER)}"
        way = "apiserver → etcd" if self._via is None else self._via()
        arrow = component if text.startswith("event ") else f"{component} → {way}"
        self._append(time_ns, arrow, text, obj, revision)

    def _append(self, time_ns: int, component: str, text: str, obj: Object, revision: int) -> None:
        if len(self.steps) >= STEPS_MAX:
            self.steps_omitted += 1
            return
        name = f"{obj['kind']} {obj['metadata']['namespace']}/{obj['metadata']['name']}"
        self.steps.append(Step(time_ns - self._start_ns, component, text, name, revision))


def _born(obj: Object) -> str:
    """What is worth telling of a new object."""
    spec = obj["spec"]
    owner = next((each for each in obj["metadata"].get("ownerReferences") or () if each.get("controller")), None)
    template: Any = (spec.get("template") or {}).get("spec") or spec
    images = ", ".join(container["image"] for container in template["containers"])
    text = f"{spec['replicas']} replicas of {images}" if "replicas" in spec else images
    return f"{text}, owned by {owner['kind']} {owner['name']}" if owner else text


def _endpoints(piece: Object) -> str:
    shown = [f"{each['addresses'][0]} ({conditions_of(each)})" for each in piece.get("endpoints") or ()]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
