"""The verbs over HTTP: a call becomes a ``Request``, what comes back becomes an answer.

Upstream: apiserver/pkg/endpoints/handlers/{create,get,update,patch,delete}.go. What the verbs mean is ``kubesim.apiserver``; here are
status codes, options from queries and bodies, and the forms of answers.
"""

from collections.abc import Collection
from typing import Any

from kubesim.api import field
from kubesim.api.errors import ApiError, invalid, not_found
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.table import age_cell, name_cell
from kubesim.apiserver import options as reading
from kubesim.apiserver.metadata import stamped
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request
from kubesim.apiserver.server import ApiServer
from kubesim.server.apiserver import bodies, escalation, forms
from kubesim.server.apiserver.answers import Answer
from kubesim.server.apiserver.call import Call
from kubesim.server.apiserver.custom_routes import Converted
from kubesim.server.apiserver.encoding import Encoder
from kubesim.server.apiserver.media import JSON, PARTIAL, TABLE, Form
from kubesim.server.apiserver.rbac import RESOURCES as RBAC_RESOURCES
from kubesim.server.apiserver.rbac import AlwaysAllow, Rbac
from kubesim.server.apiserver.views import View, view_of

Object = dict[str, Any]
BINDINGS = "bindings"
Objects = list[Object]  # ``list`` is a method of the class below


