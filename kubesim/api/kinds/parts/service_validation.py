"""Validation of Services. Upstream: ValidateService and ValidateServiceUpdate in pkg/apis/core/validation/validation.go."""

from collections.abc import Sequence
from typing import Any

from kubesim.api import field, names
from kubesim.api.errors import FieldError
from kubesim.api.kinds.parts.metadata import metadata_errors
from kubesim.api.kinds.parts.shape import get_in

Object = dict[str, Any]
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_EXTERNAL = ("NodePort", "LoadBalancer")
_POLICIES = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_FIXED = "may not change once set"
AFFINITY_SECONDS_MAX = 86400


def service_errors(service: Object) -> list[FieldError]:
    """Errors of a Service, in upstream's order."""
    spec = service.get("spec") or {}
    type_, headless = spec.get("type", ""), spec.get("clusterIP") == "None"
    wrong = metadata_errors(service, check=names.check_dns_label)
    if not spec.get("ports") and not headless and type_ != "ExternalName":
        wrong.append(field.required("spec.ports"))
    if type_ == "LoadBalancer":
        wrong += [
            field.invalid(f"spec.ports[{index}]", port, "may not expose port 10250 externally since it is used by kubelet")
            for index, port in enumerate(spec.get("ports") or ())
            if port.get("port") == 10250
        ]
    if type_ == "ExternalName":
        wrong += _external_name_errors(spec)
    wrong += _port_errors(spec, headless)
    wrong += names.label_errors(spec.get("selector"), "spec.selector")
    wrong += _affinity_errors(spec)
    if type_ not in TYPES:
        wrong.append(field.not_supported("spec.type", type_, TYPES) if type_ else field.required("spec.type"))
    wrong += _address_errors(spec)
    return wrong + _policy_errors(spec)


def _external_name_errors(spec: Object) -> list[FieldError]:
    wrong: list[FieldError] = []
    if spec.get("clusterIP") or spec.get("clusterIPs"):
        wrong.append(field.forbidden("spec.clusterIPs", "may not be set for ExternalName services"))
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        return [*wrong, field.required("spec.externalName")]
    return wrong + [field.invalid("spec.externalName", spec["externalName"], message) for message in names.check_dns_subdomain(name)]


