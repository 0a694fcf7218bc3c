"""The controller manager: from a change in a cache to a key in a queue, from a key to intents, from intents to requests.

One work queue per controller, one set of informers for all. Everything that is ready is worked off in one agenda event, one key after
another: with answers in place the worker count of upstream (ConcurrentDeploymentSyncs = 5 ...) decides nothing. A key is not
worked on until the caches show what was sent for it last (``client/expectations.py``). An ApiError, a conflict too, means another
try with back-off; a key that wrote stays busy for ``busy_ns``, the round trips of its requests, so that what happens meanwhile is one
more reconcile and not one each. Of upstream's client-side rate limit, which holds back every request, what remains is a ration of reports
(a controller's ``rationed`` updates: statuses, slices): beyond it a key stays busy until its turn, so under load a status lags, as
upstream, while Pods are created and deleted at once. Leader election and metrics are left out.

Upstream: cmd/kube-controller-manager, the processNextWorkItem of every controller, pkg/controller/controller_utils.go (slowStartBatch).
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from kubesim.api import meta
from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Object, Request
from kubesim.client.contract import Link
from kubesim.client.events import EventRecorder
from kubesim.client.expectations import Expectations
from kubesim.client.informer import GONE, Informer, InformerFactory
from kubesim.client.workqueue import WorkQueue
from kubesim.controllers.contract import Again, Burst, Controller, EventIntent, Intent, Mapper, Result
from kubesim.controllers.discovery import Discovery
from kubesim.controllers.ration import Ration
from kubesim.controllers.view import Caches
from kubesim.kernel import MILLISECOND, Kernel, Wakeup

BUSY_NS = 10 * MILLISECOND
REPORTS_PER_SECOND, REPORTS_BURST = 100, 100  # --kube-api-qps and --kube-api-burst as upstream's scalability tests set them
READS = ("get", "list")
# "1.36": a key waits until the caches show everything that was written for it (KEP-5647). "pre-1.36": only these controllers wait, for the
# Pods that they made or deleted, and for five minutes at most.
MODES = ("1.36", "pre-1.36")
EXPECTANT = ("daemonset-controller", "job-controller", "replicaset-controller", "replicationcontroller-controller")
Observer = Callable[[int, str, str, str], object]  # (time_ns, controller, resource, key)


class ControllerManager:
    """All controllers of a cluster, or the given ones, behind one link.

    >>> ControllerManager(kernel, link).start()  # doctest: +SKIP
    """

    def __init__(
        self,
        kernel: Kernel,
        link: Link,
        controllers: Sequence[Controller],
        *,
        busy_ns: int = BUSY_NS,
        reports_per_second: int = REPORTS_PER_SECOND,
        reports_burst: int = REPORTS_BURST,
        mode: str = MODES[0],
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode is {mode!r}; expected one of {', '.join(MODES)}")
        self.mode = mode
        self.kernel = kernel
        self.link = link
        self.busy_ns = busy_ns
        self.new_ration = partial(Ration, reports_per_second, reports_burst)
        self.informers = InformerFactory(link)
        self.caches = Caches(self.informers.informer)
        self.observers: list[Observer] = []  # told of every reconcile before it happens
        self.workers = [_Worker(self, controller) for controller in controllers]
        self._fans: dict[str, _Fan] = {}
        names = [controller.name for controller in controllers]
        if len(set(names)) < len(names):
            raise ValueError(f"controllers: every name may occur once, got {names}")

    def start(self) -> None:
        """List and watch; work begins when every cache has had its list."""
        fans: dict[str, _Fan] = {}
        for worker in self.workers:
            worker.wire(fans)
        for resource, fan in fans.items():
            self.caches.informer(resource).add_handler(fan.on_change)
        self._fans = fans
        discovery = self.caches.built(Discovery)
        if discovery is not None:  # a controller is about every kind
            discovery.on_new.append(self._watch_custom)
        self.informers.start()
        self.informers.when_synced(self._go)

    def _watch_custom(self, resource: str) -> None:
        """A custom resource is served: the controllers that are about every kind watch it, too."""
        if resource in self._fans:
            return
        for worker in self.workers:
            mapper = worker.controller.custom(resource)
            if mapper is not None:
                worker.watch(resource, mapper, self._fans)
        if resource in self._fans:
            self.caches.informer(resource).add_handler(self._fans[resource].on_change)

    def _go(self) -> None:
        for worker in self.workers:
            worker.go()

    def worker(self, name: str) -> "_Worker":
        """The worker of a controller. Raises KeyError."""
        for worker in self.workers:
            if worker.controller.name == name:
                return worker
        raise KeyError(f"no controller named {name!r}")


Entry = tuple[Mapper, Callable[[str], object]]  # a mapper, and how a key gets into its queue
ANY_KIND = ""


class _Fan:
    """What the controllers make of the changes of one resource: one handler for all of them, in their order.

    Only those are asked whose mappers look at what has changed. Most Pods have an owner, and its kind says which of the workload
    controllers a change can concern: the others are not asked either.
    """

    __slots__ = ("_entries", "_has_kinds", "_informer", "_owners_changed", "_routes", "_view", "blocked", "keepers")

    def __init__(self, view: Caches, resource: str) -> None:
        self._view = view
        self._informer = informer = view.informer(resource)
        self._entries: list[tuple[Entry, int, str]] = []  # with the changes that the mapper looks at, and the kind of owner that it is for
        self._has_kinds = False
        self._owners_changed = informer.part("metadata.ownerReferences")
        self._routes: dict[tuple[str, int], list[Entry]] = {}  # (kind of the owner, what has changed) -> who is asked
        self.keepers: list[Expectations] = []  # of the controllers whose own resource this is
        self.blocked: dict[tuple[str, str], Callable[[str], object]] = {}  # (controller, key) that waits for this cache, and its queue

    def on_change(self, old: Object | None, new: Object | None) -> None:
        """Map the change to keys, and let go of the keys that waited for this cache."""
        changed = self._informer.changed
        kind = ANY_KIND
        if self._has_kinds:
            metadata = (old if new is None else new)["metadata"]  # type: ignore[index]
            references = metadata.get("ownerReferences")
            # A finalizer of another kind's controller is its business, too, and so is an object that it has owned.
            if references and "finalizers" not in metadata and not changed & self._owners_changed:
                for reference in references:
                    if reference.get("controller"):
                        kind = reference["kind"]
        route = self._routes.get((kind, changed))
        if route is None:
            route = self._routes[kind, changed] = self._route(kind, changed)
        view = self._view
        for mapper, add in route:
            for key in mapper(view, old, new):
                add(key)
        if new is None and old is not None:
            for expectations in self.keepers:
                expectations.forget(meta.key_of(old))
        if self.blocked:
            blocked, self.blocked = self.blocked, {}
            for (_, key), add in blocked.items():
                add(key)

    def add(self, entry: Entry, only_deleted: bool, owner_kind: str | None) -> None:
        """Give a controller its place, after those that have one."""
        self._entries.append((entry, GONE if only_deleted else self._informer.mask_of(entry[0]), owner_kind or ANY_KIND))
        self._has_kinds = self._has_kinds or owner_kind is not None
        self._routes.clear()

    def _route(self, kind: str, changed: int) -> list[Entry]:
        return [entry for entry, mask, of_kind in self._entries if mask & changed and (ANY_KIND in (kind, of_kind) or kind == of_kind)]


class _Worker:
    """One controller with its queue, its expectations and its recorder."""

    def __init__(self, manager: ControllerManager, controller: Controller) -> None:
        self.manager = manager
        self.controller = controller
        self.kernel = manager.kernel
        self.link = manager.link
        self.user = controller.name
        self.recorder = EventRecorder(manager.link, controller.component or controller.name, user=controller.name)
        self.wakeup = Wakeup(manager.kernel, self.process)
        self.queue = WorkQueue(manager.kernel, self.wakeup.set)
        self._informers: dict[str, Informer] = {}  # of the watched resources
        self.reads_own_writes = manager.mode == MODES[0]
        self.expectations = Expectations(self._informers.get, patient=self.reads_own_writes)
        self.ration = manager.new_ration()
        self.reconcile_count = 0
        self._fans: dict[str, _Fan] = {}  # of all controllers, by resource
        self._gathered: dict[str, int] = {}  # keys that wait for what else comes
        self._going = False

    def wire(self, fans: dict[str, _Fan]) -> None:
        """Ask for the caches, indexes and derived views, and have a place in the fans of what is watched."""
        caches = self.manager.caches
        for resource, indexes in self.controller.indexes.items():
            for name, function in indexes.items():
                caches.informer(resource).add_index(name, function)
        for build in self.controller.derives:
            caches.derived(build)
        self._fans = fans
        for resource, mapper in self.controller.watches.items():
            self.watch(resource, mapper, fans)

    def watch(self, resource: str, mapper: Mapper, fans: dict[str, _Fan]) -> None:
        """Have a place in the fan of a resource."""
        self._informers[resource] = self.manager.caches.informer(resource)
        fan = fans.get(resource)
        if fan is None:
            fan = fans[resource] = _Fan(self.manager.caches, resource)
        controller = self.controller
        fan.add((mapper, self._adder(resource)), resource in controller.only_deleted, controller.owner_kinds.get(resource))
        if resource == self.controller.resource:
            fan.keepers.append(self.expectations)

    def go(self) -> None:
        """The caches are filled: work."""
        self._going = True
        if len(self.queue):
            self.wakeup.set()

    def process(self) -> None:
        """Work off what is ready now."""
        if not self._going:
            return
        queue = self.queue
        for _ in range(len(queue)):
            self._work(queue.get())
        if len(queue):
            self.wakeup.set()

    def _adder(self, resource: str) -> Callable[[str], object]:
        """How keys from changes of a resource get into the queue: at once, or together after the controller's delay."""
        delay_ns = self.controller.delays.get(resource, 0)
        if not delay_ns:
            return self.queue.add
        kernel, gathered = self.kernel, self._gathered

        def ripe(key: str) -> None:
            del gathered[key]
            self.queue.add(key)

        def gather(key: str) -> None:
            # Not the queue's own delay: that is replaced when a reconcile ends, and this change may have come after it began.
            if key not in gathered:
                gathered[key] = kernel.after(delay_ns, ripe, key)

        return gather

    def _work(self, key: str) -> None:
        now_ns = self.kernel.now_ns
        resource = self.expectations.waits_for(key, now_ns)
        if resource is not None:
            self._fans[resource].blocked[self.user, key] = self.queue.add
            self.queue.done(key)
            return
        self.reconcile_count += 1
        for observe in self.manager.observers:
            observe(now_ns, self.user, self.controller.resource, key)
        _Job(self, key, self.controller.reconcile(key, self.manager.caches, now_ns)).step()


