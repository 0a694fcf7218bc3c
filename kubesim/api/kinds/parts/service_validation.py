"""Validation of Services. Upstream: ValidateService and ValidateServiceUpdate in pkg/apis/core/validation/validation.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.checks import choice_errors, text_errors
from kubesim.api.kinds.parts.metadata import metadata_errors
from kubesim.api.kinds.parts.shape import get_in

Object = dict[str, Any]
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_EXTERNAL = ("NodePort", "LoadBalancer")
_POLICIES = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_FIXED = "may not change once set"
_BALANCER_ONLY = "may only be used when `type` is 'LoadBalancer'"
_TOPOLOGY_MODE, _TOPOLOGY_HINTS = "service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"
KUBELET_PORT = 10250
AFFINITY_SECONDS_MAX = 86400
ADDRESSES_MAX = 2


def service_errors(service: Object) -> list[FieldError]:
    """Errors of a Service, in upstream's order."""
    spec = service.get("spec") or {}
    wrong = metadata_errors(service, check=names.check_dns_label)
    wrong += _topology_errors(service["metadata"].get("annotations") or {})
    if not spec.get("ports") and not _is_headless(spec) and spec.get("type") != "ExternalName":
        wrong.append(field.required("spec.ports"))
    wrong += _type_dependent_errors(spec)
    wrong += _port_errors(spec)
    wrong += names.label_errors(spec.get("selector"), "spec.selector")
    wrong += _affinity_errors(spec)
    wrong += _cluster_address_errors(spec)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        at = f"spec.externalIPs[{index}]"
        wrong += [field.invalid(at, address, message) for message in names.check_ip(address) or names.check_endpoint_ip(address)]
    wrong += choice_errors(spec.get("type"), "spec.type", TYPES, is_required=True)
    wrong += _repeated_port_errors(spec)
    return wrong + _balancer_errors(spec) + _policy_errors(spec)


def _is_headless(spec: Object) -> bool:
    """Whether the one address is the word for none (IsServiceIPSet's opposite)."""
    return spec.get("clusterIP") == "None" or (spec.get("clusterIPs") or [""])[0] == "None"


def _topology_errors(annotations: Object) -> list[FieldError]:
    mode, hints = annotations.get(_TOPOLOGY_MODE), annotations.get(_TOPOLOGY_HINTS)
    if mode is None or hints is None or mode == hints:
        return []
    detail = f"must match annotations[{_TOPOLOGY_HINTS}] when both are specified"
    return [field.invalid(f"metadata.annotations[{_TOPOLOGY_MODE}]", mode, detail)]