def _port_errors(spec: Object, headless: bool) -> list[FieldError]:
    ports = spec.get("ports") or ()
    wrong: list[FieldError] = []
    seen_names: set[str] = set()
    seen_ports: set[tuple[Any, Any]] = set()
    seen_nodes: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        at = f"spec.ports[{index}]"
        wrong += _one_port_errors(port, len(ports) > 1, headless, seen_names, at)
    for index, port in enumerate(ports):
        key = (port.get("protocol"), port.get("port"))
        if key in seen_ports:
            shown = {"protocol": key[0], "port": key[1]}
            wrong.append(field.duplicate(f"spec.ports[{index}]", shown))
        seen_ports.add(key)
    for index, port in enumerate(ports):
        if node := port.get("nodePort"):
            if spec.get("type") not in _EXTERNAL:
                wrong.append(field.forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'"))
            if (port.get("protocol"), node) in seen_nodes:
                wrong.append(field.duplicate(f"spec.ports[{index}].nodePort", node))
            seen_nodes.add((port.get("protocol"), node))
    return wrong


def _one_port_errors(port: Object, needs_name: bool, headless: bool, seen: set[str], path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    name, number, target = port.get("name") or "", port.get("port", 0), port.get("targetPort", 0)
    if needs_name and not name:
        wrong.append(field.required(f"{path}.name"))
    elif name:
        wrong += [field.invalid(f"{path}.name", name, message) for message in names.check_dns_label(name)]
        if name in seen:
            wrong.append(field.duplicate(f"{path}.name", name))
        seen.add(name)
    wrong += [field.invalid(f"{path}.port", number, message) for message in names.check_port_number(number)]
    protocol = port.get("protocol", "")
    if protocol not in _PROTOCOLS:
        wrong.append(field.not_supported(f"{path}.protocol", protocol, _PROTOCOLS) if protocol else field.required(f"{path}.protocol"))
    check: Any = names.check_port_name if isinstance(target, str) else names.check_port_number
    return wrong + [field.invalid(f"{path}.targetPort", target, message) for message in check(target)]


def _affinity_errors(spec: Object) -> list[FieldError]:
    affinity = spec.get("sessionAffinity", "")
    if affinity not in ("ClientIP", "None"):
        return [field.not_supported("spec.sessionAffinity", affinity, ("ClientIP", "None"))]
    if affinity == "None":
        if spec.get("sessionAffinityConfig") is not None:
            return [field.forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None")]
        return []
    seconds = get_in(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds")
    if seconds is None or 0 < seconds <= AFFINITY_SECONDS_MAX:
        return []
    detail = f"must be greater than 0 and less than {AFFINITY_SECONDS_MAX}"
    return [field.invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, detail)]


def _address_errors(spec: Object) -> list[FieldError]:
    """Cluster addresses (of a Service that may have them), external addresses, source ranges."""
    wrong: list[FieldError] = []
    addresses = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    if spec.get("type") != "ExternalName":
        if spec.get("clusterIP") and spec.get("clusterIPs") and spec["clusterIP"] != spec["clusterIPs"][0]:
            wrong.append(field.invalid("spec.clusterIPs", spec["clusterIPs"], "first value must match `clusterIP`"))
        for index, address in enumerate(addresses):
            wrong += _cluster_address_errors(address, index, spec.get("type", ""))
    for index, address in enumerate(spec.get("externalIPs") or ()):
        wrong += [field.invalid(f"spec.externalIPs[{index}]", address, message) for message in names.check_ip(address)]
    if spec.get("loadBalancerSourceRanges") and spec.get("type") != "LoadBalancer":
        wrong.append(field.forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'"))
    if spec.get("loadBalancerClass") and spec.get("type") != "LoadBalancer":
        wrong.append(field.forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'"))
    return wrong


def _cluster_address_errors(address: str, index: int, type_: str) -> list[FieldError]:
    at = f"spec.clusterIPs[{index}]"
    if address == "None":
        if type_ in _EXTERNAL:
            return [field.invalid(at, address, f"may not be set to 'None' for {type_} services")]
        return []
    return [field.invalid(at, address, message) for message in names.check_ip(address)]


def _policy_errors(spec: Object) -> list[FieldError]:
    wrong: list[FieldError] = []
    external, internal = spec.get("externalTrafficPolicy"), spec.get("internalTrafficPolicy")
    exposed = spec.get("type") in _EXTERNAL or (spec.get("type") == "ClusterIP" and spec.get("externalIPs"))
    if external:
        if not exposed:
            wrong.append(field.invalid("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services"))
        elif external not in _POLICIES:
            wrong.append(field.not_supported("spec.externalTrafficPolicy", external, _POLICIES))
    check_port = spec.get("healthCheckNodePort")
    if check_port and (spec.get("type") != "LoadBalancer" or external != "Local"):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        wrong.append(field.invalid("spec.healthCheckNodePort", check_port, detail))
    if internal and internal not in _POLICIES:
        wrong.append(field.not_supported("spec.internalTrafficPolicy", internal, _POLICIES))
    distribution = spec.get("trafficDistribution")
    if distribution and distribution not in _DISTRIBUTIONS:
        wrong.append(field.not_supported("spec.trafficDistribution", distribution, _DISTRIBUTIONS))
    return wrong


def service_update_errors(new: Object, old: Object) -> Sequence[FieldError]:
    """The primary cluster address and the class of a load balancer never change while the Service keeps needing one."""
    wrong: list[FieldError] = []
    addresses, before = new.get("clusterIPs") or [], old.get("clusterIPs") or []
    if "ExternalName" not in (new.get("type"), old.get("type")) and before and addresses and addresses[0] != before[0]:
        wrong.append(field.invalid("spec.clusterIPs[0]", addresses, _FIXED))
    if new.get("type") == old.get("type") == "LoadBalancer" and new.get("loadBalancerClass") != old.get("loadBalancerClass"):
        wrong.append(field.invalid("spec.loadBalancerClass", new.get("loadBalancerClass"), _FIXED))
    return wrong


def service_status_errors(service: Object) -> list[FieldError]:
    """Addresses of a load balancer belong to a Service that has one."""
    ingress = get_in(service, "status", "loadBalancer", "ingress")
    if not ingress or get_in(service, "spec", "type") == "LoadBalancer":
        return []
    return [field.forbidden("status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'")]