class _Job:
    """The intents of one reconcile on their way; answers may come in place or later. One at a time per key."""

    __slots__ = (
        "again",
        "batch_size",
        "burst",
        "burst_error",
        "error",
        "intents",
        "key",
        "outstanding",
        "position",
        "reports",
        "stepping",
        "worker",
        "written",
        "wrote",
    )

    def __init__(self, worker: _Worker, key: str, result: Result) -> None:
        self.worker = worker
        self.key = key
        self.again = Again(result.requeue_after_ns) if result.requeue_after_ns is not None else None
        self.intents: deque[Intent] = deque(result.intents)
        self.outstanding = 0
        self.wrote = False
        self.written: dict[str, int] = {}  # resource -> the highest revision of an answer
        self.reports = 0  # rationed writes
        self.error: ApiError | None = None  # the first failure: the key is tried again
        self.stepping = False
        self.burst: Burst | None = None
        self.burst_error: ApiError | None = None
        self.position = 0  # requests of the burst that were sent
        self.batch_size = 1

    def step(self) -> None:
        """Go on until an answer is missing or nothing is left."""
        if self.stepping:
            return
        self.stepping = True
        while not self.outstanding:
            if self.burst is not None:
                self._next_batch(self.burst)
            elif self.intents:
                self._begin(self.intents.popleft())
            else:
                self.stepping = False
                self._finish()
                return
        self.stepping = False

    def _begin(self, intent: Intent) -> None:
        if isinstance(intent, Request):
            self._send(intent, None)
        elif isinstance(intent, EventIntent):
            self.worker.recorder.event(intent.regarding, intent.type, intent.reason, intent.message)
        elif isinstance(intent, Again):
            self.again = intent
        else:
            self.burst, self.burst_error, self.position, self.batch_size = intent, None, 0, 1

    def _next_batch(self, burst: Burst) -> None:
        """Send the next 1, 2, 4, ... requests; after a failure, or at the end, close the burst."""
        requests = burst.requests
        if self.burst_error is not None or self.position >= len(requests):
            self.burst = None
            if burst.after is not None:
                self.intents.extendleft(reversed(burst.after(self.burst_error)))
            return
        start, self.position = self.position, min(self.position + self.batch_size, len(requests))
        self.batch_size *= 2
        for index in range(start, self.position):
            self._send(requests[index], burst)

    def _send(self, request: Request, burst: Burst | None) -> None:
        worker = self.worker
        request.user = worker.user
        self.outstanding += 1
        if request.verb not in READS:
            self.wrote = True
            if request.verb == "update" and request.resource in worker.controller.rationed:
                self.reports += 1
        worker.link.send(request, partial(self._answered, request, burst))

    def _answered(self, request: Request, burst: Burst | None, outcome: Object | ApiError) -> None:
        self.outstanding -= 1
        if not isinstance(outcome, ApiError):
            self._note(request, outcome)
            if burst is not None and burst.on_success is not None:
                self._take(burst.on_success(outcome))
        elif not _is_harmless(request, outcome):
            self._failed(burst, outcome)
        if not self.outstanding:
            self.step()

    def _failed(self, burst: Burst | None, error: ApiError) -> None:
        if burst is not None and error.reason in burst.expected:
            if burst.on_failure is not None:
                self._take(burst.on_failure(error))
            return
        if self.error is None:
            self.error = error
        if burst is None:
            self.intents.clear()
            return
        if self.burst_error is None:
            self.burst_error = error
            self.intents.clear()
        if burst.on_failure is not None:
            self._take(burst.on_failure(error))

    def _take(self, intents: Iterable[Intent]) -> None:
        """Record events at once; requests wait for the end of the burst."""
        for intent in intents:
            if isinstance(intent, EventIntent):
                self.worker.recorder.event(intent.regarding, intent.type, intent.reason, intent.message)
            else:
                self.intents.append(intent)

    def _note(self, request: Request, outcome: Object) -> None:
        """Expect to see in the caches what the answer shows."""
        worker = self.worker
        if not worker.reads_own_writes and not (request.resource == "pods" and worker.user in EXPECTANT):
            return
        verb, resource = request.verb, request.resource
        metadata = outcome.get("metadata") or {}
        if verb == "delete":
            uid = metadata.get("uid") or outcome.get("details", {}).get("uid")
            if uid:
                object_key = meta.key(request.namespace, request.name)
                worker.expectations.deleted(self.key, resource, object_key, uid, worker.kernel.now_ns)
        elif verb not in READS and verb != "deletecollection":
            revision = int(metadata.get("resourceVersion") or 0)
            if revision > self.written.get(resource, 0):
                self.written[resource] = revision

    def _finish(self) -> None:
        worker, queue, key = self.worker, self.worker.queue, self.key
        for resource, revision in self.written.items():
            worker.expectations.written(key, resource, revision, worker.kernel.now_ns)
        again = self.again
        if self.error is not None or (again is not None and again.delay_ns is None):
            queue.add_rate_limited(key)
        else:
            queue.forget(key)
            queue.set_after(key, None if again is None else again.delay_ns)  # earlier delays were for what was known earlier
        busy_ns = worker.manager.busy_ns if self.wrote else 0
        if self.reports:
            busy_ns = max(busy_ns, worker.ration.reserve(self.reports, worker.kernel.now_ns))
        if busy_ns:
            worker.kernel.after(busy_ns, queue.done, key)
        else:
            queue.done(key)


def _is_harmless(request: Request, error: ApiError) -> bool:
    """Whether a failure needs no other try: what was to be deleted is gone, or the namespace is being deleted."""
    if request.verb == "delete":
        return error.reason == "NotFound"
    if request.verb == "create":
        return any(cause.get("reason") == "NamespaceTerminating" for cause in error.details.get("causes", ()))
    return False
