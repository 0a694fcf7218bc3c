"""IngressClass. Upstream: pkg/apis/networking/validation/validation.go, pkg/apis/networking/v1/defaults.go."""

import re
from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import choice_errors, required_text_errors, text_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import immutable_errors, metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import change, fill, get_in

Object = dict[str, Any]
CONTROLLER_SIZE_MAX = 250
_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"


def _default(class_: Object) -> Object:
    return change(class_, "spec", lambda spec: change(spec, "parameters", lambda given: fill(given, {"scope": "Cluster"})))


def domain_path_errors(text: str, path: str) -> list[FieldError]:
    """A name such as ``acme.io/foo``."""
    if not text:
        return [field.required(path)]
    host, _, rest = text.partition("/")
    if not host or not rest:
        return [field.invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    wrong = [field.invalid(path, host, message) for message in names.check_dns_subdomain(host)]
    if not re.fullmatch(_PATH, rest):
        why = f"Invalid path (regex used for validation is '{_PATH}')"
        wrong.append(field.invalid(path, rest, why))
    return wrong


def _validate(class_: Object) -> Sequence[FieldError]:
    spec = class_.get("spec") or {}
    wrong = metadata_errors(class_, namespaced=False)
    controller = spec.get("controller", "")
    if len(controller) > CONTROLLER_SIZE_MAX:
        wrong.append(field.too_long("spec.controller", CONTROLLER_SIZE_MAX))
    wrong += domain_path_errors(controller, "spec.controller")
    if spec.get("parameters") is not None:
        wrong += _parameter_errors(spec["parameters"], "spec.parameters")
    return wrong


def _parameter_errors(given: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    if given.get("apiGroup"):
        wrong += text_errors(given["apiGroup"], f"{path}.apiGroup", names.check_dns_subdomain)
    for name in ("kind", "name"):
        if not given.get(name):
            wrong.append(field.required(f"{path}.{name}", f"{name} is required"))
        else:
            wrong += text_errors(given[name], f"{path}.{name}", names.check_path_segment)
    scope, namespace = given.get("scope"), given.get("namespace")
    wrong += choice_errors(scope, f"{path}.scope", ("Cluster", "Namespace"), is_required=True)
    if scope == "Namespace":
        if not namespace:
            wrong.append(field.required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
        else:
            wrong += required_text_errors(namespace, f"{path}.namespace", names.check_dns_label)
    elif scope == "Cluster" and namespace is not None:
        wrong.append(field.forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return wrong


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    after, before = get_in(new, "spec", "controller") or "", get_in(old, "spec", "controller") or ""
    return [*metadata_update_errors(new, old), *immutable_errors(after, before, "spec.controller")]


def _parameters_cell(class_: Object, now_ns: int) -> str:
    given = get_in(class_, "spec", "parameters")
    if not given:
        return "<none>"
    kind = f"{given['kind']}.{given['apiGroup']}" if given.get("apiGroup") else given.get("kind", "")
    return f"{kind}/{given.get('name', '')}"


KIND = Kind(
    update_order="muMS",
    group="networking.k8s.io",
    version="v1",
    kind="IngressClass",
    plural="ingressclasses",
    namespaced=False,
    schema="io.k8s.api.networking.v1.IngressClass",
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    columns=(NAME, Column("Controller", "string", at("spec", "controller")), Column("Parameters", "string", _parameters_cell), AGE),
)
