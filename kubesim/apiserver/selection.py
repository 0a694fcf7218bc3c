"""What a list or a watch selects: a namespace, a label selector and a field selector, compiled to one function of an object.

Selector texts are compiled once by ``kubesim.api.selectors``; which fields a kind knows is the kind's own table.
"""

from collections.abc import Callable
from typing import Any

from kubesim.api import selectors
from kubesim.api.errors import bad_request
from kubesim.api.meta import labels_of
from kubesim.apiserver.registry import Resource

Object = dict[str, Any]
Matches = Callable[[Object], bool]


def _name(obj: Object) -> str:
    name: str = obj["metadata"]["name"]
    return name


def _namespace(obj: Object) -> str:
    namespace: str = obj["metadata"].get("namespace", "")
    return namespace


def compile_selection(resource: Resource, namespace: str, label_selector: str, field_selector: str) -> Matches | None:
    """One function of an object, or None when everything is selected. Raises 400 with upstream's message."""
    checks: list[Matches] = []
    if namespace and resource.namespaced:
        checks.append(lambda obj: obj["metadata"]["namespace"] == namespace)
    if label_selector:
        checks.append(_label_check(label_selector))
    if field_selector:
        checks.append(_field_check(resource, field_selector))
    if not checks:
        return None
    if len(checks) == 1:
        return checks[0]
    return lambda obj: all(check(obj) for check in checks)


def _label_check(text: str) -> Matches:
    try:
        matches = selectors.parse(text).matches
    except ValueError as error:
        raise bad_request(str(error)) from None
    return lambda obj: matches(labels_of(obj))


def _field_check(resource: Resource, text: str) -> Matches:
    getters = {"metadata.name": _name, **resource.kind.selectable_fields}
    if resource.namespaced:
        getters["metadata.namespace"] = _namespace
    try:
        terms = tuple(term for term in selectors.parse_fields(text) if term.field or term.value)
    except ValueError as error:
        raise bad_request(str(error)) from None
    for term in terms:
        if term.field not in getters:
            raise bad_request(_unknown_field(resource, term.field))
    return selectors.compile_fields(terms, getters)


def _unknown_field(resource: Resource, name: str) -> str:
    """Upstream words this in as many ways as it has conversion functions for field labels."""
    kind = resource.kind
    if kind.group == "batch":
        return f'field label "{name}" not supported for {kind.kind}'
    if kind.group == "resource.k8s.io":
        return f"field label not supported for {kind.api_version}, Kind={kind.kind}: {name}"
    if kind.selectable_fields or kind.is_custom:
        return f"field label not supported: {name}"
    return f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"'
