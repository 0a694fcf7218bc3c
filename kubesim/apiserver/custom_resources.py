"""Custom resources: what the apiserver does about CustomResourceDefinitions beside storing them.

It watches them like anybody else: accepts their names or says which is taken, serves the kinds whose names it has accepted, and when a
definition is deleted deletes its objects first. ``observers`` are told after every change of what is served (a door adds its paths).

Upstream: apiextensions-apiserver/pkg/controller (status/naming_controller.go, establish, finalizer/crd_finalizer.go) and
pkg/apiserver/customresource_handler.go.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kubesim.api import conditions
from kubesim.api.crd import conversion
from kubesim.api.crd.custom_kind import kind_of, served_versions
from kubesim.api.crd.definitions import FINALIZER
from kubesim.api.errors import ApiError
from kubesim.apiserver.dynamic.webhooks import CallFailed, document_of, posted
from kubesim.apiserver.requests import Request
from kubesim.kernel.time import SECOND

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer
    from kubesim.apiserver.watch_cache import Watch

Object = dict[str, Any]
RESOURCE = "customresourcedefinitions.apiextensions.k8s.io"
USER = "system:apiserver"
AGAIN_NS = SECOND  # after an answer that never came
TERMINATING_REFUSAL = "create not allowed while custom resource definition is terminating"
_NAMES = (("plural", "Plural"), ("singular", "Singular"), ("shortNames", "ShortNames"), ("kind", "Kind"), ("listKind", "ListKind"))


class CustomResources:
    """The custom resources of one apiserver. ``served`` are the definitions whose kinds are served, by name."""

    def __init__(self, server: "ApiServer") -> None:
        self._server = server
        self._uids = server.kernel.rng(f"{server.name}/conversion-review")
        self.known: dict[str, Object] = {}
        self.served: dict[str, Object] = {}
        self.observers: list[Callable[[], object]] = []
        self._emptying: dict[str, str] = {}  # resource -> definition whose objects are being deleted
        self._watch: Watch

    def start(self) -> None:
        """Take in the definitions that are there and watch for more; nothing to do for a server without the kind."""
        if RESOURCE in self._server.registry.by_name:
            self._list()

    def _list(self) -> None:
        items, _, self._watch = self._server.watch_list(RESOURCE, on_ready=self._on_ready)
        listed = {item["metadata"]["name"] for item in items}
        for name in [name for name in self.known if name not in listed]:
            self._forget(name)
        for item in items:
            self._take(item)

    def _on_ready(self) -> None:
        self._server.kernel.soon(self._drain)

    def _drain(self) -> None:
        try:
            events = self._watch.take()
        except ApiError:  # 410: what was not yet taken is compacted
            self._list()
            return
        for event in events:
            if event.type == "DELETED":
                self._forget(event.obj["metadata"]["name"])
            elif event.obj is not None:
                self._take(event.obj)

    def _on_write(self, time_ns: int, request: Request, obj: Object, revision: int) -> None:
        """An object of a definition that is going was written: perhaps it was the last one."""
        if request.resource in self._emptying:
            self._server.kernel.soon(self._empty_again, request.resource)

    def _empty_again(self, resource: str) -> None:
        definition = self.known.get(self._emptying.get(resource, ""))
        if definition is not None:
            self._finalize(definition)

    # -- what is served --

    def _take(self, definition: Object) -> None:
        name = definition["metadata"]["name"]
        self.known[name] = definition
        status = self._named(definition)
        if status != definition.get("status"):
            self._write(definition, {**definition, "status": status}, "status")
            return  # the watch brings it again
        if conditions.is_true(definition, "Established"):
            kind = kind_of(definition)
            if "deletionTimestamp" in definition["metadata"]:
                kind = replace(kind, refuses_create=TERMINATING_REFUSAL)
            self._server.registry.define(kind)
            self.served[name] = definition
            self._tell()
        if FINALIZER in (definition["metadata"].get("finalizers") or ()) and "deletionTimestamp" in definition["metadata"]:
            self._finalize(definition)

    def _forget(self, name: str) -> None:
        definition = self.known.pop(name, None)
        if definition is not None and self.served.pop(name, None) is not None:
            self._server.registry.forget(_resource_of(definition))
            self._tell()
        for other in list(self.known.values()):  # a name may be free now
            self._take(other)

    def versions_of(self, resource: str) -> list[str]:
        """The versions in which a custom resource is served."""
        plural, _, group = resource.partition(".")
        definition = self.served.get(f"{plural}.{group}")
        return [] if definition is None else [version["name"] for version in served_versions(definition)]

    def convert(self, definition: Object, objects: Sequence[Object], api_version: str) -> Generator[Any, Any, list[Object]]:
        """Objects in another version, by the definition's webhook: a generator that asks the outside. Raises ApiError 500."""
        client = conversion.client_of(definition)
        assert client is not None, "versions that differ in their names only need no webhook"
        kind = f"{objects[0]['apiVersion']}, Kind={definition['spec']['names']['kind']}" if objects else ""
        review = conversion.review_of(definition, objects, api_version, self._uids.uuid())
        question = posted(client, review, conversion.TIMEOUT_SECONDS)
        reply = yield ("ask", question)
        try:
            return conversion.converted(review, document_of(question, reply))
        except (conversion.ConversionFailed, CallFailed) as failure:
            raise ApiError(500, "", f"conversion webhook for {kind} failed: {failure}") from None

    def _tell(self) -> None:
        for observer in self.observers:
            observer()

    # -- names --

    def _named(self, definition: Object) -> Object:
        """The status with the names that are accepted, and the two conditions that say so."""
        status, now = definition.get("status") or {}, self._server.now_text()
        wanted, accepted = definition["spec"]["names"], dict(status.get("acceptedNames") or {})
        problem: tuple[str, str] | None = None
        taken, kinds = self._taken(definition)
        for field, word in _NAMES:
            used = kinds if word.endswith("Kind") else taken
            values = wanted.get(field) or ([] if field == "shortNames" else "")
            clash = [each for each in (values if isinstance(values, list) else [values]) if each and each in used]
            if clash:
                problem = (f"{word}Conflict", ", ".join(f'"{each}" is already in use' for each in clash))
            elif values:
                accepted[field] = values
            elif field in accepted and field not in ("plural", "kind"):
                del accepted[field]
        if wanted.get("categories"):
            accepted["categories"] = wanted["categories"]
        if problem is None:
            names = {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"}
        else:
            names = {"type": "NamesAccepted", "status": "False", "reason": problem[0], "message": problem[1]}
        found = conditions.set_condition(status.get("conditions"), names, now)
        established = {"type": "Established", "status": "False", "reason": "NotAccepted", "message": "not all names are accepted"}
        if problem is None:
            message = "the initial names have been accepted"
            established = {"type": "Established", "status": "True", "reason": "InitialNamesAccepted", "message": message}
        if not conditions.is_true(definition, "Established"):
            found = conditions.set_condition(found, established, now)
        return {**status, "conditions": found, "acceptedNames": accepted}

    def _taken(self, definition: Object) -> tuple[set[str], set[str]]:
        """The resource names and the kinds that the other definitions of the group have been given."""
        taken: set[str] = set()
        kinds: set[str] = set()
        for name, other in self.known.items():
            if name != definition["metadata"]["name"] and other["spec"]["group"] == definition["spec"]["group"]:
                given = (other.get("status") or {}).get("acceptedNames") or {}
                taken |= {each for each in (given.get("plural"), given.get("singular"), *(given.get("shortNames") or ())) if each}
                kinds |= {each for each in (given.get("kind"), given.get("listKind")) if each}
        return taken, kinds

    # -- deletion --

    def _finalize(self, definition: Object) -> None:
        """Delete the objects of a definition; when none is left, let the definition go."""
        server, resource = self._server, _resource_of(definition)
        status = definition.get("status") or {}
        left = server.peek_all(resource) if definition["metadata"]["name"] in self.served else []
        if left and resource not in self._emptying:
            if not self._emptying:
                server.audit.append(self._on_write)  # only as long as there is something to wait for
            self._emptying[resource] = definition["metadata"]["name"]
            self._condition(definition, status, "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
            for obj in left:
                if "deletionTimestamp" not in obj["metadata"]:
                    metadata = obj["metadata"]
                    self._send(Request("delete", resource, metadata.get("namespace", ""), metadata["name"], user=USER))
            return
        if left:
            return
        if self._emptying.pop(resource, None) is not None and not self._emptying:
            server.audit.remove(self._on_write)
        metadata = {**definition["metadata"], "finalizers": [each for each in definition["metadata"]["finalizers"] if each != FINALIZER]}
        self._write(definition, {**definition, "metadata": metadata}, "")

    def _condition(self, definition: Object, status: Object, value: str, reason: str, message: str) -> None:
        condition = {"type": "Terminating", "status": value, "reason": reason, "message": message}
        found = conditions.set_condition(status.get("conditions"), condition, self._server.now_text())
        self._write(definition, {**definition, "status": {**status, "conditions": found}}, "status")

    def _write(self, old: Object, new: Object, subresource: str) -> None:
        self._send(Request("update", RESOURCE, "", old["metadata"]["name"], obj=new, subresource=subresource, user=USER))

    def _send(self, request: Request) -> None:
        """Send a request; somebody who was faster (409, 404) is fine, for the watch tells of it. One that nobody answered is sent again."""

        def done(outcome: Any) -> None:
            if isinstance(outcome, ApiError) and outcome.code == 504:
                self._server.kernel.after(AGAIN_NS, self._send, request)
            elif isinstance(outcome, ApiError) and outcome.code not in (404, 409):
                raise outcome

        self._server.submit(request, done)


def _resource_of(definition: Object) -> str:
    return f"{definition['spec']['names']['plural']}.{definition['spec']['group']}"
