"""Service. Addresses and node ports are the apiserver's to allocate; here are defaults and checks.

Upstream: pkg/apis/core/v1/defaults.go, ValidateService in pkg/apis/core/validation/validation.go, pkg/registry/core/service/strategy.go.
"""

from collections.abc import Sequence
from typing import Any

from kubesim.api.errors import FieldError
from kubesim.api.kinds.contract import Column, Kind
from kubesim.api.kinds.parts.columns import AGE, NAME
from kubesim.api.kinds.parts.metadata import metadata_update_errors
from kubesim.api.kinds.parts.service_validation import service_errors, service_status_errors, service_update_errors
from kubesim.api.kinds.parts.shape import change, change_each, changed_spec, each, fill, get_in, keep_all_but_status, keep_status, without
from kubesim.api.kinds.parts.table import NONE, labels_text

Object = dict[str, Any]
CLUSTER_IP, NODE_PORT, LOAD_BALANCER, EXTERNAL_NAME = "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"
_AFFINITY_SECONDS = 10800


def _default_port(port: Object) -> Object:
    filled = fill(port, {"protocol": "TCP"})
    return filled if filled.get("targetPort") not in (None, "", 0) else {**filled, "targetPort": filled.get("port", 0)}


def _default_spec(spec: Object) -> Object:
    filled = fill(spec, {"type": CLUSTER_IP, "sessionAffinity": "None"})
    filled = change(filled, "ports", lambda ports: each(ports, _default_port))
    if filled["sessionAffinity"] == "None":
        filled = without(filled, "sessionAffinityConfig")
    elif filled["sessionAffinity"] == "ClientIP" and get_in(filled, "sessionAffinityConfig", "clientIP", "timeoutSeconds") is None:
        filled = {**filled, "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": _AFFINITY_SECONDS}}}
    if filled["type"] in (NODE_PORT, LOAD_BALANCER) or (filled["type"] == CLUSTER_IP and filled.get("externalIPs")):
        filled = fill(filled, {"externalTrafficPolicy": "Cluster"})
    if filled["type"] in (NODE_PORT, LOAD_BALANCER, CLUSTER_IP):
        filled = fill(filled, {"internalTrafficPolicy": "Cluster"})
    if filled["type"] == LOAD_BALANCER:
        filled = fill(filled, {"allocateLoadBalancerNodePorts": True})
    return filled


def _default(service: Object) -> Object:
    filled = changed_spec(service, _default_spec)
    if get_in(filled, "spec", "type") != LOAD_BALANCER or not get_in(filled, "status", "loadBalancer", "ingress"):
        return filled
    return change(filled, "status", lambda status: change(status, "loadBalancer", _default_balancer))


def _default_balancer(balancer: Object) -> Object:
    return change_each(balancer, "ingress", _default_ingress)


def _default_ingress(ingress: Object) -> Object:
    return fill(ingress, {"ipMode": "VIP"}) if ingress.get("ip") else ingress


def _prepare_create(service: Object) -> Object:
    return {**service, "status": {"loadBalancer": {}}}


def _ports_cell(service: Object, now_ns: int) -> str:
    texts = []
    for port in get_in(service, "spec", "ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        texts.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(texts) or NONE


def _external_cell(service: Object, now_ns: int) -> str:
    spec = service["spec"]
    external = list(spec.get("externalIPs") or ())
    if spec.get("type") == EXTERNAL_NAME:
        return spec.get("externalName") or NONE
    if spec.get("type") == LOAD_BALANCER:
        ingress = get_in(service, "status", "loadBalancer", "ingress") or ()
        external = [item.get("ip") or item.get("hostname") or "" for item in ingress] + external
        return ",".join(external) or "<pending>"
    return ",".join(external) or NONE


def _field(name: str) -> Any:
    return lambda service: get_in(service, "spec", name) or ""


def _validate(service: Object) -> Sequence[FieldError]:
    return service_errors(service)


def _validate_update(new: Object, old: Object) -> Sequence[FieldError]:
    return [*metadata_update_errors(new, old), *service_update_errors(new["spec"], old["spec"])]


def _validate_status(new: Object, old: Object) -> Sequence[FieldError]:
    return [*metadata_update_errors(new, old), *service_status_errors(new)]


KIND = Kind(
    update_order="muMS",
    group="",
    version="v1",
    kind="Service",
    plural="services",
    short_names=("svc",),
    categories=("all",),
    schema="io.k8s.api.core.v1.Service",
    subresources=("proxy", "status"),
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=keep_all_but_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    columns=(
        NAME,
        Column("Type", "string", lambda service, now_ns: service["spec"].get("type", "")),
        Column("Cluster-IP", "string", lambda service, now_ns: service["spec"].get("clusterIP") or NONE),
        Column("External-IP", "string", _external_cell),
        Column("Port(s)", "string", _ports_cell),
        AGE,
        Column("Selector", "string", lambda service, now_ns: labels_text(service["spec"].get("selector")), 1),
    ),
    selectable_fields={"spec.clusterIP": _field("clusterIP"), "spec.type": _field("type")},
    has_generation=False,
    allow_create_on_update=True,
)