def _type_dependent_errors(spec: Object) -> list[FieldError]:
    type_ = spec.get("type", "")
    wrong: list[FieldError] = []
    if type_ == "LoadBalancer":
        detail = f"may not expose port {KUBELET_PORT} externally since it is used by kubelet"
        numbers = [port.get("port", 0) for port in spec.get("ports") or ()]
        wrong += [field.invalid(f"spec.ports[{i}]", number, detail) for i, number in enumerate(numbers) if number == KUBELET_PORT]
    if type_ in _EXTERNAL and _is_headless(spec):
        wrong.append(field.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {type_} services"))
    return wrong + _external_name_errors(spec) if type_ == "ExternalName" else wrong


def _external_name_errors(spec: Object) -> list[FieldError]:
    given = {"clusterIPs": spec.get("clusterIP") or spec.get("clusterIPs")}
    given |= {key: spec.get(key) for key in ("ipFamilies", "ipFamilyPolicy")}
    wrong = [field.forbidden(f"spec.{key}", "may not be set for ExternalName services") for key, value in given.items() if value]
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        return [*wrong, field.required("spec.externalName")]
    return wrong + text_errors(name, "spec.externalName", names.check_dns_subdomain)


def _port_errors(spec: Object) -> list[FieldError]:
    ports = spec.get("ports") or ()
    wrong: list[FieldError] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        wrong += _one_port_errors(port, len(ports) > 1, seen, f"spec.ports[{index}]")
    return wrong


def _one_port_errors(port: Object, needs_name: bool, seen: set[str], path: str) -> list[FieldError]:
    """Errors of one port (validateServicePort); ``seen`` are the names of those before it."""
    wrong: list[FieldError] = []
    name, number, target = port.get("name") or "", port.get("port", 0), port.get("targetPort", 0)
    if needs_name and not name:
        wrong.append(field.required(f"{path}.name"))
    elif name:
        wrong += text_errors(name, f"{path}.name", names.check_dns_label)
        if name in seen:
            wrong.append(field.duplicate(f"{path}.name", name))
        seen.add(name)
    wrong += [field.invalid(f"{path}.port", number, message) for message in names.check_port_number(number)]
    wrong += choice_errors(port.get("protocol"), f"{path}.protocol", _PROTOCOLS, is_required=True)
    check: Any = names.check_port_name if isinstance(target, str) else names.check_port_number
    wrong += [field.invalid(f"{path}.targetPort", target, message) for message in check(target)]
    application = port.get("appProtocol")
    return wrong if application is None else wrong + text_errors(application, f"{path}.appProtocol", names.check_qualified_name)


def _repeated_port_errors(spec: Object) -> list[FieldError]:
    """Node ports where they may not be, and what two ports may not share."""
    ports = spec.get("ports") or ()
    wrong: list[FieldError] = []
    if spec.get("type") == "ClusterIP":
        detail = "may not be used when `type` is 'ClusterIP'"
        wrong += [field.forbidden(f"spec.ports[{index}].nodePort", detail) for index, port in enumerate(ports) if port.get("nodePort")]
    seen: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol"), port.get("nodePort"))
        if key[1] and key in seen:
            wrong.append(field.duplicate(f"spec.ports[{index}].nodePort", key[1]))
        seen.add(key)
    seen.clear()
    for index, port in enumerate(ports):
        key = (port.get("protocol"), port.get("port"))
        if key in seen:
            shown = {"Name": "", "Protocol": key[0], "AppProtocol": None, "Port": key[1], "TargetPort": 0, "NodePort": 0}
            wrong.append(field.duplicate(f"spec.ports[{index}]", shown))
        seen.add(key)
    return wrong


def _affinity_errors(spec: Object) -> list[FieldError]:
    affinity, config = spec.get("sessionAffinity", ""), spec.get("sessionAffinityConfig")
    wrong = choice_errors(affinity, "spec.sessionAffinity", ("ClientIP", "None"), is_required=True)
    at = "spec.sessionAffinityConfig"
    if affinity == "None" and config is not None:
        wrong.append(field.forbidden(at, "must not be set when session affinity is None"))
    if affinity == "ClientIP":
        for path in ((), ("clientIP",), ("clientIP", "timeoutSeconds")):
            if get_in(config, *path) is None:
                return [*wrong, field.required(".".join((at, *path)), "when session affinity type is ClientIP")]
        seconds: int = get_in(config, "clientIP", "timeoutSeconds")
        if not 0 < seconds <= AFFINITY_SECONDS_MAX:
            detail = f"must be greater than 0 and less than {AFFINITY_SECONDS_MAX}"
            wrong.append(field.invalid(f"{at}.clientIP.timeoutSeconds", seconds, detail))
    return wrong


def _cluster_address_errors(spec: Object) -> list[FieldError]:
    """Cluster addresses and families (ValidateServiceClusterIPsRelatedFields)."""
    if spec.get("type") == "ExternalName":
        return []
    at, first = "spec.clusterIPs", spec.get("clusterIP")
    addresses: list[str] = spec.get("clusterIPs") or ([first] if first else [])
    families: Sequence[str] = spec.get("ipFamilies") or ()
    wrong: list[FieldError] = []
    if first and addresses[0] != first:
        wrong.append(field.invalid(at, addresses, "first value must match `clusterIP`"))
    if not first and addresses:
        wrong.append(field.invalid(at, addresses, "must be empty when `clusterIP` is not specified"))
    for index, family in enumerate(families):
        wrong += choice_errors(family, f"spec.ipFamilies[{index}]", ("IPv4", "IPv6"))
        if family in families[:index]:
            wrong.append(field.duplicate(f"spec.ipFamilies[{index}]", family))
    wrong += choice_errors(spec.get("ipFamilyPolicy"), "spec.ipFamilyPolicy", _FAMILY_POLICIES)
    broken = _broken_address_errors(addresses, at)
    wrong += broken
    if len(addresses) > ADDRESSES_MAX:
        wrong.append(field.invalid(at, addresses, f"may only hold up to {ADDRESSES_MAX} values"))
    if broken:  # what follows would only confuse
        return wrong
    if len(addresses) > 1 and len({":" in address for address in addresses}) < len(addresses):
        wrong.append(field.invalid(at, addresses, "may specify no more than one IP for each IP family"))
    for index, (address, family) in enumerate(zip(addresses, families) if not _is_headless(spec) else ()):
        if family in ("IPv4", "IPv6") and (":" in address) != (family == "IPv6"):
            wrong.append(field.invalid(f"{at}[{index}]", address, f"expected an {family} value as indicated by `ipFamilies[{index}]`"))
    return wrong


def _broken_address_errors(addresses: list[str], path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    for index, address in enumerate(addresses):
        if index == 0 and address == "None":
            if len(addresses) > 1:
                wrong.append(field.invalid(path, addresses, "'None' must be the first and only value"))
            continue
        wrong += [field.invalid(f"{path}[{index}]", address, message) for message in names.check_ip(address)]
    return wrong


def _balancer_errors(spec: Object) -> list[FieldError]:
    """What only a load balancer may have."""
    wrong: list[FieldError] = []
    is_balancer = spec.get("type") == "LoadBalancer"
    if ranges := spec.get("loadBalancerSourceRanges"):
        if not is_balancer:
            wrong.append(field.forbidden("spec.LoadBalancerSourceRanges", _BALANCER_ONLY))
        for index, text in enumerate(ranges):
            wrong += text_errors(text.strip(), f"spec.LoadBalancerSourceRanges[{index}]", names.check_cidr)
    if spec.get("allocateLoadBalancerNodePorts") is not None and not is_balancer:
        wrong.append(field.forbidden("spec.allocateLoadBalancerNodePorts", _BALANCER_ONLY))
    return wrong + _class_errors(spec)


def _class_errors(spec: Object) -> list[FieldError]:
    name, at = spec.get("loadBalancerClass"), "spec.loadBalancerClass"
    if name is None:
        return []
    if spec.get("type") != "LoadBalancer":
        return [field.forbidden(at, _BALANCER_ONLY)]
    return text_errors(name, at, names.check_qualified_name)


def _policy_errors(spec: Object) -> list[FieldError]:
    wrong: list[FieldError] = []
    external = spec.get("externalTrafficPolicy")
    exposed = spec.get("type") in _EXTERNAL or (spec.get("type") == "ClusterIP" and spec.get("externalIPs"))
    if exposed:
        wrong += choice_errors(external, "spec.externalTrafficPolicy", _POLICIES, is_required=True)
    elif external:
        wrong.append(field.invalid("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services"))
    check_port = spec.get("healthCheckNodePort")
    if check_port and (spec.get("type") != "LoadBalancer" or external != "Local"):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        wrong.append(field.invalid("spec.healthCheckNodePort", check_port, detail))
    wrong += choice_errors(spec.get("internalTrafficPolicy"), "spec.internalTrafficPolicy", _POLICIES)
    return wrong + choice_errors(spec.get("trafficDistribution"), "spec.trafficDistribution", _DISTRIBUTIONS)


def service_update_errors(new: Object, old: Object) -> Sequence[FieldError]:
    """The primary cluster address and the class of a load balancer never change while the Service keeps needing one."""
    wrong: list[FieldError] = []
    addresses, before = new.get("clusterIPs") or [], old.get("clusterIPs") or []
    if "ExternalName" not in (new.get("type"), old.get("type")) and before and addresses and addresses[0] != before[0]:
        wrong.append(field.invalid("spec.clusterIPs[0]", addresses, _FIXED))
    if new.get("type") == old.get("type") == "LoadBalancer" and new.get("loadBalancerClass") != old.get("loadBalancerClass"):
        wrong.append(field.invalid("spec.loadBalancerClass", new.get("loadBalancerClass"), _FIXED))
    return wrong + _class_errors(new)


def service_status_errors(service: Object) -> list[FieldError]:
    """Addresses of a load balancer: of a Service that has one, each an address or a name (ValidateLoadBalancerStatus)."""
    ingress, at = get_in(service, "status", "loadBalancer", "ingress") or (), "status.loadBalancer.ingress"
    wrong: list[FieldError] = []
    if ingress and get_in(service, "spec", "type") != "LoadBalancer":
        return [field.forbidden(at, "may only be used when `spec.type` is 'LoadBalancer'")]
    for index, each in enumerate(ingress):
        if each.get("ip"):
            wrong += text_errors(each["ip"], f"{at}[{index}].ip", names.check_ip)
        mode = each.get("ipMode")
        if mode is None and each.get("ip"):
            wrong.append(field.required(f"{at}[{index}].ipMode", "must be specified when `ip` is set"))
        elif mode is not None and not each.get("ip"):
            wrong.append(field.forbidden(f"{at}[{index}].ipMode", "may not be specified when `ip` is not set"))
        elif mode is not None:
            wrong += choice_errors(mode, f"{at}[{index}].ipMode", ("Proxy", "VIP"))
        if name := each.get("hostname"):
            wrong += text_errors(name, f"{at}[{index}].hostname", names.check_dns_subdomain)
            if names.is_ip(name):
                wrong.append(field.invalid(f"{at}[{index}].hostname", name, "must be a DNS name, not an IP address"))
    return wrong