class Operations:
    """Executes calls for stored resources against an apiserver."""

    def __init__(self, server: ApiServer, encoder: Encoder, authorizer: Rbac | AlwaysAllow) -> None:
        self.server = server
        self.encoder = encoder
        self.components: Collection[str] = ()  # what runs beside the server
        self._rbac = authorizer if isinstance(authorizer, Rbac) else None

    def resource_of(self, call: Call) -> tuple[Resource, View | None]:
        """The stored resource behind a call's route, and the view when it is shown in another version."""
        assert call.route is not None
        view = call.route.view or view_of(call.route.group, call.route.version, call.route.plural)
        if isinstance(view, Converted) and call.target.verb != "watch":
            view = view.bound(self.server, call)
        return self.server.registry.resource(view.resource if view else call.route.resource), view

    def execute(self, call: Call) -> Answer:
        """Execute a call and return its answer. Raises ApiError."""
        target = call.target
        verb = target.verb if not target.subresource else _subresource_verb(call.method)
        if verb == "get":
            return self.get(call)
        if verb == "list":
            return self.list(call)
        if verb == "create":
            return self.create(call)
        if verb == "update":
            return self.update(call)
        if verb == "patch":
            return self.patch(call)
        return self.delete(call)

    # -- reads --

    def get(self, call: Call) -> Answer:
        """Read one object."""
        resource, view = self.resource_of(call)
        target = call.target
        if call.read_at:
            found = self.server.store.get(resource.key(_namespace(resource, target), target.name), call.read_at)
            if found is None:
                raise not_found(resource.name, target.name)
            obj = stamped(found)
        else:
            obj = self.server.call(self._request(call, resource, "get", None, call.query))
        if target.subresource not in ("", "status"):
            return self.answer_plain(call, obj)
        return self.answer_object(call, resource.kind, obj, view)

    def list(self, call: Call) -> Answer:
        """List objects."""
        resource, view = self.resource_of(call)
        options = self._list_options(call, view)
        if call.read_at and not options.get("continue"):
            options |= {"resourceVersion": str(call.read_at), "resourceVersionMatch": "Exact"}
        if "sendInitialEvents" in call.query:
            problem = field.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
            raise invalid("ListOptions", "", [problem], "meta.k8s.io")
        answer = self.server.call(Request("list", resource.name, _namespace(resource, call.target), options=options, user=call.user.name))
        form, kind, stored = call.form, resource.kind, answer
        if view is not None:
            answer = view.shown_list(answer)
        if not form.transform:
            if form.media == JSON and view is None:
                return Answer(200, self.encoder.listed(answer, kind))
            return self._plain_list(call, answer, kind)
        if form.transform == TABLE:
            include = call.query.get("includeObject", "")
            forms.check_include(include)
            table = self._table(stored["items"], answer["items"], answer["metadata"], kind, include, form)
            return Answer(200, self.encoder.any(table, form.media), form.media)
        return Answer(200, self.encoder.any(forms.partial_answer(stored, kind, form, True), form.media), form.media)

    def _plain_list(self, call: Call, answer: Object, kind: Kind) -> Answer:
        items = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in answer["items"]]
        return Answer(200, self.encoder.any({**answer, "items": items}, call.form.media), call.form.media)

    def component_statuses(self, call: Call) -> Answer:
        """The components of old: what runs beside the server. Raises ApiError 404."""
        found = [component_status(name, self.components) for name in COMPONENT_PORTS]
        form = call.form
        if call.target.name:
            chosen = [each for each in found if each["metadata"]["name"] == call.target.name]
            if not chosen:
                raise not_found("componentstatuses", call.target.name)
            if form.transform != TABLE:
                return Answer(200, self.encoder.any(chosen[0], form.media), form.media)
            found = chosen
        if form.transform == TABLE:
            include = call.query.get("includeObject", "")
            table = forms.plain_table(found, {}, COMPONENT_COLUMNS, self.server.kernel.now_ns, include, form)
            return Answer(200, self.encoder.any(table, form.media), form.media)
        items = [{key: value for key, value in each.items() if key not in ("kind", "apiVersion")} for each in found]
        answer = {"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": items}
        return Answer(200, self.encoder.any(answer, form.media), form.media)

    # -- writes --

    def create(self, call: Call) -> Answer:
        """Create an object, or execute a subresource that is posted to."""
        if call.target.resource == BINDINGS and not call.target.group:
            return self._bind(call)
        resource, view = self.resource_of(call)
        target = call.target
        options = self._write_options(call, "create")
        if target.subresource:
            body = bodies.decode_any(call)
        else:
            body = bodies.decode_object(call, view.kind if view else resource.kind)
        if view is not None:
            body = view.stored(body)
        if self._rbac is not None and resource.name in RBAC_RESOURCES:
            escalation.check(self._rbac, call, resource.name, body, None)
        obj = call.once(self.server.call, self._request(call, resource, "create", body, options))
        if target.subresource:
            return self.answer_plain(call, obj, 201)
        return self.answer_object(call, resource.kind, obj, view, 201)

    def _bind(self, call: Call) -> Answer:
        """Bind a Pod by the collection of old: the body names the Pod."""
        body, options = bodies.decode_any(call), self._write_options(call, "create")
        name = (body.get("metadata") or {}).get("name") or ""
        request = Request("create", "pods", call.target.namespace, name, body, "binding", options, call.user.name)
        return self.answer_plain(call, call.once(self.server.call, request), 201)

    def update(self, call: Call) -> Answer:
        """Replace an object or a part of it."""
        resource, view = self.resource_of(call)
        target = call.target
        options = self._write_options(call, "update")
        is_whole = target.subresource in ("", "status", "approval", "ephemeralcontainers", "finalize", "resize")
        body = bodies.decode_object(call, view.kind if view else resource.kind) if is_whole else bodies.decode_any(call)
        if view is not None:
            body = view.stored(body)
        old = call.once(self.server.peek, resource.name, _namespace(resource, target), target.name)
        existed = old is not None
        if self._rbac is not None and resource.name in RBAC_RESOURCES:
            escalation.check(self._rbac, call, resource.name, body, old)
        obj = call.once(self.server.call, self._request(call, resource, "update", body, options))
        if not is_whole:
            return self.answer_plain(call, obj)
        return self.answer_object(call, resource.kind, obj, view, 200 if existed else 201)

    def patch(self, call: Call) -> Answer:
        """Patch an object or a part of it."""
        type_ = bodies.patch_type(call)
        resource, view = self.resource_of(call)
        target = call.target
        options = {**self._write_options(call, "patch", type_), "patchType": type_}
        decoded = bodies.decode_patch(call, type_)
        body, options["duplicates"] = decoded.value, decoded.duplicates
        old = call.once(self.server.peek, resource.name, _namespace(resource, target), target.name)
        existed = old is not None
        if self._rbac is not None and resource.name in RBAC_RESOURCES:
            self._check_patched_role(call, resource, body, options, old)
        if view is not None and old is not None:
            body = view.patched(old, type_, body)
            obj = call.once(self.server.call, self._request(call, resource, "update", body, options))
        else:
            obj = call.once(self.server.call, self._request(call, resource, "patch", body, options))
        if target.subresource == "scale":
            return self.answer_plain(call, obj)
        return self.answer_object(call, resource.kind, obj, view, 200 if existed else 201)

    def _check_patched_role(self, call: Call, resource: Resource, body: Any, options: dict[str, Any], old: Object | None) -> None:
        """Try the patch without writing it, and look at what would come of it."""
        assert self._rbac is not None
        tried = call.once(self.server.call, self._request(call, resource, "patch", body, {**options, "dryRun": True}))
        escalation.check(self._rbac, call, resource.name, tried, old)

    def delete(self, call: Call) -> Answer:
        """Delete an object or a collection."""
        resource, view = self.resource_of(call)
        target = call.target
        options = self._delete_options(call)
        if target.verb == "deletecollection":
            options |= self._list_options(call, view)
            answer = call.once(
                self.server.call,
                Request("deletecollection", resource.name, _namespace(resource, target), options=options, user=call.user.name)
            )
            if view is not None:
                answer = view.shown_list(answer)
                return self._plain_list(call, answer, resource.kind)
            return Answer(200, self.encoder.listed(answer, resource.kind))
        namespace = _namespace(resource, target)
        obj = call.once(self.server.call, self._request(call, resource, "delete", None, options))
        remains = not options.get("dryRun") and self.server.peek(resource.name, namespace, target.name) is not None
        wants_wait = options.get("orphanDependents") is False
        status = 202 if remains and wants_wait else 200
        if obj.get("kind") == "Status":
            return self.answer_plain(call, obj, status)
        return self.answer_object(call, resource.kind, obj, view, status)

    # -- options --

    def _list_options(self, call: Call, view: View | None) -> dict[str, Any]:
        found = reading.list_options(call.query) | self._known(call)
        if view is not None and "fieldSelector" in found:
            found["fieldSelector"] = view.field_selector(found["fieldSelector"])
        return found

    def _request(self, call: Call, resource: Resource, verb: str, body: Any, options: Any) -> Request:
        target = call.target
        if call.decoded is not None:
            options = {**options, "decoded": call.decoded}
        return Request(verb, resource.name, _namespace(resource, target), target.name, body, target.subresource, options, call.user.name)

    def _write_options(self, call: Call, verb: str, patch_type: str = "") -> dict[str, Any]:
        return reading.write_options(verb, call.query, call.headers.get("user-agent", ""), patch_type) | self._known(call)

    @staticmethod
    def _known(call: Call) -> dict[str, Any]:
        """What the verbs want to know of a call beside its query: where warnings go, and who asks."""
        return {"warnings": call.warnings, "userInfo": call.user.info}

    def _delete_options(self, call: Call) -> dict[str, Any]:
        return reading.delete_options(call.query, bodies.decode_delete_options(call)) | self._known(call)

    # -- answers --

    def answer_object(self, call: Call, kind: Kind, obj: Object, view: View | None, status: int = 200) -> Answer:
        """An object in the form that the client asked for."""
        form, stored = call.form, obj
        if view is not None:
            obj = view.shown(obj)
        if not form.transform:
            if form.media == JSON and view is None:
                return Answer(status, self.encoder.stored(obj, kind))
            return Answer(status, self.encoder.any(obj, form.media), form.media)
        if form.transform == TABLE:
            include = call.query.get("includeObject", "")
            forms.check_include(include)
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            table = self._table([stored], [obj], metadata, kind, include, form)
            return Answer(status, self.encoder.any(table, form.media), form.media)
        return Answer(status, self.encoder.any(forms.partial_answer(stored, kind, form, False), form.media), form.media)

    def _table(self, stored: Objects, shown: Objects, metadata: Object, kind: Kind, include: str, form: Form) -> Object:
        """A table: the cells from the stored objects, the objects beside them as they are shown."""
        table = forms.table(stored, metadata, kind, self.server.kernel.now_ns, include, form)
        if include == "Object":
            for row, obj in zip(table["rows"] or (), shown):
                row["object"] = self.encoder.completed(obj)
        return table

    def answer_plain(self, call: Call, obj: Object, status: int = 200) -> Answer:
        """An object that is of no stored kind: a Scale, a Status, a TokenRequest."""
        form = call.form
        if form.transform == TABLE and obj.get("kind") == "Scale":
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            include = call.query.get("includeObject", "")
            forms.check_include(include)
            table = forms.plain_table([obj], metadata, SCALE_COLUMNS, self.server.kernel.now_ns, include, form)
            return Answer(status, self.encoder.any(table, form.media), form.media)
        if form.transform == PARTIAL and "metadata" in obj:
            return Answer(status, self.encoder.any(forms.partial(obj, form.version), form.media), form.media)
        return Answer(status, self.encoder.any(obj, call.form.media), call.form.media)


