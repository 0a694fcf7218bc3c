"""Faults of the API for a client under test: what real servers, proxies and networks do now and then, on demand or at random.

A fault says what happens (``KINDS``), to whom (verbs, resources, namespaces, names, users, user agents; what is not said means all) and
how often (``probability``, ``after`` so many, ``times`` at most). Its draws come from a stream of its own, so equal seeds and equal
requests meet equal faults. Durations are of the cluster's time: on a clock that stands, a slow answer comes when somebody moves it.
Pure: what a fault does to a connection is done by the application and its streams.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubesim.api.errors import ApiError, conflict, gone
from kubesim.kernel.rng import Stream
from kubesim.kernel.time import SECOND, format_duration, parse_duration
from kubesim.server.apiserver.call import Call

WRITES = ("create", "update", "patch", "delete", "deletecollection")
READS = ("get", "list")
REQUESTS = (*WRITES, *READS, "watch")
# What can happen, and the verbs that it can happen to.
CONFLICT, TOO_MANY, INTERNAL, UNAVAILABLE = "conflict", "too-many-requests", "internal-error", "unavailable"
SLOW, LOST_REQUEST, LOST_ANSWER, STALE = "slow", "lost-request", "lost-answer", "stale-read"
DROP_EVENT, DELAY_EVENT, CUT_WATCH, GONE = "drop-event", "delay-event", "cut-watch", "gone"
KINDS: Mapping[str, tuple[str, ...]] = {
    CONFLICT: ("update", "patch", "delete"),  # 409: the object has been modified
    TOO_MANY: REQUESTS,  # 429 with Retry-After
    INTERNAL: REQUESTS,  # 500
    UNAVAILABLE: REQUESTS,  # 503
    SLOW: REQUESTS,  # the request waits for ``delay`` before it is worked on
    LOST_REQUEST: REQUESTS,  # the connection breaks, and nothing was done
    LOST_ANSWER: (*WRITES, *READS),  # it is done, and then the connection breaks
    STALE: READS,  # answered from the past: ``lag`` revisions ago, or as it was when the fault was added
    DROP_EVENT: ("watch",),  # an event is never sent
    DELAY_EVENT: ("watch",),  # an event, and what follows it, is sent after ``delay``
    CUT_WATCH: ("watch",),  # the stream ends in place of an event
    GONE: ("watch",),  # 410: at the start of a watch that names a version, or in place of an event
}
ON_EVENTS = (DROP_EVENT, DELAY_EVENT, CUT_WATCH, GONE)
RANDOM_KINDS = tuple(KINDS)
RANDOM_LAG = 20
HITS_MAX = 10_000
FAULTS_MAX = 1_000


@dataclass(slots=True, eq=False)
class Fault:
    """One fault; see the module. ``seen`` counts what it could have hit, ``hits`` what it has hit."""

    kind: str
    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()  # plural or plural.group
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()  # beginnings of User-Agent
    probability: float = 1.0
    times: int = 0  # 0: without end
    after: int = 0
    delay_ns: int = SECOND
    retry_after_seconds: int = 1
    lag: int = 0
    seed: int = 0
    id: int = 0
    seen: int = 0
    hits: int = 0
    revision: int = 0  # of the store when it was added
    stream: Stream | None = None

    def check(self) -> None:
        """Raise ValueError for the first field that cannot be."""
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; expected one of {', '.join(KINDS)}")
        for verb in self.verbs:
            if verb not in KINDS[self.kind]:
                raise ValueError(f"verbs has {verb!r}; expected some of {', '.join(KINDS[self.kind])} for {self.kind}")
        if isinstance(self.probability, bool) or not isinstance(self.probability, int | float) or not 0 < self.probability <= 1:
            raise ValueError(f"probability is {self.probability!r}; expected a number above 0 and at most 1")
        for name in ("times", "after", "delay_ns", "retry_after_seconds", "lag", "seed"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name} is {value!r}; expected a whole number of 0 or more")

    def matches(self, verb: str, resource: str, user: str, agent: str) -> bool:
        """Whether a request can be hit, as far as can be said without its object."""
        if verb not in (self.verbs or KINDS[self.kind]):
            return False
        if self.resources and resource not in self.resources:
            return False
        if self.users and user not in self.users:
            return False
        return not self.agents or agent.startswith(self.agents)

    def concerns(self, namespace: str, name: str) -> bool:
        """Whether it is about an object of this name."""
        return (not self.namespaces or namespace in self.namespaces) and (not self.names or name in self.names)

    def strikes(self) -> bool:
        """Whether it hits this time; counts."""
        self.seen += 1
        if self.seen <= self.after or (self.times and self.hits >= self.times):
            return False
        if self.probability < 1:
            assert self.stream is not None
            if self.stream.uniform() >= self.probability:
                return False
        self.hits += 1
        return True

    def as_dict(self) -> dict[str, Any]:
        """The fault as JSON, without what is not said."""
        found: dict[str, Any] = {"id": self.id, "kind": self.kind}
        for name in LISTS:
            if getattr(self, name):
                found[name] = list(getattr(self, name))
        found |= {"probability": self.probability, "times": self.times, "after": self.after, "seen": self.seen, "hits": self.hits}
        if self.kind in (SLOW, DELAY_EVENT):
            found["delay"] = format_duration(self.delay_ns)
        if self.kind == TOO_MANY:
            found["retryAfterSeconds"] = self.retry_after_seconds
        if self.kind == STALE:
            found["lag"] = self.lag
        return found


LISTS = ("verbs", "resources", "namespaces", "names", "users", "agents")
SINGLE = {"verb": "verbs", "resource": "resources", "namespace": "namespaces", "name": "names", "user": "users", "agent": "agents"}
NUMBERS = {"probability": "probability", "times": "times", "after": "after", "lag": "lag", "seed": "seed"}
NUMBERS |= {"retryAfterSeconds": "retry_after_seconds", "retry_after_seconds": "retry_after_seconds"}
FIELDS = ("kind", *SINGLE, *LISTS, "delay", *sorted(set(NUMBERS)))


def read_fault(document: Any) -> Fault:
    """A fault of a document such as ``{"kind": "conflict", "resource": "configmaps", "times": 2}``. Raises ValueError."""
    if not isinstance(document, Mapping):
        raise ValueError(f"a fault is {document!r:.60}; expected a mapping with a kind")
    values: dict[str, Any] = {}
    for key, value in document.items():
        if key in SINGLE or key in LISTS:
            texts = [value] if isinstance(value, str) else value
            if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
                raise ValueError(f"{key} is {value!r}; expected a text or a list of texts")
            values[SINGLE.get(str(key), str(key))] = tuple(texts)
        elif key == "delay":
            try:
                values["delay_ns"] = value if isinstance(value, int) and not isinstance(value, bool) else parse_duration(value)
            except (ValueError, TypeError, AttributeError):
                raise ValueError(f'delay is {value!r}; expected a duration such as "2s"') from None
        elif key in NUMBERS:
            values[NUMBERS[key]] = value
        elif key == "kind":
            values["kind"] = value
        else:
            raise ValueError(f"a fault has {key!r}; expected some of {', '.join(FIELDS)}")
    if "kind" not in values:
        raise ValueError(f"a fault has no kind; expected one of {', '.join(KINDS)}")
    fault = Fault(**values)
    fault.check()
    return fault


def read_faults(document: Any) -> list[Fault]:
    """The faults of a document: one, a list of them, ``{"faults": [...]}``, or ``{"random": {"rate": 0.1, "kinds": [...]}}``.

    ``random`` is one fault of each kind with that probability; the rest of its mapping is for all of them. Raises ValueError.
    """
    if isinstance(document, Mapping) and "faults" in document:
        document = document["faults"]
    if isinstance(document, Mapping) and "random" in document:
        return random_faults(**_random_options(document["random"]))
    if isinstance(document, Sequence) and not isinstance(document, str):
        return [fault for each in document for fault in read_faults(each)]
    return [read_fault(document)]


def _random_options(document: Any) -> dict[str, Any]:
    if not isinstance(document, Mapping):
        raise ValueError(f"random is {document!r:.60}; expected a mapping with a rate")
    return dict(document)


def random_faults(rate: Any = 0.1, kinds: Any = RANDOM_KINDS, **rest: Any) -> list[Fault]:
    """One fault of each kind, each with this probability; ``rest`` are fields of all of them. Raises ValueError."""
    if not isinstance(kinds, Sequence) or isinstance(kinds, str):
        raise ValueError(f"kinds is {kinds!r}; expected a list of {', '.join(KINDS)}")
    return [read_fault({"lag": RANDOM_LAG, **rest, "kind": kind, "probability": rate}) for kind in kinds]


class Hit:
    """What befalls one request: an error in place of an answer, a wait, a look at the past, a connection that breaks."""

    __slots__ = ("breaks_after", "breaks_before", "delay_ns", "error", "is_expired", "read_at")

    def __init__(self) -> None:
        self.error: ApiError | None = None
        self.delay_ns = 0
        self.read_at = 0
        self.breaks_before = False
        self.breaks_after = False
        self.is_expired = False  # a watch that begins, and says 410 in its first event


class Faults:
    """The faults of a server. ``stream(name)`` gives random streams, ``store`` tells revisions, ``now_ns`` the time."""

    def __init__(self, stream: Callable[[str], Stream], store: Any, now_ns: Callable[[], int]) -> None:
        self._stream = stream
        self._store = store
        self._now_ns = now_ns
        self._added_count = 0
        self.faults: list[Fault] = []
        self.log: deque[tuple[int, str, str, str, str, str]] = deque(maxlen=HITS_MAX)  # when, kind, verb, resource, namespace, name

    @property
    def is_armed(self) -> bool:
        """Whether anything can happen."""
        return bool(self.faults)

    def add(self, faults: Iterable[Fault]) -> list[Fault]:
        """Add faults; each gets its number and its stream. Raises ValueError when there are too many."""
        added = list(faults)
        if len(self.faults) + len(added) > FAULTS_MAX:
            raise ValueError(f"faults are {len(self.faults) + len(added)}; expected at most {FAULTS_MAX}")
        for fault in added:
            self._added_count += 1
            fault.id = self._added_count
            fault.revision = self._store.revision
            fault.stream = self._stream(f"api-fault/{fault.seed}/{fault.id}")
            self.faults.append(fault)
        return added

    def remove(self, number: int = 0) -> int:
        """Take one fault back, or all; returns how many there were."""
        gone_ = [fault for fault in self.faults if not number or fault.id == number]
        self.faults = [fault for fault in self.faults if fault not in gone_]
        return len(gone_)

    def hit(self, call: Call, user: str) -> Hit | None:
        """What befalls a request of a user; None for most."""
        target = call.target
        verb, resource = target.verb, resource_of(call)
        agent = call.headers.get("user-agent", "")
        found: Hit | None = None
        for fault in self.faults:
            if fault.kind in ON_EVENTS and (fault.kind != GONE or call.query.get("resourceVersion", "0") in ("", "0")):
                continue
            if not fault.matches(verb, resource, user, agent) or not fault.concerns(target.namespace, target.name):
                continue
            if not fault.strikes():
                continue
            found = found or Hit()
            self._note(fault, verb, resource, target.namespace, target.name)
            self._apply(fault, found, resource, target.name)
            if found.error is not None or found.breaks_before:
                break
        return found

    def _apply(self, fault: Fault, hit: Hit, resource: str, name: str) -> None:
        kind = fault.kind
        if kind == CONFLICT:
            why = "the object has been modified; please apply your changes to the latest version and try again"
            hit.error = conflict(resource, name, why)
        elif kind == TOO_MANY:
            seconds = fault.retry_after_seconds
            message = "Too many requests, please try again later."
            hit.error = ApiError(429, "TooManyRequests", message, {"retryAfterSeconds": seconds} if seconds else {})
        elif kind == INTERNAL:
            hit.error = ApiError(500, "InternalError", "Internal error occurred: a fault that was asked for", {})
        elif kind == UNAVAILABLE:
            message = "the server is currently unable to handle the request"
            hit.error = ApiError(503, "ServiceUnavailable", message, {"retryAfterSeconds": 1})
        elif kind == GONE:
            hit.is_expired = True
        elif kind == SLOW:
            hit.delay_ns += fault.delay_ns
        elif kind == STALE:
            hit.read_at = self.past(fault)
        elif kind == LOST_REQUEST:
            hit.breaks_before = True
        else:
            hit.breaks_after = True

    def past(self, fault: Fault) -> int:
        """The revision that a stale read shows."""
        store = self._store
        wanted = store.revision - fault.lag if fault.lag else fault.revision
        return int(max(wanted, store.compact_revision, 1))

    def on_watch(self, call: Call, user: str) -> "WatchFaults":
        """What can befall the events of a watch, also by faults that are added later."""
        return WatchFaults(self, resource_of(call), user, call.headers.get("user-agent", ""))

    def on_event(self, resource: str, user: str, agent: str, metadata: Mapping[str, Any]) -> Fault | None:
        """The fault that befalls an event of a watch."""
        namespace, name = metadata.get("namespace", ""), metadata.get("name", "")
        for fault in self.faults:
            meets = fault.kind in ON_EVENTS and fault.matches("watch", resource, user, agent) and fault.concerns(namespace, name)
            if meets and fault.strikes():
                self._note(fault, "watch", resource, namespace, name)
                return fault
        return None

    def _note(self, fault: Fault, verb: str, resource: str, namespace: str, name: str) -> None:
        self.log.append((self._now_ns(), fault.kind, verb, resource, namespace, name))


class WatchFaults:
    """The faults as one watch meets them."""

    __slots__ = ("_agent", "_faults", "_resource", "_user")

    def __init__(self, faults: Faults, resource: str, user: str, agent: str) -> None:
        self._faults = faults
        self._resource = resource
        self._user = user
        self._agent = agent

    def on_event(self, metadata: Mapping[str, Any]) -> Fault | None:
        """The fault that befalls the next event."""
        faults = self._faults
        return faults.on_event(self._resource, self._user, self._agent, metadata) if faults.faults else None


def resource_of(call: Call) -> str:
    """The resource of a call as faults name it."""
    target = call.target
    return f"{target.resource}.{target.group}" if target.group else target.resource


def too_old() -> ApiError:
    """410 as a watch gets it."""
    return gone("The resourceVersion for the provided watch is too old.")


__all__ = ["KINDS", "Fault", "Faults", "read_faults"]
