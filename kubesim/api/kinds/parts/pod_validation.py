"""Validation of a Pod spec, in a Pod and in a template. Upstream: ValidatePodSpec in pkg/apis/core/validation/validation.go.

Not checked here: what admission decides (privileged containers, priority classes, overhead of runtime classes) and Windows options.
"""

import re
from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.checks import choice_errors, id_errors, text_errors
from kubesim.api.kinds.parts.container_validation import containers_errors, seccomp_errors
from kubesim.api.kinds.parts.placement_validation import affinity_errors, gate_errors, spread_errors, toleration_errors
from kubesim.api.kinds.parts.volume_validation import volumes_errors

Object = dict[str, Any]
RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?\Z")
_SYSCTL_WRONG = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
_DEADLINE_WRONG = "must be between 1 and 2147483647, inclusive"


def pod_spec_errors(spec: Object, path: str) -> list[FieldError]:
    """Errors of a defaulted Pod spec at ``path``, in upstream's order."""
    wrong, volumes = volumes_errors(spec.get("volumes") or (), f"{path}.volumes")
    wrong += _claim_errors(spec.get("resourceClaims") or (), f"{path}.resourceClaims")
    wrong += containers_errors(spec, path, volumes)
    wrong += choice_errors(spec.get("restartPolicy", "Always"), f"{path}.restartPolicy", RESTART_POLICIES, is_required=True)
    wrong += choice_errors(spec.get("dnsPolicy", "ClusterFirst"), f"{path}.dnsPolicy", DNS_POLICIES, is_required=True)
    wrong += names.label_errors(spec.get("nodeSelector"), f"{path}.nodeSelector")
    wrong += _security_errors(spec, path)
    wrong += affinity_errors(spec.get("affinity"), f"{path}.affinity")
    wrong += _dns_errors(spec, f"{path}.dnsConfig")
    wrong += _readiness_gate_errors(spec.get("readinessGates") or (), f"{path}.readinessGates")
    wrong += gate_errors(spec.get("schedulingGates") or (), f"{path}.schedulingGates")
    wrong += spread_errors(spec.get("topologySpreadConstraints") or (), f"{path}.topologySpreadConstraints")
    wrong += _name_errors(spec, path)
    wrong += toleration_errors(spec.get("tolerations") or (), f"{path}.tolerations")
    wrong += _alias_errors(spec.get("hostAliases") or (), f"{path}.hostAliases")
    if spec.get("priorityClassName"):
        wrong += text_errors(spec["priorityClassName"], f"{path}.priorityClassName", names.check_dns_subdomain)
    if spec.get("runtimeClassName"):
        wrong += text_errors(spec["runtimeClassName"], f"{path}.runtimeClassName", names.check_dns_subdomain)
    wrong += choice_errors(spec.get("preemptionPolicy"), f"{path}.preemptionPolicy", ("Never", "PreemptLowerPriority"))
    system = spec.get("os")
    return wrong if system is None else wrong + _system_errors(system.get("name"), f"{path}.os")


def _system_errors(name: str | None, path: str) -> list[FieldError]:
    """An operating system that is not one of the two (validateOS)."""
    return choice_errors(name, path, ("linux", "windows")) if name else [field.required(f"{path}.name", "cannot be empty")]


