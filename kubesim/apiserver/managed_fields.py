"""Field management in the verbs: tracking who changed what, and server-side apply.

Tracking costs a comparison of the whole object per write, so it is an option of the server (``track_fields``): without it only objects
that carry ``managedFields`` already (because somebody applied them) are tracked. Applying works either way.

Upstream: apimachinery/pkg/util/managedfields/internal and apiserver/pkg/endpoints/handlers/{create,update,patch}.go.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from kubesim.api import schema
from kubesim.api.always import complete
from kubesim.api.errors import ApiError, bad_request
from kubesim.api.fields import entries, typed
from kubesim.api.fields.entries import APPLY, UPDATE, Managed
from kubesim.api.fields.ownership import Claim, Conflicts, applied, updated
from kubesim.api.fields.paths import Path, Paths, without
from kubesim.api.kinds.contract import Kind
from kubesim.api.schema import Field
from kubesim.apiserver import metadata as meta
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request

if TYPE_CHECKING:
    from kubesim.apiserver.server import ApiServer

Object = dict[str, Any]
KEY = "managedFields"
BEFORE_FIRST_APPLY = "before-first-apply"
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NOBODYS_NAMES = (
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion",
)  # fmt: skip
NOBODYS: tuple[Path, ...] = tuple(("f:metadata", f"f:{name}") for name in NOBODYS_NAMES)
CREATED_MAX = 1024
NOBODYS_OWN: tuple[Path, ...] = (("f:apiVersion",), ("f:kind",), ("f:metadata",))
REPLICAS: Paths = frozenset((("f:spec", "f:replicas"),))
_SCALE = "io.k8s.api.autoscaling.v1.Scale"
SCALE = Resource(Kind(group="autoscaling", version="v1", kind="Scale", plural="scales", schema=_SCALE, subresources=("status",)), "")
STATUS: tuple[Path, ...] = (("f:status",),)
SPEC: tuple[Path, ...] = (("f:spec",),)
STATUS_LEAVES: Mapping[str, tuple[Path, ...]] = {  # what a status write does not own beside the spec
    "deployments.apps": (("f:metadata", "f:labels"),),
    "pods": (("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:ownerReferences")),
    **dict.fromkeys(
        (
            "flowschemas.flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
            "resourceclaims.resource.k8s.io", "validatingadmissionpolicies.admissionregistration.k8s.io",
            "volumeattachments.storage.k8s.io",
        ),
        (("f:metadata",),),
    ),
}


def ignored_of(resource: Resource, subresource: str) -> tuple[Path, ...]:
    """The fields that a write through this door cannot change, so that it does not own them (GetResetFields of the strategies)."""
    if subresource == "status":
        return SPEC + STATUS_LEAVES.get(resource.name, ())
    return STATUS if "status" in resource.kind.subresources else ()


def is_reset(given: Any) -> bool:
    """Whether a client asks to forget all managers: an empty list, or one of an empty entry."""
    return isinstance(given, list) and (not given or given == [{}])


def _decoded(given: Any) -> Managed:
    try:
        return entries.decode(given)
    except (ValueError, AttributeError, TypeError):
        return Managed({}, {})  # as upstream: what cannot be read is as if it were not there


def _managed(new: Object, old: Object | None, subresource: str) -> Managed:
    live = old["metadata"].get(KEY) if old is not None else None
    if subresource:
        return _decoded(live)
    given = new["metadata"].get(KEY)
    if KEY in new["metadata"] and is_reset(given):
        return Managed({}, {})
    managed = _decoded(given)
    return managed if managed.claims else _decoded(live)


def _with(obj: Object, managed: Managed) -> Object:
    """The object with the managers' entries, or without the field when there are none."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != KEY}
    if managed.claims:
        metadata[KEY] = entries.encode(managed)
    return {**obj, "metadata": metadata}


def _bare(obj: Object, resource: Resource) -> Object:
    """An object as it is compared: written out in full, without its managers."""
    full = complete(obj, resource.kind.schema)
    if KEY in full.get("metadata", ()):
        full = {**full, "metadata": {key: value for key, value in full["metadata"].items() if key != KEY}}
    return full


