"""Validation of containers, init containers and ephemeral containers. Upstream: validateContainers and its helpers."""

from collections.abc import Mapping, Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.go_dump import as_struct
from kubesim.api.kinds.parts.checks import choice_errors, id_errors, local_path_errors, required_text_errors, text_errors
from kubesim.api.kinds.parts.env_validation import env_errors
from kubesim.api.kinds.parts.probe_validation import probes_errors
from kubesim.api.kinds.parts.resource_validation import requirements_errors

Object = dict[str, Any]
Volumes = Mapping[str, Object]  # the valid volumes of the Pod, by name
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_NOT_FOR_INIT = "may not be set for init containers without restartPolicy=Always"


def containers_errors(spec: Object, path: str, volumes: Volumes) -> list[FieldError]:
    """Errors of all containers of a Pod spec at ``path``."""
    claims = frozenset(claim.get("name", "") for claim in spec.get("resourceClaims") or ())
    containers = spec.get("containers") or []
    if not containers:
        wrong = [field.required(f"{path}.containers")]
    else:
        wrong = _regular_errors(containers, f"{path}.containers", volumes, claims)
    used = {container.get("name", "") for container in containers}
    wrong += _init_errors(spec.get("initContainers") or (), f"{path}.initContainers", volumes, claims, used)
    for index, container in enumerate(spec.get("ephemeralContainers") or ()):
        at = f"{path}.ephemeralContainers[{index}]"
        wrong += _common_errors(container, at, volumes, claims)
        if container.get("name") in used:
            wrong.append(field.duplicate(f"{at}.name", container["name"]))
        used.add(container.get("name", ""))
    return wrong


def _regular_errors(containers: Sequence[Object], path: str, volumes: Volumes, claims: frozenset[str]) -> list[FieldError]:
    wrong: list[FieldError] = []
    seen: set[str] = set()
    for index, container in enumerate(containers):
        at = f"{path}[{index}]"
        wrong += _common_errors(container, at, volumes, claims)
        if container.get("name", "") in seen:
            wrong.append(field.duplicate(f"{at}.name", container.get("name", "")))
        seen.add(container.get("name", ""))
        wrong += probes_errors(container, at)
    return wrong + _host_port_conflicts(containers, path)


def _init_errors(containers: Sequence[Object], path: str, volumes: Volumes, claims: frozenset[str], used: set[str]) -> list[FieldError]:
    wrong: list[FieldError] = []
    for index, container in enumerate(containers):
        at = f"{path}[{index}]"
        wrong += _common_errors(container, at, volumes, claims)
        name = container.get("name", "")
        if name in used:
            wrong.append(field.duplicate(f"{at}.name", name))
        elif name:
            used.add(name)
        wrong += _host_port_conflicts([container], path, index)
        if container.get("restartPolicy") == "Always":
            wrong += probes_errors(container, at)
        else:
            fields = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
            wrong += [field.forbidden(f"{at}.{name}", _NOT_FOR_INIT) for name in fields if container.get(name) is not None]
    return wrong


def _common_errors(container: Object, path: str, volumes: Volumes, claims: frozenset[str]) -> list[FieldError]:
    """What every kind of container is held to."""
    wrong = required_text_errors(container.get("name"), f"{path}.name", names.check_dns_label)
    image = container.get("image", "")
    if not image:
        wrong.append(field.required(f"{path}.image"))
    elif image != image.strip():
        wrong.append(field.invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))
    policy = container.get("terminationMessagePolicy", "File")
    wrong += choice_errors(policy, f"{path}.terminationMessagePolicy", ("File", "FallbackToLogsOnError"), is_required=True)
    wrong += _ports_errors(container.get("ports") or (), f"{path}.ports")
    wrong += env_errors(container, path)
    wrong += _mounts_errors(container, path, volumes)
    wrong += choice_errors(container.get("imagePullPolicy", "Always"), f"{path}.imagePullPolicy", _PULL_POLICIES, is_required=True)
    wrong += requirements_errors(container.get("resources") or {}, f"{path}.resources", claims)
    return wrong + _security_errors(container.get("securityContext") or {}, f"{path}.securityContext")


