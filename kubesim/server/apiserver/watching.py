"""Watch streams: the initial state, changes as they come, bookmarks, an end in time. One task per stream, bytes shared between streams.

A stream begins with the state as ADDED events when it names no version (or "0"), and goes on from a version otherwise; with
``sendInitialEvents=true`` a marked bookmark ends the initial state. Bookmarks come about once a minute, and before the end.

Upstream: endpoints/handlers/{get,watch}.go, storage/cacher/cacher.go.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from kubesim.api import field
from kubesim.api.errors import ApiError, FieldError, invalid
from kubesim.api.kinds.contract import Kind
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import WatchEvent
from kubesim.apiserver.server import ApiServer
from kubesim.apiserver.verbs.read import UINT64_MAX
from kubesim.server.apiserver import forms, protobuf
from kubesim.server.apiserver.encoding import OPTIONS, Encoder
from kubesim.server.apiserver.faults import WatchFaults
from kubesim.server.apiserver.faulty_watch import Cut, FaultyWatch
from kubesim.server.apiserver.media import JSON, PARTIAL_LIST, PROTOBUF, TABLE, Form

Object = dict[str, Any]
INITIAL_END = "k8s.io/initial-events-end"
BOOKMARK_SECONDS = 60.0
TIMEOUT_SECONDS_MIN = 1800  # of a watch that names none; upstream draws between this and twice as much


def is_true(text: str | None) -> bool:
    """Whether a query value means true; upstream takes any value but these two."""
    return text is not None and text.lower() not in ("false", "0")


def check_options(options: Mapping[str, str]) -> None:
    """Raise 422 for watch options that contradict each other. Upstream: apimachinery/pkg/apis/meta/internalversion/validation."""
    match, initial = options.get("resourceVersionMatch"), options.get("sendInitialEvents")
    errors: list[FieldError] = []
    if options.get("continue"):
        message = "resourceVersionMatch is forbidden when continue is provided"
        errors.append(field.forbidden("resourceVersionMatch", message))
    elif initial is not None:
        if match != "NotOlderThan":
            message = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            errors.append(field.forbidden("resourceVersionMatch", message))
        if match and match != "NotOlderThan":
            errors.append(field.not_supported("resourceVersionMatch", match, ("NotOlderThan",)))
    elif match:
        message = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        errors.append(field.forbidden("resourceVersionMatch", message))
        if match != "NotOlderThan":
            errors.append(field.not_supported("resourceVersionMatch", match, ("NotOlderThan",)))
    if errors:
        raise invalid("ListOptions", "", errors, "meta.k8s.io")


def parse_version(text: str) -> int:
    """The version of a watch. Raises ApiError 500, as upstream has it."""
    if text.isdecimal() and int(text) <= UINT64_MAX:
        return int(text)
    why = "value out of range" if text.isdecimal() else "invalid syntax"
    raise ApiError(500, "", f"resourceVersion: Invalid value: {field.quote(text)}: strconv.ParseUint: parsing {field.quote(text)}: {why}")


class EventEncoder:
    """Turns events of one stream into bytes; what streams of the same form share is encoded once."""

    def __init__(self, encoder: Encoder, kind: Kind, form: Form, include: str, view: Any, now_ns: Callable[[], int]) -> None:
        self._encoder = encoder
        self._kind = kind
        self._form = form
        self._include = include
        self._view = view
        self._now_ns = now_ns
        self._sent_columns = False

    @property
    def is_impossible(self) -> bool:
        """Whether the form that was asked for is none of a single object: such a stream ends before its first event."""
        return self._form.transform == PARTIAL_LIST

    def encode(self, type_: str, obj: Object) -> bytes:
        """The bytes of an event, with the frame of the stream's media type."""
        form = self._form
        stored = obj
        if self._view is not None and type_ != "ERROR":
            obj = self._view.shown(obj)
        if type_ not in ("BOOKMARK", "ERROR") and form.media == JSON and not form.transform and self._view is None:
            return b'{"type":"%s","object":%s}\n' % (type_.encode(), self._encoder.stored(obj, self._kind))
        if form.transform and type_ != "ERROR":
            obj = self._transformed(stored, obj)
        else:
            obj = self._encoder.completed(obj) if type_ != "BOOKMARK" else obj
        if form.media == JSON:
            return orjson.dumps({"type": type_, "object": obj}, option=OPTIONS) + b"\n"
        if form.media == PROTOBUF:
            return protobuf.watch_frame(type_, obj)
        raise ValueError(f"form: {form.media}: expected JSON or protobuf")

    def _transformed(self, stored: Object, obj: Object) -> Object:
        form = self._form
        if form.transform != TABLE:
            return forms.partial(stored, form.version, self._kind)
        metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        answer = forms.table([stored], metadata, self._kind, self._now_ns(), self._include, form)
        if self._include == "Object":
            answer["rows"][0]["object"] = self._encoder.completed(obj)
        if self._sent_columns:
            answer["columnDefinitions"] = None
        self._sent_columns = True
        return answer