def _stripped(managed: Managed, manager: str) -> Managed:
    claim = managed.claims.get(manager)
    if claim is None:
        return managed
    paths = without(claim.paths, NOBODYS) - frozenset(NOBODYS_OWN)
    claims = {name: each for name, each in managed.claims.items() if name != manager}
    if paths:
        claims[manager] = claim._replace(paths=paths)
    return Managed(claims, managed.times)


_LEAVES: dict[type, Any] = {str: "", int: 0, bool: False, float: 0.5, type(None): None}


def _shape(value: Any) -> Any:
    """A value without its scalars outside of lists: which keys there are, of which type, and the lists in full."""
    return {key: _shape(each) for key, each in value.items()} if isinstance(value, dict) else _LEAVES.get(value.__class__, value)


class FieldTracker:
    """The managers of a server's objects. ``is_on``: track every write, not only those to objects that have managers."""

    def __init__(self, server: "ApiServer", is_on: bool) -> None:
        self._server = server
        self.is_on = is_on
        self._created: dict[bytes, Object] = {}  # shape of a new object -> the one entry of its managers
        self.managers = {"system:apiserver": "kube-apiserver"}  # user -> its program, where that is called otherwise: the controllers, too

    # -- writes --

    def created(self, resource: Resource, request: Request, obj: Object) -> Object:
        """A new object with its creator as the manager of everything in it."""
        if request.options.get("patchType") == "apply" or not (self.is_on or KEY in obj["metadata"]):
            return obj
        if is_reset(obj["metadata"].get(KEY)) or not self.is_on:
            return _with(obj, Managed({}, {}))
        known = self._first_entry(resource, request, obj)
        if known is not None:
            return known
        try:
            managed = self._updated(resource, request, obj, None, _managed(obj, None, ""))
        except (ApiError, ValueError):
            if not resource.kind.is_custom:
                raise
            return obj  # a list without its keys: its validation says so
        return _with(obj, managed)

    def _first_entry(self, resource: Resource, request: Request, obj: Object) -> Object | None:
        """What ``created`` makes of an object that brings no managers, found by the object's shape; None: ask in full.

        The paths of a new object hang on its keys, on which values are null, and on what is in its lists (keys of maps, items of sets).
        """
        metadata = obj["metadata"]
        if KEY in metadata:
            return None
        bare = {key: value for key, value in metadata.items() if key not in NOBODYS_NAMES}
        manager = self._manager(request)
        try:
            key = orjson.dumps([resource.name, manager, request.subresource, _shape({**obj, "metadata": bare})])
        except orjson.JSONEncodeError:
            return None
        fields = self._created.get(key)
        if fields is None:
            try:
                managed = self._updated(resource, request, obj, None, Managed({}, {}))
            except (ApiError, typed.Invalid):
                return None
            if len(managed.claims) != 1:
                return None
            if len(self._created) >= CREATED_MAX:
                del self._created[next(iter(self._created))]
            (entry,) = entries.encode(managed)
            fields = self._created[key] = entry
        entry = {name: self._server.now_text() if name == "time" else value for name, value in fields.items()}
        return {**obj, "metadata": {**metadata, KEY: [entry]}}

    def changed(self, resource: Resource, request: Request, new: Object, old: Object) -> Object:
        """The new state with its managers brought up to date."""
        if request.options.get("patchType") == "apply" or request.subresource == "scale":
            return new  # whoever made it has seen to its managers
        if KEY not in old["metadata"] and KEY not in new["metadata"]:
            return new  # nobody tracks this object: upstream leaves it at that
        managed = _managed(new, old, request.subresource)
        if managed.claims:
            try:
                managed = self._updated(resource, request, new, old, managed)
            except (ApiError, ValueError):
                if not resource.kind.is_custom:
                    raise
        return _with(new, managed)

    def settled(self, obj: Object, old: Object) -> Object:
        """The object with its old managers when nothing but their times has changed: then nothing is written at all."""
        new_entries, old_entries = obj["metadata"].get(KEY), old["metadata"].get(KEY)
        if not new_entries or not old_entries or new_entries is old_entries or len(new_entries) != len(old_entries):
            return obj
        if sorted(map(_timeless, new_entries)) != sorted(map(_timeless, old_entries)):
            return obj
        candidate = {**obj, "metadata": {**obj["metadata"], KEY: old_entries}}
        return candidate if meta.same_but_version(candidate, old) else obj

    def _manager(self, request: Request) -> str:
        """Whose change a request is."""
        name = request.options.get("fieldManager") or request.options.get("defaultManager")
        return name or self.managers.get(request.user, request.user) or "unknown"

    def _updated(self, resource: Resource, request: Request, new: Object, old: Object | None, managed: Managed) -> Managed:
        name = self._manager(request)
        manager = entries.identity(name, UPDATE, resource.api_version, request.subresource)
        before = _bare(old if old is not None else {}, resource)
        return self._taken(resource, request.subresource, new, before, managed, manager)

    def _taken(self, resource: Resource, subresource: str, new: Object, before: Object, managed: Managed, manager: str) -> Managed:
        """One update: what the operation changed becomes a claim of its own first, and is joined to its manager's then."""
        at = Field("@", ref=resource.kind.schema)
        operation = "current-operation"
        ignored = ignored_of(resource, subresource)
        version = resource.api_version
        claims = updated(before, _bare(new, resource), at, managed.claims, operation, version, ignored)
        result = _stripped(Managed(claims, dict(managed.times)), operation)
        mine = result.claims.pop(operation, None)
        if mine is not None:
            former = result.claims.get(manager)
            result.claims[manager] = mine if former is None else mine._replace(paths=mine.paths | former.paths)
            result.times[manager] = self._server.now_text()
        return entries.capped(result)

    # -- apply --

    def apply(self, resource: Resource, request: Request, old: Object | None) -> Object:
        """What applying the body to ``old`` (None: nothing yet) makes. Raises ApiError 400, 409 or 500."""
        config: Object = request.obj if request.obj is not None else {}
        check_config(resource, request, config)
        at = Field("@", ref=resource.kind.schema)
        try:
            typed.check(config, at)
        except typed.Invalid as error:
            raise _untyped(config, error) from None
        live: Object = old if old is not None else {"apiVersion": resource.api_version, "kind": resource.kind.kind, "metadata": {}}
        managed = _decoded(live["metadata"].get(KEY))
        before = _bare(live, resource)
        if not managed.claims:
            first = entries.identity(BEFORE_FIRST_APPLY, UPDATE, resource.api_version, request.subresource)
            managed = self._taken(resource, request.subresource, before, _bare({}, resource), managed, first)
        name = request.options.get("fieldManager", "")
        manager = entries.identity(name, APPLY, resource.api_version, request.subresource)
        if old is None:
            config = {**config, "metadata": {key: value for key, value in config["metadata"].items() if key != "resourceVersion"}}
        new, managed = self._applied(resource, request, before, config, managed, manager)
        if new is None:
            return _with(live, managed)
        result = _with(schema.clean(new, resource.kind.schema), managed)
        result.setdefault("metadata", {})
        return _with_last_applied(result, config) if name == KUBECTL else result

    def _applied(
        self, resource: Resource, request: Request, before: Object, config: Object, managed: Managed, manager: str
    ) -> tuple[Object | None, Managed]:
        at, version = Field("@", ref=resource.kind.schema), resource.api_version
        force = bool(request.options.get("force"))
        ignored = ignored_of(resource, request.subresource)
        try:
            new, claims = applied(before, config, at, managed.claims, manager, version, force, ignored)
        except Conflicts as found:
            conflicts = found.conflicts
            if request.options.get("fieldManager") == KUBECTL:
                conflicts = _not_from_last_applied(conflicts, before, at)
            if conflicts:
                raise entries.conflict_error(conflicts) from None
            new, claims = applied(before, config, at, managed.claims, manager, version, True, ignored)
        result = _stripped(Managed(claims, dict(managed.times)), manager)
        if new is not None:
            result.times[manager] = self._server.now_text()
        return new, result


    # -- scale --

    def scaled(self, request: Request, old: Object, scale: Object, change: Callable[[Object], Object]) -> tuple[Object, list[Object]]:
        """The Scale that ``change`` makes, and the managers of the object that is scaled.

        A Scale has managers of its own, who own its replicas: those of the object that own them there. Whoever owns them afterwards owns
        them in the object. Upstream: managedfields/scalehandler.go.
        """
        parents = _decoded(old["metadata"].get(KEY))
        inner = {name: claim._replace(paths=REPLICAS, version=SCALE.api_version) for name, claim in parents.claims.items() if _owns(claim)}
        live = _with(scale, Managed(inner, parents.times))
        new = change(live)
        if KEY in old["metadata"] and request.options.get("patchType") != "apply":
            managed = _managed(new, live, request.subresource)
            new = _with(new, self._updated(SCALE, request, new, live, managed))
        mine = _decoded(new["metadata"].get(KEY)).claims
        claims = {}
        for name, claim in parents.claims.items():
            paths = claim.paths if name in mine else claim.paths - REPLICAS
            mine.pop(name, None)
            if paths:
                claims[name] = claim._replace(paths=paths)
        version = old["apiVersion"]
        claims |= {name: Claim(REPLICAS, version, claim.applied) for name, claim in mine.items() if claim.paths == REPLICAS}
        return new, entries.encode(Managed(claims, parents.times))


