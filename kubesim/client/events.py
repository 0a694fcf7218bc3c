"""Event recorders: what a component says about objects, correlated as upstream does before it reaches the apiserver.

``EventRecorder`` (core/v1; kubelet, controllers): equal events are counted in one object; from the 10th different message of one
(object, type, reason) within 600 s on, they fold into "(combined from similar events): ..."; one object may say 25 things at once,
then one per 300 s. ``SeriesRecorder`` (events.k8s.io/v1; scheduler): equal events within 6 minutes are one series.
Each event costs a few dict operations and one request; a cache holds 4096 entries, least recently used out first (upstream has
one cache for each of the three rules, here all that was said about an object goes at once).

Upstream: client-go/tools/record (event.go, events_cache.go), client-go/tools/events (event_recorder.go, event_broadcaster.go).
Left out: the retries and the queue of 1000 between recorder and sink, the refresh of a running series every 30 minutes.
"""

from collections import OrderedDict
from typing import Any, TypeVar

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import NO_OPTIONS, Object, Request
from kubesim.client.contract import Link
from kubesim.kernel.time import SECOND, format_micro_time, format_time

CACHE_ENTRIES_MAX = 4096
SIMILAR_MAX = 10
EARLY_MAX = SIMILAR_MAX - 1  # events about one object before any limit can be met
SIMILAR_INTERVAL_NS = 600 * SECOND
SPAM_BURST = 25
SPAM_REFILL_NS = 300 * SECOND
SERIES_INTERVAL_NS = 360 * SECOND
COMBINED = "(combined from similar events): "

PATCH_OPTIONS = {"patchType": "strategic"}
Key = tuple[str, ...]
Entry = TypeVar("Entry")


def reference_of(obj: Object, field_path: str = "") -> dict[str, Any]:
    """The ObjectReference of an object, upstream's field order."""
    metadata = obj["metadata"]
    reference = {"kind": obj["kind"]}
    if namespace := metadata.get("namespace"):
        reference["namespace"] = namespace
    reference["name"] = metadata["name"]
    if uid := metadata.get("uid"):
        reference["uid"] = uid
    reference["apiVersion"] = obj["apiVersion"]
    if version := metadata.get("resourceVersion"):
        reference["resourceVersion"] = version
    if field_path:
        reference["fieldPath"] = field_path
    return reference


def _remember(cache: OrderedDict[Any, Entry], key: Any, entry: Entry) -> None:
    """Put an entry last, and the oldest out. O(1): the first key of a plain dict is found behind all that were deleted before it."""
    cache[key] = entry
    if len(cache) > CACHE_ENTRIES_MAX:
        cache.popitem(last=False)


class _Names:
    """Names of events: ``<object>.<nanoseconds in hex>``, as upstream; never twice from one recorder.

    Upstream relies on its clock never showing a nanosecond twice. In virtual time many things happen in one, and two
    components speak about one object in the same one: so each component has its own offset below a microsecond, and counts on.
    """

    __slots__ = ("_last_ns", "_offset_ns")

    def __init__(self, component: str, host: str) -> None:
        hash_ = 2166136261
        for byte in f"{component}/{host}".encode():
            hash_ = (hash_ ^ byte) * 16777619 & 0xFFFFFFFF
        self._offset_ns = hash_ % 997
        self._last_ns = 0

    def name(self, about: str, now_ns: int) -> str:
        own_ns = now_ns + self._offset_ns
        if own_ns <= self._last_ns:
            own_ns = self._last_ns + 1
        self._last_ns = own_ns
        return f"{about}.{own_ns:x}"