class Stream:
    """One open watch: ``chunks`` are what is to be sent, until the time is over, the client has gone or the server stops."""

    def __init__(self, server: ApiServer, resource: Resource, namespace: str, options: Mapping[str, str], encode: EventEncoder) -> None:
        self._server = server
        self._resource = resource
        self._encode = encode
        self._ready = asyncio.Event()
        self._bookmarks = is_true(options.get("allowWatchBookmarks"))
        self._initial: list[bytes] = []
        self._faulty: FaultyWatch | None = None
        self.is_over = False
        check_options(options)
        if encode.is_impossible:
            self.is_over = True
            return
        labels, fields = options.get("labelSelector", ""), options.get("fieldSelector", "")
        version_text = options.get("resourceVersion") or ""
        version = parse_version(version_text) if version_text else 0
        wants_initial = is_true(options["sendInitialEvents"]) if "sendInitialEvents" in options else version == 0
        selection = {"namespace": namespace, "label_selector": labels, "field_selector": fields}
        if wants_initial:
            self._begin_with_state(selection, marked="sendInitialEvents" in options)
        else:
            try:
                self._watch = server.watch(
                    resource.name, namespace=namespace, label_selector=labels, field_selector=fields,
                    revision=version or None, on_ready=self._ready.set,
                )  # fmt: skip
            except ApiError as error:
                if error.code not in (410,):
                    raise
                self.expire(error)

    def _begin_with_state(self, selection: dict[str, str], marked: bool) -> None:
        items, revision, self._watch = self._server.watch_list(self._resource.name, on_ready=self._ready.set, **selection)
        encode = self._encode.encode
        self._initial = [encode("ADDED", obj) for obj in items]
        if marked and self._bookmarks:
            bookmark = self._bookmark(revision)
            bookmark["metadata"]["annotations"] = {INITIAL_END: "true"}
            self._initial.append(encode("BOOKMARK", bookmark))

    def _bookmark(self, revision: int) -> Object:
        resource = self._resource
        return {"kind": resource.kind.kind, "apiVersion": resource.api_version, "metadata": {"resourceVersion": str(revision)}}

    def take(self) -> bytes:
        """The bytes that are there to be sent, maybe none."""
        parts, self._initial = self._initial, []
        if self.is_over:
            return b"".join(parts)
        self._ready.clear()
        encode = self._encode.encode
        try:
            for event in (self._watch if self._faulty is None else self._faulty).take():
                parts.append(encode(event.type, _shown(event)))
        except ApiError as error:
            parts.append(encode("ERROR", error.status))
            self.is_over = True
        except Cut:
            self.is_over = True
        return b"".join(parts)

    def expire(self, error: ApiError) -> None:
        """Say nothing but this error, and end."""
        self._initial = [self._encode.encode("ERROR", error.status)]
        self.is_over = True

    @property
    def is_ready(self) -> bool:
        """Whether there is something to take."""
        return self._ready.is_set()

    def meet(self, faults: WatchFaults) -> None:
        """Let faults befall the events from now on."""
        if not self.is_over:
            self._faulty = FaultyWatch(self._watch, faults, self._server.kernel, self._ready.set)

    async def wait(self, seconds: float) -> bool:
        """Wait until there is something to take; False when ``seconds`` have passed."""
        if self._ready.is_set():
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return False
        return True

    def wake(self) -> None:
        """End a wait."""
        self._ready.set()

    def bookmark(self) -> bytes:
        """The bytes of a bookmark, none for a client that did not ask for them."""
        if not self._bookmarks or self.is_over or (self._faulty is not None and self._faulty.is_held):
            return b""
        return self._encode.encode("BOOKMARK", self._bookmark(self._server.store.revision))

    def close(self) -> None:
        """Watch no longer."""
        if hasattr(self, "_watch"):
            self._watch.cancel()


def _shown(event: WatchEvent) -> Object:
    return event.obj