def _ports_errors(ports: Sequence[Object], path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        at, name, number = f"{path}[{index}]", port.get("name") or "", port.get("containerPort", 0)
        if name:
            messages = names.check_port_name(name)
            wrong += [field.invalid(f"{at}.name", name, message) for message in messages]
            if not messages and name in seen:
                wrong.append(field.duplicate(f"{at}.name", name))
            seen.add(name)
        if not number:
            wrong.append(field.required(f"{at}.containerPort"))
        else:
            wrong += [field.invalid(f"{at}.containerPort", number, message) for message in names.check_port_number(number)]
        if host := port.get("hostPort"):
            wrong += [field.invalid(f"{at}.hostPort", host, message) for message in names.check_port_number(host)]
        wrong += choice_errors(port.get("protocol", "TCP"), f"{at}.protocol", _PROTOCOLS, is_required=True)
        if port.get("hostIP"):
            wrong += text_errors(port["hostIP"], f"{at}.hostIP", names.check_ip)
    return wrong


def _host_port_conflicts(containers: Sequence[Object], path: str, first: int = 0) -> list[FieldError]:
    """The same host address, port and protocol twice."""
    wrong: list[FieldError] = []
    seen: set[str] = set()
    for index, container in enumerate(containers, first):
        for number, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol', 'TCP')}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if key in seen:
                wrong.append(field.duplicate(f"{path}[{index}].ports[{number}].hostPort", key))
            seen.add(key)
    return wrong


def _propagation_errors(propagation: str | None, container: Object, path: str) -> list[FieldError]:
    """Mounts may only go back to the host from a privileged container (validateMountPropagation)."""
    wrong = choice_errors(propagation, path, ("Bidirectional", "HostToContainer", "None"))
    if propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        wrong.append(field.forbidden(path, "Bidirectional mount propagation is available only to privileged containers"))
    return wrong


def _mounts_errors(container: Object, path: str, volumes: Volumes) -> list[FieldError]:
    wrong: list[FieldError] = []
    seen: set[str] = set()
    devices = {device.get("devicePath") for device in container.get("volumeDevices") or ()}
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        at, name, mount_path = f"{path}.volumeMounts[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            wrong.append(field.required(f"{at}.name"))
        elif name not in volumes:
            wrong.append(field.not_found(f"{at}.name", name))
        if not mount_path:
            wrong.append(field.required(f"{at}.mountPath"))
        elif mount_path in seen:
            wrong.append(field.invalid(f"{at}.mountPath", mount_path, "must be unique"))
        seen.add(mount_path)
        if mount_path in devices:
            wrong.append(field.invalid(f"{at}.mountPath", mount_path, "must not already exist as a path in volumeDevices"))
        wrong += _propagation_errors(mount.get("mountPropagation"), container, f"{at}.mountPropagation")
        for part in ("subPath", "subPathExpr"):
            if mount.get(part):
                wrong += local_path_errors(mount[part], f"{path}.volumeMounts.{part}")
        if mount.get("subPath") and mount.get("subPathExpr"):
            wrong.append(
                field.invalid(f"{path}.volumeMounts.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
            )
    return wrong


def seccomp_errors(profile: Object | None, path: str) -> list[FieldError]:
    """A profile of system calls: its type, and its file where it has one (validateSeccompProfileField)."""
    if profile is None:
        return []
    type_, file = profile.get("type"), profile.get("localhostProfile")
    if not type_:
        wrong = [field.required(f"{path}.type", "type is required when seccompProfile is set")]
    else:
        wrong = choice_errors(type_, f"{path}.type", ("Localhost", "RuntimeDefault", "Unconfined"))
    at = f"{path}.localhostProfile"
    if type_ == "Localhost":
        return wrong + (local_path_errors(file, at) if file else [field.required(at, "must be set when seccomp type is Localhost")])
    if file is None:
        return wrong
    shown = as_struct(profile, "io.k8s.api.core.v1.SeccompProfile")
    return [*wrong, field.invalid(at, shown, "can only be set when seccomp type is Localhost")]


def _security_errors(context: Object, path: str) -> list[FieldError]:
    wrong = id_errors(context.get("runAsUser"), f"{path}.runAsUser") + id_errors(context.get("runAsGroup"), f"{path}.runAsGroup")
    wrong += choice_errors(context.get("procMount"), f"{path}.procMount", ("Default", "Unmasked"))
    wrong += seccomp_errors(context.get("seccompProfile"), f"{path}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        shown = as_struct(context, "io.k8s.api.core.v1.SecurityContext")
        if context.get("privileged"):
            wrong.append(field.invalid(path, shown, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            wrong.append(field.invalid(path, shown, detail))
    return wrong
