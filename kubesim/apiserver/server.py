"""The apiserver in process: requests in, objects out, everything else behind one table of verbs.

``handle`` gives a verb's generator, which yields etcd requests and returns the object: a shell answers them from a quorum when Raft has
committed. ``call`` is the shell for a local etcd, answered in place. No HTTP, no encoding: objects are plain dicts, shared with the
store and read-only once sent or stored (``debug=True`` freezes them, so that who writes into one is caught in the act).

Upstream: apiserver/pkg/server and pkg/controlplane.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.api.kinds import KINDS
from kubesim.api.kinds.contract import Kind, Object
from kubesim.apiserver import subresources
from kubesim.apiserver.admission import DEFAULT_PROFILE, choose_plugins
from kubesim.apiserver.admission.chain import AdmissionChain
from kubesim.apiserver.allocators import SERVICE_CIDR
from kubesim.apiserver.bootstrap import bootstrap_requests
from kubesim.apiserver.compaction import INTERVAL_NS, Compactor
from kubesim.apiserver.custom_resources import CustomResources
from kubesim.apiserver.dynamic.dispatcher import Dynamic
from kubesim.apiserver.event_leases import EventLeases
from kubesim.apiserver.frozen import freeze
from kubesim.apiserver.managed_fields import FieldTracker
from kubesim.apiserver.metadata import stamped
from kubesim.apiserver.outside import Callables, Outside, Question, Reply, Suspended
from kubesim.apiserver.quota import RESOURCE as QUOTAS
from kubesim.apiserver.registry import CONFIGURED, Registry, Resource, no_such_method, no_such_resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.services import ServiceExtension
from kubesim.apiserver.standing import STANDING
from kubesim.apiserver.verbs.at_once import AT_ONCE
from kubesim.apiserver.verbs.create import create
from kubesim.apiserver.verbs.delete import delete, delete_collection
from kubesim.apiserver.verbs.patch import patch
from kubesim.apiserver.verbs.read import get, list_, too_large
from kubesim.apiserver.verbs.update import update
from kubesim.apiserver.watch_cache import OnReady, Watch, WatchCache
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import format_time

Verb = Callable[["ApiServer", Resource, Request], Generator[Any, Any, Any]]
_set = dict.__setitem__
LABELS_MAX = 4096  # label sets with a topology that are remembered
Audit = Callable[[int, Request, Object, int], object]
VERBS: Mapping[tuple[str, str], Verb] = {
    ("get", ""): get,
    ("list", ""): list_,
    ("create", ""): create,
    ("update", ""): update,
    ("patch", ""): patch,
    ("delete", ""): delete,
    ("deletecollection", ""): delete_collection,
    **subresources.VERBS,
}


class ApiServer:
    """One apiserver over an etcd (or over a member of one)."""

    def __init__(
        self,
        kernel: Kernel,
        etcd: Any,
        *,
        name: str = "kube-apiserver",
        kinds: Iterable[Kind] = KINDS,
        profile: Sequence[str] = DEFAULT_PROFILE,
        service_cidr: str = SERVICE_CIDR,
        bootstrap: bool = True,
        compaction_ns: int = INTERVAL_NS,
        watch_history_events_max: int = 0,
        debug: bool = False,
        track_fields: bool = False,
    ) -> None:
        self.kernel = kernel
        self.name = name
        self.etcd = etcd
        self.store = etcd.store
        self.debug = debug
        self.audit: list[Audit] = []
        self.registry = Registry(kinds)
        self.has_quotas = False  # whether there has ever been a ResourceQuota
        self.admission = AdmissionChain(choose_plugins(profile), self)
        self.uid_stream = kernel.rng(f"{name}/uid")
        self.name_stream = kernel.rng(f"{name}/generated-name")
        self.watch_cache = WatchCache(kernel, self.store, self.registry, self._policy_changed, watch_history_events_max)
        self.event_leases = EventLeases(kernel)
        self._labels: dict[tuple[Any, ...], tuple[Object, Object]] = {}
        self.fields = FieldTracker(self, track_fields)
        self.extensions = {"services": ServiceExtension(kernel.rng(f"{name}/service"), service_cidr)}
        self.standing = STANDING
        self._compactor = Compactor(kernel, etcd, compaction_ns)
        self._resources = self.registry.by_name
        self._execute = etcd.execute
        self.put_if: Callable[..., int] = getattr(etcd, "put_if", None) or (lambda *rest: etcd.execute(("put_if", *rest)))
        self.get_record = self.store.get
        self._record = kernel.trace.record
        self.outside: Outside = Callables(kernel)
        self.custom_resources = CustomResources(self)
        self.dynamic = Dynamic(self, self.custom_resources.versions_of)
        if bootstrap:  # else whoever drives this server starts both, when it can write
            self.bootstrap()
            self.custom_resources.start()
        self.dynamic.changed()  # perhaps the store knows of some

    # -- requests --

    def handle(self, request: Request) -> Generator[Any, Any, Any]:
        """Return the generator of a request's verb: it yields etcd requests, returns the answer, raises ApiError."""
        resource = self._resources.get(request.resource)
        subresource = request.subresource
        verb = VERBS.get((request.verb, subresource))
        if resource is None or (subresource and subresource not in resource.kind.subresources):
            return _refuse(no_such_resource())
        if verb is None:
            return _refuse(no_such_method())
        return verb(self, resource, request)

    def call(self, request: Request) -> Any:
        """Execute a request against a local etcd and return the answer. Raises ApiError, and Suspended where a webhook takes time."""
        resource, way = self._resources.get(request.resource), (request.verb, request.subresource)
        at_once = AT_ONCE.get(way)
        if at_once is not None and resource is not None and not request.options:
            answer = at_once(self, resource, request)
            if answer is not None:
                return answer
        # What ``handle`` does, once more: it is asked for every request of every component.
        verb = VERBS.get(way)
        if resource is None or verb is None or (request.subresource and request.subresource not in resource.kind.subresources):
            send = self.handle(request).send
        else:
            send = verb(self, resource, request).send
        try:
            asked = send(None)
            while True:
                # By far the most frequent questions have a way of their own.
                what = asked[0]
                if what == "put_if":
                    asked = send(self.put_if(*asked[1:]))
                elif what == "get":
                    asked = send(self.get_record(asked[1]))
                elif what == "ask":
                    asked = send(self._asked(send, asked[1]))
                else:
                    asked = send(self._execute(asked))
        except StopIteration as stop:
            return stop.value

    def go_on(self, send: Callable[[Any], Any], answer: Any) -> Any:
        """Go on with a verb that was suspended, whose generator takes answers by ``send``. Raises ApiError and Suspended."""
        try:
            while True:
                asked = send(answer)
                answer = self._asked(send, asked[1]) if asked[0] == "ask" else self._execute(asked)
        except StopIteration as stop:
            return stop.value

    def _asked(self, send: Callable[[Any], Any], question: Question) -> Reply:
        reply = self.outside.ask(question)
        if reply is None:
            raise Suspended(self, send, question)
        return reply

    def submit(self, request: Request, done: Callable[[Any], object]) -> None:
        """Execute a request; ``done`` gets the object or the ApiError, now or later. A process that needs a quorum puts its own here."""
        outcome: Any
        try:
            outcome = self.call(request)
        except Suspended as pause:
            pause.then(done)
            return
        except ApiError as error:
            outcome = error
        done(outcome)

    def get(self, resource: str, namespace: str, name: str) -> Object:
        """Read one object. Raises ApiError 404."""
        obj: Object = self.call(Request("get", resource, namespace, name))
        return obj

    # -- watches --

    def watch(
        self,
        resource: str,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        revision: int | None = None,
        on_ready: OnReady,
    ) -> Watch:
        """Watch a resource after ``revision`` (None: from now). ``on_ready`` is called once when there is something to take.

        Raises ApiError 400 for a selector, 404 for a resource, 410 for a revision that is compacted, 504 for one to come.
        """
        if revision is not None and revision > self.store.revision:
            raise too_large(revision, self.store.revision)
        found = self.registry.resource(resource)
        return self.watch_cache.watch(found, namespace, label_selector, field_selector, revision, on_ready)

    def watch_list(
        self, resource: str, *, namespace: str = "", label_selector: str = "", field_selector: str = "", on_ready: OnReady
    ) -> tuple[list[Object], int, Watch]:
        """The objects of a selection, the revision they are of, and a watch that goes on from there."""
        options = {"labelSelector": label_selector, "fieldSelector": field_selector}
        listed = self.call(Request("list", resource, namespace, options={key: text for key, text in options.items() if text}))
        watch = self.watch(
            resource, namespace=namespace, label_selector=label_selector, field_selector=field_selector, on_ready=on_ready
        )
        return listed["items"], int(listed["metadata"]["resourceVersion"]), watch

    # -- what verbs and plugins ask of the server --

    def now_text(self) -> str:
        """The present time as a ``metav1.Time``."""
        return format_time(self.kernel.now_ns)

    def peek(self, resource: str, namespace: str, name: str) -> Object | None:
        """An object as this server's etcd member has it, or None: how plugins read."""
        found = self._resources.get(resource)
        kv = None if found is None else self.get_record(found.key(namespace, name))
        return None if kv is None else stamped(kv)

    def peek_all(self, resource: str, namespace: str = "") -> list[Object]:
        """All objects of a resource as this server's etcd member has them, in key order."""
        found = self._resources.get(resource)
        return [] if found is None else [stamped(kv) for kv in self.store.range(*found.range(namespace)).kvs]

    def shared_labels(self, labels: Object, more: Object) -> Object:
        """``labels`` with ``more``: the same dict for the same dict of labels, as all Pods of a template have it."""
        key = (id(labels), *more.items())
        known = self._labels.get(key)
        if known is None:
            if len(self._labels) >= LABELS_MAX:
                del self._labels[next(iter(self._labels))]
            known = self._labels[key] = (labels, {**labels, **more})  # keeps the labels alive, so that their id is not used again
        return known[1]

    def sealed(self, obj: Object) -> Object:
        """The object as it goes into the store: frozen when debugging."""
        return freeze(obj) if self.debug else obj

    def committed(
        self, request: Request, resource: Resource, key: bytes, obj: Object, revision: int, is_gone: bool = False
    ) -> None:
        """Stamp, trace and audit a write that etcd has taken; what is gone keeps the stamp of its last write."""
        if not is_gone:
            _set(obj["metadata"], "resourceVersion", str(revision))  # what ``stamp`` does, for every write
        now_ns = self.kernel.now_ns
        self._record(now_ns, request.user, request.verb, resource.name, key.decode(), revision)
        if resource.is_policy:
            self._policy_changed(resource, revision)
        if not self._compactor.is_armed:
            self._compactor.written()
        for function in self.audit:
            function(now_ns, request, obj, revision)

    def deleted(self, request: Request, resource: Resource, key: bytes, obj: Object, revision: int) -> Generator[Any, Any, None]:
        """Trace and audit a delete that etcd has taken, and give back what the object held."""
        self.committed(request, resource, key, obj, revision, is_gone=True)
        extension = self.extensions.get(resource.name)
        if extension is not None:
            yield from extension.after_delete(obj)

    def followed(self) -> None:
        """Note that this server's copy of etcd has taken writes of others: they are compacted in time, too."""
        self._compactor.written()

    def _policy_changed(self, resource: Resource, revision: int) -> None:
        if resource.name == QUOTAS:  # charged for every object, never remembered
            self.has_quotas = True
            return
        if resource.name in CONFIGURED:
            self.dynamic.changed()
            return
        self.admission.policy_revision = max(self.admission.policy_revision, revision)

    def bootstrap(self) -> None:
        """Create what every cluster has from the start; what is there already stays."""
        for request in bootstrap_requests():
            if self.peek(request.resource, request.namespace, request.name) is not None:
                continue  # from an earlier life of the store
            try:
                self.call(request)
            except ApiError as error:
                if error.code not in (404, 409):  # 404: a kind that this server was not given
                    raise


def _refuse(error: ApiError) -> Generator[Any, Any, Any]:
    raise error
    yield
