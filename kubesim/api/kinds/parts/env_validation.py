"""Validation of environment variables and field references. Upstream: ValidateEnv, validateEnvVarValueFrom."""

import re
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.checks import required_text_errors, text_errors

Object = dict[str, Any]
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_ONE_OF = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
ENV_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
FILE_PATHS = ("metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid")
_SUBSCRIPT = re.compile(r"(.*)\['(.*)'\]\Z")
_RESOURCES = frozenset(f"{which}.{name}" for which in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage"))


def field_ref_errors(reference: Object, path: str, allowed: tuple[str, ...]) -> list[FieldError]:
    """A reference to a field of the Pod itself."""
    at, text = f"{path}.fieldPath", reference.get("fieldPath", "")
    if not reference.get("apiVersion"):
        return [field.required(f"{path}.apiVersion")]
    if not text:
        return [field.required(at)]
    match = _SUBSCRIPT.match(text)
    if match:
        if match[1] not in ("metadata.labels", "metadata.annotations"):
            return [field.invalid(at, text, "error converting fieldPath: field label does not support subscript")]
        key = match[2].lower() if match[1] == "metadata.annotations" else match[2]
        return text_errors(key, at, names.check_qualified_name)
    if text not in (*ENV_PATHS, *FILE_PATHS):
        return [field.invalid(at, text, f"error converting fieldPath: field label not supported: {text}")]
    return [] if text in allowed else [field.not_supported(at, text, sorted(allowed))]


def resource_ref_errors(reference: Object, path: str, needs_container: bool) -> list[FieldError]:
    """A reference to a limit or request of a container."""
    name = reference.get("resource", "")
    if needs_container and not reference.get("containerName"):
        return [field.required(f"{path}.containerName")]
    if not name:
        return [field.required(f"{path}.resource")]
    if name in _RESOURCES or name.startswith(("limits.hugepages-", "requests.hugepages-")):
        return []
    return [field.not_supported(f"{path}.resource", name, sorted(_RESOURCES))]


def _key_ref_errors(reference: Object, path: str) -> list[FieldError]:
    wrong = required_text_errors(reference.get("name"), f"{path}.name", names.check_dns_subdomain)
    return wrong + required_text_errors(reference.get("key"), f"{path}.key", names.check_config_key)


def _value_from_errors(variable: Object, path: str) -> list[FieldError]:
    source = variable.get("valueFrom")
    if source is None:
        return []
    found = [name for name in _SOURCES if source.get(name) is not None]
    wrong: list[FieldError] = []
    for name in found:
        at = f"{path}.{name}"
        if name == "fieldRef":
            wrong += field_ref_errors(source[name], at, ENV_PATHS)
        elif name == "resourceFieldRef":
            wrong += resource_ref_errors(source[name], at, needs_container=False)
        elif name != "fileKeyRef":
            wrong += _key_ref_errors(source[name], at)
    if not found:
        wrong.append(field.invalid(path, "", _ONE_OF))
    elif variable.get("value"):
        wrong.append(field.invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(found) > 1:
        wrong.append(field.invalid(path, "", "may not have more than one field specified at a time"))
    return wrong


def env_errors(container: Object, path: str) -> list[FieldError]:
    """Errors of ``env`` and ``envFrom`` of a container."""
    wrong: list[FieldError] = []
    for index, variable in enumerate(container.get("env") or ()):
        at = f"{path}.env[{index}]"
        wrong += required_text_errors(variable.get("name"), f"{at}.name", names.check_env_name)
        wrong += _value_from_errors(variable, f"{at}.valueFrom")
    for index, source in enumerate(container.get("envFrom") or ()):
        wrong += _env_from_errors(source, f"{path}.envFrom[{index}]")
    return wrong


def _env_from_errors(source: Object, path: str) -> list[FieldError]:
    wrong = text_errors(source["prefix"], f"{path}.prefix", names.check_env_name) if source.get("prefix") else []
    found = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
    for name in found:
        wrong += required_text_errors(source[name].get("name"), f"{path}.{name}.name", names.check_dns_subdomain)
    if not found:
        wrong.append(field.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
    elif len(found) > 1:
        wrong.append(field.invalid(path, "", "may not have more than one field specified at a time"))
    return wrong