SCALE_COLUMNS = (
    Column("Name", "string", name_cell),
    Column("Desired", "integer", lambda obj, now_ns: (obj.get("spec") or {}).get("replicas", 0)),
    Column("Available", "integer", lambda obj, now_ns: (obj.get("status") or {}).get("replicas", 0)),
    Column("Age", "string", age_cell),
)
COMPONENT_COLUMNS = (
    Column("Name", "string", name_cell, 0, "name"),
    Column("Status", "string", lambda obj, now_ns: "Healthy" if obj["conditions"][0]["status"] == "True" else "Unhealthy"),
    Column("Message", "string", lambda obj, now_ns: obj["conditions"][0].get("message", "")),
    Column("Error", "string", lambda obj, now_ns: obj["conditions"][0].get("error", "")),
)
COMPONENT_PORTS = {"scheduler": 10259, "controller-manager": 10257, "etcd-0": 0}


def component_status(name: str, running: Collection[str]) -> Object:
    """The status of one component: etcd is in this process, the others run or do not."""
    is_healthy = name == "etcd-0" or name in running
    host = f"127.0.0.1:{COMPONENT_PORTS[name]}"
    why = f'Get "https://{host}/healthz": dial tcp {host}: connect: connection refused'
    condition = {"type": "Healthy", "status": "True" if is_healthy else "False", "message": "ok" if is_healthy else why}
    return {"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [condition]}


def _namespace(resource: Resource, target: Any) -> str:
    return target.namespace if resource.namespaced else ""


def _subresource_verb(method: str) -> str:
    return {"POST": "create", "GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]


__all__ = ["ApiError", "Operations"]
