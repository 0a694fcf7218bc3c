"""What a served cluster has from the start beside what every cluster has: roles and bindings, two ConfigMaps of the server's own, flow
schemas and priority levels, APIServices, the range of Service addresses and the server's own endpoints.

Upstream: pkg/controlplane/controller/{clusterauthenticationtrust,legacytokentracking,defaultservicecidr}, pkg/controlplane/reconcilers,
plugin/pkg/auth/authorizer/rbac/bootstrappolicy.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request, create
from kubesim.apiserver.server import ApiServer
from kubesim.server.apiserver.aggregation import api_service_requests
from kubesim.server.apiserver.flow_control import flow_control_requests
from kubesim.server.apiserver.policy import USER, policy_requests

HEADERS = {
    "requestheader-allowed-names": [],
    "requestheader-extra-headers-prefix": ["X-Remote-Extra-"],
    "requestheader-group-headers": ["X-Remote-Group"],
    "requestheader-uid-headers": ["X-Remote-Uid"],
    "requestheader-username-headers": ["X-Remote-User"],
}


def config_map_requests(client_authority: str, today: str) -> Iterator[Request]:
    """The creates of the two ConfigMaps: whom the server trusts for clients, and since when tokens in Secrets are looked at."""
    trust: dict[str, Any] = {"client-ca-file": client_authority} if client_authority else {}
    trust |= {name: orjson.dumps(value).decode() for name, value in HEADERS.items()}
    for name, data in (
        ("extension-apiserver-authentication", trust),
        ("kube-apiserver-legacy-service-account-token-tracking", {"since": today}),
    ):
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        request = create("configmaps", "kube-system", obj)
        request.user = USER
        yield request


def network_requests(service_cidr: str, address: str, port: int) -> Iterator[Request]:
    """The range of Service addresses, and the endpoints behind the Service of the server itself."""
    spec = {"cidrs": [service_cidr]}
    cidr = {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"}, "spec": spec}
    yield Request("create", "servicecidrs.networking.k8s.io", "", "kubernetes", cidr, user=USER)
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": address}], "ports": ports}],
    }
    yield Request("create", "endpoints", "default", "kubernetes", endpoints, user=USER)
    endpoint_slice = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": ports,
    }
    yield Request("create", "endpointslices.discovery.k8s.io", "default", "kubernetes", endpoint_slice, user=USER)


def is_missing(server: ApiServer, request: Request) -> bool:
    """Whether a request has anything to do: what is there stays as it is, and so does a status that says something."""
    found = server.peek(request.resource, request.namespace, request.name)
    return found is None or (request.verb == "patch" and not (found.get("status") or {}).get("conditions"))


def bootstrap(server: ApiServer, requests: Iterable[Request]) -> None:
    """Do what is missing. Raises ApiError."""
    for request in requests:
        if not is_missing(server, request):
            continue
        try:
            server.call(request)
        except ApiError as error:
            if error.code != 409:
                raise


def bootstrap_requests(now: str, client_authority: str, service_cidr: str, address: str, port: int) -> Iterator[Request]:
    """Everything, in the order in which it is created."""
    yield from policy_requests()
    yield from config_map_requests(client_authority, now[:10])
    yield from flow_control_requests(USER, now)
    yield from api_service_requests(USER)
    yield from network_requests(service_cidr, address, port)
