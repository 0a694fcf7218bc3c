"""What a kind is: a frozen description plus pure functions that the apiserver calls in one fixed order.

create: ``default`` -> admission (mutating) -> ``prepare_create`` -> ``validate`` -> admission (validating) -> store
update: ``default`` -> admission -> ``prepare_update`` -> ``validate`` + ``validate_update`` -> admission -> store

Every function gets plain JSON-shaped dicts. ``default`` and the ``prepare`` functions return a new object that shares what did
not change (never write into an argument: it may be shared with the store or with a thousand Pods of one template);
the ``validate`` functions return field errors in upstream's order and change nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kubesim.api.errors import FieldError

Object = dict[str, Any]


class Column(NamedTuple):
    """A printer column of ``kubectl get``: ``cell(obj, now_ns)`` gives a JSON value; priority > 0 is shown by ``-o wide`` only.

    A column without a name is a cell without a head, as one of upstream's printers has it.
    """

    name: str
    type: str
    cell: Callable[[Object, int], Any]
    priority: int = 0
    format: str = ""


def _same(obj: Object) -> Object:
    return obj


def _keep_new(new: Object, old: Object) -> Object:
    return new


def _no_errors(*_: Object) -> Sequence[FieldError]:
    return ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the API, at its storage version. A file api/kinds/<kind>.py exports it as ``KIND``."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str = ""
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    schema: str = ""  # name of the definition in the schema data, e.g. "io.k8s.api.apps.v1.Deployment"
    subresources: tuple[str, ...] = ()  # "status", "scale", "binding", ...
    default: Callable[[Object], Object] = _same
    prepare_create: Callable[[Object], Object] = _same
    prepare_update: Callable[[Object, Object], Object] = _keep_new  # (new, old): keeps status, bumps nothing
    prepare_status: Callable[[Object, Object], Object] = _keep_new  # (new, old) for the status subresource
    validate: Callable[[Object], Sequence[FieldError]] = _no_errors
    validate_create: Callable[[Object], Sequence[FieldError]] | None = None  # beside ``validate``, for a new object only
    validate_update: Callable[[Object, Object], Sequence[FieldError]] = _no_errors
    validate_status: Callable[[Object, Object], Sequence[FieldError]] = _no_errors
    columns: tuple[Column, ...] = ()
    field_annotations: tuple[str, ...] = ()  # that are fields of the internal type: answers made of it do not show them
    selectable_fields: Mapping[str, Callable[[Object], str]] = field(default_factory=dict)  # beside metadata.name and .namespace
    has_generation: bool = True  # metadata.generation is 1 at birth and grows when the spec changes
    allow_unconditional_update: bool = True
    update_order: str = "MSmu"  # in which an update is judged, see ``parts.judgement``
    generates_names: bool = True  # False: a generateName is taken as it is, as upstream does where names mean something
    allow_create_on_update: bool = False
    scale: Mapping[str, str] | None = None  # of a custom resource: the JSON paths of its scale subresource
    verbatim_fields: tuple[str, ...] = ()  # that upstream keeps as bytes (``kubesim.api.verbatim``)
    refuses_create: str = ""  # why no object may be created now
    is_custom: bool = False  # defined by a CustomResourceDefinition
    prepare_delete: Callable[[Object, str], Object] | None = None  # (obj, now): what a first delete makes of it, instead of deleting it
    default_grace_period_seconds: Callable[[Object], int] | None = None  # Pods only: graceful deletion
    resource: str = ""  # "plural" or "plural.group": the key of the registry, filled in below

    def __post_init__(self) -> None:
        object.__setattr__(self, "resource", f"{self.plural}.{self.group}" if self.group else self.plural)
        object.__setattr__(self, "singular", self.singular or self.kind.lower())

    @property
    def api_version(self) -> str:
        """``group/version``, or ``version`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version