def _owns(claim: Claim) -> bool:
    return claim.paths >= REPLICAS


def _timeless(entry: Object) -> str:
    return orjson.dumps({key: value for key, value in entry.items() if key != "time"}, option=orjson.OPT_SORT_KEYS).decode()


def _not_from_last_applied(conflicts: list[tuple[str, Path]], live: Object, at: Field) -> list[tuple[str, Path]]:
    """The conflicts that remain once what a client-side apply has set, and nobody has changed since, may be taken over."""
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED, "")
    try:
        last = orjson.loads(text)
        typed.check(last, at)
    except ValueError:
        return conflicts
    difference = typed.compare(last, live, at)
    allowed = typed.field_set(last, at) - difference.modified - difference.added - difference.removed
    return [conflict for conflict in conflicts if conflict[1] not in allowed]


def _with_last_applied(obj: Object, config: Object) -> Object:
    """The object with its client-side annotation kept in step, when it has one."""
    annotations = obj["metadata"].get("annotations") or {}
    if LAST_APPLIED not in annotations:
        return obj
    metadata = {key: value for key, value in config.get("metadata", {}).items() if key != KEY}
    if LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if key != LAST_APPLIED}
    text = orjson.dumps({**config, "metadata": metadata}, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()
    return {**obj, "metadata": {**obj["metadata"], "annotations": {**annotations, LAST_APPLIED: text}}}


def check_config(resource: Resource, request: Request, config: Object) -> None:
    """Raise 400 when the body cannot be applied to this resource at all."""
    version, kind = config.get("apiVersion") or "", config.get("kind") or ""
    if (version, kind) != (resource.api_version, resource.kind.kind):
        shown = version if "/" in version else f"/{version}" if version else "/"
        raise bad_request(f"invalid object type: {shown}, Kind={kind}")
    metadata = config.get("metadata") or {}
    if metadata.get(KEY) is not None:
        raise bad_request("metadata.managedFields must be nil")


def _untyped(config: Object, error: typed.Invalid) -> ApiError:
    metadata = config.get("metadata") or {}
    version = config["apiVersion"] if "/" in config["apiVersion"] else f"/{config['apiVersion']}"
    place = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {version}, Kind={config['kind']}"
    return ApiError(500, "", f"failed to create typed patch object ({place}): {error}")
