"""What an admission plugin is: a name, what it looks at, and functions that complete or refuse an object.

A plugin is one file of this folder that exports ``PLUGIN``; the folder's package finds it, and a profile says which plugins are on and in
which order. ``mutate`` returns the object (a new one that shares what did not change); ``validate`` returns nothing.
Both raise an ApiError to refuse, and read the cluster through ``Policy`` only.

``of_template=True`` promises that the outcome of a create depends on nothing but the namespace, the identity of ``spec``
and the objects of the policy resources (see ``registry.POLICY``), and that only ``spec`` is changed: the chain then asks the plugin once
per template and namespace, not once per Pod.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from kubesim.api.errors import ApiError, forbidden
from kubesim.apiserver.registry import Resource
from kubesim.apiserver.requests import Request

Object = dict[str, Any]
CREATE, UPDATE, DELETE = "CREATE", "UPDATE", "DELETE"


class Attributes:
    """One operation under admission. ``old`` is None on create, ``obj`` is None on delete; ``name`` may be a generateName."""

    __slots__ = ("name", "namespace", "obj", "old", "operation", "request", "resource")

    def __init__(
        self, operation: str, resource: Resource, request: Request, name: str, obj: Object | None, old: Object | None
    ) -> None:
        self.operation = operation
        self.resource = resource
        self.request = request
        self.namespace = request.namespace
        self.name = name
        self.obj: Any = obj
        self.old: Any = old


class Policy(Protocol):
    """How plugins read the cluster: what this server's etcd member has applied, as upstream's plugins read informers."""

    def peek(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object, or None."""

    def peek_all(self, resource: str, namespace: str = "") -> Iterable[Object]:
        """All objects of a resource (in one namespace), in key order."""


Mutate = Callable[[Attributes, Policy], Object]
Validate = Callable[[Attributes, Policy], None]


def _everywhere(attributes: Attributes) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Plugin:
    """One admission plugin; ``resources`` is empty for all. ``operations`` is a subset of CREATE, UPDATE, DELETE."""

    name: str
    operations: tuple[str, ...]
    resources: tuple[str, ...] = ()
    mutate: Mutate | None = None
    validate: Validate | None = None
    of_template: bool = False
    validates: tuple[tuple[str, str], ...] = ()  # (operation, resource) that ``validate`` looks at, when not all of the above


def refuse(attributes: Attributes, why: str) -> ApiError:
    """403 with upstream's sentence (admission.NewForbidden)."""
    return forbidden(attributes.resource.name, attributes.name or "Unknown", why)