def _claim_errors(claims: Sequence[Object], path: str) -> list[FieldError]:
    """Each claim refers to a ResourceClaim or to a template of one."""
    wrong: list[FieldError] = []
    for index, claim in enumerate(claims):
        at = f"{path}[{index}]"
        claim_name, template = claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName")
        shown = {"Name": claim.get("name", ""), "ResourceClaimName": claim_name, "ResourceClaimTemplateName": template}
        if claim_name is None and template is None:
            wrong.append(field.invalid(at, shown, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
        if claim_name is not None and template is not None:
            wrong.append(field.invalid(at, shown, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"))
    return wrong


def _security_errors(spec: Object, path: str) -> list[FieldError]:
    context, at = spec.get("securityContext") or {}, f"{path}.securityContext"
    wrong = _host_network_errors(spec, path) if spec.get("hostNetwork") else []
    wrong += id_errors(context.get("runAsUser"), f"{at}.runAsUser") + id_errors(context.get("runAsGroup"), f"{at}.runAsGroup")
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        wrong += id_errors(group, f"{at}.supplementalGroups[{index}]")
    wrong += id_errors(context.get("fsGroup"), f"{at}.fsGroup")
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        wrong.append(field.invalid(f"{at}.shareProcessNamespace", True, detail))
    wrong += _sysctl_errors(context.get("sysctls") or (), f"{at}.sysctls")
    wrong += choice_errors(context.get("fsGroupChangePolicy"), f"{at}.fsGroupChangePolicy", ("Always", "OnRootMismatch"))
    return wrong + seccomp_errors(context.get("seccompProfile"), f"{at}.seccompProfile")


def _host_network_errors(spec: Object, path: str) -> list[FieldError]:
    """On the host's network a port of the container is the port of the host."""
    wrong: list[FieldError] = []
    for index, container in enumerate(spec.get("containers") or ()):
        for number, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort") and port["hostPort"] != port.get("containerPort"):
                at = f"{path}.containers[{index}].ports[{number}].hostPort"
                wrong.append(field.invalid(at, port["hostPort"], "must match `containerPort` when `hostNetwork` is true"))
    return wrong


def _sysctl_errors(sysctls: Sequence[Object], path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    seen: set[str] = set()
    for index, sysctl in enumerate(sysctls):
        name, at = sysctl.get("name", ""), f"{path}[{index}].name"
        if not name:
            wrong.append(field.required(at))
        elif len(name) > 253 or not _SYSCTL.match(name):
            wrong.append(field.invalid(at, name, _SYSCTL_WRONG))
        elif name in seen:
            wrong.append(field.duplicate(at, name))
        seen.add(name)
    return wrong


def _dns_errors(spec: Object, path: str) -> list[FieldError]:
    config = spec.get("dnsConfig")
    if config is None:
        if spec.get("dnsPolicy") == "None":
            return [field.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
        return []
    servers, searches = config.get("nameservers") or (), config.get("searches") or ()
    wrong: list[FieldError] = []
    if spec.get("dnsPolicy") == "None" and not servers:
        wrong.append(field.required(f"{path}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None"))
    if len(servers) > 3:
        wrong.append(field.invalid(f"{path}.nameservers", list(servers), "must not have more than 3 nameservers"))
    for index, server in enumerate(servers):
        wrong += text_errors(server, f"{path}.nameservers[{index}]", names.check_ip)
    if len(searches) > 32:
        wrong.append(field.invalid(f"{path}.searches", list(searches), "must not have more than 32 search paths"))
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            wrong.append(field.required(f"{path}.options[{index}]", "must not be empty"))
    return wrong


def _readiness_gate_errors(gates: Sequence[Object], path: str) -> list[FieldError]:
    return [
        error
        for index, gate in enumerate(gates)
        for error in text_errors(gate.get("conditionType", ""), f"{path}[{index}].conditionType", names.check_qualified_name)
    ]


def _name_errors(spec: Object, path: str) -> list[FieldError]:
    """Names of other things, the deadline, the host name."""
    wrong: list[FieldError] = []
    for name in ("serviceAccountName", "nodeName"):
        if spec.get(name):
            wrong += text_errors(spec[name], f"{path}.{name}", names.check_dns_subdomain)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline < 2**31:
        wrong.append(field.invalid(f"{path}.activeDeadlineSeconds", deadline, _DEADLINE_WRONG))
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            wrong += text_errors(spec[name], f"{path}.{name}", names.check_dns_label)
    return wrong


def _alias_errors(aliases: Sequence[Object], path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    for index, alias in enumerate(aliases):
        wrong += text_errors(alias.get("ip", ""), f"{path}[{index}].ip", names.check_ip)
        for hostname in alias.get("hostnames") or ():
            wrong += text_errors(hostname, f"{path}[{index}].hostnames", names.check_dns_subdomain)
    return wrong


def pod_only_errors(spec: Object, path: str) -> list[FieldError]:
    """What holds for a Pod but not for a template: a token needs a service account to be of."""
    if spec.get("serviceAccountName"):
        return []
    return [
        field.forbidden(
            f"{path}.volumes[{index}].projected.sources[{number}].serviceAccountToken",
            "must not be specified when serviceAccountName is not set",
        )
        for index, volume in enumerate(spec.get("volumes") or ())
        for number, source in enumerate((volume.get("projected") or {}).get("sources") or ())
        if source.get("serviceAccountToken") is not None
    ]