class _Limits:
    """What one object may still have said about it: its bucket of tokens and its similar events."""

    __slots__ = ("level_ns", "level_time_ns", "similar")

    def __init__(self, now_ns: int) -> None:
        self.level_ns = SPAM_BURST * SPAM_REFILL_NS  # a token is worth SPAM_REFILL_NS
        self.level_time_ns = now_ns
        self.similar: dict[tuple[str, str], tuple[dict[str, None], int]] = {}  # (type, reason): messages, time of the last

    def is_many(self, group: tuple[str, str], message: str, now_ns: int) -> bool:
        """Whether the event is to be combined with similar ones: the 10th different message within 600 s of the last."""
        known = self.similar.get(group)
        if known is None or now_ns - known[1] > SIMILAR_INTERVAL_NS:
            self.similar[group] = ({message: None}, now_ns)
            return False
        messages = known[0]
        messages[message] = None
        self.similar[group] = (messages, now_ns)
        if len(messages) < SIMILAR_MAX:
            return False
        del messages[next(iter(messages))]
        return True

    def is_spam(self, now_ns: int) -> bool:
        """Take one token of the bucket of 25; one more every 300 s."""
        level_ns = min(SPAM_BURST * SPAM_REFILL_NS, self.level_ns + now_ns - self.level_time_ns)
        spam = level_ns < SPAM_REFILL_NS
        self.level_ns = level_ns if spam else level_ns - SPAM_REFILL_NS
        self.level_time_ns = now_ns
        return spam


class _Said:
    """What was said about one object: equal events, and either the first few of all or, from then on, the limits.

    No limit can be met before the 10th event, and most objects never have so many: until then they are only noted, and the limits
    are made up from these notes when the 10th comes.
    """

    __slots__ = ("_limits", "early", "equal")

    def __init__(self) -> None:
        self.early: list[tuple[Key, int]] = []  # the first events, at most EARLY_MAX
        self.equal: dict[Key, tuple[int, str, str]] = {}  # count, first time, name
        self._limits: _Limits | None = None

    def judge(self, key: Key, now_ns: int) -> tuple[bool, bool]:
        """Whether one more event, after the early ones, is one of many similar ones, and whether it is one too many."""
        limits = self._limits
        if limits is None:
            limits = self._limits = _Limits(self.early[0][1])
            for (type_, reason, message, _), time_ns in self.early:
                limits.is_many((type_, reason), message, time_ns)
                limits.is_spam(time_ns)
        return limits.is_many((key[0], key[1]), key[2], now_ns), limits.is_spam(now_ns)


