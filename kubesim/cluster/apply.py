"""Apply a manifest as kubectl does: validate all of it first, then create what is new and merge into what is there.

All or nothing per manifest: every object is tried as a dry run before the first one is written. An update is a strategic merge
patch with a null for everything that the last manifest had (the annotation ``last-applied-configuration``) and this one has not.

Upstream: kubectl/pkg/cmd/apply (client-side apply), kubectl/pkg/validation.
"""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from kubesim.api import schema
from kubesim.api.documents import tokens
from kubesim.api.errors import ApiError
from kubesim.api.kinds.contract import Kind
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Object, Request, create, patch
from kubesim.cluster.front_door import Door
from kubesim.cluster.names import unknown_kind
from kubesim.cluster.three_way import patch_of
from kubesim.workload.manifests import Item, Manifest, ManifestError, Problem, shown

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
USER = "kubectl"
PROBLEMS_MAX = 50
# What an object of the same manifest may need to exist before its own dry run can succeed.
FOUNDATIONS = frozenset({
    "CustomResourceDefinition",
    "LimitRange",
    "Namespace",
    "PriorityClass",
    "ResourceQuota",
    "RuntimeClass",
    "ServiceAccount",
    "StorageClass",
})  # fmt: skip


def apply(apiserver: Door, manifest: Manifest) -> list[Object]:
    """Apply all objects of ``manifest`` in its order; return them as stored.

    Raises ManifestError with every problem, before anything is written.
    """
    resources = _resources(apiserver, manifest)
    problems: list[Problem] = []
    founded = False
    for item, resource in zip(manifest.items, resources):
        problems.extend(_try(apiserver, item, resource, founded))
        founded = founded or item.object["kind"] in FOUNDATIONS
        if len(problems) >= PROBLEMS_MAX:
            break
    if problems:
        raise ManifestError(problems)
    return [_write(apiserver, item, resource) for item, resource in zip(manifest.items, resources)]


def _resources(apiserver: Door, manifest: Manifest) -> list[Resource]:
    """The resource of each object; ManifestError for kinds that are not served and fields that they do not have."""
    problems: list[Problem] = []
    found: list[Resource] = []
    for item in manifest.items:
        resource = apiserver.registry.of(item.object)
        if resource is None:
            problems.append(unknown_kind(apiserver, item))
            continue
        found.append(resource)
        problems.extend(_wrong_fields(item, resource.kind))
    if problems:
        raise ManifestError(problems[:PROBLEMS_MAX])
    return found


def _wrong_fields(item: Item, kind: Kind) -> Iterator[Problem]:
    for found in schema.check(item.object, kind.schema):
        if found.kind == "unknown":
            yield item.problem(found.path, f"unknown field, its value is {shown(found.value)}; {_neighbours(kind, found.path)}")
        else:
            yield item.problem(found.path, f"Invalid value: {shown(found.value)}: expected {found.expected}")


def _neighbours(kind: Kind, path: str) -> str:
    """What may stand where an unknown field stands."""
    *parents, name = tokens(path)
    parent = schema.field_at(kind.schema, tuple(part for part in parents if not part.isdigit())) if parents else None
    definition = schema.definition(parent.ref or (parent.item.ref if parent.item else "") if parent else kind.schema)
    known = list(definition.fields) if definition else []
    close = get_close_matches(name, known, 1, 0.6)
    return f'expected for example "{close[0]}"' if close else f"expected one of {', '.join(known)}"


def _try(apiserver: Door, item: Item, resource: Resource, founded: bool) -> Iterator[Problem]:
    """What the apiserver has against an object."""
    request = _request(apiserver, item, resource, dry_run=True)
    try:
        apiserver.call(request)
    except ApiError as error:
        if founded and error.code in (403, 404) and request.verb == "create":
            # The namespace, priority class, ... may be an earlier object of this manifest: what is left to check is the object itself.
            kind = resource.kind
            for each in kind.validate(kind.prepare_create(kind.default(_complete(request.obj, request.namespace)))):
                yield item.problem(each.field, each.message)
            return
        yield from _problems(item, error)


def _complete(obj: Object, namespace: str) -> Object:
    metadata = {**obj["metadata"]}
    if namespace:
        metadata["namespace"] = namespace
    metadata.setdefault("name", metadata.get("generateName", "") + "00000")
    return {**obj, "metadata": metadata}


def _problems(item: Item, error: ApiError) -> Iterator[Problem]:
    causes = error.details.get("causes") or ()
    if error.reason == "Invalid" and causes:
        for cause in causes:
            yield item.problem(cause.get("field", ""), cause.get("message", error.message))
    else:
        yield item.problem("", error.message)


def _write(apiserver: Door, item: Item, resource: Resource) -> Object:
    try:
        stored: Object = apiserver.call(_request(apiserver, item, resource, dry_run=False))
    except ApiError as error:
        raise ManifestError(list(_problems(item, error))) from error
    return stored


def _request(apiserver: Door, item: Item, resource: Resource, dry_run: bool) -> Request:
    obj = schema.clean(item.object, resource.kind.schema)
    metadata = obj["metadata"]
    namespace = (metadata.get("namespace") or "default") if resource.namespaced else ""
    options: dict[str, Any] = {"dryRun": True} if dry_run else {}
    name = metadata.get("name")
    old = apiserver.peek(resource.name, namespace, name) if name else None
    if old is None:
        request = create(resource.name, namespace, _remembering(obj, obj), **options)
    else:
        before = (old["metadata"].get("annotations") or {}).get(LAST_APPLIED)
        body = _remembering(patch_of(json.loads(before) if before else {}, obj, resource.kind.schema), obj)
        request = patch(resource.name, namespace, name, body, "strategic", **options)
    request.user = USER
    return request


def _remembering(body: Object, applied: Object) -> Object:
    """``body`` with the annotation that says what was applied."""
    metadata = body["metadata"]
    annotations = {key: value for key, value in (applied["metadata"].get("annotations") or {}).items() if key != LAST_APPLIED}
    remembered = {**applied, "metadata": {**applied["metadata"], "annotations": annotations}}
    text = json.dumps(remembered, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    return {**body, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), LAST_APPLIED: text}}}
