"""Ingress. Upstream: pkg/apis/networking/validation/validation.go, pkg/registry/networking/ingress/strategy.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.cells import at
from kubesim.api.kinds.parts.checks import choice_errors, text_errors
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_errors, metadata_update_errors
from kubesim.api.kinds.parts.shape import get_in, keep_all_but_status, keep_status, without_status

Object = dict[str, Any]
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_SUFFIXES = ("/..", "/.")
NO_RULES = "either `defaultBackend` or `rules` must be specified"


def _validate(ingress: Object) -> Sequence[FieldError]:
    spec = ingress.get("spec") or {}
    wrong = metadata_errors(ingress)
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        wrong.append(field.invalid("spec", spec.get("rules") or None, NO_RULES))
    if spec.get("defaultBackend") is not None:
        wrong += _backend_errors(spec["defaultBackend"], "spec.defaultBackend")
    for index, rule in enumerate(spec.get("rules") or ()):
        wrong += _rule_errors(rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls") or ()):
        wrong += _tls_errors(tls, f"spec.tls[{index}]")
    if spec.get("ingressClassName") is not None:
        wrong += text_errors(spec["ingressClassName"], "spec.ingressClassName", names.check_dns_subdomain)
    return wrong




def _validate_create(ingress: Object) -> Sequence[FieldError]:
    """The annotation of old and the field must agree."""
    annotation = (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    chosen = get_in(ingress, "spec", "ingressClassName")
    if annotation is None or chosen is None or annotation == chosen:
        return []
    return [field.invalid(f"annotations.{CLASS_ANNOTATION}", annotation, "must match `ingressClassName` when both are specified")]


def _host_errors(host: str, path: str) -> list[FieldError]:
    if "*" in host:
        return text_errors(host, path, names.check_wildcard_subdomain)
    return text_errors(host, path, names.check_dns_subdomain)


def _rule_errors(rule: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    if host := rule.get("host"):
        if names.is_ip(host):
            wrong.append(field.invalid(f"{path}.host", host, "must be a DNS name, not an IP address"))
        wrong += _host_errors(host, f"{path}.host")
    http = rule.get("http")
    if http is None:
        return wrong
    if not http.get("paths"):
        wrong.append(field.required(f"{path}.http.paths"))
    for index, item in enumerate(http.get("paths") or ()):
        wrong += _path_errors(item, f"{path}.http.paths[{index}]")
    return wrong


def _path_errors(item: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    kind, text = item.get("pathType"), item.get("path", "")
    if kind is None:
        return [field.required(f"{path}.pathType", "pathType must be specified")]
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            wrong.append(field.invalid(f"{path}.path", text, "must be an absolute path"))
        if text:
            wrong += [field.invalid(f"{path}.path", text, f"must not contain '{bad}'") for bad in _BAD_SEQUENCES if bad in text]
            wrong += [field.invalid(f"{path}.path", text, f"cannot end with '{bad}'") for bad in _BAD_SUFFIXES if text.endswith(bad)]
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            wrong.append(field.invalid(f"{path}.path", text, "must be an absolute path"))
    else:
        wrong += choice_errors(kind, f"{path}.pathType", PATH_TYPES)
    return wrong + _backend_errors(item.get("backend") or {}, f"{path}.backend")


def _backend_errors(backend: Object, path: str) -> list[FieldError]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [field.invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _reference_errors(resource, f"{path}.resource")
    if service is None:
        return [field.required(path, "resource or service backend is required")]
    wrong: list[FieldError] = []
    name = service.get("name", "")
    if not name:
        wrong.append(field.required(f"{path}.service.name"))
    else:
        wrong += text_errors(name, f"{path}.service.name", names.check_dns_1035_label)
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        wrong.append(field.invalid(path, "", "cannot set both port name & port number"))
    elif port.get("name"):
        wrong += text_errors(port["name"], f"{path}.service.port.name", names.check_port_name)
    elif port.get("number"):
        found = names.check_port_number(port["number"])
        wrong += [field.invalid(f"{path}.service.port.number", port["number"], message) for message in found]
    else:
        wrong.append(field.required(path, "port name or number is required"))
    return wrong


def _reference_errors(reference: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    if reference.get("apiGroup"):
        wrong += text_errors(reference["apiGroup"], f"{path}.apiGroup", names.check_dns_subdomain)
    for name in ("kind", "name"):
        if not reference.get(name):
            wrong.append(field.required(f"{path}.{name}"))
        else:
            wrong += text_errors(reference[name], f"{path}.{name}", names.check_path_segment)
    return wrong


def _tls_errors(tls: Object, path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    for index, host in enumerate(tls.get("hosts") or ()):
        wrong += _host_errors(host, f"{path}.hosts[{index}]")
    if tls.get("secretName"):
        wrong += text_errors(tls["secretName"], f"{path}.secretName", names.check_dns_subdomain)
    return wrong


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    wrong = list(metadata_update_errors(new, old))
    for index, entry in enumerate(get_in(new, "status", "loadBalancer", "ingress") or ()):
        path = f"status.loadBalancer.ingress[{index}]"
        if entry.get("ip"):
            wrong += text_errors(entry["ip"], f"{path}.ip", names.check_ip)
        if entry.get("hostname"):
            wrong += text_errors(entry["hostname"], f"{path}.hostname", names.check_dns_subdomain)
            if names.is_ip(entry["hostname"]):
                wrong.append(field.invalid(f"{path}.hostname", entry["hostname"], "must be a DNS name, not an IP address"))
    return wrong


def _hosts_cell(ingress: Object, now_ns: int) -> str:
    hosts = [rule["host"] for rule in get_in(ingress, "spec", "rules") or () if rule.get("host")]
    if not hosts:
        return "*"
    return ",".join(hosts[:3]) + (f" + {len(hosts) - 3} more..." if len(hosts) > 3 else "")


def _address_cell(ingress: Object, now_ns: int) -> str:
    entries = get_in(ingress, "status", "loadBalancer", "ingress") or ()
    return ",".join(entry.get("ip") or entry.get("hostname") or "" for entry in entries)


def _ports_cell(ingress: Object, now_ns: int) -> str:
    return "80, 443" if get_in(ingress, "spec", "tls") else "80"


def _class_cell(ingress: Object, now_ns: int) -> str:
    annotations = ingress["metadata"].get("annotations") or {}
    return annotations.get(CLASS_ANNOTATION) or at("spec", "ingressClassName", missing="<none>")(ingress, now_ns)


KIND = Kind(
    update_order="mMSu",
    group="networking.k8s.io",
    version="v1",
    kind="Ingress",
    plural="ingresses",
    short_names=("ing",),
    schema="io.k8s.api.networking.v1.Ingress",
    subresources=("status",),
    prepare_create=without_status,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_create=_validate_create,
    validate_update=metadata_update_errors,
    validate_status=_validate_status,
    columns=(
        NAME,
        Column("Class", "string", _class_cell),
        Column("Hosts", "string", _hosts_cell),
        Column("Address", "string", _address_cell),
        Column("Ports", "string", _ports_cell),
        AGE,
    ),
)