class EventRecorder:
    """Records core/v1 Events for one component (on one host), as ``user`` (the link's by default). Every call is O(1)."""

    __slots__ = ("_host", "_link", "_names", "_referred", "_said", "_source", "_user", "component")

    def __init__(self, link: Link, component: str, host: str = "", user: str = "") -> None:
        self.component = component
        self._user = user or link.user
        self._link = link
        self._host = host
        self._source = {"component": component, "host": host} if host else {"component": component}
        self._names = _Names(component, host)
        self._said: OrderedDict[str, _Said] = OrderedDict()  # by the uid of the object, or its name
        self._referred: tuple[Object, str, Object] = ({}, "", {})  # the last object and path, and the reference to them

    def event(self, regarding: Object, type_: str, reason: str, message: str, field_path: str = "") -> None:
        """Record an event about an object. ``type_`` is Normal or Warning; ``field_path`` names a part, ``spec.containers{app}``."""
        metadata = regarding["metadata"]
        name = metadata["name"]
        now_ns = self._link.now_ns
        about = metadata.get("uid") or name
        said = self._said.get(about)
        if said is None:
            said = _Said()
            _remember(self._said, about, said)
        else:
            self._said.move_to_end(about)
        key: Key = (type_, reason, message, field_path)
        is_spam = False
        if len(said.early) < EARLY_MAX:
            said.early.append((key, now_ns))
        else:
            is_many, is_spam = said.judge(key, now_ns)
            if is_many:
                message = COMBINED + message
                key = (type_, reason)
        time = format_time(now_ns)
        seen = said.equal.get(key)
        if seen is None:
            seen = (1, time, self._names.name(name, now_ns))
            if len(said.equal) >= CACHE_ENTRIES_MAX:
                said.equal.clear()  # somebody says 4096 different things about one object: it may well begin again
        else:
            seen = (seen[0] + 1, seen[1], seen[2])
        said.equal[key] = seen
        if is_spam:
            return
        known, known_path, reference = self._referred
        if known is not regarding or known_path != field_path:
            reference = reference_of(regarding, field_path)
            self._referred = (regarding, field_path, reference)
        namespace = metadata.get("namespace") or "default"
        event = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": seen[2], "namespace": namespace},
            "involvedObject": reference,
            "reason": reason,
            "message": message,
            "source": self._source,
            "firstTimestamp": seen[1],
            "lastTimestamp": time,
            "count": seen[0],
            "type": type_,
            "eventTime": None,
            "reportingComponent": self.component,
            "reportingInstance": self._host,
        }
        if seen[0] == 1:
            self._link.send(Request("create", "events", namespace, seen[2], event, "", NO_OPTIONS, self._user))
        else:
            self._count(event)

    def _create(self, event: Object) -> None:
        metadata = event["metadata"]
        self._link.send(Request("create", "events", metadata["namespace"], metadata["name"], event, "", NO_OPTIONS, self._user))

    def _count(self, event: Object) -> None:
        """Patch the known Event; when it has expired meanwhile, create it again."""
        metadata = event["metadata"]
        body = {"count": event["count"], "lastTimestamp": event["lastTimestamp"], "message": event["message"]}

        def done(outcome: Object | ApiError) -> None:
            if isinstance(outcome, ApiError) and outcome.reason == "NotFound":
                self._create(event)

        self._link.send(Request("patch", "events", metadata["namespace"], metadata["name"], body, "", PATCH_OPTIONS, self._user), done)


class SeriesRecorder:
    """Records Events of the new kind (``eventTime``, ``action``, ``series``), stored in core/v1 form. Every call is O(1)."""

    __slots__ = ("_instance", "_link", "_names", "_series", "component")

    def __init__(self, link: Link, component: str, instance: str = "") -> None:
        self.component = component
        self._link = link
        self._instance = instance or component
        self._names = _Names(component, self._instance)
        self._series: OrderedDict[Key, tuple[int, int, str]] = OrderedDict()  # equal events: count, time of the last, name

    def event(self, regarding: Object, type_: str, reason: str, message: str, action: str) -> None:
        """Record an event about an object, and what the component did (``action``: Binding, Scheduling)."""
        metadata = regarding["metadata"]
        now_ns = self._link.now_ns
        key = (metadata.get("uid", ""), metadata["name"], type_, reason, action, message)
        known = self._series.pop(key, None)
        if known is None or now_ns - known[1] > SERIES_INTERVAL_NS:
            name = self._names.name(metadata["name"], now_ns)
            _remember(self._series, key, (1, now_ns, name))
            self._create(regarding, type_, reason, message, action, name, now_ns)
            return
        count, _, name = known
        _remember(self._series, key, (count + 1, now_ns, name))
        if count == 1:  # the series begins; upstream writes its growth only when it refreshes or ends it
            series = {"count": 2, "lastObservedTime": format_micro_time(now_ns)}
            namespace = metadata.get("namespace") or "default"
            self._link.send(Request("patch", "events", namespace, name, {"series": series}, "", PATCH_OPTIONS))

    def _create(self, regarding: Object, type_: str, reason: str, message: str, action: str, name: str, now_ns: int) -> None:
        namespace = regarding["metadata"].get("namespace") or "default"
        event = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": reference_of(regarding),
            "reason": reason,
            "message": message,
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "type": type_,
            "eventTime": format_micro_time(now_ns),
            "action": action,
            "reportingComponent": self.component,
            "reportingInstance": self._instance,
        }
        self._link.send(Request("create", "events", namespace, name, event, "", NO_OPTIONS, ""))
